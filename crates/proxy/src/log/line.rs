//! A line of the access log, from the format and what was collected of a request.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use plimsoll_config::{LogFormat, LogPiece, LogVariable};
use plimsoll_core::Time;

use super::entry::{Entry, outcome_name};
use super::escape::Escape;
use super::stamp::Stamps;
use crate::http1::decimal;

/// A format, taken apart so that a line is its pieces one after the other.
#[derive(Debug)]
pub(crate) struct Format {
    escape: Escape,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Literal(Box<[u8]>),
    Value(LogVariable),
}

/// A request that is over, and where it came in.
pub(crate) struct Told<'a> {
    pub(crate) entry: &'a Entry,
    pub(crate) listener: &'a str,
    pub(crate) client: Option<SocketAddr>,
    /// When its client had the answer.
    pub(crate) now: Time,
}

/// What a variable stands for.
enum Value<'a> {
    /// Nothing: the request never came so far.
    Absent,
    /// What others sent or named.
    Foreign(&'a [u8]),
    Word(&'static str),
    Number(u64),
    Span(Duration),
}

impl Format {
    pub(crate) fn new(format: &LogFormat) -> Self {
        match format {
            LogFormat::Json => Self { escape: Escape::Json, pieces: object() },
            LogFormat::Text(text) => {
                let mut pieces: Vec<_> = text.iter().map(Piece::from).collect();
                pieces.push(Piece::Literal(Box::from(*b"\n")));
                Self { escape: Escape::Hex, pieces }
            }
        }
    }

    /// Appends the line of a request to `out`, with its line end.
    pub(crate) fn write(&self, out: &mut Vec<u8>, told: &Told<'_>, stamps: &mut Stamps) {
        let quote = self.escape == Escape::Json;
        for piece in &self.pieces {
            let variable = match piece {
                Piece::Literal(text) => {
                    out.extend_from_slice(text);
                    continue;
                }
                Piece::Value(variable) => *variable,
            };
            match variable {
                LogVariable::Time => quoted(out, quote, |out| stamps.rfc3339(out, told.now)),
                LogVariable::TimeLocal => quoted(out, quote, |out| stamps.clf(out, told.now)),
                LogVariable::ClientIp => match told.client {
                    Some(client) => quoted(out, quote, |out| address(out, client.ip())),
                    None => self.value(out, quote, &Value::Word("unix:")),
                },
                LogVariable::Request => quoted(out, quote, |out| self.request(out, told.entry)),
                LogVariable::TraceId => match &told.entry.tracing {
                    Some(tracing) => quoted(out, quote, |out| tracing.write_id(out)),
                    None => self.value(out, quote, &Value::Absent),
                },
                _ => self.value(out, quote, &value(variable, told)),
            }
        }
    }

    fn value(&self, out: &mut Vec<u8>, quote: bool, value: &Value<'_>) {
        match value {
            Value::Absent if self.escape == Escape::Json => out.extend_from_slice(b"null"),
            Value::Absent => out.push(b'-'),
            // Nothing at all between two spaces would move the columns of a line.
            Value::Foreign(b"") if self.escape == Escape::Hex => out.push(b'-'),
            Value::Foreign(bytes) => quoted(out, quote, |out| self.escape.write(out, bytes)),
            Value::Word(word) => quoted(out, quote, |out| out.extend_from_slice(word.as_bytes())),
            Value::Number(number) => decimal(out, *number),
            Value::Span(span) => milliseconds(out, *span),
        }
    }

    /// The request line, or what came in its place.
    fn request(&self, out: &mut Vec<u8>, entry: &Entry) {
        let parts = [entry.method(), entry.target(), entry.protocol().map(str::as_bytes)];
        let mut parts = parts.into_iter().flatten().peekable();
        if parts.peek().is_none() {
            out.push(b'-');
        }
        while let Some(part) = parts.next() {
            self.escape.write(out, part);
            if parts.peek().is_some() {
                out.push(b' ');
            }
        }
    }
}

impl From<&LogPiece> for Piece {
    fn from(piece: &LogPiece) -> Self {
        match piece {
            LogPiece::Literal(text) => Self::Literal(text.as_bytes().into()),
            LogPiece::Variable(variable) => Self::Value(*variable),
        }
    }
}

/// A JSON object in a line of its own.
fn object() -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (place, variable) in LogVariable::JSON.iter().enumerate() {
        let before = if place == 0 { "{" } else { "," };
        pieces.push(Piece::Literal(format!("{before}\"{}\":", variable.name()).into_bytes().into()));
        pieces.push(Piece::Value(*variable));
    }
    pieces.push(Piece::Literal(Box::from(*b"}\n")));
    pieces
}

