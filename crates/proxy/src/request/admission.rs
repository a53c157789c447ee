//! Which route a request has, whether its client may have it, and which pool is to serve it.

use std::net::IpAddr;
use std::sync::Arc;

use plimsoll_config::{Redirect, Variable};
use plimsoll_core::Time;
use tokio::sync::oneshot::Receiver;

use crate::auth::{self, Verdict};
use crate::compress::Wish;
use crate::grpc;
use crate::http1::Reject;
use crate::http1::forwarding::ClientFacts;
use crate::http1::framing::BodyLength;
use crate::http1::variables::{self, Values};
use crate::route::{Denied, Goal, Route, RouteId, Routes, draw};
use crate::serve::{Busy, Next};
use crate::served::Served;
use crate::service::{Aim, Service};
use crate::sticky;
use crate::worker::{Desk, Worker};

const NO_ROUTE: Reject = Reject { status: 404, reason: "no route is for this request" };

pub(crate) const FORBIDDEN: Reject = Reject { status: 403, reason: "clients at this address are not let in" };

/// What a request has to wait for before a server is picked for it.
enum Hold {
    /// Its turn, by a limit for its client.
    Turn(Time),
    /// What is found of its password.
    Password(Receiver<bool>),
}

/// `first`, or where nobody there takes requests, nor in what serves instead of it, another of the `pools` of its split: one
/// that is for newcomers.
fn open_one<'a>(first: &'a Arc<Served>, pools: &'a [(Arc<Served>, u32)], worker: &Worker) -> &'a Arc<Served> {
    let now = worker.recently();
    let is_open = |served: &Arc<Served>| served.chain().any(|served| served.pool.is_open(now));
    if pools.len() < 2 || is_open(first) {
        return first;
    }
    let others = pools.iter().filter(|(served, weight)| *weight > 0 && is_open(served));
    let others: Vec<_> = others.map(|(served, weight)| (served, *weight)).collect();
    draw(&others, || worker.random()).copied().unwrap_or(first)
}

