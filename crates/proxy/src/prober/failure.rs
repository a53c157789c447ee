//! What can be wrong with a server that is probed.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::grpc::Status;
use crate::tls::TlsTrouble;

/// The longest head of an answer, with all interim answers (RFC 9110, section 15.2) before it: what servers accept as a
/// head themselves, and so more than any of them sends.
pub(super) const HEAD_LIMIT: usize = 16 * 1024;

/// Why a probe failed. Its text is what an operator reads.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection within the timeout.
    NoConnection(Duration),
    /// Connected, but hands were not shaken within the timeout.
    NoHandshake(Duration),
    /// Nor will they be.
    Tls(TlsTrouble),
    /// Connected, but nothing came within the timeout.
    NoAnswer(Duration),
    /// Something came, but not all that was needed within the timeout.
    Unfinished(Duration),
    /// The connection could not be made, or broke.
    Broken(io::Error),
    /// The server closed before it had said what was needed.
    Closed(Closed),
    /// What came back in an exchange is not what was expected.
    Unexpected,
    /// Not a head of HTTP/1, or a body that is not framed as its head says.
    NotHttp(&'static str),
    HeadTooLong,
    Status(u16),
    /// A field that must be there is not.
    NoHeader(String),
    /// It is, but its value does not match.
    Header(String),
    Body,
    /// What came back is not HTTP/2, or the connection ended.
    NotHttp2,
    /// The server's name is none that HTTP/2 can ask for.
    NoAuthority,
    /// The server gave the call up.
    Reset(h2::Reason),
    /// The call ended with this status of gRPC, and this message of the server's.
    Call(Status, String),
    /// The server tells this of the service.
    Health(&'static str),
    /// The answer does not tell how the service is.
    NoHealth,
}

impl Failure {
    /// A call that ended with this status and message, of which no more is kept than an operator reads.
    pub(super) fn call(status: Status, message: &[u8]) -> Self {
        let message = String::from_utf8_lossy(message);
        Self::Call(status, message.chars().filter(|c| !c.is_control()).take(LONGEST_MESSAGE).collect())
    }
}

/// In characters.
const LONGEST_MESSAGE: usize = 200;

/// At which point the server closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    BeforeAnswer,
    InHead,
    InBody,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection(timeout) => write!(f, "no connection within {timeout:?}"),
            Self::NoHandshake(timeout) => write!(f, "no TLS handshake within {timeout:?}"),
            Self::Tls(trouble) => write!(f, "{trouble}"),
            Self::NoAnswer(timeout) => write!(f, "no answer within {timeout:?}"),
            Self::Unfinished(timeout) => write!(f, "the answer was not complete within {timeout:?}"),
            Self::Broken(error) => match error.kind() {
                // The kind's own words say the same without the number of the error.
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable => write!(f, "{}", error.kind()),
                _ => write!(f, "{error}"),
            },
            Self::Closed(Closed::BeforeAnswer) => f.write_str("the connection was closed without an answer"),
            Self::Closed(Closed::InHead) => f.write_str("the connection was closed within the head of the answer"),
            Self::Closed(Closed::InBody) => f.write_str("the connection was closed before the end of the body"),
            Self::Unexpected => f.write_str("the answer does not match"),
            Self::NotHttp(reason) => write!(f, "not HTTP: {reason}"),
            Self::HeadTooLong => write!(f, "the head of the answer is longer than {} KiB", HEAD_LIMIT / 1024),
            Self::Status(status) => write!(f, "status {status}"),
            Self::NoHeader(name) => write!(f, "header {name}: missing"),
            Self::Header(name) => write!(f, "header {name}: no match"),
            Self::Body => f.write_str("the body does not match"),
            Self::NotHttp2 => f.write_str("the server does not speak HTTP/2"),
            Self::NoAuthority => f.write_str("the host is none that can be asked for"),
            Self::Reset(reason) => write!(f, "the server gave the call up: {}", reason.description()),
            Self::Call(Status::UNIMPLEMENTED, _) => f.write_str("the server has no health service (UNIMPLEMENTED)"),
            Self::Call(Status::NOT_FOUND, _) => f.write_str("the server does not know this service (NOT_FOUND)"),
            Self::Call(status, message) if message.is_empty() => write!(f, "gRPC status {status}"),
            Self::Call(status, message) => write!(f, "gRPC status {status}: {message}"),
            Self::Health(health) => write!(f, "the service is {health}"),
            Self::NoHealth => f.write_str("the answer does not tell how the service is"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}
