//! A client that waits for a server: for its turn in the pool's queue, then for the connection. One that leaves
//! meanwhile gives its place up.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use plimsoll_core::{Permit, Refused, Ticket, Time};

use crate::buffer::Buffer;
use crate::exchange::client_left;
use crate::patience::LOOK;
use crate::peer::Peer;
use crate::proxy_header::{self, Greeted};
use crate::server_conn::{self, ConnectError, ServerConn};
use crate::timers::Deadline;
use crate::tries::Tries;
use crate::wire::Wire;
use crate::worker::Worker;

/// Why there is no permit.
pub(crate) enum Unserved {
    Refused(Refused),
    ClientLeft,
}

/// Why what was waited for is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    ClientLeft,
    /// It would have come later.
    Late,
}

/// What it means that a client sends no more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It has left.
    Leaving,
    /// It may have said all it had to say, and still wants the answer. One that never said anything has left.
    Listening,
}

/// Who waits.
pub(crate) struct Waiter<'a> {
    pub(crate) client: &'a mut Wire,
    pub(crate) peer: &'a Peer,
    /// Where its request comes from, which need not be where its connection does; `None` is a Unix socket.
    pub(crate) source: Option<SocketAddr>,
    /// The name that the client asks for in a TLS handshake that is not ours.
    pub(crate) server_name: Option<&'a str>,
    /// What the client sends meanwhile, as far as it fits.
    pub(crate) input: &'a mut Buffer,
    pub(crate) deadline: &'a Deadline,
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) silence: Silence,
}

