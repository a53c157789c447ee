//! A connection that speaks TLS, once both sides have shaken hands.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::{CommonState, ConnectionCommon, SideData};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::protocols::HTTP2;
use super::to_servers::ServerSide;
use crate::wire::Wire;

/// Records without data that an idle connection may bring at one look: new session tickets come two at a time.
const MOST_UNASKED: usize = 16;

/// One end of a TLS connection.
pub(crate) struct TlsWire {
    /// Never runs over another TLS connection.
    stream: TlsStream<Wire>,
    /// The rules it was made under, if the other end is a server.
    with_server: Option<Arc<ServerSide>>,
    /// The other side must not take the end of the connection for a proper one.
    cut: Cell<bool>,
}

impl std::fmt::Debug for TlsWire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsWire").field("over", self.socket()).finish_non_exhaustive()
    }
}

impl TlsWire {
    /// With a client.
    pub(super) fn with_client(stream: tokio_rustls::server::TlsStream<Wire>) -> Self {
        Self { stream: stream.into(), with_server: None, cut: Cell::new(false) }
    }

    /// With a server, under the rules of `side`.
    pub(super) fn with_server(stream: tokio_rustls::client::TlsStream<Wire>, side: Arc<ServerSide>) -> Self {
        Self { stream: stream.into(), with_server: Some(side), cut: Cell::new(false) }
    }

    /// What carries it.
    pub(crate) fn socket(&self) -> &Wire {
        self.stream.get_ref().0
    }

    /// The rules it was made under, if the other end is a server.
    pub(crate) fn server_side(&self) -> Option<&Arc<ServerSide>> {
        self.with_server.as_ref()
    }

    /// Both sides have agreed on HTTP/2.
    pub(super) fn speaks_http2(&self) -> bool {
        self.session().alpn_protocol() == Some(HTTP2)
    }

    fn session(&self) -> &CommonState {
        self.stream.get_ref().1
    }

    /// What has been decrypted and not been read counts, and so does the end that the other side has announced.
    pub(crate) fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.session().wants_read() {
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            TlsStream::Client(stream) => stream.get_mut().0.poll_read_ready(cx),
            TlsStream::Server(stream) => stream.get_mut().0.poll_read_ready(cx),
        }
    }

    /// Nothing that is meant for us has come by `read`, which never waits. What TLS sends for itself does not count, and is
    /// taken in: a server gives out session tickets when it likes.
    pub(crate) fn is_quiet(&mut self, read: impl FnMut(&Wire, &mut [u8]) -> io::Result<usize>) -> bool {
        match &mut self.stream {
            TlsStream::Client(stream) => {
                let (socket, session) = stream.get_mut();
                brings_nothing(session, Raw { socket, work: read })
            }
            TlsStream::Server(stream) => {
                let (socket, session) = stream.get_mut();
                brings_nothing(session, Raw { socket, work: read })
            }
        }
    }

    /// From now on a close is no proper end, or is one again.
    pub(crate) fn cut_on_close(&self, cut: bool) {
        self.cut.set(cut);
    }

    /// Writes what may be the last bytes before a close, and with them says that it is the end.
    pub(crate) fn poll_write_last(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let TlsStream::Server(stream) = &mut self.stream else { return Pin::new(self).poll_write(cx, bytes) };
            let session = stream.get_mut().1;
            let written = session.writer().write(bytes)?;
            if written == bytes.len() && !self.cut.get() {
                session.send_close_notify();
            }
            if written > 0 {
                return Poll::Ready(Ok(written));
            }
            // Full of what was written before.
            ready!(Pin::new(stream).poll_flush(cx))?;
        }
    }
}

/// Whether no data, no end and no error comes out of what `from` has.
fn brings_nothing<S: SideData>(session: &mut ConnectionCommon<S>, mut from: impl Read) -> bool {
    for _ in 0..MOST_UNASKED {
        if !session.wants_read() {
            return false;
        }
        match session.read_tls(&mut from) {
            Ok(count) if count > 0 && session.process_new_packets().is_ok() => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            Ok(_) => return false,
        }
    }
    false
}

/// A socket worked on without waiting.
struct Raw<'a, W> {
    socket: &'a Wire,
    work: W,
}

impl<W: FnMut(&Wire, &mut [u8]) -> io::Result<usize>> Read for Raw<'_, W> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (self.work)(self.socket, into)
    }
}

/// A socket written to without waiting.
struct Now<'a>(&'a Wire);

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for TlsWire {
    /// Says that this is the end, if that is so and can be said at once: whoever is told can tell it from an attack.
    fn drop(&mut self) {
        if self.cut.get() {
            return;
        }
        // Where it fails the other side is gone, or takes nothing any more.
        let _ = match &mut self.stream {
            TlsStream::Client(stream) => {
                let (socket, session) = stream.get_mut();
                session.send_close_notify();
                session.write_tls(&mut Now(socket))
            }
            TlsStream::Server(stream) => {
                let (socket, session) = stream.get_mut();
                session.send_close_notify();
                session.write_tls(&mut Now(socket))
            }
        };
    }
}

impl AsyncRead for TlsWire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, into)
    }
}

impl AsyncWrite for TlsWire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
