//! Bytes both ways, for connections that have switched to another protocol.
//!
//! Like everywhere else no memory is held while nothing flows, so ten thousand quiet `WebSocket`s cost little.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use plimsoll_config::OnDown;
use plimsoll_core::Permit;
use tokio::io::AsyncWrite;

use crate::buffer::Buffer;
use crate::patience::{LOOK, is_cut_off};
use crate::service::Served;
use crate::timers::Deadline;
use crate::wire::Wire;
use crate::worker::Worker;

/// One end of a tunnel and what has come from it.
pub(crate) struct Ends<'a> {
    pub(crate) wire: &'a mut Wire,
    pub(crate) from: &'a mut Buffer,
}

/// Bytes that went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) to_server: u64,
    pub(crate) to_client: u64,
}

/// A tunnel between a client and a server.
pub(crate) struct Tunnel<'a> {
    client: Ends<'a>,
    server: Ends<'a>,
    to_server: Direction,
    to_client: Direction,
}

/// How far one direction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Direction {
    state: State,
    moved: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The sender has closed; the receiver is being told.
    Closing,
    Closed,
}

impl<'a> Tunnel<'a> {
    pub(crate) fn new(client: Ends<'a>, server: Ends<'a>) -> Self {
        Self { client, server, to_server: Direction::default(), to_client: Direction::default() }
    }

    /// Runs until both ends have closed, one has failed, nothing has moved for the time the rules allow, or the server of
    /// `permit` is lost and its requests are not to go on.
    pub(crate) async fn run(
        mut self,
        deadline: &Deadline,
        worker: &Worker,
        (served, permit): (&Served, &Permit),
    ) -> Moved {
        let idle = served.rules.timeouts.tunnel;
        let look = if served.rules.on_down == OnDown::Close { LOOK } else { idle };
        let mut until = worker.recently() + idle;
        let mut next_look = worker.recently() + look;
        let mut moved_before = None;
        poll_fn(|cx| {
            let forth = self.to_server.poll(&mut self.client, self.server.wire, cx);
            let before = self.to_client.moved;
            let back = self.to_client.poll(&mut self.server, self.client.wire, cx);
            worker.counts.to_clients.add(self.to_client.moved - before);
            match (forth, back) {
                (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) | (Poll::Ready(_), Poll::Ready(_)) => {
                    return Poll::Ready(());
                }
                _ => {}
            }
            let moved = self.moved();
            if moved_before.replace(moved) != Some(moved) {
                until = worker.recently() + idle;
                // Once the look is due the deadline fires or has fired, and setting it would put that off.
                if worker.recently() < next_look {
                    deadline.set(until.min(next_look));
                }
            }
            while deadline.poll(cx).is_ready() {
                let now = worker.now();
                if now >= until || is_cut_off(served, permit) {
                    return Poll::Ready(());
                }
                next_look = now + look;
                deadline.set(until.min(next_look));
            }
            Poll::Pending
        })
        .await;
        self.moved()
    }

    fn moved(&self) -> Moved {
        Moved { to_server: self.to_server.moved, to_client: self.to_client.moved }
    }
}

impl Direction {
    fn poll(&mut self, from: &mut Ends<'_>, to: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !from.from.is_empty() {
                match ready!(Pin::new(&mut *to).poll_write(cx, from.from.filled()))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => {
                        from.from.consume(count);
                        self.moved += count as u64;
                    }
                }
            }
            ready!(Pin::new(&mut *to).poll_flush(cx))?;
            match self.state {
                State::Open if ready!(from.from.poll_fill(from.wire, cx))? == 0 => self.state = State::Closing,
                State::Open => {}
                State::Closing => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = State::Closed;
                }
                State::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}
