//! The edits: for each pool what was changed, removed and added, and what the file said then.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Display;
use std::num::NonZeroU32;

use plimsoll_config::{Config, Pool, Server};
use plimsoll_core::AdminState;

use super::edit_error::EditError;
use crate::api::{Difference, NewServer, ServerPatch, State};

/// All edits, by pool.
#[derive(Clone, Debug, Default)]
pub(super) struct Edits(BTreeMap<String, PoolEdits>);

#[derive(Clone, Debug, Default)]
struct PoolEdits {
    /// Settings of servers of the file.
    set: BTreeMap<String, Settings>,
    /// Servers of the file that are not wanted.
    removed: BTreeSet<String>,
    /// Servers the file does not have, in the order in which they came.
    added: Vec<Server>,
}

/// What was set on one server of the file.
#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    state: Option<Value<AdminState>>,
    weight: Option<Value<u16>>,
    max_connections: Option<Value<Option<NonZeroU32>>>,
}

/// What a setting was made, and what the file said when it was.
#[derive(Clone, Copy, Debug)]
struct Value<T> {
    file: T,
    now: T,
}

impl Edits {
    /// Lays the edits over a pool of the file.
    pub(super) fn apply(&self, pool: &mut Pool) {
        let Some(edits) = self.0.get(&pool.name) else { return };
        if !edits.removed.is_empty() {
            pool.servers.retain(|server| !edits.removed.contains(&server.name));
        }
        if !edits.set.is_empty() {
            for server in &mut pool.servers {
                if let Some(settings) = edits.set.get(&server.name) {
                    settings.apply(server);
                }
            }
        }
        pool.servers.extend(edits.added.iter().cloned());
    }

    /// Sets what `patch` names on a server of `pool`, which is as the file has it.
    pub(super) fn set(&mut self, pool: &Pool, server: &str, patch: ServerPatch) -> Result<(), EditError> {
        let edits = self.0.entry(pool.name.clone()).or_default();
        if let Some(added) = edits.added.iter_mut().find(|added| added.name == server) {
            let mut settings = Settings::default();
            settings.set(added, patch);
            settings.apply(added);
            return Ok(());
        }
        let of_file = edits.listed(pool, server)?;
        let settings = edits.set.entry(server.to_owned()).or_default();
        settings.set(of_file, patch);
        self.forget_what_is_no_edit();
        Ok(())
    }

    /// Adds servers to `pool`, which is as the file has it. One that the file has and that was removed comes back.
    pub(super) fn add(&mut self, pool: &Pool, servers: Vec<Server>) -> Result<(), EditError> {
        let edits = self.0.entry(pool.name.clone()).or_default();
        let mut taken: HashSet<String> = edits.added.iter().map(|server| server.name.clone()).collect();
        let of_file: BTreeMap<&str, &Server> = pool.servers.iter().map(|server| (&*server.name, server)).collect();
        for server in servers {
            let known = of_file.get(&*server.name).copied();
            match known.filter(|known| edits.removed.contains(&known.name)) {
                Some(known) => edits.bring_back(known, &server)?,
                None if known.is_some() || !taken.insert(server.name.clone()) => {
                    let (name, pool) = (&server.name, &pool.name);
                    let why = format!("pool {pool:?} has a server {name:?} already; give this one another name");
                    return Err(EditError::Conflict(why));
                }
                None => edits.added.push(server),
            }
        }
        self.forget_what_is_no_edit();
        Ok(())
    }

    /// Takes a server out of `pool`, which is as the file has it.
    pub(super) fn remove(&mut self, pool: &Pool, server: &str) -> Result<(), EditError> {
        let edits = self.0.entry(pool.name.clone()).or_default();
        if let Some(at) = edits.added.iter().position(|added| added.name == server) {
            edits.added.remove(at);
        } else {
            edits.listed(pool, server)?;
            edits.set.remove(server);
            edits.removed.insert(server.to_owned());
        }
        self.forget_what_is_no_edit();
        Ok(())
    }

    /// What differs from the file.
    pub(super) fn differences(&self) -> Vec<Difference> {
        self.0.iter().flat_map(|(pool, edits)| edits.differences(pool)).collect()
    }