impl Busy<'_> {
    /// Takes up the request on the desk: the route that it has and the pool that is to serve it; in the error what it comes to
    /// without one.
    pub(super) async fn admit(
        &mut self,
        service: &Service,
        desk: &mut Desk,
        head_length: usize,
    ) -> Result<(RouteId, Arc<Served>), Next> {
        self.begin(desk, head_length)?;
        // All else is for connections that are balanced as a whole.
        let Aim::Routes(routes) = &service.aim else { return Err(Next::Close) };
        let (id, route) = self.find_route(routes, desk, head_length)?;
        if let Some(hold) = self.hold((routes, id), desk, head_length)? {
            // Rare, and the memory for it is not held by those who need not wait.
            Box::pin(self.hold_up(hold, (routes, id), desk, head_length)).await?;
        }
        Ok((id, self.follow_route(route, desk, head_length)?))
    }

    /// Notes what is known of the request and its client.
    fn begin(&mut self, desk: &mut Desk, head_length: usize) -> Result<(), Next> {
        let Self { connection, input, service, client } = self;
        let now = connection.worker.now();
        let head = &input.filled()[..head_length];
        desk.request.http2 = connection.wire.is_stream();
        ClientFacts::turn_to(client, &service.listener, (head, &desk.request));
        service.observe.begin(desk, head, &connection.worker);
        desk.begin();
        grpc::begin(&mut desk.call, &mut desk.request, head, now)
            .map_err(|reject| self.unrouted(Some(reject), desk, head_length))
    }

    /// Finds the route of the request on the desk, unless the client may not have it.
    fn find_route<'a>(
        &mut self,
        routes: &'a Routes,
        desk: &mut Desk,
        head_length: usize,
    ) -> Result<(RouteId, &'a Route), Next> {
        let (worker, client) = (self.connection.worker.counts.number, self.client_ip());
        let head = &self.input.filled()[..head_length];
        let id = match routes.find((head, &desk.request), client, &mut desk.target, &mut desk.scratch) {
            Ok(Some(id)) => id,
            Ok(None) => return Err(self.unrouted(None, desk, head_length)),
            Err(reject) => return Err(self.unrouted(Some(reject), desk, head_length)),
        };
        let route = routes.get(id);
        routes.count(id, worker);
        desk.route = Some(id);
        desk.entry.takes(&route.name);
        if route.response_edits.names_request {
            desk.keep_head(head);
        }
        if let Some(rule) = &route.rules.compress {
            desk.wish = Wish::read(head, &desk.request, rule);
        }
        if !route.lets(client) {
            routes.count_denied(id, worker, Denied::Address);
            return Err(self.decline(FORBIDDEN, desk, head_length));
        }
        if let Some(over) = self.limit(Some(id), desk, head_length) {
            return Err(over);
        }
        if let BodyLength::Known(length) = desk.request.body
            && route.rules.max_body.is_some_and(|max| length > max)
        {
            let reject = Reject { status: 413, reason: "the request body is too large" };
            return Err(Next::Answer { reject, refused: None, unread: true });
        }
        Ok((id, route))
    }

    /// What a request comes to that no route is for, or for which none is looked because of what is wrong with it.
    fn unrouted(&mut self, wrong: Option<Reject>, desk: &mut Desk, head_length: usize) -> Next {
        if self.service.response_edits.names_request {
            desk.keep_head(&self.input.filled()[..head_length]);
        }
        if let Some(reject) = wrong {
            // Where it ends is not for us to say.
            return Next::Answer { reject, refused: None, unread: true };
        }
        if !self.service.listener.access.lets(self.client_ip()) {
            self.service.room.deny();
            return self.decline(FORBIDDEN, desk, head_length);
        }
        let over = self.limit(None, desk, head_length);
        over.unwrap_or_else(|| self.decline(NO_ROUTE, desk, head_length))
    }

    /// What the request has to wait for before it goes on; in the error what it comes to without that.
    fn hold(
        &mut self,
        (routes, id): (&Routes, RouteId),
        desk: &mut Desk,
        head_length: usize,
    ) -> Result<Option<Hold>, Next> {
        if let Some(until) = desk.limited.take_wait() {
            return Ok(Some(Hold::Turn(until)));
        }
        let Some(auth) = &routes.get(id).auth else { return Ok(None) };
        match self.ask_password(auth, desk, head_length) {
            auth::Asked::Now(verdict) => self.take_verdict(verdict, (routes, id), desk, head_length).map(|()| None),
            auth::Asked::Later(answer) => Ok(Some(Hold::Password(answer))),
        }
    }

    /// Lets the request on once what it waits for has come.
    async fn hold_up(
        &mut self,
        hold: Hold,
        found: (&Routes, RouteId),
        desk: &mut Desk,
        head_length: usize,
    ) -> Result<(), Next> {
        let mut hold = Some(hold);
        while let Some(held) = hold {
            let came = match held {
                Hold::Turn(until) => self.waiter().sit_out(until).await.then_some(None),
                Hold::Password(answer) => self.await_password(answer, desk).await.map(Some),
            };
            match came {
                Some(None) => hold = self.hold(found, desk, head_length)?,
                Some(Some(verdict)) => return self.take_verdict(verdict, found, desk, head_length),
                None => {
                    desk.entry.is_of("");
                    desk.entry.left();
                    return Err(Next::Close);
                }
            }
        }
        Ok(())
    }

    /// Lets the request on, or refuses it.
    fn take_verdict(
        &mut self,
        verdict: Verdict,
        (routes, id): (&Routes, RouteId),
        desk: &mut Desk,
        head_length: usize,
    ) -> Result<(), Next> {
        desk.take_verdict(verdict).map_err(|reject| {
            routes.count_denied(id, self.connection.worker.counts.number, Denied::Password);
            self.decline(reject, desk, head_length)
        })
    }

    /// The pool that is to serve the request on the desk, which has this route; or what else it comes to.
    fn follow_route(&mut self, route: &Route, desk: &mut Desk, head_length: usize) -> Result<Arc<Served>, Next> {
        match &route.goal {
            Goal::Pools(pools) => {
                let worker = &self.connection.worker;
                let head = &self.input.filled()[..head_length];
                let stuck = sticky::pool_of(pools, (head, &desk.request), worker.recently());
                match stuck.or_else(|| draw(pools, || worker.random())) {
                    Some(first) => Ok(Arc::clone(open_one(first, pools, worker))),
                    None => Err(self.decline(NO_ROUTE, desk, head_length)),
                }
            }
            Goal::Redirect(rule) => Err(self.redirected((route, rule), desk, head_length)),
            Goal::Respond(_) => {
                self.input.consume(head_length);
                Err(Next::Respond)
            }
        }
    }

    /// Who the client is, as far as routes and their rules ask.
    pub(crate) fn client_ip(&self) -> Option<IpAddr> {
        self.client.address()
    }

    /// Refuses the request whose head is the first `head_length` bytes read. The connection is good for another one.
    pub(crate) fn decline(&mut self, reject: Reject, desk: &Desk, head_length: usize) -> Next {
        self.input.consume(head_length);
        Next::Answer { reject, refused: None, unread: desk.request.body != BodyLength::None }
    }

    /// Sends the client to where what it asks for is served.
    fn redirected(&mut self, (route, rule): (&Route, &Redirect), desk: &Desk, head_length: usize) -> Next {
        if desk.request.host.is_none() && rule.to.names(Variable::Host) {
            let reject = Reject::bad("the request names no host that it could be sent to");
            return self.decline(reject, desk, head_length);
        }
        let values = Values {
            head: &self.input.filled()[..head_length],
            request: &desk.request,
            target: route.told_target(&desk.target),
            client: &self.client,
            id: &desk.entry.id,
            route: &route.name,
            pool: "",
            server: "",
        };
        let location = variables::location(&rule.to, &values);
        self.input.consume(head_length);
        Next::Redirect { status: rule.status, location }
    }
}
