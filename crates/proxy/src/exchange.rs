//! One request forwarded and its response brought back, both at once.
//!
//! The loop is a state machine that is polled, not a chain of waits: a response may begin while the request
//! still flows, a client may leave while the server thinks, and whichever socket has something to say is
//! heard first.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use plimsoll_core::{Outcome, OutcomeKind, Permit, Time};
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::buffer::{Buffer, LARGE, Size};
use crate::flow::Flow;
use crate::http1::body::Body;
use crate::http1::framing::BodyLength;
use crate::http1::request::MethodKind;
use crate::http1::scan::Scan;
use crate::http1::{Reject, write};
use crate::listener::Place;
use crate::patience::{Patience, Waiting, Watched};
use crate::server_conn::ServerConn;
use crate::timers::Deadline;
use crate::tries::Tries;
use crate::trouble::{GivenUp, Trouble};
use crate::worker::{Desk, Worker};

/// Interim responses to one request; a server that sends more is not answering.
const MAX_INTERIM: u8 = 16;

/// The largest head of a response, in bytes: far beyond what servers send, and a bound on what a broken one can make us
/// collect.
const MAX_RESPONSE_HEAD: usize = 64 * 1024;

/// What an exchange works with.
pub(crate) struct Parties<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) place: &'a Place,
    pub(crate) tries: &'a mut Tries,
    pub(crate) deadline: &'a Deadline,
    pub(crate) client: &'a mut TcpStream,
    /// From the client, the head already taken out.
    pub(crate) input: &'a mut Buffer,
    /// The request as parsed and the head for the server as written.
    pub(crate) desk: &'a mut Desk,
}

/// How an exchange ended when nothing went wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client has its response.
    Done {
        /// Its connection may carry the next request.
        keep: bool,
    },
    /// The client has a 101, and both speak something else now.
    Upgraded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The head of the response is awaited.
    Head,
    /// An interim response is on its way to the client.
    Interim,
    /// The response is on its way to the client.
    Body,
}

/// One exchange on one connection to a server.
pub(crate) struct Exchange<'a> {
    parties: Parties<'a>,
    permit: Option<Permit>,
    server: Option<ServerConn>,
    from_server: Buffer,
    sending: Flow,
    /// Nothing more is sent: all of the request is, or the server does not take it.
    sent: bool,
    send_broken: bool,
    body_received: u64,
    phase: Phase,
    scan: Scan,
    receiving: Flow,
    interim: u8,
    keep_client: bool,
    /// From the pick to the head of the response.
    first_byte: Option<Duration>,
    received: u64,
    patience: Patience,
}

/// What an exchange leaves behind that ended in a change of protocols.
pub(crate) struct Upgraded {
    pub(crate) permit: Permit,
    pub(crate) server: ServerConn,
    /// What the server has already sent of the new protocol.
    pub(crate) from_server: Buffer,
    /// From the pick to the server's answer.
    pub(crate) first_byte: Duration,
    /// Bytes of the exchange itself, without what is in `from_server`.
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

impl<'a> Exchange<'a> {
    /// An exchange over `server`, for which `permit` was given. `rest` is still to be read of the request's body; what
    /// was read of it before stands behind the head on the desk.
    pub(crate) fn new(parties: Parties<'a>, permit: Permit, server: ServerConn, rest: Body) -> Self {
        let body = parties.desk.request.body;
        let body_received = parties.desk.replay.length();
        if matches!(body, BodyLength::Chunked) || matches!(body, BodyLength::Known(length) if length > LARGE as u64 / 4)
        {
            parties.input.grow();
        }
        let from_server = Buffer::new(&parties.worker.buffers, Size::Large);
        Self {
            parties,
            permit: Some(permit),
            server: Some(server),
            from_server,
            sending: Flow::new(rest, body),
            sent: false,
            send_broken: false,
            body_received,
            phase: Phase::Head,
            scan: Scan::default(),
            receiving: Flow::new(BodyLength::None, BodyLength::None),
            interim: 0,
            keep_client: false,
            first_byte: None,
            received: 0,
            patience: Patience::new(),
        }
    }

    /// Drives both directions as far as they go.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<End, Trouble>> {
        if !self.sent {
            self.sent = self.poll_send(cx)?.is_ready();
        }
        if let Poll::Ready(result) = self.poll_receive(cx) {
            return Poll::Ready(result);
        }
        if self.sent && client_left(self.parties.client, self.parties.input, cx) {
            return Poll::Ready(Err(Trouble::ClientLeft));
        }
        self.poll_deadline(cx)
    }

    /// A response has begun to reach the client, interim or final; no other can be given now.
    fn answering(&self) -> bool {
        self.phase != Phase::Head && self.receiving.written > 0
    }

