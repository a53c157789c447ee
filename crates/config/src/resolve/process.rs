//! How the process runs.

use std::path::Path;

use crate::process::{Need, Process};
use crate::raw;
use crate::reader::Reader;
use crate::secret::FilePath;
use crate::setting::Field;
use crate::wording::quoted_path;

/// How the process runs; `folder` is where relative paths begin.
pub(super) fn resolve(file: &raw::File, folder: &Path, reader: &mut Reader) -> Process {
    let account = |setting: &Option<Field<raw::Account>>| setting.as_ref().map(|setting| setting.value.0.clone());
    let (user, group) = (account(&file.user), account(&file.group));
    check_accounts(file, reader);
    if let (Some(setting), Some(user)) = (&file.user, &user) {
        reader.need(setting.span.clone(), Need::User(user.clone()));
    }
    if let (Some(setting), Some(group)) = (&file.group, &group) {
        reader.need(setting.span.clone(), Need::Group(group.clone()));
    }
    Process {
        user,
        group,
        pid_file: file.pid_file.as_ref().map(|setting| {
            let path = folder.join(&setting.value.0);
            check_pid_file(setting, &path, reader);
            path
        }),
        max_connections: file.max_connections.as_ref().map(|most| most.value.0 as usize),
        pin_workers: file.pin_workers.value,
    }
}

/// A user that gives up nothing and a group that nobody becomes are slips.
fn check_accounts(file: &raw::File, reader: &mut Reader) {
    let is_root = |account: &str| account == "root" || account.parse() == Ok(0u32);
    if let Some(user) = file.user.as_ref().filter(|user| is_root(&user.value.0)) {
        let message = "`user` must not be root, whose rights are to be given up".to_owned();
        reader.report(user.span.clone(), message, "name a user made for this, or remove the line to stay root");
    }
    if let (Some(_), Some(group)) = (&file.user, file.group.as_ref().filter(|group| is_root(&group.value.0))) {
        let message = "`group` must not be that of root, whose rights are to be given up".to_owned();
        reader.report(
            group.span.clone(),
            message,
            "name a group made for this, or remove the line for that of the user",
        );
    }
    if let (None, Some(group)) = (&file.user, &file.group) {
        let message = "`group` has no effect without `user`".to_owned();
        reader.report(group.span.clone(), message, "write `user = \"plimsoll\"` too, or remove it");
    }
}

fn check_pid_file(setting: &Field<FilePath>, path: &Path, reader: &mut Reader) {
    let inside = path.parent().filter(|inside| !inside.as_os_str().is_empty());
    if let Some(missing) = inside.filter(|inside| !inside.is_dir()) {
        let message = format!("there is no folder {} to make the pid file in", quoted_path(missing));
        reader.report(setting.span.clone(), message, "make the folder, or write another path");
    } else if path.is_dir() {
        let message = format!("{} is a folder, not a file", quoted_path(path));
        reader.report(setting.span.clone(), message, "write the path of a file in it");
    }
}
