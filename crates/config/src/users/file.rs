//! Files of users.

use super::{Fault, Users, read};
use crate::files::{Files, Unfit, content_of};
use crate::process::Need;
use crate::reader::Reader;
use crate::secret::{FilePath, is_exposed};
use crate::setting::Field;
use crate::wording::quoted_path;

/// Some ten thousand users; more are no matter for a file.
const LARGEST: u64 = 1 << 20;

impl Files<'_> {
    /// The users in a file, or a report why they cannot be had. Each file is read once.
    pub(crate) fn users(&mut self, path: &Field<FilePath>, reader: &mut Reader) -> Option<Users> {
        if let Some(known) = self.users.get(&path.value.0) {
            return Some(known.clone());
        }
        let file = self.path(&path.value.0);
        reader.need(path.span.clone(), Need::Read(file.clone()));
        let fault = match content_of(&file, LARGEST).map(|content| read(&content)) {
            Ok(Ok(by_name)) => {
                let exposed = file.metadata().is_ok_and(|about| is_exposed(&about));
                let users = Users { by_name: by_name.into(), file: file.display().to_string(), exposed };
                self.users.insert(path.value.0.clone(), users.clone());
                return Some(users);
            }
            Ok(Err(fault)) => fault,
            Err(Unfit(why)) => Fault { what: why, help: format!("it was looked for at {}", quoted_path(&file)) },
        };
        reader.report(path.span.clone(), format!("`users` cannot be used: {}", fault.what), fault.help);
        None
    }
}
