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
use crate::rebalance::{self, Parting, Speech, Way};
use crate::served::Served;
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
    /// From the pick to the first byte of the server, if one came, without the time that the client let pass before it said
    /// anything.
    pub(crate) first_byte: Option<Duration>,
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
    /// It was asked to make room for others to spread anew.
    Rebalanced,
}

/// What became of a tunnel for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    Ended(End),
    /// It is to close in this way, and has not begun to.
    Asked(Way),
}

/// A tunnel between a client and a server.
pub(crate) struct Tunnel<'a> {
    client: Ends<'a>,
    server: Ends<'a>,
    to_server: Direction,
    to_client: Direction,
    server_closed_first: bool,
    began: Time,
    /// When the client had said something.
    asked: Option<Time>,
    first_byte: Option<Duration>,
    speech: Speech,
    /// Where the pool may ask it to close.
    parting: Option<Box<Parting>>,
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
    pub(crate) fn new(client: Ends<'a>, server: Ends<'a>, speech: Speech) -> Self {
        let (to_server, to_client) = (Direction::default(), Direction::default());
        Self {
            client,
            server,
            to_server,
            to_client,
            server_closed_first: false,
            began: Time::ZERO,
            asked: None,
            first_byte: None,
            speech,
            parting: None,
        }
    }

    /// The same where the tunnel is the server's answer to a request, which took so long.
    pub(crate) fn answered_in(self, first_byte: Duration) -> Self {
        Self { first_byte: Some(first_byte), ..self }
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
        self.began = worker.now();
        self.parting = Parting::new(permit, self.speech, self.began);
        if let Some(first_byte) = self.first_byte {
            permit.spoke(first_byte, self.began);
        }
        let mut watch = Watch::new(served, worker.recently());
        let mut end = self.pass(&mut watch, (deadline, worker), (served, permit)).await;
        if let Passing::Asked(way) = end {
            end = Box::pin(self.part(way, &mut watch, (deadline, worker), (served, permit))).await;
        }
        let Self { to_server, to_client, first_byte, .. } = self;
        let end = if let Passing::Ended(end) = end { end } else { End::Rebalanced };
        Passed { to_server: to_server.moved, to_client: to_client.moved, first_byte, end }
    }

    /// Runs until it ends or is asked to.
    async fn pass(
        &mut self,
        watch: &mut Watch,
        (deadline, worker): (&Deadline, &Worker),
        (served, permit): (&Served, &mut Permit),
    ) -> Passing {
        poll_fn(|cx| {
            self.poll_both(worker, cx);
            if self.first_byte.is_none() {
                self.note_first_byte(worker, permit);
            }
            if let Some(end) = self.end() {
                return Poll::Ready(Passing::Ended(end));
            }
            if let Poll::Ready(way) = self.poll_asked(worker, cx) {
                return Poll::Ready(Passing::Asked(way));
            }
            if watch.moved(self.to_server, self.to_client, worker.recently()) {
                deadline.set(watch.due());
            }
            while deadline.poll(cx).is_ready() {
                let now = worker.now();
                if is_cut_off(served, permit) {
                    return Poll::Ready(Passing::Ended(End::ServerDown));
                }
                if now >= watch.until {
                    let closed = self.to_client.state == State::Closed;
                    return Poll::Ready(Passing::Ended(if closed { End::ServerClosed } else { End::Idle }));
                }
                permit.answered(now);
                watch.next_look = now + watch.look;
                deadline.set(watch.due());
            }
            Poll::Pending
        })
        .await
    }

    /// Ready when it is to close now, in this way.
    fn poll_asked(&mut self, worker: &Worker, cx: &mut Context<'_>) -> Poll<Way> {
        let Some(parting) = &mut self.parting else { return Poll::Pending };
        let open = (self.to_server.state, self.to_client.state) == (State::Open, State::Open);
        let free = open && self.client.from.is_empty() && self.server.from.is_empty();
        parting.poll(free, worker, cx)
    }

    /// Closes it in this way.
    async fn part(
        &mut self,
        way: Way,
        watch: &mut Watch,
        (deadline, worker): (&Deadline, &Worker),
        parties: (&Served, &mut Permit),
    ) -> Passing {
        let told = rebalance::tell_client(way, self.client.wire, worker, deadline).await;
        match way {
            Way::Goaway if told => {
                watch.shorten(rebalance::AFTER_GOAWAY, worker.now());
                deadline.set(watch.due());
                let end = self.pass(watch, (deadline, worker), parties).await;
                return if end == Passing::Ended(End::Idle) { Passing::Ended(End::Rebalanced) } else { end };
            }
            Way::CloseFrame if told => self.shake_hands(deadline, worker).await,
            Way::CloseFrame | Way::Goaway | Way::Plain => {}
        }
        rebalance::finish(self.client.wire, worker, deadline).await;
        rebalance::finish(self.server.wire, worker, deadline).await;
        Passing::Ended(End::Rebalanced)
    }

    /// Sees to the closing handshake of a `WebSocket` whose client has been told: what that still says is brought to the
    /// server, and nothing more comes back.
    async fn shake_hands(&mut self, deadline: &Deadline, worker: &Worker) {
        deadline.set(worker.now() + rebalance::HANDSHAKE);
        poll_fn(|cx| {
            if !self.parting.as_ref().is_some_and(|parting| parting.client_closed()) {
                let _ = self.poll_to_server(cx);
            }
            let server_left = self.poll_server_out(cx).is_ready();
            let client_left = self.to_server.state != State::Open;
            let agreed =
                self.parting.as_ref().is_some_and(|parting| parting.client_closed() && parting.server_closed());
            let over = server_left || client_left || agreed || deadline.poll(cx).is_ready();
            if over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        if self.to_server.state == State::Open && self.parting.as_ref().is_some_and(|parting| parting.may_tell_server())
        {
            rebalance::tell_server(self.server.wire, worker, deadline).await;
        }
    }

    /// Reads what the server still says, which its client is not to be told any more. Ready when it has closed.
    fn poll_server_out(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Ok(1..) = ready!(self.server.from.poll_fill(self.server.wire, cx)) else { return Poll::Ready(()) };
            let bytes = self.server.from.filled();
            if let Some(parting) = &mut self.parting {
                parting.received(bytes);
            }
            let count = bytes.len();
            self.server.from.consume(count);
        }
    }

    fn poll_both(&mut self, worker: &Worker, cx: &mut Context<'_>) {
        let moved = self.to_server.moved + self.to_client.moved;
        let _ = self.poll_to_server(cx);
        let client_open = self.to_server.state == State::Open;
        let (before, open) = (self.to_client.moved, self.to_client.state == State::Open);
        let parting = &mut self.parting;
        let _ = self.to_client.poll((&mut self.server, self.client.wire), cx, |bytes| {
            if let Some(parting) = parting {
                parting.received(bytes);
            }
        });
        if let Some(parting) = &self.parting
            && moved != self.to_server.moved + self.to_client.moved
        {
            parting.moved(worker.recently());
        }
        worker.counts.to_clients.add(self.to_client.moved - before);
        if open && client_open && self.to_client.state != State::Open {
            self.server_closed_first = true;
        }
    }

    fn poll_to_server(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let parting = &mut self.parting;
        self.to_server.poll((&mut self.client, self.server.wire), cx, |bytes| {
            if let Some(parting) = parting {
                parting.sent(bytes);
            }
        })
    }

    /// Notes how long the server took to say something, once it has. A client that connects well before it has anything to
    /// ask, as pools of connections do, makes no server slow.
    fn note_first_byte(&mut self, worker: &Worker, permit: &mut Permit) {
        if self.asked.is_none() && self.to_server.moved > 0 {
            self.asked = Some(worker.now());
        }
        if self.to_client.moved > 0 || !self.server.from.is_empty() {
            let now = worker.now();
            let unasked = self.asked.map_or(Duration::ZERO, |asked| asked.saturating_since(self.began));
            let first_byte = now.saturating_since(permit.picked_at()).saturating_sub(unasked);
            self.first_byte = Some(first_byte);
            permit.spoke(first_byte, now);
        }
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

    /// From now on no more than so much quiet is allowed.
    fn shorten(&mut self, idle: Duration, now: Time) {
        self.idle = self.idle.min(idle);
        self.until = now + self.idle;
    }

    fn due(&self) -> Time {
        self.until.min(self.next_look)
    }
}

impl Direction {
    /// Moves what can be moved, and tells of it. Ready when nothing more will.
    fn poll(
        &mut self,
        (from, to): (&mut Ends<'_>, &mut Wire),
        cx: &mut Context<'_>,
        mut tell: impl FnMut(&[u8]),
    ) -> Poll<()> {
        loop {
            while !from.from.is_empty() && self.state == State::Open {
                match ready!(Pin::new(&mut *to).poll_write(cx, from.from.filled())) {
                    Ok(0) | Err(_) => self.state = State::ReceiverLost,
                    Ok(count) => {
                        tell(&from.from.filled()[..count]);
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
