//! Bytes both ways, for connections that are balanced as a whole or have switched to another protocol.
//!
//! Who closes one direction may still get the other to its end. Like everywhere else no memory is held while nothing
//! flows, so ten thousand quiet `WebSocket`s cost little.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use plimsoll_config::OnDown;
use plimsoll_core::{Permit, Time};
use tokio::io::AsyncWrite;

use crate::buffer::Buffer;
use crate::patience::{LOOK, is_cut_off};
use crate::service::Served;
use crate::timers::Deadline;
use crate::wire::Wire;
use crate::worker::Worker;

/// How long a client may be quiet after its server has closed. It may go on sending, but one that has not noticed, such as
/// an idle connection in a pool of the client's, must not count as in flight for as long as an open one may be idle.
const SERVER_CLOSED: Duration = Duration::from_secs(5);

/// One end of a tunnel and what has come from it.
pub(crate) struct Ends<'a> {
    pub(crate) wire: &'a mut Wire,
    pub(crate) from: &'a mut Buffer,
}

/// What went through a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Bytes.
    pub(crate) to_server: u64,
    /// Bytes.
    pub(crate) to_client: u64,
    /// When the first byte of the server came.
    pub(crate) first_byte: Option<Time>,
    pub(crate) end: End,
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides closed as they should, the client first.
    ClientClosed,
    /// The same, the server first.
    ServerClosed,
    /// The connection to the client broke.
    ClientLost,
    ServerLost,
    /// Nothing moved for too long.
    Idle,
    /// The server is down or ejected, and what is open on such servers is not to go on.
    ServerDown,
}

/// A tunnel between a client and a server.
pub(crate) struct Tunnel<'a> {
    client: Ends<'a>,
    server: Ends<'a>,
    to_server: Direction,
    to_client: Direction,
    server_closed_first: bool,
    first_byte: Option<Time>,
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
    SenderLost,
    /// What it had sent before is still to be brought to the other side.
    ReceiverLost,
}

/// When something has to be done though nothing moves.
struct Watch {
    idle: Duration,
    look: Duration,
    until: Time,
    next_look: Time,
    seen: Option<(Direction, Direction)>,
}

impl<'a> Tunnel<'a> {
    pub(crate) fn new(client: Ends<'a>, server: Ends<'a>) -> Self {
        let (to_server, to_client) = (Direction::default(), Direction::default());
        Self { client, server, to_server, to_client, server_closed_first: false, first_byte: None }
    }

    /// Runs until both ends have closed, one has failed, nothing has moved for the time the rules allow, or the server of
    /// `permit` is lost and its requests are not to go on.
    ///
    /// A server on trial has passed it once it says something, or has kept the connection for a moment: there are those
    /// that only listen.
    pub(crate) async fn run(
        mut self,
        deadline: &Deadline,
        worker: &Worker,
        (served, permit): (&Served, &mut Permit),
    ) -> Passed {
        let mut watch = Watch::new(served, worker.recently());
        let end = poll_fn(|cx| {
            self.poll_both(worker, cx);
            if self.first_byte.is_none() && self.server_spoke() {
                self.first_byte = Some(worker.now());
                permit.answered(worker.recently());
            }
            if let Some(end) = self.end() {
                return Poll::Ready(end);
            }
            if watch.moved(self.to_server, self.to_client, worker.recently()) {
                deadline.set(watch.due());
            }
            while deadline.poll(cx).is_ready() {
                let now = worker.now();
                if is_cut_off(served, permit) {
                    return Poll::Ready(End::ServerDown);
                }
                if now >= watch.until {
                    let closed = self.to_client.state == State::Closed;
                    return Poll::Ready(if closed { End::ServerClosed } else { End::Idle });
                }
                permit.answered(now);
                watch.next_look = now + watch.look;
                deadline.set(watch.due());
            }
            Poll::Pending
        })
        .await;
        let Self { to_server, to_client, first_byte, .. } = self;
        Passed { to_server: to_server.moved, to_client: to_client.moved, first_byte, end }
    }

    fn poll_both(&mut self, worker: &Worker, cx: &mut Context<'_>) {
        let _ = self.to_server.poll(&mut self.client, self.server.wire, cx);
        let client_open = self.to_server.state == State::Open;
        let (before, open) = (self.to_client.moved, self.to_client.state == State::Open);
        let _ = self.to_client.poll(&mut self.server, self.client.wire, cx);
        worker.counts.to_clients.add(self.to_client.moved - before);
        if open && client_open && self.to_client.state != State::Open {
            self.server_closed_first = true;
        }
    }

    fn server_spoke(&self) -> bool {
        self.to_client.moved > 0 || !self.server.from.is_empty()
    }

    /// How it has ended, if it has.
    fn end(&self) -> Option<End> {
        use State::{Closed, Closing, Open, ReceiverLost, SenderLost};
        match (self.to_server.state, self.to_client.state) {
            (SenderLost, _) => Some(End::ClientLost),
            (_, SenderLost) => Some(End::ServerLost),
            (Open | Closing, _) | (_, Open | Closing) => None,
            (_, ReceiverLost) => Some(End::ClientLost),
            (Closed, Closed) if !self.server_closed_first => Some(End::ClientClosed),
            (Closed | ReceiverLost, Closed) => Some(End::ServerClosed),
        }
    }
}

impl Watch {
    fn new(served: &Served, now: Time) -> Self {
        let idle = served.rules.timeouts.tunnel;
        let look = if served.rules.on_down == OnDown::Close { LOOK } else { idle };
        // The first look comes soon in any case: see about trials.
        Self { idle, look, until: now + idle, next_look: now + LOOK, seen: None }
    }

    /// Notes how far both directions are. Whether the deadline has to be set anew by that: once a look is due it fires or
    /// has fired, and setting it would put that off.
    fn moved(&mut self, to_server: Direction, to_client: Direction, now: Time) -> bool {
        if self.seen.replace((to_server, to_client)) == Some((to_server, to_client)) {
            return false;
        }
        let closed = to_client.state == State::Closed;
        self.until = now + if closed { self.idle.min(SERVER_CLOSED) } else { self.idle };
        now < self.next_look
    }

    fn due(&self) -> Time {
        self.until.min(self.next_look)
    }
}

impl Direction {
    /// Moves what can be moved. Ready when nothing more will.
    fn poll(&mut self, from: &mut Ends<'_>, to: &mut Wire, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            while !from.from.is_empty() && self.state == State::Open {
                match ready!(Pin::new(&mut *to).poll_write(cx, from.from.filled())) {
                    Ok(0) | Err(_) => self.state = State::ReceiverLost,
                    Ok(count) => {
                        from.from.consume(count);
                        self.moved += count as u64;
                    }
                }
            }
            if self.state == State::Open && ready!(Pin::new(&mut *to).poll_flush(cx)).is_err() {
                self.state = State::ReceiverLost;
            }
            match self.state {
                State::Open => match ready!(from.from.poll_fill(from.wire, cx)) {
                    Ok(0) => self.state = State::Closing,
                    Ok(_) => {}
                    Err(_) => self.state = State::SenderLost,
                },
                State::Closing => {
                    // Who cannot be told any more has got all there was.
                    let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                    self.state = State::Closed;
                }
                State::Closed | State::SenderLost | State::ReceiverLost => return Poll::Ready(()),
            }
        }
    }
}
