//! One request whose head has been read: a server is picked for it, or waited for, and tried; another when that fails
//! and may be repeated; and what the client gets when nobody serves it.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_config::ServerProtocol;
use plimsoll_core::{Outcome, OutcomeKind, Permit, Refused};

use crate::connection::Connection;
use crate::exchange::{End, Exchange, Parties, Upgraded};
use crate::http1::Reject;
use crate::http1::body::Body;
use crate::http1::framing::BodyLength;
use crate::http1::request::{RequestHead, UpgradeTo};
use crate::http1::variables::Values;
use crate::http1::write::{self, RequestRules};
use crate::mirror::copied::Copied;
use crate::proxy_header::Greeted;
use crate::rebalance::Speech;
use crate::serve::{Busy, Next};
use crate::served::Served;
use crate::server_conn::{ConnectError, ServerConn};
use crate::shortage;
use crate::sticky::{self, Asked, Ties};
use crate::tries::{Failure, Tries};
use crate::trouble::{GivenUp, Trouble};
use crate::tunnel::{self, Tunnel};
use crate::wait::{Silence, Unserved, Waiter};
use crate::worker::{Desk, Worker};

mod admission;

pub(crate) use admission::FORBIDDEN;

/// What the tries of a request work with.
struct Work<'a> {
    worker: &'a Rc<Worker>,
    tries: &'a mut Tries,
    desk: &'a mut Desk,
    /// What is still to be read of the request's body.
    body: Body,
}

impl Work<'_> {
    /// A connection to the server of the next try that is open already.
    fn idle_connection(&self) -> Option<ServerConn> {
        if self.tries.served().rules.send_proxy.is_some() {
            // What is open from before it was so has told of no client.
            return None;
        }
        let certain = !self.desk.request.method_kind.idempotent();
        let permit = self.tries.next.as_ref()?;
        let now = self.worker.recently();
        let served = self.tries.served();
        let server = (&**permit.server(), served.tls.as_ref());
        if served.rules.protocol == ServerProtocol::Http2 {
            return self.worker.shared.borrow_mut().take(server, now).map(ServerConn::stream);
        }
        self.worker.idle.borrow_mut().take(server, now, certain)
    }
}

