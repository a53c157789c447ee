//! gRPC over HTTP/2: which requests are calls, how long they may take, and how they ended.
//!
//! A call is an exchange like any other, with three differences: it ends with a `status` of gRPC, in the trailers or, where
//! the answer is nothing else, in its head; its client may tell a `timeout`, which goes on to the server less what has
//! passed of it; and quiet is no fault of anybody's, as a stream may have nothing to say for long.

use plimsoll_core::Time;

use crate::http1::fields::Field;
use crate::http1::request::RequestHead;
use crate::http1::response::ResponseHead;
use crate::http1::{Reject, Span};

pub(crate) mod status;
mod timeout;

pub(crate) use status::Status;
use timeout::{LITTLE, Timeout};

/// What ends a call whose deadline has come.
pub(crate) const OVERDUE: Reject = Reject { status: 504, reason: "the deadline that the client set has come" };

/// A request that is a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    begun: Time,
    timeout: Option<Timeout>,
    /// How it ends, as far as that is known.
    pub(crate) status: Option<Status>,
}

/// How a server answered: the status of HTTP, and that of the call if the request is one and it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) http: u16,
    pub(crate) call: Option<Status>,
}

/// Notes in `call` whether `request`, whose head is `head` and came at `now`, is a call. What it tells of its timeout is taken
/// out of its fields, as that is written anew for each try.
pub(crate) fn begin(call: &mut Option<Call>, request: &mut RequestHead, head: &[u8], now: Time) -> Result<(), Reject> {
    *call = None;
    if !is_call(request, head) {
        return Ok(());
    }
    // Noted before anything is refused, since the refusal is told as gRPC tells it.
    let call = call.insert(Call { begun: now, timeout: None, status: None });
    call.timeout = take_timeout(&mut request.fields, head)?;
    Ok(())
}

fn is_call(request: &RequestHead, head: &[u8]) -> bool {
    const TYPE: &[u8] = b"application/grpc";
    if !request.http2 {
        return false;
    }
    let value = value(&request.fields, head, b"content-type");
    let behind = value.and_then(|value| value.split_at_checked(TYPE.len()));
    behind.is_some_and(|(word, behind)| {
        word.eq_ignore_ascii_case(TYPE) && matches!(behind.first(), None | Some(b'+' | b';'))
    })
}

/// The value of the first field of this name.
fn value<'a>(fields: &[Field], head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let named = |field: &&Field| field.name.slice(head).eq_ignore_ascii_case(name);
    fields.iter().find(named).map(|field| field.value.slice(head))
}

fn take_timeout(fields: &mut Vec<Field>, head: &[u8]) -> Result<Option<Timeout>, Reject> {
    let mut values = Vec::new();
    fields.retain(|field| {
        let other = field.name.slice(head) != b"grpc-timeout";
        if !other {
            values.push(field.value);
        }
        other
    });
    match values[..] {
        [] => Ok(None),
        [value] => read_timeout(value, head).map(Some),
        _ => Err(Reject::bad("grpc-timeout is given twice")),
    }
}

fn read_timeout(value: Span, head: &[u8]) -> Result<Timeout, Reject> {
    Timeout::parse(value.slice(head)).ok_or(Reject::bad("grpc-timeout is not up to eight digits and a unit"))
}

