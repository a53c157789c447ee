//! How a permit ended.

use std::fmt;
use std::time::Duration;

/// How one request on one server ended, told to [`Permit::finish`](crate::Permit::finish).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What became of it.
    pub kind: OutcomeKind,
    /// From the pick to the first byte of the server's answer, if one came.
    pub first_byte: Option<Duration>,
    /// From the pick to the end.
    pub total: Duration,
    /// Bytes sent to the server.
    pub sent: u64,
    /// Bytes received from the server.
    pub received: u64,
    /// It is an error that does not count against the server's health, such as a status nobody minds.
    pub excused: bool,
}

impl Outcome {
    /// A success whose first byte came after `first_byte` and whose last after `total`.
    pub const fn success(first_byte: Duration, total: Duration) -> Self {
        Self { first_byte: Some(first_byte), ..Self::of(OutcomeKind::Success, total) }
    }

    /// An end of the given kind after `total`, without an answer.
    pub const fn of(kind: OutcomeKind, total: Duration) -> Self {
        Self { kind, first_byte: None, total, sent: 0, received: 0, excused: false }
    }

    /// The same with the bytes that went to the server and came from it.
    #[must_use]
    pub const fn with_bytes(self, sent: u64, received: u64) -> Self {
        Self { sent, received, ..self }
    }
}

/// What became of a request on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutcomeKind {
    /// The server did what was asked.
    Success,
    /// The server answered that it would not or could not (for HTTP, a 5xx status).
    Rejected,
    /// The exchange broke after the connection stood.
    Failed,
    /// No connection could be made.
    ConnectFailed,
    /// A time limit passed while the server was waited for.
    TimedOut,
    /// The client went away, or the permit was dropped without a word.
    Aborted,
}

impl OutcomeKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Success, Self::Rejected, Self::Failed, Self::ConnectFailed, Self::TimedOut, Self::Aborted];

    /// Whether it speaks against the server: everything but a success and a client that left.
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::Success | Self::Aborted)
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Success => "success",
            Self::Rejected => "rejected by the server",
            Self::Failed => "the connection broke",
            Self::ConnectFailed => "no connection",
            Self::TimedOut => "timed out",
            Self::Aborted => "left by the client",
        })
    }
}