    /// The edits that still stand over `file`, and a line about each that does not.
    pub(super) fn rebased(&self, file: &Config) -> (Self, Vec<String>) {
        let mut notes = Vec::new();
        let mut edits = Self::default();
        for (name, before) in &self.0 {
            match file.pools.iter().find(|pool| pool.name == *name) {
                Some(pool) => drop(edits.0.insert(name.clone(), before.rebased(pool, &mut notes))),
                None => notes.push(format!("pool {name:?} is not in the file any more; the edits to it are gone")),
            }
        }
        edits.forget_what_is_no_edit();
        (edits, notes)
    }

    fn forget_what_is_no_edit(&mut self) {
        self.0.retain(|_, edits| {
            edits.set.retain(|_, settings| {
                settings.forget_what_is_no_edit();
                settings.count() > 0
            });
            !(edits.set.is_empty() && edits.removed.is_empty() && edits.added.is_empty())
        });
    }
}

impl PoolEdits {
    /// The server of the file, unless it was removed.
    fn listed<'a>(&self, pool: &'a Pool, name: &str) -> Result<&'a Server, EditError> {
        let known = pool.servers.iter().find(|server| server.name == name && !self.removed.contains(name));
        known.ok_or_else(|| EditError::NoServer { pool: pool.name.clone(), server: name.to_owned() })
    }

    fn bring_back(&mut self, of_file: &Server, wanted: &Server) -> Result<(), EditError> {
        let same = of_file.authority() == wanted.authority() && of_file.backup == wanted.backup;
        if !same {
            let (name, address) = (&of_file.name, of_file.authority());
            let why = format!("the file has a server {name:?} at {address} that was removed; choose another name");
            return Err(EditError::Conflict(why));
        }
        self.removed.remove(&of_file.name);
        let settings = Settings {
            state: Some(Value { file: of_file.state, now: wanted.state }),
            weight: Some(Value { file: of_file.weight, now: wanted.weight }),
            max_connections: Some(Value { file: of_file.max_connections, now: wanted.max_connections }),
        };
        self.set.insert(of_file.name.clone(), settings);
        Ok(())
    }

    fn differences<'a>(&'a self, pool: &'a str) -> impl Iterator<Item = Difference> + 'a {
        let of = |server: &str, setting: &str, file: Option<String>, now: Option<String>| Difference {
            pool: pool.to_owned(),
            server: server.to_owned(),
            setting: setting.to_owned(),
            file,
            now,
        };
        let set = self.set.iter().flat_map(move |(name, settings)| {
            settings.texts().into_iter().map(move |(setting, file, now)| of(name, setting, Some(file), Some(now)))
        });
        let removed = self.removed.iter().map(move |name| of(name, "server", Some(name.clone()), None));
        let added = self.added.iter().map(move |server| of(&server.name, "server", None, Some(server.authority())));
        set.chain(removed).chain(added)
    }

    fn rebased(&self, pool: &Pool, notes: &mut Vec<String>) -> Self {
        let servers: BTreeMap<&str, &Server> = pool.servers.iter().map(|server| (&*server.name, server)).collect();
        let mut edits = Self::default();
        for (name, settings) in &self.set {
            match servers.get(&**name) {
                Some(server) => drop(edits.set.insert(name.clone(), settings.rebased(pool, server, notes))),
                None => notes.push(format!("server {name:?} of pool {:?} is not in the file any more", pool.name)),
            }
        }
        edits.removed = self.removed.iter().filter(|name| servers.contains_key(&***name)).cloned().collect();
        for server in &self.added {
            if servers.contains_key(&*server.name) {
                notes.push(format!("server {:?} of pool {:?} is in the file now", server.name, pool.name));
            } else {
                edits.added.push(server.clone());
            }
        }
        if pool.servers.iter().filter(|server| !server.backup).all(|server| edits.removed.contains(&server.name))
            && edits.added.iter().all(|server| server.backup)
        {
            notes.push(format!("every server of pool {:?} was removed; those of the file are back", pool.name));
            edits.removed.clear();
        }
        edits
    }
}

