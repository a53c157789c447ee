//! Whether a file can be read or written by the account that the process becomes: what cannot would fail at a later reload,
//! long after the start as root went well.
//!
//! The mode bits of the file and of its folders say so, by a function that needs no rights to be tried. They do not say all:
//! an access control list may allow what they deny. So where they deny, and root asks, the kernel decides, on a thread that is
//! that account for as long as it takes.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use plimsoll_config::{Config, Need, Process, Unmet};
use rustix::fs::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::account::{Account, find_group};

/// Bits of a mode for one of the three kinds of users.
const READ: u32 = 0o4;
const WRITE: u32 = 0o2;
const SEARCH: u32 = 0o1;

/// Says of what a configuration needs whether this machine has it: whom to become, and what that account must reach.
pub(crate) fn judge(config: &Config, need: &Need) -> Option<Unmet> {
    judge_account(config, need).or_else(|| judge_file(config, need))
}

/// The same of accounts alone.
pub(crate) fn judge_account(config: &Config, need: &Need) -> Option<Unmet> {
    match need {
        // What is wrong with the group is told where that stands.
        Need::User(user) if config.process.group.is_some() => {
            let alone = Process { user: Some(user.clone()), group: Some("0".to_owned()), ..Process::default() };
            Account::of(&alone).err()
        }
        Need::User(_) => Account::of(&config.process).err(),
        Need::Group(group) => find_group(group).err(),
        Need::Read(_) | Need::Write(_) => None,
    }
}

/// The same of files alone. Where there is no such account, nothing is wrong with them.
pub(crate) fn judge_file(config: &Config, need: &Need) -> Option<Unmet> {
    // What this process can do itself has been seen when it was done.
    let account = Account::of(&config.process).ok()?.filter(|account| !account.is_own())?;
    match need {
        Need::User(_) | Need::Group(_) => None,
        Need::Read(path) => could_not(&account, path, READ),
        Need::Write(path) => could_not(&account, path, WRITE),
    }
}

fn could_not(account: &Account, path: &Path, bit: u32) -> Option<Unmet> {
    let barrier = barrier(path, bit, |bits, about| bits_of(account, about) & bits == bits)?;
    if rustix::process::geteuid().is_root() && kernel_allows(account, path, bit) {
        return None;
    }
    let (verb, name) = (if bit == READ { "read" } else { "write to" }, &account.name);
    let what = match &barrier {
        Barrier::File(_) => "its mode does not allow it".to_owned(),
        Barrier::Folder(folder) => format!("it may not search the folder {}", folder.display()),
        Barrier::NewFile(folder) => format!("it may not make files in the folder {}", folder.display()),
    };
    let command = match &barrier {
        Barrier::File(file) => format!("chgrp {} {} && chmod g+{}", account.gid, file.display(), letter(bit)),
        Barrier::Folder(folder) => format!("chgrp {} {} && chmod g+x", account.gid, folder.display()),
        Barrier::NewFile(folder) => format!("chown {name} {}", folder.display()),
    };
    let of = match &barrier {
        Barrier::File(path) | Barrier::Folder(path) => format!(" {}", path.display()),
        Barrier::NewFile(_) => String::new(),
    };
    let message = format!("user {name} cannot {verb} {}, so that a reload would fail: {what}", path.display());
    Some(Unmet { message, help: format!("`{command}{of}`") })
}

fn letter(bit: u32) -> char {
    if bit == READ { 'r' } else { 'w' }
}

/// What stands in the way of an account.
#[derive(Debug, PartialEq, Eq)]
enum Barrier {
    /// The file itself.
    File(PathBuf),
    /// A folder on the way, which may not be searched.
    Folder(PathBuf),
    /// The folder of a file that is still to be made, or made anew.
    NewFile(PathBuf),
}

/// What stands in the way to `path`; `may` says whether somebody has these bits of what is there.
fn barrier(path: &Path, bit: u32, may: impl Fn(u32, &Metadata) -> bool) -> Option<Barrier> {
    // Links are followed to where the kernel would follow them.
    let real = fs::canonicalize(path).or_else(|_| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::canonicalize(folder).map(|folder| folder.join(path.file_name().unwrap_or_default()))
    });
    // What cannot be looked at by us either has been reported when it was read.
    let real = real.ok()?;
    let folder = real.parent()?;
    let mut folders: Vec<&Path> = folder.ancestors().collect();
    folders.reverse();
    for folder in folders {
        if fs::metadata(folder).is_ok_and(|about| !may(SEARCH, &about)) {
            return Some(Barrier::Folder(folder.to_owned()));
        }
    }
    match fs::metadata(&real) {
        Ok(about) if !may(bit, &about) => return Some(Barrier::File(real)),
        // A log is moved away and made anew.
        _ if bit == WRITE => {}
        _ => return None,
    }
    let about = fs::metadata(folder).ok()?;
    (!may(WRITE | SEARCH, &about)).then(|| Barrier::NewFile(folder.to_owned()))
}