impl Call {
    /// When it ends for its client, if it told.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.timeout.map(|timeout| self.begun + timeout.span())
    }

    /// Its deadline has come, or comes before anything else can.
    pub(crate) fn is_over(&self, now: Time) -> bool {
        self.deadline().is_some_and(|deadline| now + LITTLE >= deadline)
    }

    /// Writes what is left of the timeout into `head`, in front of the empty line at its end.
    pub(crate) fn write_timeout(&self, head: &mut Vec<u8>, now: Time) {
        const EMPTY_LINE: &[u8] = b"\r\n";
        let Some(timeout) = self.timeout else { return };
        head.truncate(head.len() - EMPTY_LINE.len());
        head.extend_from_slice(b"grpc-timeout: ");
        timeout.less(now.saturating_since(self.begun)).write(head);
        head.extend_from_slice(b"\r\n\r\n");
    }

    /// Takes from the head of an answer how the call ends, where it says so. One that is no answer of gRPC's says it too.
    pub(crate) fn read_head(&mut self, response: &ResponseHead, head: &[u8]) {
        let told = value(&response.fields, head, b"grpc-status").map(Status::read);
        self.status = told.or_else(|| (response.status != 200).then(|| Status::of_http(response.status)));
    }

    /// The same from trailers, which end in an empty line.
    pub(crate) fn read_trailers(&mut self, trailers: &[u8]) {
        self.status = Status::among(trailers).or(self.status);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http1::request::HeadRules;

    fn begun(fields: &str, http2: bool) -> (RequestHead, Option<Call>, Result<(), Reject>) {
        let head = format!("POST /a.B/C HTTP/1.1\r\nhost: a\r\n{fields}content-length: 0\r\n\r\n");
        let (mut request, mut call) = (RequestHead::default(), None);
        request.parse(head.as_bytes(), HeadRules { max_target: 100, bare_lf: false }).unwrap();
        request.http2 = http2;
        let result = begin(&mut call, &mut request, head.as_bytes(), Time::ZERO);
        (request, call, result)
    }

    #[test]
    fn a_call_is_what_says_so_and_comes_by_http_2() {
        for (kind, is_call) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC; a=b", true),
            ("application/grpc-web", false),
            ("application/grp", false),
            ("text/plain", false),
        ] {
            let field = format!("content-type: {kind}\r\n");
            assert_eq!(begun(&field, true).1.is_some(), is_call, "{kind}");
            assert!(begun(&field, false).1.is_none(), "{kind} by HTTP/1");
        }
    }

    #[test]
    fn a_timeout_is_taken_out_and_written_anew() {
        let (request, call, result) = begun("content-type: application/grpc\r\ngrpc-timeout: 2S\r\n", true);
        assert_eq!((result, request.fields.len()), (Ok(()), 3));
        let call = call.unwrap();
        assert_eq!(call.deadline(), Some(Time::ZERO + Duration::from_secs(2)));
        let mut head = b"POST / HTTP/1.1\r\n\r\n".to_vec();
        call.write_timeout(&mut head, Time::ZERO + Duration::from_millis(500));
        assert_eq!(head, b"POST / HTTP/1.1\r\ngrpc-timeout: 1500000u\r\n\r\n");
        assert!(!call.is_over(Time::ZERO + Duration::from_millis(1998)));
        assert!(call.is_over(Time::ZERO + Duration::from_secs(2)));
    }

    #[test]
    fn a_timeout_in_doubt_is_refused_as_a_call_is() {
        for wrong in ["grpc-timeout: 2\r\n", "grpc-timeout: 1S\r\ngrpc-timeout: 1S\r\n"] {
            let (_, call, result) = begun(&format!("content-type: application/grpc\r\n{wrong}"), true);
            assert_eq!((call.is_some(), result.unwrap_err().status), (true, 400), "{wrong}");
        }
    }

    #[test]
    fn how_a_call_ended_is_read_from_the_head_or_the_trailers() {
        let read = |head: &str, trailers: &str| {
            let mut response = ResponseHead::default();
            response.parse(head.as_bytes(), false).unwrap();
            let mut call = Call { begun: Time::ZERO, timeout: None, status: None };
            call.read_head(&response, head.as_bytes());
            call.read_trailers(trailers.as_bytes());
            call.status
        };
        let ok = "HTTP/1.1 200 \r\ncontent-type: application/grpc\r\n\r\n";
        assert_eq!(read(ok, "grpc-status: 0\r\ngrpc-message: x\r\n\r\n"), Some(Status::OK));
        assert_eq!(read(ok, ""), None);
        assert_eq!(read("HTTP/1.1 200 \r\ngrpc-status: 14\r\n\r\n", ""), Some(Status::UNAVAILABLE));
        assert_eq!(read("HTTP/1.1 503 \r\n\r\n", ""), Some(Status::UNAVAILABLE));
    }
}
