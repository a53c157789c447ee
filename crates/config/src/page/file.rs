//! Files of pages.

use super::{Page, PagePath};
use crate::files::{Files, Unfit, content_of};
use crate::process::Need;
use crate::reader::Reader;
use crate::setting::Field;
use crate::wording::{quoted, quoted_path};

/// The largest page, in bytes: one is kept in memory whole, and each client that is refused gets it.
const LARGEST: u64 = 1 << 20;

impl Files<'_> {
    /// The page at the path that the setting `key` says, or a report why it cannot be had. Each is read once.
    pub(crate) fn page(&mut self, key: &str, setting: &Field<PagePath>, reader: &mut Reader) -> Option<Page> {
        let PagePath { path, content_type } = &setting.value;
        if let Some(page) = self.pages.get(path) {
            return Some(page.clone());
        }
        let file = self.path(path);
        match content_of(&file, LARGEST).and_then(|content| checked(content, content_type)) {
            Ok(content) => {
                reader.need(setting.span.clone(), Need::Read(file));
                let page = Page { content_type, content: content.into() };
                self.pages.insert(path.clone(), page.clone());
                Some(page)
            }
            Err(Unfit(why)) => {
                let message = format!("{} cannot be used: {why}", quoted(key));
                let help = format!("it was looked for at {}", quoted_path(&file));
                reader.report(setting.span.clone(), message, help);
                None
            }
        }
    }
}

/// What was in a file, or why that can be no page.
fn checked(content: Vec<u8>, content_type: &str) -> Result<Vec<u8>, Unfit> {
    if content_type.ends_with("utf-8") && std::str::from_utf8(&content).is_err() {
        return Err(Unfit("this is not saved as UTF-8".to_owned()));
    }
    Ok(content)
}