/// The bits that `account` has of a file: those of its owner, of its group or of all others, and never a sum of them.
fn bits_of(account: &Account, about: &Metadata) -> u32 {
    bits((account.uid.as_raw(), account.gid.as_raw()), (about.uid(), about.gid()), about.mode())
}

fn bits((uid, gid): (u32, u32), (owner, group): (u32, u32), mode: u32) -> u32 {
    let shift = match () {
        () if uid == owner => 6,
        () if gid == group => 3,
        () => 0,
    };
    (mode >> shift) & 0o7
}

/// Whether the kernel lets `account` open the file so.
fn kernel_allows(account: &Account, path: &Path, bit: u32) -> bool {
    let (uid, gid) = (Uid::from_raw(account.uid.as_raw()), Gid::from_raw(account.gid.as_raw()));
    let path = path.to_owned();
    let open = move || -> io::Result<()> {
        // Of this thread alone, which ends here.
        set_thread_groups(&[gid])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        if bit == READ {
            return File::open(&path).map(drop);
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)?;
        match OpenOptions::new().append(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            opened => opened.map(drop),
        }
    };
    // A thread that cannot be had allows nothing.
    thread::Builder::new().spawn(open).is_ok_and(|thread| thread.join().is_ok_and(|opened| opened.is_ok()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_bits_are_those_of_the_owner_or_the_group_or_the_others_and_never_of_two() {
        let (me, mine) = ((7, 8), (7, 8));
        assert_eq!(bits(me, mine, 0o100_640), 0o6);
        assert_eq!(bits(me, (1, 8), 0o640), 0o4);
        assert_eq!(bits(me, (1, 1), 0o640), 0);
        assert_eq!(bits(me, (1, 1), 0o644), 0o4);
        // An owner who may not is not helped by what others may.
        assert_eq!(bits(me, mine, 0o044), 0);
        assert_eq!(bits(me, (1, 8), 0o604), 0);
    }

    /// A folder with a folder with a file, gone after the test.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let top = std::env::temp_dir()
                .canonicalize()
                .unwrap()
                .join(format!("plimsoll-access-{name}-{}", std::process::id()));
            fs::create_dir_all(top.join("in")).unwrap();
            fs::write(top.join("in/file"), "").unwrap();
            Self(top)
        }

        fn mode(&self, path: &str, mode: u32) {
            fs::set_permissions(self.0.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }

        fn barrier(&self, path: &str, bit: u32) -> Option<Barrier> {
            // Somebody else, whom only the last three bits are for.
            barrier(&self.0.join(path), bit, |bits, about| about.mode() & bits == bits)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            // The test has failed already if it cannot be removed.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_stands_in_the_way_is_the_first_thing_on_it() {
        let tree = Tree::new("way");
        tree.mode("", 0o755);
        tree.mode("in", 0o755);
        tree.mode("in/file", 0o644);
        assert_eq!(tree.barrier("in/file", READ), None);
        assert_eq!(tree.barrier("in/file", WRITE), Some(Barrier::File(tree.0.join("in/file"))));
        tree.mode("in/file", 0o600);
        assert_eq!(tree.barrier("in/file", READ), Some(Barrier::File(tree.0.join("in/file"))));
        tree.mode("in", 0o750);
        assert_eq!(tree.barrier("in/file", READ), Some(Barrier::Folder(tree.0.join("in"))));
        tree.mode("", 0o700);
        assert_eq!(tree.barrier("in/file", READ), Some(Barrier::Folder(tree.0.clone())));
    }

    #[test]
    fn a_file_that_is_made_anew_needs_a_folder_to_write_in() {
        let tree = Tree::new("new");
        tree.mode("", 0o755);
        tree.mode("in", 0o755);
        tree.mode("in/file", 0o666);
        let folder = Some(Barrier::NewFile(tree.0.join("in")));
        assert_eq!(tree.barrier("in/file", WRITE), folder);
        assert_eq!(tree.barrier("in/other", WRITE), folder);
        tree.mode("in", 0o777);
        assert_eq!((tree.barrier("in/file", WRITE), tree.barrier("in/other", WRITE)), (None, None));
    }

    #[test]
    fn a_link_is_judged_by_what_it_leads_to() {
        let tree = Tree::new("link");
        tree.mode("", 0o755);
        tree.mode("in", 0o700);
        std::os::unix::fs::symlink(tree.0.join("in/file"), tree.0.join("link")).unwrap();
        assert_eq!(tree.barrier("link", READ), Some(Barrier::Folder(tree.0.join("in"))));
    }
}
