//! A client's connection: its streams are served each as a connection of its own.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use plimsoll_config::ClientHttp2;
use plimsoll_core::Time;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::line::{FRAME, Line, SEND_BUFFER, end_of_life};
use super::stream::Stream;
use super::text;
use super::watch::{Pulse, Tally};
use crate::connection::{Connection, Known, facts};
use crate::parked::Turn;
use crate::peer::Peer;
use crate::place::Place;
use crate::room;
use crate::serve::{self, LINGER, LINGER_BYTES, WARM};
use crate::timers::Deadline;
use crate::wire::Wire;
use crate::worker::Worker;

/// How long a connection that is to end is left open without a stream, so that the client can close it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves an HTTP/2 connection of which `read` has been read already to its end.
pub(crate) async fn serve(mut connection: Connection, read: Vec<u8>) {
    let counted = connection.count.take();
    // Boxed, so that a connection that is quiet for hours does not hold the memory of its beginning.
    if let Some((mut served, wire)) = Box::pin(begin(connection, read)).await {
        while let Some((request, respond)) = poll_fn(|cx| served.poll(cx)).await {
            served.serve_stream(request, respond);
        }
        served.turn.end(&served.worker.parked, served.room.as_ref());
        let room = served.room.take();
        drop(served);
        // Whether the client or our patience ends it makes no difference.
        let _ = tokio::time::timeout(LINGER, Box::pin(see_out(&wire))).await;
        drop(room);
    }
    drop(counted);
}

/// Reads the preface and begins; `None` where it does not come. What carries the connection is there for its end.
async fn begin(connection: Connection, read: Vec<u8>) -> Option<(Box<Served>, Rc<RefCell<Wire>>)> {
    let Connection { wire, peer, place, deadline, worker, room, .. } = connection;
    let (rules, head_timeout, keep_alive, max_head) = {
        let service = place.service();
        let listener = &service.listener;
        (listener.http2.clone(), listener.timeouts.head, listener.timeouts.keep_alive, listener.max_head)
    };
    let line = Line::new(wire, read).guarded();
    let (come, wrong, wire) = (Rc::clone(&line.come), Rc::clone(&line.wrong), Rc::clone(&line.wire));
    let shaken = tokio::time::timeout(head_timeout, builder(&rules, max_head).handshake(line)).await;
    let mut connection = shaken.ok()?.ok()?;
    let now = worker.now();
    let pulse = rules.ping.and_then(|every| Some(Pulse::new(connection.ping_pong()?, every, now)));
    let served = Served {
        connection,
        peer,
        place,
        deadline,
        tally: Tally::new(worker.clock(), rules.max_resets),
        pulse,
        come,
        wrong,
        cut: false,
        keep_alive,
        idle_since: now,
        old_at: end_of_life(rules.max_age, &worker, now),
        ending: None,
        busy: false,
        asked: false,
        room,
        turn: Turn::default(),
        known: None,
        worker,
    };
    Some((Box::new(served), wire))
}

/// Tells the client that no more comes, and reads on for a while: bytes that came for nobody would make the close a reset, and
/// that would cut off what is still on its way to the client.
async fn see_out(wire: &RefCell<Wire>) {
    if poll_fn(|cx| Pin::new(&mut *wire.borrow_mut()).poll_shutdown(cx)).await.is_err() {
        return;
    }
    let mut drained = 0;
    while drained < LINGER_BYTES {
        let mut bytes = [0; 1024];
        let mut into = ReadBuf::new(&mut bytes);
        match poll_fn(|cx| Pin::new(&mut *wire.borrow_mut()).poll_read(cx, &mut into)).await {
            Ok(()) if !into.filled().is_empty() => drained += into.filled().len(),
            _ => return,
        }
    }
}

fn builder(rules: &ClientHttp2, max_head: usize) -> server::Builder {
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(rules.max_streams)
        .initial_window_size(rules.stream_window)
        .initial_connection_window_size(rules.connection_window)
        .max_frame_size(FRAME)
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .enable_connect_protocol();
    builder
}

/// A connection as it is served.
struct Served {
    connection: H2,
    peer: Rc<Peer>,
    place: Rc<Place>,
    deadline: Deadline,
    worker: Rc<Worker>,
    tally: Tally,
    pulse: Option<Pulse>,
    come: Rc<Cell<u64>>,
    wrong: Rc<Cell<Option<Reason>>>,
    /// The client has been told what it did wrong.
    cut: bool,
    keep_alive: Duration,
    /// When the last stream was over, or the connection was made.
    idle_since: Time,
    old_at: Option<Time>,
    /// The client has been told to open no more streams; this is when the connection is cut if it has none.
    ending: Option<Time>,
    /// It had streams at the last look.
    busy: bool,
    /// It had a stream at all.
    asked: bool,
    /// `None` once it was given back, to one who waited for it.
    room: Option<room::Entry>,
    /// To leave, while it has no streams.
    turn: Turn,
    known: Option<Known>,
}

