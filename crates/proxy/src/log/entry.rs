//! What is told of one request, collected on its way and written when its client has the answer.

use std::time::Duration;

use plimsoll_core::{OutcomeKind, Permit, Time};

use crate::http1::Span;
use crate::http1::fields::Kind;
use crate::http1::request::RequestHead;
use crate::trace::tracing::Tracing;

/// The longest part of a request that is told of, in bytes, so that a line has a bound whatever a client sends. Targets
/// are longer only when somebody tries something.
const LONGEST: usize = 2048;

/// The protocol of connections that are balanced as a whole.
const TCP: &str = "TCP";

/// What a reason is that names a limit.
const LIMIT: &str = "limit";

/// One request.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// Somebody wants to know. Otherwise what costs more than a store is not collected.
    pub(crate) wanted: bool,
    /// The parts of the request that are told of, one behind the other.
    text: Vec<u8>,
    method: Option<Span>,
    target: Option<Span>,
    host: Option<Span>,
    user_agent: Option<Span>,
    referer: Option<Span>,
    /// As people write it; `None` where what came was no request.
    protocol: Option<&'static str>,
    /// The request's id; empty where there is none.
    pub(crate) id: Vec<u8>,
    /// Who has shown the right password; empty where none was asked for.
    pub(crate) user: String,
    /// The route that it has.
    pub(crate) route: String,
    /// The pool that was asked last.
    pub(crate) pool: String,
    /// The server that was tried last.
    pub(crate) server: String,
    /// The limit of its client that it was too many for, as the log has it; else empty.
    limited: String,
    pub(crate) facts: Facts,
    /// Where the request stands in a trace, if there are traces.
    pub(crate) tracing: Option<Tracing>,
}

/// What of a request is numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) begun: Time,
    /// Since when it has not been on a server.
    waiting_since: Time,
    picked_at: Time,
    pub(crate) tries: u32,
    pub(crate) queued: Duration,
    pub(crate) connect: Option<Duration>,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) outcome: Option<OutcomeKind>,
    /// What the server had in flight at the last pick.
    pub(crate) in_flight: u32,
    /// Why the answer is one of ours.
    pub(crate) reason: Option<&'static str>,
    pub(crate) status: u16,
    /// How a call of gRPC ended.
    pub(crate) grpc_status: Option<u8>,
    pub(crate) head_in: u64,
    pub(crate) body_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) head_out: u64,
}

impl Entry {
    /// Forgets the request before.
    pub(crate) fn clear(&mut self, now: Time) {
        self.text.clear();
        self.id.clear();
        self.user.clear();
        self.route.clear();
        self.pool.clear();
        self.server.clear();
        self.limited.clear();
        (self.method, self.target, self.host, self.user_agent, self.referer) = (None, None, None, None, None);
        self.protocol = None;
        self.tracing = None;
        self.facts = Facts { begun: now, waiting_since: now, picked_at: now, ..Facts::default() };
    }

    /// Takes from `head` what is told of it.
    pub(crate) fn take(&mut self, head: &[u8], request: &RequestHead) {
        self.method = Some(self.keep(request.method.slice(head)));
        self.target = Some(self.keep(request.target.whole.slice(head)));
        self.protocol = Some(request.protocol());
        self.host = request.host.map(|host| self.keep(host.slice(head)));
        for field in &request.fields {
            match field.kind {
                Kind::UserAgent if self.user_agent.is_none() => {
                    self.user_agent = Some(self.keep(field.value.slice(head)));
                }
                Kind::Referer if self.referer.is_none() => self.referer = Some(self.keep(field.value.slice(head))),
                _ => {}
            }
        }
        self.facts.head_in = head.len() as u64;
    }

    /// It is a connection that is balanced as a whole.
    pub(crate) fn take_connection(&mut self) {
        self.protocol = Some(TCP);
    }

    /// Takes the name that a client's TLS handshake asks for.
    pub(crate) fn take_server_name(&mut self, name: &str) {
        if self.wanted {
            self.host = Some(self.keep(name.as_bytes()));
        }
    }