impl Waiter<'_> {
    /// Picks for another try, unless that has been done; false when nobody can take it, or the client has left.
    pub(crate) async fn pick_again(&mut self, tries: &mut Tries) -> bool {
        if tries.next.is_none() {
            tries.next = match tries.pick(self.worker, self.worker.now()) {
                Ok(permit) => Some(permit),
                Err(refused) => self.wait(refused, tries).await.ok(),
            };
        }
        tries.next.is_some()
    }

    /// After a pick was refused: waits in the pool's queue if it has one, and turns to its fallback.
    pub(crate) async fn wait(&mut self, mut refused: Refused, tries: &mut Tries) -> Result<Permit, Unserved> {
        loop {
            if refused == Refused::AllFull {
                match tries.served().pool.wait(&tries.ask(self.worker, self.worker.recently())) {
                    Ok(ticket) => match self.queue(ticket, tries.over()).await {
                        Err(Unserved::Refused(late)) => refused = late,
                        served => return served,
                    },
                    Err(full) => refused = full,
                }
            }
            let now = self.worker.now();
            if tries.over().is_some_and(|over| now >= over) || !tries.fall_back() {
                return Err(Unserved::Refused(refused));
            }
            match tries.pick(self.worker, now) {
                Ok(permit) => return Ok(permit),
                Err(another) => refused = another,
            }
        }
    }

    /// Waits for a ticket's turn. A client that leaves gives its place up, though it may be noticed late when what it sent
    /// before fills the buffer. One that waits for another try does so until its tries are `over`.
    async fn queue(&mut self, mut ticket: Ticket, over: Option<Time>) -> Result<Permit, Unserved> {
        let until = over.map_or(ticket.deadline(), |over| over.min(ticket.deadline()));
        self.deadline.set(until.min(self.worker.recently() + LOOK));
        poll_fn(|cx| {
            loop {
                let now = self.worker.now();
                if let Poll::Ready(answer) = ticket.poll(now, cx) {
                    return Poll::Ready(answer.map_err(Unserved::Refused));
                }
                if now >= until {
                    return Poll::Ready(Err(Unserved::Refused(Refused::WaitedTooLong)));
                }
                if self.leaves(cx) {
                    return Poll::Ready(Err(Unserved::ClientLeft));
                }
                ready!(self.deadline.poll(cx));
                if self.has_left() {
                    return Poll::Ready(Err(Unserved::ClientLeft));
                }
                self.deadline.set(until.min(now + LOOK));
            }
        })
        .await
    }

    /// Waits for a place in time; false when the client has left before.
    pub(crate) async fn sit_out(&mut self, until: Time) -> bool {
        // Deadlines come in ticks, which would let all those of one tick go at once.
        let place = tokio::time::sleep(until.saturating_since(self.worker.now()));
        tokio::pin!(place);
        self.deadline.set(self.worker.recently() + LOOK);
        poll_fn(|cx| {
            loop {
                if place.as_mut().poll(cx).is_ready() {
                    self.worker.now();
                    return Poll::Ready(true);
                }
                if self.leaves(cx) {
                    return Poll::Ready(false);
                }
                ready!(self.deadline.poll(cx));
                if self.has_left() {
                    return Poll::Ready(false);
                }
                self.deadline.set(self.worker.now() + LOOK);
            }
        })
        .await
    }

    /// Opens a connection to the server of the next try; `None` in the error when the client has left meanwhile.
    pub(crate) async fn connect(&mut self, tries: &Tries) -> Result<ServerConn, Option<ConnectError>> {
        let server = Arc::clone(tries.next.as_ref().ok_or(None)?.server());
        let (served, rules) = (tries.served(), &tries.served().rules);
        let greeted = Greeted { peer: self.peer, source: self.source, server_name: self.server_name };
        let greeting = rules.send_proxy.map(|version| proxy_header::greeting(version, greeted));
        let (worker, silence) = (self.worker, self.silence);
        let connecting = async {
            match silence {
                Silence::Leaving => server_conn::open(worker, served, &server, greeting.as_deref()).await,
                // What is balanced as a whole has a connection of its own.
                Silence::Listening => server_conn::connect(worker, served, &server, greeting.as_deref()).await,
            }
        };
        let until = tries.deadline().unwrap_or(Time::LAST);
        match self.wait_for(std::pin::pin!(connecting), until).await {
            Ok(result) => result.map_err(Some),
            Err(Missed::ClientLeft) => Err(None),
            Err(Missed::Late) => Err(Some(ConnectError::TimedOut)),
        }
    }

    /// Waits for what is being done elsewhere, no longer than `until`.
    pub(crate) async fn wait_for<T>(
        &mut self,
        mut what: impl Future<Output = T> + Unpin,
        until: Time,
    ) -> Result<T, Missed> {
        self.deadline.set(until.min(self.worker.recently() + LOOK));
        poll_fn(|cx: &mut Context<'_>| {
            if let Poll::Ready(result) = Pin::new(&mut what).poll(cx) {
                // What is waited for now begins now, however long this took.
                self.worker.now();
                return Poll::Ready(Ok(result));
            }
            if self.leaves(cx) {
                return Poll::Ready(Err(Missed::ClientLeft));
            }
            while self.deadline.poll(cx).is_ready() {
                if self.has_left() {
                    return Poll::Ready(Err(Missed::ClientLeft));
                }
                let now = self.worker.now();
                if now >= until {
                    return Poll::Ready(Err(Missed::Late));
                }
                self.deadline.set(until.min(now + LOOK));
            }
            Poll::Pending
        })
        .await
    }

    /// Reads on, and tells whether the client has left by what came.
    fn leaves(&mut self, cx: &mut Context<'_>) -> bool {
        match self.silence {
            Silence::Leaving => client_left(self.client, self.input, cx),
            Silence::Listening => self.breaks(cx),
        }
    }

    /// The same for a client that may stop sending: only a broken connection tells at once.
    fn breaks(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            if self.input.is_full() {
                return false;
            }
            match self.input.poll_fill(self.client, cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Pending | Poll::Ready(Ok(0)) => return false,
                Poll::Ready(Err(_)) => return true,
            }
        }
    }

    /// Whether the client has left, seen from time to time. Who hangs up without a word looks the same as who listens
    /// without a word, so the latter has a moment in which it may find a server.
    fn has_left(&self) -> bool {
        self.client.has_closed() && (self.silence == Silence::Leaving || self.input.is_empty())
    }
}
