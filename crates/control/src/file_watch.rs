//! Whether a file has changed.
//!
//! It is asked for, not listened for: that sees through symbolic links that are swapped, as those of Kubernetes' volumes, and
//! works on network file systems, where notifications do not.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A file and how it looked when it was last seen.
#[derive(Debug)]
pub struct FileWatch {
    path: PathBuf,
    /// As it was when it was last told of.
    told: Option<Look>,
    /// As it was at the last look.
    seen: Option<Look>,
}

/// What changes when somebody writes a file, or puts another in its place: device, inode, size and time of change.
type Look = (u64, u64, u64, i64, i64);

impl FileWatch {
    /// A watch that knows the file as it is now.
    pub fn new(path: PathBuf) -> Self {
        let now = look(&path);
        Self { path, told: now, seen: now }
    }

    /// Whether it has changed since that was last told, and has been as it is for two looks: whoever writes it may not be
    /// done. A file that is not there has not changed.
    pub(crate) fn has_changed(&mut self) -> bool {
        self.look() == (true, true)
    }

    /// Whether it has changed, and whether it has been as it is for two looks.
    fn look(&mut self) -> (bool, bool) {
        let now = look(&self.path);
        let settled = now == std::mem::replace(&mut self.seen, now);
        let changed = settled && now.is_some() && now != self.told;
        if changed {
            self.told = now;
        }
        (changed, settled)
    }
}

/// Files that belong together, such as a certificate and its key.
#[derive(Debug)]
pub(crate) struct FilesWatch {
    files: Vec<FileWatch>,
    /// Not told of yet.
    changed: bool,
}

impl FilesWatch {
    /// A watch over `files`, which tells first of what they are now: they may have changed since somebody read them.
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        Self { changed: !files.is_empty(), files: files.into_iter().map(FileWatch::new).collect() }
    }

    /// Whether one of them has changed since that was last told, and all have been as they are for two looks.
    pub(crate) fn has_changed(&mut self) -> bool {
        let mut all_settled = true;
        for file in &mut self.files {
            let (changed, settled) = file.look();
            self.changed |= changed;
            all_settled &= settled;
        }
        all_settled && std::mem::take(&mut self.changed)
    }
}

fn look(path: &PathBuf) -> Option<Look> {
    let now = fs::metadata(path).ok()?;
    Some((now.dev(), now.ino(), now.size(), now.mtime(), now.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_when_it_is_done() {
        let folder = std::env::temp_dir().join(format!("plimsoll-file-watch-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (path, other) = (folder.join("plimsoll.toml"), folder.join("other.toml"));
        fs::write(&path, "one").unwrap();
        let mut watch = FileWatch::new(path.clone());
        assert!(!watch.has_changed());
        fs::write(&path, "three").unwrap();
        assert!(!watch.has_changed(), "it may not be written to its end");
        assert!(watch.has_changed());
        assert!(!watch.has_changed());
        fs::remove_file(&path).unwrap();
        assert!(!watch.has_changed() && !watch.has_changed(), "a file that is gone is not read");
        fs::write(&other, "three").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(!watch.has_changed());
        assert!(watch.has_changed(), "another file in its place is a change");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn files_that_belong_together_are_told_of_when_all_are_done() {
        let folder = std::env::temp_dir().join(format!("plimsoll-files-watch-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (cert, key) = (folder.join("site.pem"), folder.join("site.key"));
        fs::write(&cert, "one").unwrap();
        fs::write(&key, "one").unwrap();
        let mut watch = FilesWatch::new(vec![cert.clone(), key.clone()]);
        assert!(watch.has_changed(), "nobody knows when they were read");
        assert!(!watch.has_changed());
        fs::write(&cert, "three").unwrap();
        assert!(!watch.has_changed());
        fs::write(&key, "three").unwrap();
        assert!(!watch.has_changed(), "one of them may not be written to its end");
        assert!(watch.has_changed());
        assert!(!watch.has_changed());
        assert!(!FilesWatch::new(Vec::new()).has_changed());
        fs::remove_dir_all(&folder).unwrap();
    }
}
