//! One end of a conversation: the connection to a client or to a server, whatever it runs over.

use std::future::Future;
use std::io::{self, IoSlice, Read};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::http2::stream::Stream;
use crate::tls::to_servers::ServerSide;
use crate::tls::wire::TlsWire;

/// A connection to a client or a server.
///
/// What is written to one may stay behind in it until it is flushed.
#[derive(Debug)]
pub(crate) enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsWire>),
    /// A stream of a connection that is shared by many.
    Http2(Box<Stream>),
}

/// Does the same whatever it runs over.
macro_rules! on_any {
    ($wire:expr, $stream:ident => $work:expr) => {
        match $wire {
            Wire::Tcp($stream) => $work,
            Wire::Unix($stream) => $work,
            Wire::Tls($stream) => $work,
            Wire::Http2($stream) => $work,
        }
    };
}

/// Does the same with whichever socket is at the bottom; what TLS runs over does `below`, and a stream, which has none of its
/// own, comes to `otherwise`.
macro_rules! on_socket {
    ($wire:expr, $socket:ident => $work:expr, $below:ident => $instead:expr, $otherwise:expr) => {
        match $wire {
            Wire::Tcp($socket) => $work,
            Wire::Unix($socket) => $work,
            Wire::Tls(tls) => {
                let $below = tls.socket();
                $instead
            }
            Wire::Http2(_) => $otherwise,
        }
    };
}

impl Wire {
    /// The stream of HTTP/2 that it is, if it is one.
    pub(crate) fn as_stream(&mut self) -> Option<&mut Stream> {
        match self {
            Self::Http2(stream) => Some(stream),
            _ => None,
        }
    }

    /// Whether it is a stream of HTTP/2.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// `http` or `https`: what requests on it are said to be.
    pub(crate) fn scheme(&self) -> &'static str {
        if matches!(self, Self::Tls(_)) { "https" } else { "http" }
    }

    /// Ready when a read would give something or an end, as far as the runtime has heard. No memory is needed to wait so.
    pub(crate) fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_any!(self, stream => stream.poll_read_ready(cx))
    }

    /// The rules of TLS that it was made under with a server; `None` is a connection without.
    pub(crate) fn server_side(&self) -> Option<&Arc<ServerSide>> {
        match self {
            Self::Tls(tls) => tls.server_side(),
            Self::Tcp(_) | Self::Unix(_) | Self::Http2(_) => None,
        }
    }

    /// Nothing has come, as far as the runtime has heard: neither the end of the connection nor bytes that nobody asked
    /// for. What has come is lost by this.
    pub(crate) fn is_quiet(&mut self) -> bool {
        match self {
            Self::Tls(tls) => tls.is_quiet(Self::try_read),
            Self::Http2(_) => true,
            socket => would_block(&socket.try_read(&mut [0])),
        }
    }

    /// The same, as far as the system has heard: a system call.
    pub(crate) fn is_open(&mut self) -> bool {
        match self {
            Self::Tls(tls) => tls.is_quiet(Self::read_now),
            Self::Http2(_) => true,
            socket => would_block(&socket.read_now(&mut [0])),
        }
    }

    /// Reads what the runtime has heard of from the socket at the bottom.
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        // Not `poll_read_ready`: to a task that has used up its turn that says "pending" whatever was heard.
        on_socket!(self, socket => socket.try_read(into), below => below.try_read(into), Err(no_socket()))
    }

    /// Reads what the system has from the socket at the bottom.
    fn read_now(&self, into: &mut [u8]) -> io::Result<usize> {
        on_socket!(self, socket => (&*SockRef::from(socket)).read(into), below => below.read_now(into), Err(no_socket()))
    }

    /// Writes to the socket at the bottom what it takes at once.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        on_socket!(self, socket => socket.try_write(bytes), below => below.try_write(bytes), Err(no_socket()))
    }

    /// Whether the other side has said that it sends no more, or is gone, though bytes of it are still unread. The runtime
    /// has heard of it already, so this costs no system call.
    pub(crate) fn has_closed(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let closed = |ready| matches!(ready, Poll::Ready(Ok(ready)) if tokio::io::Ready::is_read_closed(ready));
        on_socket!(
            self,
            socket => closed(pin!(socket.ready(Interest::READABLE)).poll(&mut context)),
            below => below.has_closed(),
            false
        )
    }

    /// Looks at what has come without taking it; 0 is the end. Who has been shown something must take some of it before
    /// asking again, or will be shown the same at once.
    pub(crate) fn poll_peek(&self, into: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        on_socket!(
            self,
            socket => loop {
                ready!(socket.poll_read_ready(cx))?;
                let peek = || Ok(rustix::net::recv(socket, &mut *into, RecvFlags::PEEK)?.0);
                match socket.try_io(Interest::READABLE, peek) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            },
            _below => Poll::Ready(Err(no_socket())),
            Poll::Ready(Err(no_socket()))
        )
    }

    /// Takes what has been looked at, as much as `into` holds. Returns how much that was.
    pub(crate) fn take(&self, into: &mut [u8]) -> io::Result<usize> {
        on_socket!(self, socket => socket.try_read(into), _below => Err(no_socket()), Err(no_socket()))
    }

    /// From now on a close resets the connection, so that the other side never takes the part it has for the whole; or no
    /// longer.
    pub(crate) fn reset_on_close(&self, reset: bool) {
        if let Self::Tls(tls) = self {
            tls.cut_on_close(reset);
        }
        let linger = reset.then_some(Duration::ZERO);
        // Where this fails the connection is gone already.
        on_socket!(
            self,
            socket => drop(SockRef::from(socket).set_linger(linger)),
            below => below.reset_on_close(reset),
            ()
        );
    }

    /// Acknowledges what has come now rather than with the next bytes we send: a client may hold back what it has to say
    /// until then (RFC 896), and would wait for as long as the system likes to wait for bytes of ours, 40 ms.
    pub(crate) fn acknowledge(&self) {
        let now = |socket: &TcpStream| rustix::net::sockopt::set_tcp_quickack(socket, true);
        // Where this fails the client waits.
        let _ = match self {
            Self::Tcp(socket) => now(socket),
            Self::Tls(tls) => return tls.socket().acknowledge(),
            Self::Unix(_) | Self::Http2(_) => return,
        };
    }

    /// Writes what may be the last bytes before a close. The kernel may hold them back to send them in one segment with
    /// the end of the connection, which saves a packet and wakes the receiver once instead of twice.
    pub(crate) fn poll_write_last(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let to = match self {
            Self::Tcp(to) => to,
            Self::Unix(_) | Self::Http2(_) => return Pin::new(self).poll_write(cx, bytes),
            Self::Tls(to) => return to.poll_write_last(bytes, cx),
        };
        loop {
            ready!(to.poll_write_ready(cx))?;
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
            match to.try_io(Interest::WRITABLE, || Ok(rustix::net::send(&*to, bytes, flags)?)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

fn no_socket() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

fn would_block(read: &io::Result<usize>) -> bool {
    read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_any!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, into))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_any!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_any!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_any!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_any!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
