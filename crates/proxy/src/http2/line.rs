//! A connection under HTTP/2 as the library reads and writes it, and what holds for those of clients and to servers alike.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::Reason;
use plimsoll_core::Time;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::guard::Guard;
use crate::wire::Wire;
use crate::worker::Worker;

/// The largest frame that we take: what everybody sends by default, and little to hold for each connection.
pub(super) const FRAME: u32 = 16 * 1024;

/// What a stream may have waiting in our memory for its way out, in bytes.
pub(super) const SEND_BUFFER: usize = 256 * 1024;

/// A connection under HTTP/2: what was read of it already comes first, and all that comes is counted.
pub(crate) struct Line {
    /// Shared with who sees it out once the library is done with it.
    pub(super) wire: Rc<RefCell<Wire>>,
    read: Vec<u8>,
    pub(super) come: Rc<Cell<u64>>,
    /// Of clients.
    guard: Option<Guard>,
    /// What is wrong with a frame that came: no more is read then.
    pub(super) wrong: Rc<Cell<Option<Reason>>>,
}

impl Line {
    pub(super) fn new(wire: Wire, read: Vec<u8>) -> Self {
        Self { wire: Rc::new(RefCell::new(wire)), read, come: Rc::default(), guard: None, wrong: Rc::default() }
    }

    /// The same with an eye on the frames that come.
    pub(super) fn guarded(self) -> Self {
        Self { guard: Some(Guard::new()), ..self }
    }

    /// Takes back what has come into `into` behind the first `before` bytes from a frame on that is wrong.
    fn look(&mut self, into: &mut ReadBuf<'_>, before: usize) {
        let Some(guard) = &mut self.guard else { return };
        if let Err((right, reason)) = guard.look(&into.filled()[before..]) {
            into.set_filled(before + right);
            self.wrong.set(Some(reason));
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.wrong.get().is_some() {
            return Poll::Pending;
        }
        let before = into.filled().len();
        let polled = if this.read.is_empty() {
            Pin::new(&mut *this.wire.borrow_mut()).poll_read(cx, into)
        } else {
            let count = this.read.len().min(into.remaining());
            into.put_slice(&this.read[..count]);
            this.read.drain(..count);
            if this.read.is_empty() {
                this.read = Vec::new();
            }
            Poll::Ready(Ok(()))
        };
        let come = into.filled().len() - before;
        this.come.set(this.come.get() + come as u64);
        this.look(into, before);
        // Nothing where something came would be the end of the connection.
        if come > 0 && into.filled().len() == before { Poll::Pending } else { polled }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().wire.borrow_mut()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().wire.borrow_mut()).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().wire.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().wire.borrow_mut()).poll_shutdown(cx)
    }
}

/// The end of a connection's life of about `max_age`, a tenth more or less, so that those that were opened together do not
/// all come back together.
pub(super) fn end_of_life(max_age: Option<Duration>, worker: &Worker, now: Time) -> Option<Time> {
    let age = max_age?;
    let tenths = (worker.random() % 201) as f64 / 1000.0 + 0.9;
    Some(now + age.mul_f64(tenths))
}
