//! The PROXY header (haproxy.org's proxy-protocol.txt, versions 1 and 2), with which a proxy tells the next one whom it
//! serves: read from clients that may send it (`parse`), and written to servers that want it (`write`).
//!
//! What a header tells is believed as far as addresses go. That the client spoke TLS with the proxy before us is not: it
//! says nothing about the way from there to here, and what servers are told of TLS is about connections to us.

mod crc;
mod parse;
mod write;

use std::task::{Context, Poll, ready};

use crate::peer::Peer;
use crate::wire::Wire;
use parse::{Named, Wrong};

pub(crate) use write::{Greeted, greeting, own_greeting};

/// A header is looked at in pieces of this size. Nearly all fit one.
const PIECE: usize = 256;

/// Why a connection is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It comes from where no header is to come from.
    Stranger,
    /// It begins with something else, or with a header that is not right.
    NoHeader,
    /// The header did not come in time, or the connection ended within it.
    Unfinished,
}

impl Named {
    /// From now on `peer` is who is named.
    pub(crate) fn apply(self, peer: &mut Peer) {
        (peer.address, peer.local) = match self {
            Self::Nobody => return,
            Self::Ip { source, destination } => (Some(source), Some(destination)),
            Self::Unix => (None, None),
        };
    }
}

/// A header as far as it has come.
#[derive(Default)]
pub(crate) struct Header {
    /// All of it is taken out of the socket.
    read: Vec<u8>,
}

impl Header {
    /// Ready with whom it names, or why it is not taken. Not a byte behind it is read.
    pub(crate) fn poll(&mut self, wire: &Wire, cx: &mut Context<'_>) -> Poll<Result<Named, Refusal>> {
        loop {
            let before = self.read.len();
            let mut piece = [0; PIECE];
            let Ok(come @ 1..) = ready!(wire.poll_peek(&mut piece, cx)) else {
                return Poll::Ready(Err(Refusal::Unfinished));
            };
            self.read.extend_from_slice(&piece[..come]);
            let found = match parse::parse(&self.read) {
                Ok(found) => found,
                Err(Wrong) => return Poll::Ready(Err(Refusal::NoHeader)),
            };
            // What was not whole before ends behind that.
            let ours = found.as_ref().map_or(come, |(_, length)| length - before);
            if !wire.take(&mut piece[..ours]).is_ok_and(|count| count == ours) {
                return Poll::Ready(Err(Refusal::Unfinished));
            }
            if let Some((named, _)) = found {
                return Poll::Ready(Ok(named));
            }
        }
    }
}
