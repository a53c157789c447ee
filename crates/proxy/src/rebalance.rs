//! How a tunnel of a pool with `rebalance` closes when it is asked to: by what its protocol has for that, and never in the
//! middle of something.
//!
//! A `WebSocket` gets a close frame 1012 (service restart) between two frames. What its client still says is brought to the
//! server, its own close frame too, so that both have had a closing handshake (RFC 6455, section 7). A client that speaks
//! HTTP/2 through us is told by a GOAWAY frame that it should open no further stream here (RFC 9113, section 6.8); its
//! connection goes on for as long as it is used. All others just end: they are quiet.

mod frames;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use plimsoll_core::{LongLived, Permit, Time};
use tokio::io::AsyncWrite;

use crate::timers::Deadline;
use crate::wire::Wire;
use crate::worker::Worker;
pub(crate) use frames::Frames;
use frames::Preface;

/// For how long both sides may take for a closing handshake.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long a connection of HTTP/2 that is to be left must have been quiet before it is closed. It does so earlier if its
/// client leaves.
pub(crate) const AFTER_GOAWAY: Duration = Duration::from_secs(10);

/// A close frame with the status 1012, as servers send it.
const CLOSE: [u8; 4] = [0x88, 0x02, 0x03, 0xF4];

/// A GOAWAY without an error that refuses no stream which is under way.
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];

/// What is spoken in a tunnel, as far as it is known when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    WebSocket,
    /// It may be HTTP/2, which tells itself by how it begins.
    Unknown,
    /// None for which there is a polite word.
    Other,
}

/// How a tunnel is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    CloseFrame,
    Goaway,
    Plain,
}

/// What a tunnel must know to close when it is asked to.
pub(crate) struct Parting {
    held: LongLived,
    speech: Speech,
    preface: Preface,
    to_server: Frames,
    to_client: Frames,
}

impl Parting {
    /// For the tunnel of `permit`; `None` where its pool has no rule for that.
    pub(crate) fn new(permit: &mut Permit, speech: Speech, now: Time) -> Option<Box<Self>> {
        let held = permit.lasts(now)?;
        let frames = || if speech == Speech::WebSocket { Frames::web_socket() } else { Frames::http2() };
        Some(Box::new(Self { held, speech, preface: Preface::default(), to_server: frames(), to_client: frames() }))
    }

    /// These bytes went to the server.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        match self.speech {
            Speech::WebSocket => self.to_server.follow(bytes),
            Speech::Unknown => self.preface.follow(bytes),
            Speech::Other => {}
        }
    }

    /// These went to the client.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        if self.speech != Speech::Other {
            self.to_client.follow(bytes);
        }
    }

    pub(crate) fn moved(&self, now: Time) {
        self.held.moved(now);
    }

    /// Ready when the tunnel is to close now, in this way. `free` is whether nothing is on its way through it.
    pub(crate) fn poll(&mut self, free: bool, worker: &Worker, cx: &mut Context<'_>) -> Poll<Way> {
        // What is declined is not asked again before the connection was quiet once more.
        ready!(self.held.poll_asked(cx));
        let (way, between) = match self.speech {
            Speech::WebSocket => (Way::CloseFrame, self.to_client.between() && self.to_server.between()),
            Speech::Unknown if self.preface.seen() => (Way::Goaway, self.to_client.between_streams()),
            Speech::Unknown | Speech::Other => (Way::Plain, true),
        };
        if self.held.close(worker.now(), between && free) { Poll::Ready(way) } else { self.poll_again(cx) }
    }

    fn poll_again(&mut self, cx: &mut Context<'_>) -> Poll<Way> {
        // One that is asked anew right now is woken by that.
        if self.held.poll_asked(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Whether the client has said its last word.
    pub(crate) fn client_closed(&self) -> bool {
        self.to_server.closed()
    }

    /// Whether the server has.
    pub(crate) fn server_closed(&self) -> bool {
        self.to_client.closed()
    }

    /// Whether a frame may be put in now on the way to the server.
    pub(crate) fn may_tell_server(&self) -> bool {
        self.to_server.between() && !self.to_server.closed()
    }
}

/// Tells the client by a frame of its protocol. False when that cannot be done in time.
pub(crate) async fn tell_client(way: Way, client: &mut Wire, worker: &Worker, deadline: &Deadline) -> bool {
    let bytes: &[u8] = match way {
        Way::CloseFrame => &CLOSE,
        Way::Goaway => &GOAWAY,
        Way::Plain => &[],
    };
    deadline.set(worker.now() + HANDSHAKE);
    let told = write(client, bytes, deadline).await;
    if told {
        worker.counts.to_clients.add(bytes.len() as u64);
    }
    told
}

/// Tells the server of a `WebSocket` in its client's stead.
pub(crate) async fn tell_server(server: &mut Wire, worker: &Worker, deadline: &Deadline) -> bool {
    let mask = (worker.random() as u32).to_be_bytes();
    let [first, _, high, low] = CLOSE;
    let bytes = [first, 0x82, mask[0], mask[1], mask[2], mask[3], high ^ mask[0], low ^ mask[1]];
    deadline.set(worker.now() + HANDSHAKE);
    write(server, &bytes, deadline).await
}

/// Says on `wire` that nothing more comes.
pub(crate) async fn finish(wire: &mut Wire, worker: &Worker, deadline: &Deadline) {
    deadline.set(worker.now() + HANDSHAKE);
    poll_fn(|cx| {
        let late = deadline.poll(cx).is_ready();
        // One that cannot be told any more is told by the close.
        let told = Pin::new(&mut *wire).poll_shutdown(cx).is_ready();
        if late || told { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Writes all of `bytes` before the deadline, or says that it was not done.
async fn write(wire: &mut Wire, mut bytes: &[u8], deadline: &Deadline) -> bool {
    poll_fn(|cx| {
        if deadline.poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        while !bytes.is_empty() {
            match ready!(Pin::new(&mut *wire).poll_write(cx, bytes)) {
                Ok(0) | Err(_) => return Poll::Ready(false),
                Ok(count) => bytes = &bytes[count..],
            }
        }
        Poll::Ready(ready!(Pin::new(&mut *wire).poll_flush(cx)).is_ok())
    })
    .await
}
