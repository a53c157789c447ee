//! The connections to servers that the requests of a worker share.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_core::{Server, Time};
use tokio::sync::Notify;

use super::share::{Conn, Share};
use super::stream::Stream;
use crate::tls::to_servers::ServerSide;

/// A worker's connections, by the serial of their server.
#[derive(Default)]
pub(crate) struct SharedConns {
    pub(super) by_server: HashMap<u64, Vec<Rc<Conn>>>,
    pub(super) opening: HashMap<u64, Rc<Notify>>,
}

impl SharedConns {
    /// A stream on a connection to `server` that is open and has room for one.
    pub(crate) fn take(&mut self, (server, tls): (&Server, Option<&Arc<ServerSide>>), now: Time) -> Option<Stream> {
        let conns = self.by_server.get_mut(&server.serial())?;
        conns.retain(|conn| !conn.closed.get());
        // Its rules of TLS may have changed since.
        let same = |conn: &Conn| conn.tls.as_ref().map(Arc::as_ptr) == tls.map(Arc::as_ptr);
        let conn = conns.iter().find(|conn| same(conn) && conn.has_room(now))?;
        Some(Stream::to_server(Share::new(conn)))
    }

    /// Closes what has been idle for too long, and forgets what is closed.
    pub(crate) fn sweep(&mut self, now: Time) {
        self.by_server.retain(|_, conns| {
            conns.retain(|conn| {
                let idle = conn.open.get() == 0 && now.saturating_since(conn.idle_since.get()) >= conn.keep;
                let old = conn.open.get() == 0 && conn.old_at.is_some_and(|old| now >= old);
                !conn.closed.get() && !idle && !old
            });
            !conns.is_empty()
        });
    }

    /// Closes all that carry nothing.
    pub(crate) fn close_idle(&mut self) {
        self.by_server.retain(|_, conns| {
            conns.retain(|conn| conn.open.get() > 0);
            !conns.is_empty()
        });
    }

    /// Closes all that carry nothing; the others when they carry nothing any more.
    pub(crate) fn clear(&mut self) {
        self.by_server.clear();
    }

    /// How many carry nothing.
    pub(crate) fn idle(&self) -> usize {
        self.by_server.values().flatten().filter(|conn| conn.open.get() == 0).count()
    }
}
