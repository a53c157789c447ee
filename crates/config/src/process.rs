//! What a configuration says of the process, and what it needs of the machine it runs on.

use std::path::PathBuf;

/// How the process runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// Whom to become once everything is bound, by name or number; `None` is nobody else. Never root.
    pub user: Option<String>,
    /// The group to become; `None` is that of the user. Only with `user`.
    pub group: Option<String>,
    /// The file for the number of the process, in a folder that is there.
    pub pid_file: Option<PathBuf>,
    /// Client connections of all listeners at once; `None` leaves the number to the limit on open files.
    pub max_connections: Option<usize>,
    /// Whether each worker stays on one core.
    pub pin_workers: bool,
}

/// Something that a configuration needs of the machine. This crate finds it but cannot judge it: the program can, with
/// [`load_judged`](crate::load_judged).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// The system knows this user.
    User(String),
    /// The system knows this group.
    Group(String),
    /// This file can be read, now and at each reload.
    Read(PathBuf),
    /// This file can be written to, now and after it was moved away.
    Write(PathBuf),
}

/// Why a need is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}
