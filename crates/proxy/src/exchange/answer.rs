//! What the head of a server's answer brings about: another try, an interim response, or the response itself.

use std::task::{Context, Poll, ready};

use plimsoll_core::{OutcomeKind, ServerId, Time};

use super::{Exchange, Parties, Phase};
use crate::compress::Recoding;
use crate::flow::Flow;
use crate::grpc::Status;
use crate::http1::forwarding::ClientFacts;
use crate::http1::framing::BodyLength;
use crate::http1::request::{MethodKind, RequestHead};
use crate::http1::scan::Scan;
use crate::http1::variables::Values;
use crate::http1::write::{self, ResponseRules};
use crate::http1::{Reject, fields};
use crate::http2;
use crate::route::Route;
use crate::sticky;
use crate::trouble::Trouble;
use crate::worker::Desk;

/// Interim responses to one request; a server that sends more is not answering.
const MAX_INTERIM: u8 = 16;

/// The largest head of a response, in bytes: far beyond what servers send, and a bound on what a broken one can make us
/// collect.
const MAX_RESPONSE_HEAD: usize = 64 * 1024;

impl Exchange<'_> {
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
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

    fn lost(&mut self) -> Trouble {
        let stream = self.server.as_mut().and_then(|server| server.wire.as_stream());
        // An HTTP/1 connection that fails a request is gone.
        let own = http2::Failure { gone: true, ..http2::Failure::default() };
        let http2::Failure { refused, gone, unsaid, .. } = stream.map_or(own, |stream| stream.failure());
        if let Some(reject) = unsaid {
            return Trouble::ClientWrong(reject);
        }
        let request = &self.parties.desk.request;
        let reused = self.server.as_ref().is_some_and(|server| server.reused);
        let unseen = refused || (self.received == 0 && request.method_kind.idempotent());
        match gone && reused && unseen && request.body == BodyLength::None {
            true => Trouble::ServerStale,
            false if refused => Trouble::ServerRefused,
            false => self.broken_off(),
        }
    }

    /// What it is when a server ends an answer before it is whole.
    pub(super) fn broken_off(&mut self) -> Trouble {
        let now = self.parties.worker.now();
        let stream = self.server.as_mut().and_then(|server| server.wire.as_stream());
        match stream.and_then(|stream| stream.failure().reset) {
            // A server minds the deadline of a call too, and may be the first to see that it has come.
            Some(_) if self.parties.desk.call.is_some_and(|call| call.is_over(now)) => Trouble::Overdue,
            Some(reason) => Trouble::ServerReset(Status::of_reset(reason)),
            None => Trouble::ServerLost,
        }
    }

    fn take_head(&mut self, length: usize) -> Result<(), Trouble> {
        self.scan = Scan::default();
        let Desk { request, response, call, .. } = &mut *self.parties.desk;
        let (upgrade, status) = (request.upgrade, response.status);
        if let Some(call) = call.as_mut().filter(|_| status >= 200) {
            call.read_head(response, &self.from_server.filled()[..length]);
        }
        match status {
            101 if upgrade => self.begin_response(length),
            101 => Err(Trouble::ServerWrong(Reject::bad("the server switches protocols unasked"))),
            100..=199 => self.begin_interim(length),
            _ if self.another_try() => Err(self.set_aside(length)),
            _ => self.begin_response(length),
        }
    }

    /// Whether the answer is one after which another server is to be tried, and there is one.
    fn another_try(&mut self) -> bool {
        let told = self.told();
        let Parties { tries, desk, worker, .. } = &mut self.parties;
        let Some(permit) = self.permit.as_ref().filter(|_| !told) else { return false };
        let request = (desk.request.method_kind, &desk.replay);
        tries.another_for_answer((permit.server(), desk.answered()), request, worker)
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
            let outcome = self.parties.tries.served().judge(self.parties.desk.answered());
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
            let rules = ResponseRules {
                body: BodyLength::None,
                connection: "",
                hsts: "",
                edits: None,
                recoding: None,
                stick: b"",
                marks: b"",
            };
            write::response(&mut desk.to_client, head, &desk.response, rules);
            let length = desk.to_client.len();
            self.receiving = Flow::new(BodyLength::None, BodyLength::None).to(self.parties.client, length);
            self.receiving.leave_open();
            self.phase = Phase::Interim;
        }
        self.from_server.consume(length);
        Ok(())
    }

    /// Begins the client's answer with the server's, whose head is the first `length` bytes that came.
    fn begin_response(&mut self, length: usize) -> Result<(), Trouble> {
        let now = self.parties.worker.now();
        self.first_byte = Some(self.since_pick(now));
        if self.parties.desk.call.is_none() {
            self.note_answer(now);
        }
        let source = self.source_of_body();
        let recoding = self.recoding(length);
        let compressed = recoding.as_ref().is_some_and(|recoding| recoding.coding.is_some());
        let connection = self.frame_response(compressed);
        self.write_response((length, now), connection, recoding.as_ref());
        let Parties { desk, client, .. } = &mut self.parties;
        let switches = desk.response.status == 101;
        self.receiving = Flow::new(source, desk.response_framing).to(client, desk.to_client.len());
        if switches {
            self.receiving.leave_open();
        }
        if connection == "close" {
            self.receiving.close_after();
        }
        self.from_server.consume(length);
        self.phase = Phase::Body;
        self.reset_on_close(true);
        if let Some(recoding) = recoding.filter(|_| compressed && source != BodyLength::None) {
            return self.begin_press(source, &recoding);
        }
        self.receiving.stage(&mut self.from_server).map_err(Trouble::ServerWrong)?;
        if self.receiving.source_ended() && !switches {
            self.settle(now);
        }
        self.receiving.join_small(&mut self.parties.desk.to_client, &mut self.from_server);
        Ok(())
    }

    /// Where the body of the response ends on its way from the server. A stream tells that itself; what its head says of it is
    /// for the client.
    fn source_of_body(&mut self) -> BodyLength {
        let stream = self.server.as_mut().and_then(|server| server.wire.as_stream());
        let source = stream.as_ref().map(|_| BodyLength::UntilClose);
        let over = stream.is_some_and(|stream| stream.ended());
        let body = &mut self.parties.desk.response.body;
        if over && *body == BodyLength::UntilClose && self.parties.client.is_stream() {
            *body = BodyLength::None;
        }
        if *body == BodyLength::None { BodyLength::None } else { source.unwrap_or(*body) }
    }

    /// Decides how the client sees where the response ends, and whether its connection is good for another request; tells what
    /// `Connection` says of that.
    fn frame_response(&mut self, compressed: bool) -> &'static str {
        let request_read = self.sent && self.request_read();
        let Parties { desk, place, input, .. } = &mut self.parties;
        let Desk { request, response, response_framing, .. } = &mut **desk;
        *response_framing = match response.body {
            BodyLength::Known(_) if compressed => BodyLength::Chunked,
            BodyLength::Chunked | BodyLength::UntilClose if request.minor_version == 0 => BodyLength::UntilClose,
            BodyLength::UntilClose => BodyLength::Chunked,
            other => other,
        };
        self.keep_client = request.persistent
            && request_read
            && *response_framing != BodyLength::UntilClose
            && (!place.closing() || input.holds_earlier());
        match (response.status, self.keep_client, request.minor_version) {
            (101, ..) => "upgrade",
            (_, false, _) => "close",
            (_, true, 0) => "keep-alive",
            (_, true, _) => "",
        }
    }

    /// Writes the head for the client from the first `length` bytes of the server's.
    fn write_response(&mut self, (length, now): (usize, Time), connection: &'static str, recoding: Option<&Recoding>) {
        let Parties { worker, desk, tries, facts, .. } = &mut self.parties;
        let Desk { request, response, response_framing, to_client, stick, marks, entry, head: asked, .. } = &mut **desk;
        let head = &self.from_server.filled()[..length];
        if let Some(name) = tries.service.observe.id_field() {
            // A server that tells the id itself tells the same one.
            response.fields.retain(|field| !fields::same_variable(field.name.slice(head), name.as_bytes()));
        }
        stick.clear();
        if let Some(permit) = &self.permit {
            let answer = sticky::Answer { head, response, tls: facts.scheme() == "https", lines: stick };
            sticky::answered((tries.served(), tries.tie()), permit, answer, (worker.counts.number, now));
        }
        let server = self.permit.as_ref().map(|permit| permit.server().id());
        let edits = tries.route().and_then(|route| {
            route.response_edits.telling(|| values((asked, request), facts, &entry.id, route, server))
        });
        let (body, hsts, marks) = (*response_framing, &*tries.service.hsts, &*marks.to_client);
        let rules = ResponseRules { body, connection, hsts, edits, recoding, stick, marks };
        to_client.clear();
        write::response(to_client, head, response, rules);
        (entry.facts.status, entry.facts.head_out) = (response.status, to_client.len() as u64);
    }

    /// A server on trial has passed it with a good answer, however long the rest takes.
    pub(super) fn note_answer(&mut self, now: Time) {
        let good = self.parties.tries.served().judge(self.parties.desk.answered()) == OutcomeKind::Success;
        if let Some(permit) = self.permit.as_mut().filter(|_| good) {
            permit.answered(now);
        }
    }
}

/// What the edits of a response can tell of: the head that was asked with, who asked, by which id and route, and who answers.
pub(super) fn values<'a>(
    (head, request): (&'a [u8], &'a RequestHead),
    client: &'a ClientFacts,
    id: &'a [u8],
    route: &'a Route,
    server: Option<&'a ServerId>,
) -> Values<'a> {
    let (pool, server) = server.map_or(("", ""), |id| (id.pool(), id.name()));
    Values { head, request, target: &[], client, id, route: &route.name, pool, server }
}
