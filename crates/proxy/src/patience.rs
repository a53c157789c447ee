//! How long an exchange waits, and for whom.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use plimsoll_config::OnDown;
use plimsoll_core::{HealthState, Permit, Time};

use crate::grpc::Call;
use crate::served::Served;
use crate::timers::Deadline;
use crate::tries::Tries;
use crate::trouble::Lost;
use crate::wire::Wire;
use crate::worker::Worker;

/// How often a client is looked at while nothing is read from it, because what it sent before has nowhere to go: one
/// that has left is noticed this late. A server that does not read keeps a place busy for no longer.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// What the next event is expected from, and so which timeout runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The client has yet to take what is there for it.
    Taking,
    Client,
    FirstByte,
    Server,
}

impl Waiting {
    fn timeout(self, watched: &Watched<'_>) -> Duration {
        let timeouts = &watched.tries.served().rules.timeouts;
        match self {
            Self::Taking => watched.tries.service.listener.timeouts.body,
            // A stream of gRPC may have nothing to say for long, on either side.
            _ if watched.call.is_some() => timeouts.tunnel,
            Self::Client => watched.tries.service.listener.timeouts.body,
            Self::FirstByte => timeouts.first_byte,
            Self::Server => timeouts.idle,
        }
    }
}

/// Who waits, for whom, and by what rules.
pub(crate) struct Watched<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) tries: &'a Tries,
    pub(crate) client: &'a Wire,
    /// `None` once the server has done its part.
    pub(crate) permit: Option<&'a Permit>,
    /// The request as a call of gRPC, if it is one.
    pub(crate) call: Option<Call>,
}

/// The wait of one exchange.
#[derive(Debug)]
pub(crate) struct Patience {
    /// What was waited for the last time, and how many bytes had moved.
    seen: Option<(Waiting, u64)>,
    until: Time,
    /// When the next look is due at what nobody tells: a client that left behind unread bytes, a server that is down. What
    /// moves meanwhile does not put it off.
    look: Time,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { seen: None, until: Time::ZERO, look: Time::ZERO }
    }

    /// Moves the end of the wait on when `seen` is another than before, and asks whether it has come.
    pub(crate) fn poll(
        &mut self,
        seen: (Waiting, u64),
        deadline: &Deadline,
        watched: &Watched<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Lost> {
        let worker = watched.worker;
        if self.seen != Some(seen) {
            // The first wait begins where the pick was or the connection stood: reading the clock again would tell
            // nothing new.
            let now = if self.seen.is_none() { worker.recently() } else { worker.now() };
            if self.seen.is_none() {
                self.look = now + LOOK;
            }
            self.seen = Some(seen);
            let deadline_of_call = watched.call.and_then(|call| call.deadline());
            self.until = (now + seen.0.timeout(watched)).min(deadline_of_call.unwrap_or(Time::LAST));
            // Once the look is due the deadline fires or has fired, and setting it would put that off.
            if now < self.look {
                deadline.set(self.until.min(self.look));
            }
        }
        loop {
            ready!(deadline.poll(cx));
            if watched.client.has_closed() {
                return Poll::Ready(Lost::ClientLeft);
            }
            if watched.permit.is_some_and(|permit| is_cut_off(watched.tries.served(), permit)) {
                return Poll::Ready(Lost::ServerDown);
            }
            let now = worker.now();
            if now >= self.until {
                return Poll::Ready(match seen.0 {
                    _ if watched.call.is_some_and(|call| call.is_over(now)) => Lost::Overdue,
                    Waiting::Taking | Waiting::Client => Lost::ClientSlow,
                    Waiting::FirstByte | Waiting::Server => Lost::ServerSlow,
                });
            }
            self.look = now + LOOK;
            deadline.set(self.until.min(self.look));
        }
    }
}

/// Whether a request is to be ended because its server went down or was ejected since it was picked.
pub(crate) fn is_cut_off(served: &Served, permit: &Permit) -> bool {
    let server = permit.server();
    served.rules.on_down == OnDown::Close
        && matches!(server.health(), HealthState::Down | HealthState::Ejected)
        && server.health_report().since > permit.picked_at()
}