    /// The client has been sent a response, interim or final, or part of one. (HTTP/1.0 clients get no interim ones; the
    /// server has begun to act all the same.)
    fn told(&self) -> bool {
        self.interim > 0 || self.phase != Phase::Head
    }

    /// All of the request has been read from the client, and none of it is left in the buffer to be taken for the
    /// next one.
    pub(crate) fn request_read(&self) -> bool {
        self.sending.source_ended() && self.sending.staged_input() == 0
    }

    /// Gives up: the permit ends so, and the server's connection is closed.
    pub(crate) fn give_up(mut self, trouble: &Trouble) -> GivenUp {
        let (told, answering) = (self.told(), self.answering());
        if !answering {
            self.reset_on_close(false);
        }
        let read = self.request_read() && !matches!(trouble, Trouble::ClientWrong(_));
        let server = self.permit.as_ref().map(|permit| Arc::clone(permit.server()));
        self.finish(trouble.outcome(), self.parties.worker.now());
        // What was to be sent next is among what is kept for another try.
        self.parties.input.consume(self.sending.staged_input());
        GivenUp { server, rest: self.sending.into_body(), read, told, answering }
    }

    /// Hands over what a tunnel needs.
    pub(crate) fn into_tunnel(self) -> Option<Upgraded> {
        let received = self.received - self.from_server.filled().len() as u64;
        let (from_server, sent) = (self.from_server, self.sending.written);
        let first_byte = self.first_byte.unwrap_or_default();
        Some(Upgraded { permit: self.permit?, server: self.server?, from_server, first_byte, sent, received })
    }

