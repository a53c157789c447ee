//! A connection to a server that requests share, and the part of it that is one request's.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use plimsoll_core::Time;

use crate::clock::Clock;
use crate::tls::to_servers::ServerSide;

/// A connection that requests share.
pub(super) struct Conn {
    pub(super) send: RefCell<SendRequest<Bytes>>,
    pub(super) scheme: &'static str,
    /// The rules of TLS that it was made under.
    pub(super) tls: Option<Arc<ServerSide>>,
    pub(super) most: usize,
    /// Requests on it now.
    pub(super) open: Cell<usize>,
    /// When the last of them ended.
    pub(super) idle_since: Cell<Time>,
    /// How long it is kept then.
    pub(super) keep: Duration,
    pub(super) old_at: Option<Time>,
    pub(super) closed: Cell<bool>,
    pub(super) clock: Clock,
}

impl Conn {
    /// Whether it takes another request at once.
    pub(super) fn has_room(&self, now: Time) -> bool {
        let mut send = self.send.borrow_mut();
        let most = self.most.min(send.current_max_send_streams());
        !self.closed.get()
            && self.open.get() < most
            && self.old_at.is_none_or(|old| now < old)
            && matches!(send.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
    }
}

/// One request's part of a connection.
pub(crate) struct Share {
    conn: Rc<Conn>,
    send: SendRequest<Bytes>,
}

impl Share {
    pub(super) fn new(conn: &Rc<Conn>) -> Self {
        conn.open.set(conn.open.get() + 1);
        let send = conn.send.borrow().clone();
        Self { conn: Rc::clone(conn), send }
    }

    pub(super) fn send(&mut self) -> &mut SendRequest<Bytes> {
        &mut self.send
    }

    pub(super) fn scheme(&self) -> &'static str {
        self.conn.scheme
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.conn.open.set(self.conn.open.get() - 1);
        self.conn.idle_since.set(self.conn.clock.now());
    }
}
