//! The connections to servers that a worker keeps idle.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_config::KeepAlive;
use plimsoll_core::{Server, Time};

use super::conn::ServerConn;
use crate::tls::to_servers::ServerSide;
use crate::wire::Wire;

struct Idle {
    wire: Wire,
    since: Time,
    keep: Duration,
}

impl Idle {
    fn usable(&mut self, now: Time) -> bool {
        now.saturating_since(self.since) < self.keep && self.wire.is_quiet()
    }
}

/// What is idle of one server.
#[derive(Default)]
struct Kept {
    conns: Vec<Idle>,
    /// Since the last sweep. The list of a server in use is kept while all its connections are busy, or it would be
    /// made anew again and again.
    used: bool,
}

/// A worker's idle connections, by server. The one used last is used next, so that those not needed age and go.
#[derive(Default)]
pub(crate) struct IdleConns {
    by_server: HashMap<u64, Kept, BuildHasherDefault<SerialHasher>>,
    /// Connections of all servers.
    count: usize,
}

/// Spreads the serials of servers. We hand them out ourselves, so nobody can choose ones that collide, and the
/// map is asked at every request.
#[derive(Default)]
struct SerialHasher(u64);

impl Hasher for SerialHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, serial: u64) {
        // Multiplicative hashing by 2^64 over the golden ratio (Knuth, The Art of Computer Programming, 6.4).
        self.0 = serial.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }
}

impl IdleConns {
    /// An idle connection to `server`, if there is one that is still open as far as can be seen and was made under these
    /// rules of TLS: they may have changed.
    ///
    /// `certain` asks the system rather than what was last heard from it: one call more, for requests that
    /// cannot be sent a second time.
    pub(crate) fn take(
        &mut self,
        (server, tls): (&Server, Option<&Arc<ServerSide>>),
        now: Time,
        certain: bool,
    ) -> Option<ServerConn> {
        let kept = self.by_server.get_mut(&server.serial())?;
        kept.used = true;
        while let Some(mut idle) = kept.conns.pop() {
            self.count -= 1;
            let fits = idle.wire.server_side().map(Arc::as_ptr) == tls.map(Arc::as_ptr);
            if fits && idle.usable(now) && (!certain || idle.wire.is_open()) {
                return Some(ServerConn { wire: idle.wire, reused: true });
            }
        }
        None
    }

    /// Keeps a connection for the next request to `server`, unless enough are kept.
    pub(crate) fn put(&mut self, server: &Server, conn: ServerConn, now: Time, rule: &KeepAlive) {
        if rule.connections == 0 {
            return;
        }
        let kept = self.by_server.entry(server.serial()).or_default();
        kept.used = true;
        if kept.conns.len() < rule.connections {
            kept.conns.push(Idle { wire: conn.wire, since: now, keep: rule.timeout });
            self.count += 1;
        }
    }

    /// Closes what has been idle for too long or was closed by its server.
    pub(crate) fn sweep(&mut self, now: Time) {
        self.count = 0;
        self.by_server.retain(|_, kept| {
            kept.conns.retain_mut(|idle| idle.usable(now));
            self.count += kept.conns.len();
            std::mem::take(&mut kept.used) || !kept.conns.is_empty()
        });
    }

    /// How many are kept.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Closes all.
    pub(crate) fn clear(&mut self) {
        self.by_server.clear();
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::io::Write;
    use std::net::TcpListener;
    use std::num::NonZeroU32;

    use plimsoll_core::{Ask, Pool, PoolSpec, ServerSpec};
    use tokio::runtime::Builder;

    use super::*;
    use crate::server_conn::reach;

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// A pool of one server, and the listener that is the server.
    fn pool() -> (TcpListener, Pool) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pool = Pool::new("app", PoolSpec::default(), at(0));
        list(&pool, &listener);
        (listener, pool)
    }

    fn list(pool: &Pool, listener: &TcpListener) {
        let server = ServerSpec::new("one", listener.local_addr().unwrap()).with_max_connections(NonZeroU32::MIN);
        pool.apply(PoolSpec { servers: vec![server], ..PoolSpec::default() }, at(0));
    }

    fn rule() -> KeepAlive {
        KeepAlive { connections: 2, timeout: Duration::from_millis(100) }
    }

    async fn conn(server: &Server) -> ServerConn {
        ServerConn { wire: reach(server, None).await.unwrap(), reused: false }
    }

    fn run(test: impl Future<Output = ()>) {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn connections_of_a_server_that_moved_or_left_are_not_used_and_age_out() {
        run(async {
            let (listener, pool) = pool();
            let server = pool.pick(&Ask { now: at(0), ..Ask::default() }).unwrap().server().clone();
            let mut idle = IdleConns::default();
            let conn = conn(&server).await;
            idle.put(&server, conn, at(0), &rule());
            let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
            list(&pool, &elsewhere);
            let moved = pool.pick(&Ask { now: at(0), ..Ask::default() }).unwrap().server().clone();
            assert_eq!(moved.id(), server.id());
            assert!(idle.take((&moved, None), at(0), false).is_none());
            idle.sweep(at(99));
            assert_eq!((idle.by_server[&server.serial()].conns.len(), idle.count()), (1, 1));
            idle.sweep(at(100));
            assert!(idle.by_server.is_empty() && idle.count() == 0);
            drop(listener);
        });
    }

    #[test]
    fn no_more_are_kept_than_may_be() {
        run(async {
            let (_listener, pool) = pool();
            let server = pool.pick(&Ask { now: at(0), ..Ask::default() }).unwrap().server().clone();
            let mut idle = IdleConns::default();
            for _ in 0..5 {
                let conn = conn(&server).await;
                idle.put(&server, conn, at(0), &rule());
            }
            assert_eq!(idle.count(), 2);
            assert!((0..2).all(|_| idle.take((&server, None), at(99), false).is_some()));
            assert!(idle.take((&server, None), at(99), false).is_none());
            assert_eq!(idle.count(), 0);
        });
    }

    #[test]
    fn a_task_that_has_had_its_turn_still_sees_what_a_server_said_unasked() {
        run(async {
            let (listener, pool) = pool();
            let server = pool.pick(&Ask { now: at(0), ..Ask::default() }).unwrap().server().clone();
            let mut conn = conn(&server).await;
            assert!(conn.wire.is_quiet());
            listener.accept().unwrap().0.write_all(b"unasked").unwrap();
            poll_fn(|cx| conn.wire.poll_read_ready(cx)).await.unwrap();
            // The runtime lets a task go on only so often before it says "pending" to everything.
            let mut turns = std::pin::pin!(async {
                loop {
                    tokio::task::consume_budget().await;
                }
            });
            assert!(turns.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending());
            assert!(!conn.wire.is_quiet());
        });
    }
}
