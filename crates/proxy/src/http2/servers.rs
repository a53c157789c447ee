//! Connections to servers that requests share, each worker its own.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use plimsoll_config::Pool;
use plimsoll_core::{Server, Time};
use tokio::sync::Notify;

use super::stream::Stream;
use super::watch::Pulse;
use super::{FRAME, Line, SEND_BUFFER, end_of_life};
use crate::timers::Deadline;
use crate::wire::Wire;
use crate::worker::Worker;

/// What a server may send of a response before we have passed it on, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The largest window there is (RFC 9113, section 6.9.1).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// The largest head of a response, as HTTP/2 counts it, in bytes.
const MAX_HEAD: u32 = 64 * 1024;

/// A worker's connections, by the serial of their server.
#[derive(Default)]
pub(crate) struct SharedConns {
    by_server: HashMap<u64, Vec<Rc<Conn>>>,
    opening: HashMap<u64, Rc<Notify>>,
}

/// A connection that requests share.
struct Conn {
    send: RefCell<SendRequest<Bytes>>,
    scheme: &'static str,
    most: usize,
    /// Requests on it now.
    open: Cell<usize>,
    /// When the last of them ended.
    idle_since: Cell<Time>,
    /// How long it is kept then.
    keep: Duration,
    old_at: Option<Time>,
    closed: Cell<bool>,
    worker: Rc<Worker>,
}

impl Conn {
    /// Whether it takes another request at once.
    fn has_room(&self, now: Time) -> bool {
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
    fn new(conn: &Rc<Conn>) -> Self {
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
        self.conn.idle_since.set(self.conn.worker.recently());
    }
}

impl SharedConns {
    /// A stream on a connection to `server` that is open and has room for one.
    pub(crate) fn take(&mut self, server: &Server, now: Time) -> Option<Stream> {
        let conns = self.by_server.get_mut(&server.serial())?;
        conns.retain(|conn| !conn.closed.get());
        let conn = conns.iter().find(|conn| conn.has_room(now))?;
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

    /// Closes all that carry nothing; the others when they carry nothing any more.
    pub(crate) fn clear(&mut self) {
        self.by_server.clear();
    }

    /// How many carry nothing.
    pub(crate) fn idle(&self) -> usize {
        self.by_server.values().flatten().filter(|conn| conn.open.get() == 0).count()
    }
}

/// Waits while somebody else opens a connection to `server`, since it may have room for this request too. Where nobody does,
/// the caller is the one, and the guard tells the others when it is dropped.
pub(crate) async fn wait_or_open(worker: &Rc<Worker>, server: &Server) -> Option<Opening> {
    let serial = server.serial();
    let other = worker.shared.borrow().opening.get(&serial).cloned();
    match other {
        Some(other) => {
            other.notified().await;
            None
        }
        None => {
            worker.shared.borrow_mut().opening.insert(serial, Rc::default());
            Some(Opening { worker: Rc::clone(worker), serial })
        }
    }
}

/// Held by who opens a connection that others wait for.
pub(crate) struct Opening {
    worker: Rc<Worker>,
    serial: u64,
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(waiting) = self.worker.shared.borrow_mut().opening.remove(&self.serial) {
            waiting.notify_waiters();
        }
    }
}

/// Makes `wire`, which is connected to `server`, a connection that requests share, and opens a stream on it.
pub(crate) async fn share(worker: &Rc<Worker>, server: &Server, wire: Wire, pool: &Pool) -> io::Result<Stream> {
    let rules = &pool.http2;
    let scheme = wire.scheme();
    let line = Line::new(wire, Vec::new());
    let come = Rc::clone(&line.come);
    // However many clients are slow, they must not stop the others on the connection.
    let connection_window = rules.max_streams.saturating_mul(STREAM_WINDOW).min(LARGEST_WINDOW);
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        // Until the server has said how many it takes.
        .initial_max_send_streams(1)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(connection_window)
        .max_frame_size(FRAME)
        .max_header_list_size(MAX_HEAD)
        .max_send_buffer_size(SEND_BUFFER);
    let (send, mut connection) = builder.handshake::<_, Bytes>(line).await.map_err(io::Error::other)?;
    let now = worker.now();
    let pulse = rules.ping.and_then(|every| Some(Pulse::new(connection.ping_pong()?, every, now)));
    let conn = Rc::new(Conn {
        send: RefCell::new(send),
        scheme,
        most: rules.max_streams as usize,
        open: Cell::new(0),
        idle_since: Cell::new(now),
        keep: pool.keep_alive.timeout,
        old_at: end_of_life(rules.max_age, worker, now),
        closed: Cell::new(false),
        worker: Rc::clone(worker),
    });
    let stream = Stream::to_server(Share::new(&conn));
    let drive = Drive { connection, pulse, come, deadline: worker.timers.deadline(), conn: Rc::downgrade(&conn) };
    tokio::task::spawn_local(drive.run(Rc::clone(worker)));
    worker.shared.borrow_mut().by_server.entry(server.serial()).or_default().push(conn);
    Ok(stream)
}

/// What keeps a connection going.
struct Drive {
    connection: client::Connection<Line, Bytes>,
    pulse: Option<Pulse>,
    come: Rc<Cell<u64>>,
    deadline: Deadline,
    conn: std::rc::Weak<Conn>,
}

impl Drive {
    /// Runs until the connection ends, or nobody answers on it.
    async fn run(mut self, worker: Rc<Worker>) {
        poll_fn(|cx| {
            loop {
                if Pin::new(&mut self.connection).poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let Some(pulse) = &mut self.pulse else { return Poll::Pending };
                if !pulse.look(self.come.get(), worker.recently(), cx) {
                    return Poll::Ready(());
                }
                self.deadline.set(pulse.next());
                if self.deadline.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                worker.now();
            }
        })
        .await;
        if let Some(conn) = self.conn.upgrade() {
            conn.closed.set(true);
        }
    }
}
