//! What is wanted: the configuration file, and the edits laid over it.
//!
//! An edit holds until it is undone or the file says something else about the same thing: a file that has not changed
//! since is older than the edit, one that has is newer. So each edit remembers what the file said when it was made.

pub(crate) mod edit_error;
mod edits;
#[cfg(test)]
mod tests;

use plimsoll_config::{Config, Pool};

use crate::api::{Difference, NewServer, ServerPatch};
use edit_error::EditError;
use edits::Edits;

/// The file and the edits to it. Values of it are never changed: an edit makes a new one.
#[derive(Clone, Debug)]
pub(crate) struct Desired {
    file: Config,
    edits: Edits,
}

/// A change of what is wanted.
#[derive(Clone, Debug)]
pub enum Edit {
    /// New settings of a server.
    Set {
        /// Its pool.
        pool: String,
        /// Its name there.
        server: String,
        /// The settings.
        patch: ServerPatch,
    },
    /// Servers that join a pool, all of them or none.
    Add {
        /// The pool.
        pool: String,
        /// The servers.
        servers: Vec<NewServer>,
    },
    /// A server that leaves its pool; what it has in flight is finished.
    Remove {
        /// Its pool.
        pool: String,
        /// Its name there.
        server: String,
    },
    /// All edits are undone: what the file says holds.
    Undo,
}

impl Desired {
    /// What the file says, and nothing else.
    pub(crate) fn new(file: Config) -> Self {
        Self { file, edits: Edits::default() }
    }

    /// The configuration that is wanted.
    pub(crate) fn effective(&self) -> Config {
        let mut config = self.file.clone();
        for pool in &mut config.pools {
            self.edits.apply(pool);
        }
        config
    }

    /// What differs from the file, by pool and server.
    pub(crate) fn differences(&self) -> Vec<Difference> {
        self.edits.differences()
    }

    /// The same with one more edit.
    pub(crate) fn edited(&self, edit: &Edit) -> Result<Self, EditError> {
        let mut next = self.clone();
        match edit {
            Edit::Set { pool, server, patch } => next.set(pool, server, *patch)?,
            Edit::Add { pool, servers } => next.add(pool, servers)?,
            Edit::Remove { pool, server } => next.remove(pool, server)?,
            Edit::Undo => next.edits = Edits::default(),
        }
        Ok(next)
    }

    /// The same with certificates as they are in their files now; `None` where they are the same.
    ///
    /// # Errors
    /// Which one cannot be read.
    pub(crate) fn with_certificates_anew(&self) -> Result<Option<Self>, String> {
        let file = self.file.with_certificates_anew()?;
        Ok((file != self.file).then(|| Self { file, edits: self.edits.clone() }))
    }

    /// The same edits over another file, without those that it has overtaken, and a line about each of these.
    pub(crate) fn rebased(&self, file: Config) -> (Self, Vec<String>) {
        let (edits, notes) = self.edits.rebased(&file);
        (Self { file, edits }, notes)
    }

    fn pool(&self, name: &str) -> Result<&Pool, EditError> {
        let found = self.file.pools.iter().find(|pool| pool.name == name);
        found.ok_or_else(|| EditError::NoPool(name.to_owned()))
    }

    fn set(&mut self, pool: &str, server: &str, patch: ServerPatch) -> Result<(), EditError> {
        if patch.max_connections == Some(Some(0)) {
            let why = "max_connections 0 takes nothing; write null for no limit, or set the state to drain";
            return Err(EditError::invalid("/max_connections", why));
        }
        let of_file = self.pool(pool)?.clone();
        self.edits.set(&of_file, server, patch)
    }

    fn add(&mut self, pool: &str, servers: &[NewServer]) -> Result<(), EditError> {
        if servers.is_empty() {
            return Err(EditError::invalid("/servers", "no server is named; name at least one"));
        }
        let of_file = self.pool(pool)?.clone();
        let added = servers.iter().enumerate().map(edits::server).collect::<Result<Vec<_>, _>>()?;
        self.edits.add(&of_file, added)?;
        if self.edited_pool(of_file).servers.len() > MOST_SERVERS {
            return Err(EditError::Conflict(format!("a pool can have {MOST_SERVERS} servers; use several pools")));
        }
        Ok(())
    }

    fn remove(&mut self, pool: &str, server: &str) -> Result<(), EditError> {
        let of_file = self.pool(pool)?.clone();
        self.edits.remove(&of_file, server)?;
        if self.edited_pool(of_file).servers.iter().all(|server| server.backup) {
            let why = format!(
                "{server:?} is the last server of pool {pool:?} that is no backup; add another first, or set its state to \
                 \"down\""
            );
            return Err(EditError::Conflict(why));
        }
        Ok(())
    }

    fn edited_pool(&self, mut pool: Pool) -> Pool {
        self.edits.apply(&mut pool);
        pool
    }
}

/// The most servers of a pool: ten times what is promised to work well, and a bound on what a caller can make us hold.
const MOST_SERVERS: usize = 100_000;
