//! The tries of one request: whether another is made, and on which server.

use std::sync::Arc;

use plimsoll_config::{Conditions, ServerProtocol};
use plimsoll_core::{Ask, Outcome, OutcomeKind, Permit, Refused, Server, Time};

use crate::grpc::{Answered, Call, Status};
use crate::http1::request::MethodKind;
use crate::log::entry::Entry;
use crate::replay::Replay;
use crate::route::{Route, RouteId};
use crate::served::Served;
use crate::server_conn::conn::ConnectError;
use crate::service::{Aim, Service};
use crate::sticky::{Tie, Ties};
use crate::trouble::Trouble;
use crate::worker::Worker;

/// What a request has tried so far.
pub(crate) struct Tries {
    pub(crate) service: Arc<Service>,
    /// The route it has there, where there are routes.
    route: Option<RouteId>,
    /// The pool that is asked first.
    first: Arc<Served>,
    /// How many pools could not take it, so that the one behind them is asked.
    fallbacks: usize,
    /// When the first began; a wait for its server came before that.
    begun: Option<Time>,
    made: u32,
    /// The request is a call of gRPC.
    is_call: bool,
    /// When it ends for its client.
    deadline: Option<Time>,
    /// What ties it to a server of its pool, or of those behind it.
    ties: Ties,
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
    /// The server answered so, and the client knows nothing of it yet.
    Answer(Answered),
}

impl Failure<'_> {
    /// What the client of a call would be told of it; `None` where that is no server's doing.
    fn status_of_call(&self) -> Option<Status> {
        match self {
            Self::Connect(ConnectError::Shortage) => None,
            Self::Connect(_) => Some(Status::UNAVAILABLE),
            Self::Exchange(trouble) => trouble.is_of_server().then(|| trouble.status_of_call()),
            Self::Answer(answered) => answered.call,
        }
    }
}

impl Tries {
    pub(crate) fn new(service: Arc<Service>, first: Arc<Served>) -> Self {
        Self {
            service,
            route: None,
            first,
            fallbacks: 0,
            begun: None,
            made: 0,
            is_call: false,
            deadline: None,
            ties: Ties::default(),
            tried: Vec::new(),
            next: None,
        }
    }

    /// The same for a request on this route.
    pub(crate) fn on_route(self, route: RouteId) -> Self {
        Self { route: Some(route), ..self }
    }

    /// The route of the request.
    pub(crate) fn route(&self) -> Option<&Route> {
        let Aim::Routes(routes) = &self.service.aim else { return None };
        self.route.map(|id| routes.get(id))
    }

    /// The same for a request that is this call, if it is one.
    pub(crate) fn of_call(self, call: Option<&Call>) -> Self {
        Self { is_call: call.is_some(), deadline: call.and_then(Call::deadline), ..self }
    }

    /// The same for a request that has these ties.
    pub(crate) fn tied(self, ties: Ties) -> Self {
        Self { ties, ..self }
    }

    /// What ties the request to a server of the pool that is asked now.
    pub(crate) fn tie(&self) -> Option<&Tie> {
        self.ties.behind(self.fallbacks)
    }

    /// When the request ends for its client, if it told.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// The pool that is asked now.
    pub(crate) fn served(&self) -> &Arc<Served> {
        (0..self.fallbacks).fold(&self.first, |served, _| served.fallback.as_ref().unwrap_or(served))
    }

    /// Notes when the first try began.
    pub(crate) fn begin(&mut self, at: Time) {
        self.begun = Some(at);
    }

    /// The end of the time in which a try may begin: that of the client's patience, and once there was one, of the rule's.
    pub(crate) fn over(&self) -> Option<Time> {
        let over = self.begun.map(|begun| begun + self.served().rules.retry.within);
        over.into_iter().chain(self.deadline).min()
    }

    /// Whether a body must be kept for another try. None is sent before the connection stands, but where requests share
    /// connections a server may refuse one after it was sent.
    pub(crate) fn keeps_bodies(&self, method: MethodKind) -> bool {
        let rule = &self.served().rules.retry;
        let Conditions { connect, reset, timeout, statuses, grpc } = &rule.on;
        let of_shared = self.served().rules.protocol == ServerProtocol::Http2 && (*connect || *reset);
        let of_call = self.is_call && !grpc.is_empty();
        let of_any = (*reset || *timeout || !statuses.is_empty()) && self.may_repeat(method);
        rule.tries > 1 && (of_shared || of_call || of_any)
    }

