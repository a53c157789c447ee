//! Connections to servers that speak HTTP/2: opened by the one of those who want it that comes first, and kept going.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client;
use plimsoll_config::Pool;
use plimsoll_core::Server;

use super::line::{FRAME, Line, SEND_BUFFER, end_of_life};
use super::share::{Conn, Share};
use super::stream::Stream;
use super::watch::Pulse;
use crate::clock::Clock;
use crate::server_conn::conn::ConnectError;
use crate::timers::Deadline;
use crate::wire::Wire;
use crate::worker::Worker;

/// What a server may send of a response before we have passed it on, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The largest window there is (RFC 9113, section 6.9.1).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// The largest head of a response, as HTTP/2 counts it, in bytes.
const MAX_HEAD: u32 = 64 * 1024;

/// Waits while somebody else opens a connection to `server`, since it may have room for this request too. Where nobody does,
/// the caller is the one, and the guard tells the others when it is dropped.
pub(crate) async fn wait_or_open(worker: &Rc<Worker>, server: &Server) -> Option<Opening> {
    let serial = server.serial();
    let other = worker.shared.borrow().opening.get(&serial).cloned();
    if let Some(other) = other {
        other.notified().await;
        return None;
    }
    worker.shared.borrow_mut().opening.insert(serial, Rc::default());
    Some(Opening { worker: Rc::clone(worker), serial })
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

/// Begins HTTP/2 on `wire`, which is connected to `server`, and opens a stream on it; with `shared` other requests will find
/// the connection.
pub(crate) async fn begin(
    worker: &Rc<Worker>,
    (server, shared): (&Server, bool),
    wire: Wire,
    pool: &Pool,
) -> Result<Stream, ConnectError> {
    let rules = &pool.http2;
    let (conn, mut connection, come) = handshake(wire, rules.max_streams, worker.clock()).await?;
    let now = worker.now();
    let pulse = rules.ping.and_then(|every| Some(Pulse::new(connection.ping_pong()?, every, now)));
    let (keep, old_at) = (pool.keep_alive.timeout, end_of_life(rules.max_age, worker, now));
    let conn = Rc::new(Conn { keep, old_at, ..conn });
    let stream = Stream::to_server(Share::new(&conn));
    let drive = Drive { connection, pulse, come, deadline: worker.timers.deadline(), conn: Rc::downgrade(&conn) };
    tokio::task::spawn_local(drive.run(Rc::clone(worker)));
    if shared {
        worker.shared.borrow_mut().by_server.entry(server.serial()).or_default().push(conn);
    }
    Ok(stream)
}

/// A connection to a server as the library drives it.
pub(crate) type Driven = client::Connection<Line, Bytes>;

/// Begins HTTP/2 on `wire` for a single request, and gives its stream and the connection, which has to be polled.
pub(crate) async fn begin_alone(wire: Wire) -> Result<(Stream, Driven), ConnectError> {
    let (conn, connection, _) = handshake(wire, 1, Clock::start()).await?;
    Ok((Stream::to_server(Share::new(&Rc::new(conn))), connection))
}

/// A new connection, how it is driven, and the count of bytes that come by it.
async fn handshake(wire: Wire, most: u32, clock: Clock) -> Result<(Conn, Driven, Rc<Cell<u64>>), ConnectError> {
    let (scheme, tls) = (wire.scheme(), wire.server_side().cloned());
    let line = Line::new(wire, Vec::new());
    let come = Rc::clone(&line.come);
    // However many clients are slow, they must not stop the others on the connection.
    let connection_window = most.saturating_mul(STREAM_WINDOW).min(LARGEST_WINDOW);
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
    let (send, connection) = builder.handshake::<_, Bytes>(line).await.map_err(|_| ConnectError::Failed)?;
    let conn = Conn {
        send: RefCell::new(send),
        scheme,
        tls,
        most: most as usize,
        open: Cell::new(0),
        idle_since: Cell::new(clock.now()),
        keep: Duration::ZERO,
        old_at: None,
        closed: Cell::new(false),
        clock,
    };
    Ok((conn, connection, come))
}

/// What keeps a connection going.
struct Drive {
    connection: Driven,
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