fn quoted(out: &mut Vec<u8>, quote: bool, write: impl FnOnce(&mut Vec<u8>)) {
    // A push is a store, and a slice of whatever length a call.
    if quote {
        out.push(b'"');
    }
    write(out);
    if quote {
        out.push(b'"');
    }
}

fn value<'a>(variable: LogVariable, told: &Told<'a>) -> Value<'a> {
    let Told { entry, listener, client, now } = told;
    let facts = &entry.facts;
    let tried = facts.tries > 0;
    let foreign = |bytes: Option<&'a [u8]>| bytes.map_or(Value::Absent, Value::Foreign);
    let name = |name: &'a str| if name.is_empty() { Value::Absent } else { Value::Foreign(name.as_bytes()) };
    let span = |span: Option<Duration>| span.map_or(Value::Absent, Value::Span);
    let word = |word: Option<&'static str>| word.map_or(Value::Absent, Value::Word);
    match variable {
        LogVariable::Listener => name(listener),
        LogVariable::ClientPort => match client.map(|client| client.port()) {
            // What a proxy tells of its clients is without ports.
            None | Some(0) => Value::Absent,
            Some(port) => Value::Number(port.into()),
        },
        LogVariable::User => name(&entry.user),
        LogVariable::Method => foreign(entry.method()),
        LogVariable::Target => foreign(entry.target()),
        LogVariable::Protocol => word(entry.protocol()),
        LogVariable::Host => foreign(entry.host()),
        LogVariable::UserAgent => foreign(entry.user_agent()),
        LogVariable::Referer => foreign(entry.referer()),
        LogVariable::Status if entry.is_connection() => Value::Absent,
        LogVariable::Status => Value::Number(facts.status.into()),
        LogVariable::GrpcStatus => facts.grpc_status.map_or(Value::Absent, |status| Value::Number(status.into())),
        LogVariable::BytesIn => Value::Number(facts.head_in + facts.body_in),
        LogVariable::BytesOut => Value::Number(facts.bytes_out),
        LogVariable::BodyBytesOut => Value::Number(facts.bytes_out.saturating_sub(facts.head_out)),
        LogVariable::Route => name(&entry.route),
        LogVariable::Pool => name(&entry.pool),
        LogVariable::Server => name(&entry.server),
        LogVariable::Tries => Value::Number(facts.tries.into()),
        LogVariable::QueueMs => span(tried.then_some(facts.queued)),
        LogVariable::ConnectMs => span(facts.connect),
        LogVariable::FirstByteMs => span(facts.first_byte),
        LogVariable::DurationMs => Value::Span(now.saturating_since(facts.begun)),
        LogVariable::Outcome => word(facts.outcome.map(outcome_name)),
        LogVariable::InFlight if tried => Value::Number(facts.in_flight.into()),
        LogVariable::Reason => entry.reason().map_or(Value::Absent, |reason| Value::Foreign(reason.as_bytes())),
        LogVariable::RequestId if !entry.id.is_empty() => Value::Foreign(&entry.id),
        _ => Value::Absent,
    }
}

fn address(out: &mut Vec<u8>, ip: IpAddr) {
    crate::http1::forwarding::write_address(out, ip.to_canonical());
}

/// Milliseconds with three digits behind the point, so that microseconds are there to be read.
fn milliseconds(out: &mut Vec<u8>, span: Duration) {
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    decimal(out, micros / 1000);
    let rest = micros % 1000;
    let digit = |place: u64| b'0' + (rest / place % 10) as u8;
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}
