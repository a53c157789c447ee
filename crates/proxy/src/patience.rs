//! How long an exchange waits, and for whom.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use plimsoll_core::Time;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::service::Service;
use crate::timers::Deadline;
use crate::worker::Worker;

/// How often a client is looked at while nothing is read from it, because what it sent before has nowhere to go: one
/// that has left is noticed this late. A server that does not read keeps a place busy for no longer.
const LOOK: Duration = Duration::from_secs(1);

/// What the next event is expected from, and so which timeout runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    Client,
    FirstByte,
    Server,
}

impl Waiting {
    fn timeout(self, service: &Service) -> Duration {
        let timeouts = &service.pool_rules.timeouts;
        match self {
            Self::Client => service.listener.timeouts.body,
            Self::FirstByte => timeouts.first_byte,
            Self::Server => timeouts.idle,
        }
    }
}

/// Who was too slow, or is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    ClientLeft,
    ClientSlow,
    ServerSlow,
}

/// The wait of one exchange.
#[derive(Debug)]
pub(crate) struct Patience {
    /// What was waited for the last time, and how many bytes had moved.
    seen: Option<(Waiting, u64)>,
    until: Time,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { seen: None, until: Time::ZERO }
    }

    /// Moves the end of the wait on when `seen` is another than before, and asks whether it has come.
    pub(crate) fn poll(
        &mut self,
        seen: (Waiting, u64),
        deadline: &Deadline,
        (worker, service, client): (&Worker, &Service, &TcpStream),
        cx: &mut Context<'_>,
    ) -> Poll<Lost> {
        if self.seen != Some(seen) {
            // The first wait begins where the pick was or the connection stood: reading the clock again would tell
            // nothing new.
            let now = if self.seen.is_none() { worker.recently() } else { worker.now() };
            self.seen = Some(seen);
            self.until = now + seen.0.timeout(service);
            deadline.set(self.until.min(now + LOOK));
        }
        loop {
            ready!(deadline.poll(cx));
            if has_closed(client) {
                return Poll::Ready(Lost::ClientLeft);
            }
            let now = worker.now();
            if now >= self.until {
                return Poll::Ready(if seen.0 == Waiting::Client { Lost::ClientSlow } else { Lost::ServerSlow });
            }
            deadline.set(self.until.min(now + LOOK));
        }
    }
}

/// Whether the other side has said that it sends no more, or is gone, though bytes of it are still unread. The runtime
/// has heard of it already, so this costs no system call.
fn has_closed(stream: &TcpStream) -> bool {
    let ready = pin!(stream.ready(Interest::READABLE)).poll(&mut Context::from_waker(Waker::noop()));
    matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
}
