//! The page a client gets from us and not from a server: a file that is read with the configuration.

use std::path::Path;

use serde_json::json;

use crate::files::{Files, Unfit, content_of};
use crate::process::Need;
use crate::reader::Reader;
use crate::resolved::Page;
use crate::setting::{Field, Item, Place, Setting, Shape};
use crate::wording::{listed, quoted, quoted_path};

/// The path of a page, and what its name says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PagePath {
    path: String,
    content_type: &'static str,
}

/// The largest page, in bytes: one is kept in memory whole, and each client that is refused gets it.
const LARGEST: u64 = 1 << 20;

/// What a page can be, by the end of its name. HTML, style sheets and plain text do not all say how they are encoded,
/// so it is said for them.
const TYPES: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("txt", "text/plain; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
];

impl Setting for PagePath {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let Some(path) = item.get_ref().as_str() else {
            return reader.unfit(item, place, "write \"sorry.html\"");
        };
        let extension = Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let found = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension));
        if let Some((_, content_type)) = found {
            return Some(Self { path: path.to_owned(), content_type });
        }
        let known: Vec<_> = TYPES.iter().map(|(known, _)| format!(".{known}")).collect();
        let help = format!("let its name end in one of {}", listed(&known));
        reader.report(item.span(), format!("{} does not tell by its name what it is", quoted(path)), help);
        None
    }

    fn shape() -> Shape {
        Shape {
            expects: "the path of a file".to_owned(),
            schema: json!({ "type": "string", "pattern": "\\.[A-Za-z]+$" }),
            table: None,
        }
    }
}

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
