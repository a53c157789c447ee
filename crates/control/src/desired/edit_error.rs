//! Why an edit cannot be made.

use std::error::Error;
use std::fmt;

/// Why an edit was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// No pool has this name.
    NoPool(String),
    /// The pool has no server of this name.
    NoServer {
        /// The pool.
        pool: String,
        /// The name.
        server: String,
    },
    /// What was asked for cannot be.
    Invalid {
        /// The field that is wrong, as a JSON pointer into the patch or the list of servers.
        pointer: String,
        /// Why, and what to do instead.
        why: String,
    },
    /// It does not go with what is there: why, and what to do instead.
    Conflict(String),
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPool(pool) => write!(f, "there is no pool {pool:?}"),
            Self::NoServer { pool, server } => write!(f, "pool {pool:?} has no server {server:?}"),
            Self::Invalid { why, .. } | Self::Conflict(why) => f.write_str(why),
        }
    }
}

impl Error for EditError {}

impl EditError {
    pub(super) fn invalid(pointer: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { pointer: pointer.into(), why: why.into() }
    }
}
