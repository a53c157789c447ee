//! What can go wrong with an exchange, whose fault it is, and what follows from it.

use std::sync::Arc;

use plimsoll_core::{OutcomeKind, Server};

use crate::grpc::{OVERDUE, Status};
use crate::http1::Reject;
use crate::http1::body::Body;
use crate::served::Served;

/// What went wrong, and so whose fault it was.
#[derive(Debug)]
pub(crate) enum Trouble {
    ClientLeft,
    ClientSlow,
    ClientWrong(Reject),
    /// A reused connection was closed before the server can have seen the request: send it again on a new one.
    ServerStale,
    ServerLost,
    /// It has ended the stream of the request, for which a client of gRPC is told this.
    ServerReset(Status),
    /// It has told that it did not act on the request, so that any request may be sent again.
    ServerRefused,
    ServerSlow,
    /// It is down or ejected, and requests on such servers are not to go on.
    ServerDown,
    ServerWrong(Reject),
    /// The deadline of the client's own has come.
    Overdue,
    /// Its answer is not passed on: another server is picked already.
    AnotherTry,
}

/// Who was too slow, or is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    ClientLeft,
    ClientSlow,
    ServerSlow,
    /// It is down or ejected, and requests on such servers are not to go on.
    ServerDown,
    /// The deadline of the client's own has come.
    Overdue,
}

impl From<Lost> for Trouble {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::ClientLeft => Self::ClientLeft,
            Lost::ClientSlow => Self::ClientSlow,
            Lost::ServerSlow => Self::ServerSlow,
            Lost::ServerDown => Self::ServerDown,
            Lost::Overdue => Self::Overdue,
        }
    }
}

impl Trouble {
    /// How the permit ends of a request to `served`.
    pub(crate) fn outcome(&self, served: &Served) -> OutcomeKind {
        match self {
            Self::ClientLeft | Self::ClientSlow | Self::ClientWrong(_) => OutcomeKind::Aborted,
            Self::ServerSlow => OutcomeKind::TimedOut,
            Self::Overdue => served.judge_overdue(),
            Self::ServerStale
            | Self::ServerLost
            | Self::ServerReset(_)
            | Self::ServerRefused
            | Self::ServerDown
            | Self::ServerWrong(_) => OutcomeKind::Failed,
            Self::AnotherTry => OutcomeKind::Rejected,
        }
    }

    /// What to tell the client, if it is there to listen.
    pub(crate) fn answer(&self) -> Option<Reject> {
        let (status, reason) = match self {
            Self::ClientLeft => return None,
            Self::ClientSlow => (408, "the request body did not arrive in time"),
            Self::ClientWrong(reject) => return Some(*reject),
            Self::ServerStale | Self::ServerLost => (502, "the server closed the connection without an answer"),
            Self::ServerReset(_) => (502, "the server gave the request up"),
            Self::ServerRefused => (502, "the server took no more requests on its connection"),
            Self::Overdue => return Some(OVERDUE),
            Self::ServerSlow => (504, "the server did not answer in time"),
            Self::ServerDown => (502, "the server was taken out of use before it answered"),
            Self::AnotherTry => (502, "no other server took the request"),
            Self::ServerWrong(reject) => (502, reject.reason),
        };
        Some(Reject { status, reason })
    }

    /// What a client of gRPC is told.
    pub(crate) fn status_of_call(&self) -> Status {
        match self {
            Self::ClientLeft => Status::CANCELLED,
            Self::ServerReset(status) => *status,
            Self::Overdue => Status::DEADLINE_EXCEEDED,
            _ => self.answer().map_or(Status::UNKNOWN, |reject| Status::of_ours(reject.status)),
        }
    }

    /// It is a server's doing.
    pub(crate) fn is_of_server(&self) -> bool {
        match self {
            Self::ClientLeft | Self::ClientSlow | Self::ClientWrong(_) | Self::Overdue | Self::AnotherTry => false,
            Self::ServerStale
            | Self::ServerLost
            | Self::ServerReset(_)
            | Self::ServerRefused
            | Self::ServerSlow
            | Self::ServerDown
            | Self::ServerWrong(_) => true,
        }
    }
}

/// What an exchange leaves behind that did not end well.
pub(crate) struct GivenUp {
    /// Whose fault it may have been; `None` when it had done its part.
    pub(crate) server: Option<Arc<Server>>,
    /// What is still to be read of the request's body.
    pub(crate) rest: Body,
    /// The whole request has been read.
    pub(crate) read: bool,
    /// The client has been sent a response, interim or final, or part of one, so there is no other try.
    pub(crate) told: bool,
    /// A response has begun to reach the client; no other can be given now.
    pub(crate) answering: bool,
}
