//! The file with the number of the process, for scripts and supervisors. It is locked for as long as the process lives, so
//! that one left behind by a crash is no obstacle and one in use is.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The longest number of a process, with its line end.
const LONGEST: u64 = 16;

/// A pid file of ours; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Writes the number of this process to `path`.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be written.
    pub(crate) fn claim(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("the pid file {} cannot be written", path.display());
        // Who starts as root must not be led by a link to some other file.
        let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o644).custom_flags(no_link);
        let mut file = options.open(path).with_context(cannot)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut number = String::new();
                // Only told, so that what cannot be read is left out.
                let _ = (&mut file).take(LONGEST).read_to_string(&mut number);
                bail!(
                    "the pid file {} is held by process {}, which runs; stop it, or name another file",
                    path.display(),
                    number.trim()
                );
            }
            Err(error) => return Err(error).with_context(cannot),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).with_context(cannot)?;
        Ok(Self { path: path.to_owned(), file })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let identity = |about: fs::Metadata| (about.dev(), about.ino());
        let ours = self.file.metadata().map(identity).ok();
        let there = fs::symlink_metadata(&self.path).map(identity).ok();
        let removed = ours.is_some() && ours == there && fs::remove_file(&self.path).is_ok();
        if !removed {
            // In a folder of root's, which we are not any more: then it stays, and names nobody.
            let _ = self.file.set_len(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("plimsoll-{name}-{}.pid", std::process::id()))
    }

    #[test]
    fn one_that_was_left_behind_is_taken_over_and_one_that_is_held_is_not() {
        let path = path("held");
        fs::write(&path, "99999999999\n").unwrap();
        let held = PidFile::claim(&path).unwrap();
        let own = std::process::id();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{own}\n"));
        let refused = PidFile::claim(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("is held by process {own}, which runs")), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{own}\n"));
        drop(held);
        assert!(!path.exists());
    }

    #[test]
    fn a_link_is_not_followed_and_what_replaced_it_is_not_removed() {
        let (target, link) = (path("target"), path("link"));
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(PidFile::claim(&link).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        fs::remove_file(&link).unwrap();
        let held = PidFile::claim(&link).unwrap();
        fs::remove_file(&link).unwrap();
        fs::write(&link, "another's").unwrap();
        drop(held);
        assert_eq!(fs::read_to_string(&link).unwrap(), "another's");
        fs::remove_file(&link).unwrap();
        fs::remove_file(&target).unwrap();
    }
}
