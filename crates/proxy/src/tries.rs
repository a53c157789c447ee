//! The tries of one request: whether another is made, and on which server.

use std::sync::Arc;

use plimsoll_config::Conditions;
use plimsoll_core::{Ask, Outcome, OutcomeKind, Permit, Refused, Server, Time};

use crate::http1::request::MethodKind;
use crate::log::entry::Entry;
use crate::replay::Replay;
use crate::server_conn::ConnectError;
use crate::service::{Served, Service};
use crate::trouble::Trouble;
use crate::worker::Worker;

/// What a request has tried so far.
pub(crate) struct Tries {
    pub(crate) service: Arc<Service>,
    /// The pool that is asked first.
    first: Arc<Served>,
    /// How many pools could not take it, so that the one behind them is asked.
    fallbacks: usize,
    /// When the first began; a wait for its server came before that.
    begun: Option<Time>,
    made: u32,
    /// Filled only once a try has failed, so a request that goes well allocates nothing.
    tried: Vec<Arc<Server>>,
    /// Given for the next try.
    pub(crate) next: Option<Permit>,
}

/// How a try ended, as far as it matters for another.
pub(crate) enum Failure<'a> {
    /// The request never reached a server.
    Connect(&'a ConnectError),
    /// It may have.
    Exchange(&'a Trouble),
    /// The server answered with this status, and the client knows nothing of it yet.
    Status(u16),
}

impl Tries {
    pub(crate) fn new(service: Arc<Service>, first: Arc<Served>) -> Self {
        Self { service, first, fallbacks: 0, begun: None, made: 0, tried: Vec::new(), next: None }
    }

    /// The pool that is asked now.
    pub(crate) fn served(&self) -> &Arc<Served> {
        (0..self.fallbacks).fold(&self.first, |served, _| served.fallback.as_ref().unwrap_or(served))
    }

    /// Notes when the first try began.
    pub(crate) fn begin(&mut self, at: Time) {
        self.begun = Some(at);
    }

    /// The end of the time in which a try may begin, once there was one.
    pub(crate) fn over(&self) -> Option<Time> {
        self.begun.map(|begun| begun + self.served().rules.retry.within)
    }

    /// Whether a body must be kept for another try. None is sent before the connection stands.
    pub(crate) fn keeps_bodies(&self, method: MethodKind) -> bool {
        let rule = &self.served().rules.retry;
        let Conditions { connect: _, reset, timeout, statuses, grpc: _ } = &rule.on;
        rule.tries > 1 && (*reset || *timeout || !statuses.is_empty()) && self.may_repeat(method)
    }

    /// Picks a server for the first try, or another.
    pub(crate) fn pick(&self, worker: &Worker, now: Time) -> Result<Permit, Refused> {
        self.served().pool.pick(&self.ask(worker, now))
    }

    /// What a pick for this request is given.
    pub(crate) fn ask(&self, worker: &Worker, now: Time) -> Ask<'_> {
        Ask { now, random: worker.random(), tried: &self.tried }
    }

    /// The pool cannot take the request: the one that serves instead takes over, if there is one.
    pub(crate) fn fall_back(&mut self) -> bool {
        let has_one = self.served().fallback.is_some();
        self.fallbacks += usize::from(has_one);
        has_one
    }

    /// Ends the next try, for which there is no connection: with the reason, or without one because the client has left.
    /// Tells whose try it was.
    pub(crate) fn not_connected(
        &mut self,
        failure: Option<&ConnectError>,
        entry: &mut Entry,
        now: Time,
    ) -> Option<Arc<Server>> {
        let permit = self.next.take()?;
        let kind = if failure.is_some() { OutcomeKind::ConnectFailed } else { OutcomeKind::Aborted };
        let excused = kind.is_error() && self.served().excuses(kind, 0);
        let server = Arc::clone(permit.server());
        let total = now.saturating_since(permit.picked_at());
        permit.finish(Outcome { excused, ..Outcome::of(kind, total) });
        entry.ended(kind, None, now);
        Some(server)
    }

    /// Notes that a try on `server` failed, and tells whether another may be made, which is then taken out of the pool's
    /// budget.
    pub(crate) fn another(
        &mut self,
        server: &Arc<Server>,
        failure: &Failure<'_>,
        (method, replay): (MethodKind, &Replay),
        now: Time,
    ) -> bool {
        let repeats = matches!(failure, Failure::Connect(_)) || self.may_repeat(method);
        self.another_if(server, failure, repeats && replay.complete(), now)
    }

    /// The same for what has no method and no body: `repeats` says that nothing was done or lost by the try.
    pub(crate) fn another_if(&mut self, server: &Arc<Server>, failure: &Failure<'_>, repeats: bool, now: Time) -> bool {
        self.made += 1;
        let allowed = self.made < self.served().rules.retry.tries
            && self.over().is_none_or(|over| now < over)
            && self.answers(failure)
            && repeats
            && self.served().pool.may_retry(now);
        if allowed {
            self.tried.push(Arc::clone(server));
        }
        allowed
    }

    /// The same for an answer that the client has not seen. It is only thrown away once another server is picked.
    pub(crate) fn another_for_status(
        &mut self,
        (server, status): (&Arc<Server>, u16),
        request: (MethodKind, &Replay),
        worker: &Worker,
    ) -> bool {
        if !self.served().rules.retry.on.statuses.contains(status) {
            return false;
        }
        let now = worker.now();
        if !self.another(server, &Failure::Status(status), request, now) {
            return false;
        }
        self.next = self.pick(worker, now).ok();
        self.next.is_some()
    }

    /// Whether a request that a server may have acted on can be sent again.
    fn may_repeat(&self, method: MethodKind) -> bool {
        method.idempotent() || self.served().rules.retry.non_idempotent
    }

    /// Whether the rule names this failure.
    fn answers(&self, failure: &Failure<'_>) -> bool {
        let on = &self.served().rules.retry.on;
        match failure {
            Failure::Connect(ConnectError::TimedOut) => on.connect || on.timeout,
            Failure::Connect(ConnectError::Failed) => on.connect,
            Failure::Status(status) => on.statuses.contains(*status),
            Failure::Exchange(trouble) => match trouble {
                Trouble::ServerSlow => on.timeout,
                Trouble::ServerStale | Trouble::ServerLost | Trouble::ServerDown | Trouble::ServerWrong(_) => on.reset,
                Trouble::ClientLeft | Trouble::ClientSlow | Trouble::ClientWrong(_) | Trouble::AnotherTry => false,
            },
        }
    }
}
