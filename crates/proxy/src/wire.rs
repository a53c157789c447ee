//! One end of a conversation: the connection to a client or to a server, whatever it runs over.

use std::future::Future;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection to a client or a server.
#[derive(Debug)]
pub(crate) enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Does the same with whichever socket is at the bottom.
macro_rules! on_socket {
    ($wire:expr, $socket:ident => $work:expr) => {
        match $wire {
            Wire::Tcp($socket) => $work,
            Wire::Unix($socket) => $work,
        }
    };
}

impl Wire {
    /// Ready when a read would give something or an end, as far as the runtime has heard. No memory is needed to wait so.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, socket => socket.poll_read_ready(cx))
    }

    /// Nothing has come, as far as the runtime has heard: neither the end of the connection nor bytes that nobody asked
    /// for. What has come is lost by this.
    pub(crate) fn is_quiet(&self) -> bool {
        // Not `poll_read_ready`: to a task that has used up its turn that says "pending" whatever was heard.
        would_block(&on_socket!(self, socket => socket.try_read(&mut [0])))
    }

    /// The same, as far as the system has heard: a system call.
    pub(crate) fn is_open(&self) -> bool {
        would_block(&on_socket!(self, socket => SockRef::from(socket).peek(&mut [MaybeUninit::uninit()])))
    }

    /// Whether the other side has said that it sends no more, or is gone, though bytes of it are still unread. The runtime
    /// has heard of it already, so this costs no system call.
    pub(crate) fn has_closed(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let ready = on_socket!(self, socket => pin!(socket.ready(Interest::READABLE)).poll(&mut context));
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    /// Looks at what has come without taking it; 0 is the end. Who has been shown something must take some of it before
    /// asking again, or will be shown the same at once.
    pub(crate) fn poll_peek(&self, into: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        on_socket!(self, socket => loop {
            ready!(socket.poll_read_ready(cx))?;
            let peek = || Ok(rustix::net::recv(socket, &mut *into, RecvFlags::PEEK)?.0);
            match socket.try_io(Interest::READABLE, peek) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        })
    }

    /// Takes what has been looked at, as much as `into` holds. Returns how much that was.
    pub(crate) fn take(&self, into: &mut [u8]) -> io::Result<usize> {
        on_socket!(self, socket => socket.try_read(into))
    }

    /// From now on a close resets the connection, so that the other side never takes the part it has for the whole; or no
    /// longer.
    pub(crate) fn reset_on_close(&self, reset: bool) {
        let linger = reset.then_some(Duration::ZERO);
        // Where this fails the connection is gone already.
        let _ = on_socket!(self, socket => SockRef::from(socket).set_linger(linger));
    }

    /// Writes what may be the last bytes before a close. The kernel may hold them back to send them in one segment with
    /// the end of the connection, which saves a packet and wakes the receiver once instead of twice.
    pub(crate) fn poll_write_last(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self::Tcp(to) = self else { return Pin::new(self).poll_write(cx, bytes) };
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

fn would_block(read: &io::Result<usize>) -> bool {
    read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_read(cx, into))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_shutdown(cx))
    }
}