type H2 = server::Connection<Line, Bytes>;

impl Served {
    /// The next stream; `None` when there will be none, and the connection may go.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Request<RecvStream>, SendResponse<Bytes>)>> {
        loop {
            if let Some(reason) = self.offence()
                && !std::mem::replace(&mut self.cut, true)
            {
                self.connection.abrupt_shutdown(reason);
                // One that does not take this in is cut off.
                self.ending = Some(self.worker.now() + FAREWELL);
            }
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok(stream))) => return Poll::Ready(Some(stream)),
                Poll::Ready(_) => return Poll::Ready(None),
                Poll::Pending => {}
            }
            if self.offence().is_some() && !self.cut {
                continue;
            }
            let now = self.worker.recently();
            self.look_for_streams(now);
            if self.ending.is_none() && self.is_to_end(now) {
                self.connection.graceful_shutdown();
                self.ending = Some(now + FAREWELL);
                // So that it is sent.
                continue;
            }
            if self.makes_room(now, cx) {
                // The client is told what was served, so that it can send elsewhere what is on its way.
                self.connection.abrupt_shutdown(Reason::NO_ERROR);
                self.ending = Some(now + FAREWELL);
                continue;
            }
            if self.ending.is_some_and(|end| now >= end) && !self.busy {
                return Poll::Ready(None);
            }
            let come = self.come.get();
            if self.pulse.as_mut().is_some_and(|pulse| !pulse.look(come, now, cx)) {
                return Poll::Ready(None);
            }
            self.deadline.set(self.next_look(now));
            if self.deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.worker.now();
        }
    }

    /// What the client does that it must not.
    fn offence(&self) -> Option<Reason> {
        if self.tally.over() { Some(Reason::ENHANCE_YOUR_CALM) } else { self.wrong.get() }
    }

    /// Notes whether there are streams. What is idle begins to be so when the last of them is over.
    fn look_for_streams(&mut self, now: Time) {
        let busy = self.connection.has_streams();
        if busy || self.busy {
            self.idle_since = now;
        }
        self.busy = busy;
        if !busy {
            // A quiet connection holds on to nothing that may be out of force.
            self.known = None;
        }
    }

    /// Whether it leaves for somebody who waits. One that is about to end anyway does not, nor one on which a request may be
    /// on its way: the first, or one of a client in a loop.
    fn makes_room(&mut self, now: Time, cx: &Context<'_>) -> bool {
        if self.busy || !self.asked || self.ending.is_some() || now < self.idle_since + WARM {
            self.turn.end(&self.worker.parked, self.room.as_ref());
            return false;
        }
        self.turn.makes_room(&self.worker.parked, &mut self.room, cx)
    }

    fn is_to_end(&self, now: Time) -> bool {
        let idle = now >= self.idle_since + self.keep_alive && !self.busy;
        idle || self.place.closing() || self.old_at.is_some_and(|old| now >= old)
    }

    /// When something is due.
    fn next_look(&self, now: Time) -> Time {
        let end = match self.ending {
            Some(end) if now < end => end,
            Some(_) => now + FAREWELL,
            None => self.idle_since + self.keep_alive,
        };
        let lives = self.ending.is_none();
        let quiet_at = Some(self.idle_since + WARM).filter(|at| lives && *at > now);
        let old_at = self.old_at.filter(|_| lives);
        [quiet_at, old_at, self.pulse.as_ref().map(Pulse::next)].into_iter().flatten().fold(end, Time::min)
    }

    /// What is served now. Asked for each stream, and made for the first of many.
    fn known(&mut self) -> Known {
        let service = Arc::clone(&self.place.service());
        match &self.known {
            Some((known, client)) if Arc::ptr_eq(known, &service) => (service, Rc::clone(client)),
            _ => {
                let client = facts(&self.peer, &service);
                self.known.insert((service, client)).clone()
            }
        }
    }

    /// Serves a stream on a task of its own.
    fn serve_stream(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        self.asked = true;
        let (parts, body) = request.into_parts();
        let Ok(head) = text::of_request(&parts, body.is_end_stream()) else {
            respond.send_reset(Reason::PROTOCOL_ERROR);
            return;
        };
        let websocket = parts.extensions.get::<Protocol>().is_some();
        let stream = Stream::from_client((head, body), respond, self.tally.clone(), websocket);
        let connection = Connection {
            wire: Wire::Http2(Box::new(stream)),
            peer: Rc::clone(&self.peer),
            place: Rc::clone(&self.place),
            deadline: self.worker.timers.deadline(),
            worker: Rc::clone(&self.worker),
            count: None,
            room: None,
            known: Some(self.known()),
        };
        tokio::task::spawn_local(serve::serve(connection));
    }
}
