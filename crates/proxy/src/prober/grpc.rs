//! The standard health check of gRPC (grpc.health.v1), asked over HTTP/2.
//!
//! Question and answer are one field of protobuf each, so they are written and read here by hand.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Request, Version};

use super::failure::{Failure, HEAD_LIMIT};
use crate::grpc::Status;
use crate::wire::Wire;

/// The longest answer that is read: what there is to say takes two bytes behind the five in front of it.
const LIMIT: usize = 1024;

/// What stands in front of a message: whether it is compressed, and its length in four bytes.
const PREFIX: usize = 5;

/// How the server says that the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Serving,
    NotServing,
    ServiceUnknown,
    Unknown,
}

/// Asks the server at the other end of `wire`, as `host`, how `service` is; passes when it serves.
pub(super) async fn check(wire: Wire, service: &str, host: &str) -> Result<(), Failure> {
    let question = Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(format!("{}://{host}/grpc.health.v1.Health/Check", wire.scheme()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "plimsoll-probe")
        .body(());
    let question = question.map_err(|_| Failure::NoAuthority)?;
    let mut builder = client::Builder::new();
    builder.enable_push(false).max_header_list_size(HEAD_LIMIT as u32);
    let (send, connection) = builder.handshake::<_, Bytes>(wire).await.map_err(broken)?;
    let (mut asking, mut connection) = (pin!(ask(send, question, message(service))), pin!(connection));
    let mut over = false;
    poll_fn(|cx| {
        // What has come before the connection ended counts.
        over = over || connection.as_mut().poll(cx).is_ready();
        match asking.as_mut().poll(cx) {
            Poll::Pending if over => Poll::Ready(Err(Failure::NotHttp2)),
            polled => polled,
        }
    })
    .await
}

async fn ask(mut send: SendRequest<Bytes>, question: Request<()>, message: Bytes) -> Result<(), Failure> {
    let (response, mut body) = send.send_request(question, false).map_err(broken)?;
    body.send_data(message, true).map_err(broken)?;
    let response = response.await.map_err(broken)?;
    if response.status() != 200 {
        return Err(Failure::Status(response.status().as_u16()));
    }
    // An answer without a message tells in its head how it ended.
    if let Some(status) = failed(response.headers()) {
        return Err(status);
    }
    let mut body = response.into_body();
    let answer = read(&mut body).await?;
    let trailers = body.trailers().await.map_err(broken)?.ok_or(Failure::NoHealth)?;
    if let Some(status) = failed(&trailers) {
        return Err(status);
    }
    match health(&answer).ok_or(Failure::NoHealth)? {
        Health::Serving => Ok(()),
        Health::NotServing => Err(Failure::Health("NOT_SERVING")),
        Health::ServiceUnknown => Err(Failure::Health("SERVICE_UNKNOWN")),
        Health::Unknown => Err(Failure::Health("UNKNOWN")),
    }
}

async fn read(body: &mut RecvStream) -> Result<Vec<u8>, Failure> {
    let mut answer = Vec::new();
    while let Some(data) = body.data().await {
        answer.extend_from_slice(&data.map_err(broken)?);
        if answer.len() > LIMIT {
            return Err(Failure::NoHealth);
        }
    }
    Ok(answer)
}

/// How a call failed, if these fields tell that it did.
fn failed(fields: &HeaderMap) -> Option<Failure> {
    let status = Status::read(fields.get("grpc-status")?.as_bytes());
    let message = fields.get("grpc-message").map_or(&b""[..], http::HeaderValue::as_bytes);
    (status != Status::OK).then(|| Failure::call(status, message))
}

fn broken(error: h2::Error) -> Failure {
    match error.reason() {
        _ if error.is_io() => error.into_io().map_or(Failure::NotHttp2, Failure::Broken),
        Some(reason) if error.is_reset() && error.is_remote() => Failure::Reset(reason),
        Some(Reason::NO_ERROR) => Failure::Closed(super::failure::Closed::BeforeAnswer),
        _ => Failure::NotHttp2,
    }
}

/// `HealthCheckRequest { service }` with its prefix.
fn message(service: &str) -> Bytes {
    /// Field 1, as a length and so many bytes.
    const SERVICE: u8 = 0x0A;
    let mut field = Vec::new();
    if !service.is_empty() {
        field.push(SERVICE);
        let mut length = service.len();
        while length > 0x7F {
            field.push(length as u8 | 0x80);
            length >>= 7;
        }
        field.push(length as u8);
        field.extend_from_slice(service.as_bytes());
    }
    let mut message = vec![0];
    message.extend_from_slice(&(field.len() as u32).to_be_bytes());
    message.extend_from_slice(&field);
    message.into()
}

/// What `HealthCheckResponse { status }` with its prefix says; `None` where it is something else.
fn health(answer: &[u8]) -> Option<Health> {
    let (prefix, mut fields) = answer.split_at_checked(PREFIX)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    if prefix[0] != 0 || length as usize != fields.len() {
        return None;
    }
    // Left out, a number is 0; given more than once, the last counts.
    let mut status = 0;
    while !fields.is_empty() {
        let key = varint(&mut fields)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = varint(&mut fields)?,
            (1 | 0, _) => return None,
            (_, 0) => drop(varint(&mut fields)?),
            (_, 1) => fields = fields.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut fields)?).ok()?;
                fields = fields.get(length..)?;
            }
            (_, 5) => fields = fields.get(4..)?,
            _ => return None,
        }
    }
    Some(match status {
        1 => Health::Serving,
        2 => Health::NotServing,
        3 => Health::ServiceUnknown,
        _ => Health::Unknown,
    })
}

/// A number of protobuf at the front of `bytes`: seven bits in each byte, the low ones first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_names_the_service() {
        assert_eq!(&message("")[..], b"\0\0\0\0\0");
        assert_eq!(&message("a.B")[..], b"\0\0\0\0\x05\x0A\x03a.B");
        let long = message(&"x".repeat(200));
        assert_eq!((&long[..8], long.len()), (&b"\0\0\0\0\xCB\x0A\xC8\x01"[..], 208));
    }

    #[test]
    fn the_answer_is_one_number_among_what_else_there_may_be() {
        for (answer, expected) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], Some(Health::Serving)),
            (b"\0\0\0\0\x02\x08\x02", Some(Health::NotServing)),
            (b"\0\0\0\0\x02\x08\x03", Some(Health::ServiceUnknown)),
            (b"\0\0\0\0\0", Some(Health::Unknown)),
            (b"\0\0\0\0\x02\x08\x09", Some(Health::Unknown)),
            (b"\0\0\0\0\x0D\x12\x03abc\x18\x80\x01\x25abcd\x08\x01", None),
            (b"\0\0\0\0\x0F\x12\x03abc\x18\x80\x01\x25abcd\x08\x01", Some(Health::Serving)),
            (b"\0\0\0\0\x0B\x11abcdefgh\x08\x01", Some(Health::Serving)),
        ] {
            assert_eq!(health(answer), expected, "{answer:?}");
        }
        for broken in [
            &b""[..],
            b"\0\0\0\0",
            b"\0\0\0\0\x03\x08\x01",
            b"\x01\0\0\0\x02\x08\x01",
            b"\0\0\0\0\x02\x0A\x01",
            b"\0\0\0\0\x01\x08",
            b"\0\0\0\0\x03\x12\x7Fx",
            b"\0\0\0\0\x0B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
        ] {
            assert_eq!(health(broken), None, "{broken:?}");
        }
    }
}
