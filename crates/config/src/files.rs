//! The files beside the main one, read from its folder.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::network::NetworkSet;
use crate::page::Page;
use crate::quantity::show_bytes;
use crate::users::Users;

/// Where the other files of a configuration are, and the pages that were read.
pub(crate) struct Files<'a> {
    folder: &'a Path,
    pub(crate) pages: HashMap<String, Page>,
    pub(crate) networks: HashMap<String, Arc<NetworkSet>>,
    pub(crate) users: HashMap<String, Users>,
}

/// Why a file cannot be used, in words that follow a colon.
pub(crate) struct Unfit(pub(crate) String);

impl<'a> Files<'a> {
    /// No file yet; those to come are in `folder` where their paths are relative.
    pub(crate) fn in_folder(folder: &'a Path) -> Self {
        let (pages, networks, users) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { folder, pages, networks, users }
    }

    /// Where relative paths begin.
    pub(crate) fn folder(&self) -> &'a Path {
        self.folder
    }

    /// Where the file is that the configuration calls `path`.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }
}

/// What is in the regular file at `path`, of at most `largest` bytes.
pub(crate) fn content_of(file: &Path, largest: u64) -> Result<Vec<u8>, Unfit> {
    let mut content = Vec::new();
    let unreadable = |error| Unfit(unreadable(&error));
    let about = fs::metadata(file).map_err(unreadable)?;
    // Not opened before it is known to be a file: to open a pipe waits for someone who writes to it.
    if !about.is_file() && !about.is_dir() {
        return Err(Unfit("this is no regular file".to_owned()));
    }
    File::open(file).and_then(|file| file.take(largest + 1).read_to_end(&mut content)).map_err(unreadable)?;
    if content.len() as u64 > largest {
        return Err(Unfit(format!("this is larger than {}", show_bytes(largest))));
    }
    Ok(content)
}

/// Why a file could not be read.
pub(crate) fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::IsADirectory => "this is a folder, not a file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
