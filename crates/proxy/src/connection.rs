//! A client connection: what belongs to it as long as it lives, and how it waits while it is idle.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use plimsoll_config::Listener;
use plimsoll_core::Time;

use crate::http1::forwarding::ClientFacts;
use crate::parked::Turn;
use crate::peer::Peer;
use crate::place::Place;
use crate::room;
use crate::service::Service;
use crate::timers::Deadline;
use crate::wire::Wire;
use crate::worker::{ClientCount, Worker};

/// How long a graceful stop leaves an idle connection open: the next request may be on its way already, and is
/// then answered with `Connection: close`.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// A client connection and what belongs to it as long as it lives.
pub(crate) struct Connection {
    pub(crate) wire: Wire,
    pub(crate) peer: Rc<Peer>,
    /// Where it came in.
    pub(crate) place: Rc<Place>,
    pub(crate) deadline: Deadline,
    pub(crate) worker: Rc<Worker>,
    /// `None` for a stream, whose connection counts.
    pub(crate) count: Option<ClientCount>,
    /// Likewise.
    pub(crate) room: Option<room::Entry>,
    /// What is served, and what is told about the client under it, where the connection of a stream has both at hand.
    pub(crate) known: Option<Known>,
}

/// A service, and what servers are told about a client under its rules.
pub(crate) type Known = (Arc<Service>, Rc<ClientFacts>);

/// What servers are told about the client of `peer` under the rules of a service.
pub(crate) fn facts(peer: &Peer, service: &Service) -> Rc<ClientFacts> {
    let Listener { forward, trusted_proxies, .. } = &service.listener;
    Rc::new(ClientFacts::new(peer, forward, service.certificates).trusting(trusted_proxies.as_ref()))
}

/// One that is idle.
struct Idle {
    turn: Turn,
    between_requests: bool,
    noticed_stop: bool,
}

impl Connection {
    /// One that has just been accepted at `place`, and found room.
    pub(crate) fn new((wire, peer): (Wire, Peer), place: &Rc<Place>, room: room::Entry) -> Self {
        let worker = &place.worker;
        worker.counts.accepted.add(1);
        Self {
            wire,
            peer: Rc::new(peer),
            deadline: worker.timers.deadline(),
            place: Rc::clone(place),
            count: Some(worker.client()),
            worker: Rc::clone(worker),
            room: Some(room),
            known: None,
        }
    }

    /// Once its place closes, an idle connection has only the grace left.
    pub(crate) fn shorten_for_stop(&self, noticed: &mut bool) {
        shorten_for_stop(&self.place, &self.worker, &self.deadline, noticed);
    }

    /// Waits for the next byte; breaks when there will be none. One that is between requests may have to make room.
    ///
    /// No `async fn`, which would keep its arguments twice: most connections are here, and their memory is what they cost.
    pub(crate) fn park(&mut self, until: Time, between_requests: bool) -> impl Future<Output = ControlFlow<()>> {
        self.deadline.set(until);
        let mut idle = Idle { turn: Turn::default(), between_requests, noticed_stop: false };
        poll_fn(move |cx| {
            let flow = ready!(self.poll_parked(&mut idle, cx));
            idle.turn.end(&self.worker.parked, self.room.as_ref());
            Poll::Ready(flow)
        })
    }

    fn poll_parked(&mut self, idle: &mut Idle, cx: &mut Context<'_>) -> Poll<ControlFlow<()>> {
        if self.wire.poll_read_ready(cx).is_ready() {
            return Poll::Ready(ControlFlow::Continue(()));
        }
        self.shorten_for_stop(&mut idle.noticed_stop);
        if idle.between_requests && idle.turn.makes_room(&self.worker.parked, &mut self.room, cx) {
            return Poll::Ready(ControlFlow::Break(()));
        }
        self.deadline.poll(cx).map(|()| ControlFlow::Break(()))
    }
}

/// Once `place` closes, a client that owes us something before its first request has only the grace left.
pub(crate) fn shorten_for_stop(place: &Place, worker: &Worker, deadline: &Deadline, noticed: &mut bool) {
    if place.closing() && !std::mem::replace(noticed, true) {
        deadline.set(worker.now() + STOP_GRACE);
    }
}