    /// Takes the permit back, to try another connection.
    pub(crate) fn into_permit(self) -> Option<Permit> {
        self.permit
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        let Parties { client, input, desk, tries, .. } = &mut self.parties;
        let Some(server) = &mut self.server else {
            return Poll::Ready(Ok(()));
        };
        loop {
            if self.sending.flushed() && !self.sending.source_ended() && input.is_empty() {
                match ready!(input.poll_fill(client, cx)) {
                    Ok(0) | Err(_) => return Poll::Ready(Err(Trouble::ClientLeft)),
                    Ok(_) => {}
                }
            }
            if self.sending.staged_input() == 0 {
                let count = self.sending.stage(input).map_err(Trouble::ClientWrong)?;
                desk.replay.keep(&input.filled()[..count], !self.sending.has_trailers());
                self.sending.join_small(&mut desk.to_server, input);
                self.body_received += count as u64;
                if tries.service.listener.max_body.is_some_and(|max| self.body_received > max) {
                    return Poll::Ready(Err(Trouble::ClientWrong(TOO_LARGE)));
                }
            }
            if ready!(self.sending.poll_flush(&desk.to_server, input, &mut server.stream, cx)).is_err() {
                // It may have answered before it closed; what it said counts.
                self.send_broken = true;
                return Poll::Ready(Ok(()));
            }
            if self.sending.source_ended() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<End, Trouble>> {
        loop {
            match self.phase {
                Phase::Head => ready!(self.poll_head(cx))?,
                Phase::Interim => {
                    ready!(self.poll_to_client(cx))?;
                    self.phase = Phase::Head;
                }
                Phase::Body => {
                    ready!(self.poll_to_client(cx))?;
                    if self.receiving.source_ended() {
                        return Poll::Ready(Ok(self.end()));
                    }
                    ready!(self.poll_body(cx))?;
                }
            }
        }
    }

    fn end(&self) -> End {
        self.reset_on_close(false);
        if self.server.is_some() && self.parties.desk.response.status == 101 {
            return End::Upgraded;
        }
        End::Done { keep: self.keep_client && self.request_read() }
    }

    fn poll_to_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        let Parties { client, desk, worker, .. } = &mut self.parties;
        let before = self.receiving.written;
        let flushed = self.receiving.poll_flush(&desk.to_client, &mut self.from_server, client, cx);
        worker.counts.to_clients.add(self.receiving.written - before);
        flushed.map_err(|_| Trouble::ClientLeft)
    }

    fn poll_from_server(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let Some(server) = &mut self.server else {
            return Poll::Ready(Ok(0));
        };
        let result = ready!(self.from_server.poll_fill(&mut server.stream, cx));
        self.received += result.as_ref().map_or(0, |count| *count as u64);
        Poll::Ready(result)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        if !self.from_server.is_empty() {
            let desk = &mut *self.parties.desk;
            let bodiless = desk.request.method_kind == MethodKind::Head;
            let parse = |bytes: &[u8]| desk.response.parse(bytes, bodiless);
            let found = self.scan.read(self.from_server.filled(), false, parse);
            let length = found.map_err(Trouble::ServerWrong)?;
            if length.unwrap_or(self.from_server.filled().len()) > MAX_RESPONSE_HEAD {
                let reason = "the head of the response is too large";
                return Poll::Ready(Err(Trouble::ServerWrong(Reject::bad(reason))));
            }
            if let Some(length) = length {
                return Poll::Ready(self.take_head(length));
            }
        }
        match ready!(self.poll_from_server(cx)) {
            Ok(0) | Err(_) => Poll::Ready(Err(self.lost())),
            Ok(_) => Poll::Ready(Ok(())),
        }
    }

    fn lost(&self) -> Trouble {
        let request = &self.parties.desk.request;
        let replayable = request.method_kind.idempotent() && request.body == BodyLength::None;
        let reused = self.server.as_ref().is_some_and(|server| server.reused);
        if reused && self.received == 0 && replayable { Trouble::ServerStale } else { Trouble::ServerLost }
    }

    fn take_head(&mut self, length: usize) -> Result<(), Trouble> {
        self.scan = Scan::default();
        let Desk { request, response, .. } = &*self.parties.desk;
        let (upgrade, status) = (request.upgrade, response.status);
        match status {
            101 if upgrade => self.begin_response(length),
            101 => Err(Trouble::ServerWrong(Reject::bad("the server switches protocols unasked"))),
            100..=199 => self.begin_interim(length),
            _ if self.another_try(status) => Err(self.set_aside(length)),
            _ => self.begin_response(length),
        }
    }

    /// Whether the answer is one after which another server is to be tried, and there is one.
    fn another_try(&mut self, status: u16) -> bool {
        let told = self.told();
        let Parties { tries, desk, worker, .. } = &mut self.parties;
        let Some(permit) = self.permit.as_ref().filter(|_| !told) else { return false };
        let request = (desk.request.method_kind, &desk.replay);
        tries.another_for_status((permit.server(), status), request, worker)
    }

    /// Ends the server's part with an answer that the client does not get. One that is here whole leaves a connection that
    /// is good for another request.
    fn set_aside(&mut self, length: usize) -> Trouble {
        let now = self.parties.worker.now();
        self.first_byte = Some(self.since_pick(now));
        self.from_server.consume(length);
        self.receiving = Flow::new(self.parties.desk.response.body, BodyLength::None);
        if self.receiving.stage(&mut self.from_server).is_ok() && self.receiving.source_ended() {
            self.settle(now);
        } else {
            let outcome = self.parties.tries.served().judge(self.parties.desk.response.status);
            self.finish(outcome, now);
        }
        Trouble::AnotherTry
    }

    fn begin_interim(&mut self, length: usize) -> Result<(), Trouble> {
        self.interim += 1;
        if self.interim > MAX_INTERIM {
            return Err(Trouble::ServerWrong(Reject::bad("the server sends too many interim responses")));
        }
        let desk = &mut *self.parties.desk;
        // HTTP/1.0 knows none (RFC 9110, section 15.2).
        if desk.request.minor_version >= 1 {
            desk.to_client.clear();
            let head = &self.from_server.filled()[..length];
            write::response(&mut desk.to_client, head, &desk.response, BodyLength::None, "");
            self.receiving = Flow::new(BodyLength::None, BodyLength::None);
            self.phase = Phase::Interim;
        }
        self.from_server.consume(length);
        Ok(())
    }

    fn begin_response(&mut self, length: usize) -> Result<(), Trouble> {
        let now = self.parties.worker.now();
        self.first_byte = Some(self.since_pick(now));
        self.note_answer(now);
        let request_read = self.sent && self.request_read();
        let Parties { desk, place, input, .. } = &mut self.parties;
        let Desk { request, response, response_framing, to_client, .. } = &mut **desk;
        *response_framing = match response.body {
            BodyLength::Chunked | BodyLength::UntilClose if request.minor_version == 0 => BodyLength::UntilClose,
            BodyLength::UntilClose => BodyLength::Chunked,
            other => other,
        };
        self.keep_client = request.persistent
            && request_read
            && *response_framing != BodyLength::UntilClose
            && (!place.closing() || input.holds_earlier());
        let connection = match (response.status, self.keep_client, request.minor_version) {
            (101, ..) => "upgrade",
            (_, false, _) => "close",
            (_, true, 0) => "keep-alive",
            (_, true, _) => "",
        };
        to_client.clear();
        let head = &self.from_server.filled()[..length];
        write::response(to_client, head, response, *response_framing, connection);
        self.receiving = Flow::new(response.body, *response_framing);
        if connection == "close" {
            self.receiving.close_after();
        }
        self.from_server.consume(length);
        self.phase = Phase::Body;
        self.reset_on_close(true);
        self.receiving.stage(&mut self.from_server).map_err(Trouble::ServerWrong)?;
        if self.receiving.source_ended() && self.parties.desk.response.status != 101 {
            self.settle(now);
        }
        self.receiving.join_small(&mut self.parties.desk.to_client, &mut self.from_server);
        Ok(())
    }

    /// A server on trial has passed it with a good answer, however long the rest takes.
    fn note_answer(&mut self, now: Time) {
        let good = self.parties.tries.served().judge(self.parties.desk.response.status) == OutcomeKind::Success;
        if let Some(permit) = self.permit.as_mut().filter(|_| good) {
            permit.answered(now);
        }
    }

    /// Reads and stages more of the body. What is staged is written before the next call.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        if self.from_server.is_empty() {
            match ready!(self.poll_from_server(cx)) {
                Ok(0) if self.receiving.close_source() => {}
                Ok(0) | Err(_) => return Poll::Ready(Err(Trouble::ServerLost)),
                Ok(_) => {}
            }
        }
        self.receiving.stage(&mut self.from_server).map_err(Trouble::ServerWrong)?;
        if self.receiving.source_ended() {
            self.settle(self.parties.worker.now());
        }
        Poll::Ready(Ok(()))
    }

    /// The server's part is over: the permit ends and the connection is free, before the last bytes go to the
    /// client, so that a client that asks again at once meets a settled count.
    fn settle(&mut self, now: Time) {
        let response = &self.parties.desk.response;
        let unasked = self.from_server.filled().len() > self.receiving.staged_input();
        let reusable =
            response.persistent && self.sent && !self.send_broken && !unasked && !self.parties.worker.stopping();
        let outcome = self.parties.tries.served().judge(response.status);
        if unasked {
            self.keep_client = false;
        }
        self.sent = true;
        let (server, permit) = (self.server.take(), self.permit.as_ref());
        if let (true, Some(conn), Some(permit)) = (reusable, server, permit) {
            let rule = &self.parties.tries.served().rules.keep_alive;
            self.parties.worker.idle.borrow_mut().put(permit.server(), conn, now, rule);
        }
        self.finish(outcome, now);
    }

    fn finish(&mut self, kind: OutcomeKind, now: Time) {
        let total = self.since_pick(now);
        let Some(permit) = self.permit.take() else { return };
        let (sent, received, first_byte) = (self.sending.written, self.received, self.first_byte);
        let excused = kind.is_error() && self.parties.tries.served().excuses(kind, self.parties.desk.response.status);
        permit.finish(Outcome { kind, first_byte, total, sent, received, excused });
    }

    fn since_pick(&self, now: Time) -> Duration {
        self.permit.as_ref().map_or(Duration::ZERO, |permit| now.saturating_since(permit.picked_at()))
    }

    /// Where the client tells the end of the response from the end of the connection only: whether a close is to be a
    /// reset, so that whatever ends us before the response is whole (a broken server, a panic, the end of a stop's
    /// patience), the client never takes the part it has for the whole.
    fn reset_on_close(&self, reset: bool) {
        if self.phase == Phase::Body && self.parties.desk.response_framing == BodyLength::UntilClose {
            // Where this fails the connection is gone already.
            let _ = SockRef::from(&*self.parties.client).set_linger(reset.then_some(Duration::ZERO));
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Result<End, Trouble>> {
        let moved = self.sending.written + self.receiving.written + self.received + self.body_received;
        let seen = (self.waiting_for(), moved);
        let Parties { worker, tries, deadline, client, .. } = &self.parties;
        let watched = Watched { worker, tries, client, permit: self.permit.as_ref() };
        let lost = ready!(self.patience.poll(seen, deadline, &watched, cx));
        Poll::Ready(Err(lost.into()))
    }

    fn waiting_for(&self) -> Waiting {
        match self.phase {
            Phase::Interim => Waiting::Client,
            Phase::Body if !self.receiving.flushed() => Waiting::Client,
            // Whatever the server says meanwhile, it is the client that keeps the request from going on.
            Phase::Head | Phase::Body if !self.sent && self.sending.flushed() => Waiting::Client,
            Phase::Head if self.sent => Waiting::FirstByte,
            Phase::Head | Phase::Body => Waiting::Server,
        }
    }
}

const TOO_LARGE: Reject = Reject { status: 413, reason: "the request body is too large" };

/// Whether a client that is owed an answer has gone. What it sends meanwhile is kept for later, as far as it fits.
pub(crate) fn client_left(client: &mut TcpStream, input: &mut Buffer, cx: &mut Context<'_>) -> bool {
    loop {
        if input.is_full() {
            return false;
        }
        match input.poll_fill(client, cx) {
            Poll::Pending => return false,
            Poll::Ready(Ok(count)) if count > 0 => {}
            Poll::Ready(_) => return true,
        }
    }
}