impl Settings {
    fn apply(&self, server: &mut Server) {
        server.state = self.state.map_or(server.state, |value| value.now);
        server.weight = self.weight.map_or(server.weight, |value| value.now);
        server.max_connections = self.max_connections.map_or(server.max_connections, |value| value.now);
    }

    fn set(&mut self, of_file: &Server, patch: ServerPatch) {
        if let Some(state) = patch.state {
            self.state = Some(Value { file: of_file.state, now: state.into() });
        }
        if let Some(weight) = patch.weight {
            self.weight = Some(Value { file: of_file.weight, now: weight });
        }
        if let Some(max) = patch.max_connections {
            self.max_connections = Some(Value { file: of_file.max_connections, now: max.and_then(NonZeroU32::new) });
        }
    }

    fn count(&self) -> usize {
        usize::from(self.state.is_some())
            + usize::from(self.weight.is_some())
            + usize::from(self.max_connections.is_some())
    }

    fn forget_what_is_no_edit(&mut self) {
        self.state = self.state.filter(|value| value.file != value.now);
        self.weight = self.weight.filter(|value| value.file != value.now);
        self.max_connections = self.max_connections.filter(|value| value.file != value.now);
    }

    /// Each setting with what the file says and what holds.
    fn texts(&self) -> Vec<(&'static str, String, String)> {
        let state = self.state.map(|value| ("state", value.file.to_string(), value.now.to_string()));
        let weight = self.weight.map(|value| ("weight", value.file.to_string(), value.now.to_string()));
        let limit = |limit: Option<NonZeroU32>| limit.map_or("no limit".to_owned(), |limit| limit.to_string());
        let max = self.max_connections.map(|value| ("max_connections", limit(value.file), limit(value.now)));
        [state, weight, max].into_iter().flatten().collect()
    }

    /// What still stands now that the file says `server`.
    fn rebased(&self, pool: &Pool, server: &Server, notes: &mut Vec<String>) -> Self {
        let mut note = |setting: &str, says: String| {
            let (name, pool) = (&server.name, &pool.name);
            notes.push(format!("{setting} of server {name:?} of pool {pool:?} follows the file again: {says}"));
        };
        Self {
            state: stands(self.state, server.state, |says| note("state", says)),
            weight: stands(self.weight, server.weight, |says| note("weight", says)),
            max_connections: self.max_connections.filter(|value| {
                let stands = value.file == server.max_connections;
                if !stands {
                    let says = server.max_connections.map_or("no limit".to_owned(), |max| max.to_string());
                    note("max_connections", says);
                }
                stands
            }),
        }
    }
}

/// The value, unless the file says something else than it did.
fn stands<T: Copy + PartialEq + Display>(
    value: Option<Value<T>>,
    file: T,
    mut overtaken: impl FnMut(String),
) -> Option<Value<T>> {
    value.filter(|value| {
        let stands = value.file == file;
        if !stands {
            overtaken(file.to_string());
        }
        stands
    })
}

/// The server that is asked for at this place of the list.
pub(super) fn server((index, new): (usize, &NewServer)) -> Result<Server, EditError> {
    let invalid = |field: &str, why| EditError::invalid(format!("/servers/{index}/{field}"), why);
    let mut server = Server::at(&new.address).map_err(|why| invalid("address", why))?;
    if let Some(name) = &new.name {
        server = server.named(name).map_err(|why| invalid("name", why))?;
    }
    if new.max_connections == Some(0) {
        let why = format!("max_connections 0 of {:?} takes nothing; leave it out for no limit", server.name);
        return Err(invalid("max_connections", why));
    }
    server.weight = new.weight;
    server.max_connections = new.max_connections.and_then(NonZeroU32::new);
    server.backup = new.backup;
    server.state = new.state.into();
    Ok(server)
}

impl From<State> for AdminState {
    fn from(state: State) -> Self {
        match state {
            State::Ready => Self::Ready,
            State::Drain => Self::Drain,
            State::Down => Self::Down,
        }
    }
}

impl From<AdminState> for State {
    fn from(state: AdminState) -> Self {
        match state {
            AdminState::Ready => Self::Ready,
            AdminState::Drain => Self::Drain,
            AdminState::Down => Self::Down,
        }
    }
}