impl Busy<'_> {
    /// Balances and forwards the request whose head is on the desk, and is the first `head_length` bytes read.
    pub(crate) async fn handle(&mut self, desk: &mut Desk, head_length: usize) -> Next {
        let (worker, service) = (Rc::clone(&self.connection.worker), Arc::clone(&self.service));
        let (route, first) = match self.admit(&service, desk, head_length).await {
            Ok(admitted) => admitted,
            Err(next) => return next,
        };
        let head = Some((&self.input.filled()[..head_length], &desk.request));
        let asked = Asked { head, target: &desk.target, client: self.client_ip() };
        let ties = Ties::new(&first, &asked, worker.recently());
        let mut tries = Tries::new(Arc::clone(&service), first).on_route(route).of_call(desk.call.as_ref()).tied(ties);
        let permit = match self.pick(&mut tries, desk, head_length).await {
            Ok(permit) => permit,
            Err(next) => return next,
        };
        self.lay_out(desk, head_length, &mut tries, &permit);
        let body = self.rest_of_body(desk.request.body);
        tries.next = Some(permit);
        let mut work = Work { worker: &worker, tries: &mut tries, desk, body };
        loop {
            if let Some(next) = self.try_next(&mut work).await {
                return next;
            }
            self.prepare_again(&mut work);
        }
    }

    /// The server for the first try; in the error what the request comes to without one.
    async fn pick(&mut self, tries: &mut Tries, desk: &mut Desk, head_length: usize) -> Result<Permit, Next> {
        let worker = &self.connection.worker;
        let refused = match tries.pick(worker, worker.recently()) {
            Ok(permit) => return Ok(permit),
            Err(refused) => refused,
        };
        // Waiting is rare, so the memory for it is not held by those who need not.
        Box::pin(self.waiter().wait(refused, tries)).await.map_err(|unserved| {
            desk.entry.asks(tries.served().pool.name());
            match unserved {
                Unserved::ClientLeft => {
                    desk.entry.left();
                    Next::Close
                }
                Unserved::Refused(refused) => self.refuse((refused, Arc::clone(tries.served())), desk, head_length),
            }
        })
    }

    /// Lays out what the server of `permit`, the first to be tried, gets at once, and keeps what another one would need. The
    /// head is taken out of what has been read.
    fn lay_out(&mut self, desk: &mut Desk, head_length: usize, tries: &mut Tries, permit: &Permit) {
        tries.begin(permit.picked_at());
        sticky::picked((tries.served(), tries.tie()), permit);
        let limit = if tries.keeps_bodies(desk.request.method_kind) { tries.served().rules.retry.buffer } else { 0 };
        desk.replay.begin(desk.request.body, limit);
        desk.copy = self.copy(tries, &desk.request);
        desk.begin_try(permit);
        let bytes = &self.input.filled()[..head_length];
        self.write_head(desk, bytes, tries, permit);
        let tells_server = tries.route().is_some_and(|route| route.request_edits.names_server);
        let tells_host = tries.service.tells_host(desk.request.host.is_some());
        if tells_host || tells_server || tries.deadline().is_some() {
            desk.keep_head(bytes);
        }
        self.input.consume(head_length);
    }

    /// What another pool is to get of a request, where its route says so.
    fn copy(&self, tries: &Tries, request: &RequestHead) -> Option<Box<Copied>> {
        let Connection { peer, worker, .. } = &*self.connection;
        let greeted = Greeted { peer, source: self.client.source(), server_name: None };
        tries.route()?.mirroring.as_ref()?.begin(request, greeted, worker)
    }

    /// What is to be read of a body that is as long as its head says. A stream tells itself where its message ends.
    fn rest_of_body(&self, length: BodyLength) -> Body {
        let is_stream = self.connection.wire.is_stream();
        if is_stream && length != BodyLength::None { Body::UntilClose } else { Body::from(length) }
    }

    /// Writes the head for the server of `permit` from the `bytes` that were read.
    fn write_head(&self, desk: &mut Desk, bytes: &[u8], tries: &Tries, permit: &Permit) {
        let Desk { request, call, target, to_server, to_server_head, marks, entry, .. } = desk;
        let server = tries.service.host_for(tries.served(), permit.server(), request.host.is_some());
        let rules = RequestRules {
            forward: &tries.service.listener.forward,
            client: &self.client,
            server,
            target: (!target.is_empty()).then_some(target),
            edits: tries.route().and_then(|route| {
                route.request_edits.telling(|| Values {
                    head: bytes,
                    request,
                    target: &[],
                    client: &self.client,
                    id: &entry.id,
                    route: &route.name,
                    pool: permit.server().id().pool(),
                    server: permit.server().id().name(),
                })
            }),
            cookies: &tries.service.cookies,
            marks: &marks.to_server,
        };
        to_server.clear();
        write::request(to_server, bytes, request, &rules);
        if let Some(call) = call {
            call.write_timeout(to_server, permit.picked_at());
        }
        *to_server_head = to_server.len();
    }

    /// Makes the next try; `None` when another is to follow. What is rare is boxed, so that a busy connection does not hold
    /// the memory for it.
    async fn try_next(&mut self, work: &mut Work<'_>) -> Option<Next> {
        let mut idle = work.idle_connection();
        loop {
            let server = match idle.take() {
                Some(server) => server,
                None => match Box::pin(self.waiter().connect(work.tries)).await {
                    Ok(server) => server,
                    Err(failure) => return Box::pin(self.connect_failed(failure, work)).await,
                },
            };
            let Some(permit) = work.tries.next.take() else { return Some(Next::Close) };
            work.desk.entry.connected(work.worker.recently());
            let Connection { wire, deadline, place, .. } = &mut *self.connection;
            let Work { worker, tries, desk, body } = &mut *work;
            worker.counts.sent_over(server.reused);
            let (facts, input) = (&*self.client, &mut self.input);
            let parties = Parties { worker, place, tries, deadline, client: wire, facts, input, desk };
            let mut exchange = Exchange::new(parties, permit, server, std::mem::take(body));
            let end = poll_fn(|cx| exchange.poll(cx)).await;
            exchange.note_bytes();
            match end {
                Ok(End::Done { keep: true }) => return Some(Next::Request),
                Ok(End::Done { keep: false }) => {
                    let read = exchange.request_read();
                    drop(exchange);
                    return Some(if read && self.all_read() { Next::Close } else { Next::Linger });
                }
                Ok(End::Upgraded) => {
                    if let Some(upgraded) = exchange.into_tunnel() {
                        Box::pin(self.tunnel(upgraded, work)).await;
                    }
                    return Some(Next::Close);
                }
                // What is sent on a connection that the server had left was no try; such a request has no body.
                Err(Trouble::ServerStale) => match exchange.into_permit() {
                    Some(taken_back) => work.tries.next = Some(taken_back),
                    None => return Some(Next::Close),
                },
                Err(trouble) => {
                    let given_up = exchange.give_up(&trouble);
                    return Box::pin(self.failed(trouble, given_up, work)).await;
                }
            }
        }
    }

    /// What follows an exchange that did not end well.
    async fn failed(&mut self, trouble: Trouble, given_up: GivenUp, work: &mut Work<'_>) -> Option<Next> {
        work.body = given_up.rest;
        if matches!(trouble, Trouble::ClientLeft | Trouble::ClientSlow) {
            work.desk.entry.left();
        }
        let request = (work.desk.request.method_kind, &work.desk.replay);
        let again = match (&trouble, given_up.server) {
            (Trouble::AnotherTry, _) => true,
            (_, Some(server)) if !given_up.told => {
                work.tries.another(&server, &Failure::Exchange(&trouble), request, work.worker.recently())
            }
            _ => false,
        };
        if again && self.waiter().pick_again(work.tries).await {
            return None;
        }
        Some(match trouble.answer() {
            Some(reject) if !given_up.answering => Next::Answer { reject, refused: None, unread: !given_up.read },
            _ => Next::Close,
        })
    }

    /// Lays out what the next server gets at once: the head, and what has been read of the body.
    fn prepare_again(&self, work: &mut Work<'_>) {
        let Some(permit) = &work.tries.next else { return };
        work.desk.begin_try(permit);
        let head = std::mem::take(&mut work.desk.head);
        if head.is_empty() {
            work.desk.to_server.truncate(work.desk.to_server_head);
            work.desk.marks.renew(&mut work.desk.to_server);
        } else {
            self.write_head(work.desk, &head, work.tries, permit);
        }
        work.desk.head = head;
        let Desk { request, replay, to_server, .. } = &mut *work.desk;
        // As frames a body needs no framing of its own.
        let framed = work.tries.served().rules.protocol == ServerProtocol::Http1;
        let framing = if framed { request.body } else { BodyLength::None };
        replay.write(to_server, framing, work.body.ended());
    }

    /// The client, as one that waits for a server.
    pub(crate) fn waiter(&mut self) -> Waiter<'_> {
        let Connection { wire, peer, deadline, worker, .. } = &mut *self.connection;
        let (input, silence, source) = (&mut self.input, Silence::Leaving, self.client.source());
        Waiter { client: wire, peer, source, server_name: None, input, deadline, worker, silence }
    }

    async fn connect_failed(&mut self, failure: Option<ConnectError>, work: &mut Work<'_>) -> Option<Next> {
        let now = work.worker.now();
        let Some(server) = work.tries.not_connected(failure.as_ref(), &mut work.desk.entry, now) else {
            return Some(Next::Close);
        };
        let Some(failure) = failure else { return Some(Next::Close) };
        let (status, reason) = match &failure {
            ConnectError::Shortage => (shortage::REJECT.status, shortage::REJECT.reason),
            ConnectError::TimedOut => (504, "connecting to the server took too long"),
            ConnectError::Failed => (502, "the server could not be connected to"),
            ConnectError::Tls(trouble) => (502, trouble.reason),
        };
        let request = (work.desk.request.method_kind, &work.desk.replay);
        let again = work.tries.another(&server, &Failure::Connect(&failure), request, now);
        if again && self.waiter().pick_again(work.tries).await {
            return None;
        }
        let unread = work.desk.request.body != BodyLength::None;
        Some(Next::Answer { reject: Reject { status, reason }, refused: None, unread })
    }

    fn refuse(&mut self, refused: (Refused, Arc<Served>), desk: &Desk, head_length: usize) -> Next {
        let reason = match refused.0 {
            Refused::NoServer => "no server is configured",
            Refused::AllFull => "all servers are at their limit",
            Refused::QueueFull => "all servers are at their limit, and too many requests wait already",
            Refused::WaitedTooLong => "all servers are at their limit, and none came free in time",
            _ => "no server is available",
        };
        self.input.consume(head_length);
        let unread = desk.request.body != BodyLength::None;
        Next::Answer { reject: Reject { status: 503, reason }, refused: Some(refused), unread }
    }

    async fn tunnel(&mut self, upgraded: Upgraded, work: &mut Work<'_>) {
        let Upgraded { mut permit, mut server, mut from_server, first_byte, sent, received } = upgraded;
        let Connection { wire, deadline, worker, .. } = &mut *self.connection;
        let ends = tunnel::Ends { wire, from: &mut self.input };
        let server_ends = tunnel::Ends { wire: &mut server.wire, from: &mut from_server };
        let speech =
            if work.desk.request.upgrade_to == UpgradeTo::WebSocket { Speech::WebSocket } else { Speech::Other };
        let _counted = worker.tunnel();
        let tunnel = Tunnel::new(ends, server_ends, speech).answered_in(first_byte);
        let passed = tunnel.run(deadline, worker, (work.tries.served(), &mut permit)).await;
        let now = worker.now();
        let total = now.saturating_since(permit.picked_at());
        permit.finish(
            Outcome::success(first_byte, total).with_bytes(sent + passed.to_server, received + passed.to_client),
        );
        let entry = &mut work.desk.entry;
        entry.ended(OutcomeKind::Success, Some((first_byte, entry.facts.status)), now);
        entry.facts.body_in += passed.to_server;
        entry.facts.bytes_out += passed.to_client;
    }
}
