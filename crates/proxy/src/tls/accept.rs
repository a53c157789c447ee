//! Shaking hands with a client.

use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use rustls::{CipherSuite, ProtocolVersion, ServerConnection};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio_rustls::StartHandshake;

use super::certificate;
use super::handshakes::HandshakeFailure;
use super::protocols::HTTP2;
use super::to_clients::ClientSide;
use super::wire::TlsWire;
use crate::peer::TlsFacts;
use crate::wire::Wire;

/// Bytes of a connection that tell whether somebody speaks plain HTTP.
const FIRST: usize = 8;

/// The record for the fatal alert `unrecognized_name` (RFC 6066, section 3), in the clear like every alert before the keys.
pub(crate) const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// How it did not work out.
pub(crate) enum Failed {
    Timeout,
    /// The client has left before it said anything, as those do who only look whether a port is open.
    Silent,
    /// The client may still be there.
    With(Wire, HandshakeFailure),
}

/// Shakes hands with the client at the other end of `wire`, which may have been told when that fails.
pub(crate) async fn shake_hands(mut wire: Wire, side: &ClientSide) -> Result<(Wire, TlsFacts), Failed> {
    let mut first = First::default();
    let accepted = match hello(&mut wire, &mut first).await {
        Ok(accepted) => accepted,
        Err(_) if first.length == 0 => return Err(Failed::Silent),
        Err(_) if first.is_http() => return Err(Failed::With(wire, HandshakeFailure::PlainHttp)),
        Err(None) => return Err(Failed::With(wire, HandshakeFailure::Other)),
        Err(Some((error, mut alert))) => {
            let mut told = Vec::new();
            // Writing to a Vec cannot fail. Whether the client takes it is its own matter.
            let _ = alert.write_all(&mut told);
            let _ = wire.write_all(&told).await;
            return Err(Failed::With(wire, HandshakeFailure::of(&error)));
        }
    };
    if side.refuses(&accepted.client_hello()) {
        let _ = wire.write_all(&UNRECOGNIZED_NAME).await;
        return Err(Failed::With(wire, HandshakeFailure::UnknownName));
    }
    let shaking = StartHandshake::from_parts(accepted, wire).into_stream(Arc::clone(&side.config));
    match shaking.into_fallible().await {
        Ok(stream) => {
            let facts = facts(stream.get_ref().1);
            Ok((Wire::Tls(Box::new(TlsWire::with_client(stream))), facts))
        }
        Err((error, wire)) => {
            let error = error.get_ref().and_then(|inner| inner.downcast_ref());
            Err(Failed::With(wire, error.map_or(HandshakeFailure::Other, HandshakeFailure::of)))
        }
    }
}

/// Waits for the first message of a client; in the error what is to be answered to it, if it has said anything.
async fn hello(wire: &mut Wire, first: &mut First) -> Result<Accepted, Option<(rustls::Error, AcceptedAlert)>> {
    let mut acceptor = Acceptor::default();
    poll_fn(|cx| {
        loop {
            match acceptor.read_tls(&mut Reading { wire, first, cx }) {
                Ok(count) if count > 0 => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                _ => return Poll::Ready(Err(None)),
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => return Poll::Ready(Ok(accepted)),
                Ok(None) => {}
                Err(wrong) => return Poll::Ready(Err(Some(wrong))),
            }
        }
    })
    .await
}

/// The first bytes of a connection.
#[derive(Default)]
struct First {
    bytes: [u8; FIRST],
    length: usize,
}

impl First {
    fn note(&mut self, read: &[u8]) {
        let count = read.len().min(FIRST - self.length);
        self.bytes[self.length..][..count].copy_from_slice(&read[..count]);
        self.length += count;
    }

    /// Whether they begin a request of HTTP: the name of a method, which none of TLS's bytes is like.
    fn is_http(&self) -> bool {
        let bytes = &self.bytes[..self.length];
        let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        method >= "GET".len() && bytes.get(method).is_none_or(|byte| *byte == b' ')
    }
}

/// A connection as rustls reads it.
struct Reading<'a, 'b> {
    wire: &'a mut Wire,
    first: &'a mut First,
    cx: &'a mut Context<'b>,
}

impl Read for Reading<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut into = ReadBuf::new(into);
        match Pin::new(&mut *self.wire).poll_read(self.cx, &mut into) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(read) => {
                read?;
                self.first.note(into.filled());
                Ok(into.filled().len())
            }
        }
    }
}

/// What the handshake told.
fn facts(session: &ServerConnection) -> TlsFacts {
    let client = session.peer_certificates().and_then(<[_]>::first);
    TlsFacts {
        version: session.protocol_version().map_or("", version_name),
        cipher: session.negotiated_cipher_suite().map_or("", |suite| suite_name(suite.suite())),
        server_name: session.server_name().map(str::to_owned),
        http2: session.alpn_protocol() == Some(HTTP2),
        client: client.map(|client| certificate::client(client)),
    }
}

fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "",
    }
}

fn suite_name(suite: CipherSuite) -> &'static str {
    suite.as_str().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_told_from_tls_by_its_first_bytes() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1"[..], true),
            (b"OPTIONS * HTTP/1.1", true),
            (b"PRI * HTTP/2.0", true),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", false),
            (b"SSH-2.0-x", false),
            (b"get / HTTP/1.1", false),
            (b"", false),
        ] {
            let mut first = First::default();
            bytes.chunks(3).for_each(|piece| first.note(piece));
            assert_eq!(first.is_http(), expected, "{bytes:?}");
        }
    }
}
