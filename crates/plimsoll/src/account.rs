//! Whom the process becomes once everything is bound, and that there is no way back.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use nix::unistd::{Gid, Group, Uid, User, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid, setuid};
use plimsoll_config::{Process, Unmet};
use rustix::thread::set_no_new_privs;

/// A user and a group of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// The user, as the configuration calls it.
    pub(crate) name: String,
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
}

impl Account {
    /// The account that the settings name; `None` where they name none.
    pub(crate) fn of(process: &Process) -> Result<Option<Self>, Unmet> {
        let Some(name) = &process.user else { return Ok(None) };
        let (uid, own_group) = find_user(name)?;
        let gid = match (&process.group, own_group) {
            (Some(group), _) => find_group(group)?,
            (None, Some(gid)) => gid,
            (None, None) => {
                return Err(Unmet {
                    message: format!("there is no user {name}, whose group could be taken"),
                    help: "write `group = \"…\"` as well".to_owned(),
                });
            }
        };
        Ok(Some(Self { name: name.clone(), uid, gid }))
    }

    /// Whether this process is this user already, in this group.
    pub(crate) fn is_own(&self) -> bool {
        let (users, groups) = (getresuid(), getresgid());
        users.is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [self.uid; 3])
            && groups.is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [self.gid; 3])
    }

    /// Whether this process could become it.
    ///
    /// # Errors
    /// Why not, in a sentence for the user.
    pub(crate) fn check_reach(&self) -> anyhow::Result<()> {
        ensure!(
            self.is_own() || Uid::effective().is_root(),
            "only root can become user {}, and this is user {}; start it as root, or as {} without `user`",
            self.name,
            Uid::effective(),
            self.name
        );
        Ok(())
    }

    /// Becomes it, for good: all threads of the process, with no other group, and without the rights to come back.
    ///
    /// # Errors
    /// The system refused, or there would be a way back: then nothing may be served.
    pub(crate) fn assume(&self) -> anyhow::Result<()> {
        // Also where nothing has to be given up: no program that is started from here may gain rights by a set-user-ID bit.
        set_no_new_privs(true).context("new rights cannot be ruled out (PR_SET_NO_NEW_PRIVS)")?;
        if !self.is_own() {
            let become_it = || -> nix::Result<()> {
                setgroups(&[self.gid])?;
                setresgid(self.gid, self.gid, self.gid)?;
                setresuid(self.uid, self.uid, self.uid)
            };
            become_it().with_context(|| format!("the rights of root cannot be given up for user {}", self.name))?;
        }
        self.verify()
    }

    /// That it is so, and stays so.
    fn verify(&self) -> anyhow::Result<()> {
        ensure!(self.is_own(), "the process has not become user {} wholly", self.name);
        let groups = getgroups().context("the groups of the process cannot be told")?;
        let extra = groups.iter().find(|group| **group == Gid::from_raw(0) && self.gid != Gid::from_raw(0));
        ensure!(extra.is_none(), "the process is still in the group of root");
        if setuid(Uid::from_raw(0)).is_ok() {
            bail!("the process could become root again");
        }
        Ok(())
    }

    /// Gives a file that was made as root to it. A link is not followed.
    pub(crate) fn give(&self, path: &Path) -> anyhow::Result<()> {
        let given = std::os::unix::fs::lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()));
        given.with_context(|| format!("{} cannot be given to user {}", path.display(), self.name))
    }
}

/// A user and its group, which is known of those the system has.
fn find_user(name: &str) -> Result<(Uid, Option<Gid>), Unmet> {
    let found = match name.parse().map(Uid::from_raw) {
        Ok(uid) => User::from_uid(uid).map(|user| Some((uid, user.map(|user| user.gid)))),
        Err(_) => User::from_name(name).map(|user| user.map(|user| (user.uid, Some(user.gid)))),
    };
    match found {
        Ok(Some((uid, _))) if uid.is_root() => Err(Unmet {
            message: format!("user {name} is root by another name"),
            help: "name a user made for this, or remove the line to stay root".to_owned(),
        }),
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(Unmet {
            message: format!("there is no user {name}"),
            help: format!("make it: `useradd --system --no-create-home --shell /usr/sbin/nologin {name}`"),
        }),
        Err(error) => Err(Unmet { message: format!("user {name} cannot be looked up: {error}"), help: String::new() }),
    }
}

/// The group of this name or number.
pub(crate) fn find_group(name: &str) -> Result<Gid, Unmet> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(Unmet {
            message: format!("there is no group {name}"),
            help: format!("make it: `groupadd --system {name}`"),
        }),
        Err(error) => Err(Unmet { message: format!("group {name} cannot be looked up: {error}"), help: String::new() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(user: &str, group: Option<&str>) -> Result<Option<Account>, Unmet> {
        Account::of(&Process { user: Some(user.to_owned()), group: group.map(str::to_owned), ..Process::default() })
    }

    #[test]
    fn an_account_is_found_by_name_and_by_number() {
        assert_eq!(Account::of(&Process::default()), Ok(None));
        let nobody = account("nobody", None).unwrap().unwrap();
        assert!(!nobody.uid.is_root());
        let number = nobody.uid.to_string();
        let by_number = account(&number, None).unwrap().unwrap();
        assert_eq!((by_number.uid, by_number.gid), (nobody.uid, nobody.gid));
        let other = account("nobody", Some("daemon")).unwrap().unwrap();
        assert_ne!(other.gid, nobody.gid);
        assert_eq!(account("4123456", Some("4123457")).unwrap().unwrap().gid, Gid::from_raw(4_123_457));
    }

    #[test]
    fn what_is_not_there_is_told_with_how_to_make_it() {
        let wrong = |user, group| account(user, group).unwrap_err();
        assert_eq!(wrong("no-such-user-here", None).message, "there is no user no-such-user-here");
        assert!(wrong("no-such-user-here", None).help.contains("useradd"));
        assert_eq!(wrong("nobody", Some("no-such-group")).message, "there is no group no-such-group");
        assert_eq!(wrong("4123456", None).message, "there is no user 4123456, whose group could be taken");
        assert_eq!(wrong("00", None).message, "user 00 is root by another name");
    }
}