    /// Takes what came in place of a request: its first line, as far as it came.
    pub(crate) fn take_unparsed(&mut self, input: &[u8]) {
        let line = input.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            self.target = Some(self.keep(line));
        }
        self.facts.head_in = input.len() as u64;
    }

    fn keep(&mut self, part: &[u8]) -> Span {
        let start = self.text.len();
        self.text.extend_from_slice(&part[..part.len().min(LONGEST)]);
        Span::of(&self.text, &self.text[start..])
    }

    /// A try begins on the server of `permit`.
    pub(crate) fn picked(&mut self, permit: &Permit) {
        let server = permit.server();
        self.facts.queued += permit.picked_at().saturating_since(self.facts.waiting_since);
        self.facts.picked_at = permit.picked_at();
        self.facts.tries += 1;
        (self.facts.connect, self.facts.first_byte, self.facts.outcome) = (None, None, None);
        self.facts.grpc_status = None;
        if !self.wanted {
            return;
        }
        self.facts.in_flight = server.in_flight();
        self.asks(server.id().pool());
        self.server.clear();
        self.server.push_str(server.id().name());
        if let Some(tracing) = &mut self.tracing {
            tracing.begin_try(permit);
        }
    }

    /// The client is this user.
    pub(crate) fn is_of(&mut self, user: &str) {
        self.user.clear();
        if self.wanted {
            self.user.push_str(user);
        }
    }

    /// The request has this route.
    pub(crate) fn takes(&mut self, route: &str) {
        self.route.clear();
        if self.wanted {
            self.route.push_str(route);
        }
    }

    /// The request is with this pool.
    pub(crate) fn asks(&mut self, pool: &str) {
        self.pool.clear();
        if self.wanted {
            self.pool.push_str(pool);
        }
    }

    /// A connection to the server is at hand.
    pub(crate) fn connected(&mut self, now: Time) {
        self.facts.connect = Some(now.saturating_since(self.facts.picked_at));
    }

    /// The try has ended so; `answer` is when it came after the pick, and its status.
    pub(crate) fn ended(&mut self, kind: OutcomeKind, answer: Option<(Duration, u16)>, now: Time) {
        self.facts.outcome = Some(kind);
        self.facts.first_byte = answer.map(|(first_byte, _)| first_byte);
        self.facts.waiting_since = now;
        if let Some(tracing) = &mut self.tracing {
            tracing.end_try(kind, answer.map(|(_, status)| status), now);
        }
    }

    /// The client has left, or was given up.
    pub(crate) fn left(&mut self) {
        self.facts.outcome = Some(OutcomeKind::Aborted);
    }

    /// The answer is one of ours, for this reason.
    pub(crate) fn answered(&mut self, reason: &'static str) -> &mut Facts {
        self.facts.reason = Some(reason);
        &mut self.facts
    }

    /// Its client has reached this limit.
    pub(crate) fn limited(&mut self, limit: &str) {
        self.answered(LIMIT);
        if self.wanted {
            self.limited.push_str(LIMIT);
            self.limited.push(' ');
            self.limited.push_str(limit);
        }
    }

    /// Why the answer is one of ours.
    pub(crate) fn reason(&self) -> Option<&str> {
        if self.limited.is_empty() { self.facts.reason } else { Some(&self.limited) }
    }

    /// A server, or we, have failed the request.
    pub(crate) fn failed(&self) -> bool {
        let refused = self.facts.status >= 500 || (self.is_connection() && self.facts.reason.is_some());
        refused || self.facts.outcome.is_some_and(OutcomeKind::is_error)
    }

    fn part(&self, span: Option<Span>) -> Option<&[u8]> {
        span.map(|span| span.slice(&self.text))
    }

    pub(crate) fn method(&self) -> Option<&[u8]> {
        self.part(self.method)
    }

    /// The target, or the first line of what was no request.
    pub(crate) fn target(&self) -> Option<&[u8]> {
        self.part(self.target)
    }

    pub(crate) fn host(&self) -> Option<&[u8]> {
        self.part(self.host)
    }

    pub(crate) fn user_agent(&self) -> Option<&[u8]> {
        self.part(self.user_agent)
    }

    pub(crate) fn referer(&self) -> Option<&[u8]> {
        self.part(self.referer)
    }

    pub(crate) fn protocol(&self) -> Option<&'static str> {
        self.protocol
    }

    /// It is a connection that is balanced as a whole, so there is no status.
    pub(crate) fn is_connection(&self) -> bool {
        self.protocol == Some(TCP)
    }
}

/// A word for an outcome.
pub(crate) fn outcome_name(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Success => "success",
        OutcomeKind::Rejected => "rejected",
        OutcomeKind::Failed => "failed",
        OutcomeKind::ConnectFailed => "connect-failed",
        OutcomeKind::TimedOut => "timed-out",
        OutcomeKind::Aborted => "aborted",
    }
}