    /// Picks a server for the first try, or another.
    pub(crate) fn pick(&self, worker: &Worker, now: Time) -> Result<Permit, Refused> {
        self.served().pool.pick(&self.ask(worker, now))
    }

    /// What a pick for this request is given.
    pub(crate) fn ask(&self, worker: &Worker, now: Time) -> Ask<'_> {
        let tie = self.tie();
        let (key, stick) = (tie.and_then(|tie| tie.key), tie.and_then(|tie| tie.server.as_deref()));
        Ask { now, random: worker.random(), tried: &self.tried, key, stick }
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
        let kind = match failure {
            // Neither is the server's doing.
            None | Some(ConnectError::Shortage) => OutcomeKind::Aborted,
            Some(_) if self.deadline.is_some_and(|deadline| now >= deadline) => self.served().judge_overdue(),
            Some(_) => OutcomeKind::ConnectFailed,
        };
        let answered = Answered { http: 0, call: self.is_call.then_some(Status::UNAVAILABLE) };
        let excused = kind.is_error() && self.served().excuses(kind, answered);
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
        let unseen = matches!(failure, Failure::Connect(_) | Failure::Exchange(Trouble::ServerRefused));
        // Calls are all of one method, which tells nothing of them: naming a status is the permission.
        let repeats = self.answers_call(failure) || (self.answers(failure) && (unseen || self.may_repeat(method)));
        self.another_if(server, repeats && replay.complete(), now)
    }

    /// The same where nothing has been sent of what is to be tried again.
    pub(crate) fn another_connection(&mut self, server: &Arc<Server>, failure: &ConnectError, now: Time) -> bool {
        let repeats = self.answers(&Failure::Connect(failure));
        self.another_if(server, repeats, now)
    }

    /// The same where `repeats` says that the rule names the failure, and that nothing is lost or done twice by another try.
    fn another_if(&mut self, server: &Arc<Server>, repeats: bool, now: Time) -> bool {
        self.made += 1;
        let allowed = self.made < self.served().rules.retry.tries
            && self.over().is_none_or(|over| now < over)
            && repeats
            && self.served().pool.may_retry(now);
        if allowed {
            self.tried.push(Arc::clone(server));
        }
        allowed
    }

    /// The same for an answer that the client has not seen. It is only thrown away once another server is picked.
    pub(crate) fn another_for_answer(
        &mut self,
        (server, answered): (&Arc<Server>, Answered),
        request: (MethodKind, &Replay),
        worker: &Worker,
    ) -> bool {
        let failure = Failure::Answer(answered);
        if !self.answers(&failure) && !self.answers_call(&failure) {
            return false;
        }
        let now = worker.now();
        if !self.another(server, &failure, request, now) {
            return false;
        }
        self.next = self.pick(worker, now).ok();
        self.next.is_some()
    }

    /// Whether a request that a server may have acted on can be sent again.
    fn may_repeat(&self, method: MethodKind) -> bool {
        method.idempotent() || self.served().rules.retry.non_idempotent
    }

    /// Whether the rule names the status of gRPC that a client would be told of this failure.
    fn answers_call(&self, failure: &Failure<'_>) -> bool {
        let status = failure.status_of_call().filter(|_| self.is_call);
        status.is_some_and(|status| status.is_in(self.served().rules.retry.on.grpc))
    }

    /// Whether the rule names this failure, but for the status of a call.
    fn answers(&self, failure: &Failure<'_>) -> bool {
        let on = &self.served().rules.retry.on;
        match failure {
            Failure::Connect(ConnectError::TimedOut) => on.connect || on.timeout,
            // Another server would need a descriptor as well.
            Failure::Connect(ConnectError::Shortage) => false,
            Failure::Connect(ConnectError::Failed | ConnectError::Tls(_)) => on.connect,
            Failure::Answer(answered) => on.statuses.contains(answered.http),
            Failure::Exchange(trouble) => match trouble {
                Trouble::ServerSlow => on.timeout,
                // Like a connection that was never made.
                Trouble::ServerRefused => on.connect || on.reset,
                Trouble::ServerStale
                | Trouble::ServerLost
                | Trouble::ServerReset(_)
                | Trouble::ServerDown
                | Trouble::ServerWrong(_) => on.reset,
                Trouble::ClientLeft
                | Trouble::ClientSlow
                | Trouble::ClientWrong(_)
                | Trouble::Overdue
                | Trouble::AnotherTry => false,
            },
        }
    }
}
