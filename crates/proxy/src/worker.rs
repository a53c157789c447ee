//! What a worker has at hand for its requests, so that nothing on their way is shared but the pools.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use plimsoll_core::{Permit, Time};

use crate::buffer::Buffers;
use crate::clock::Clock;
use crate::http1::framing::BodyLength;
use crate::http1::request::RequestHead;
use crate::http1::response::ResponseHead;
use crate::log::entry::Entry;
use crate::log::{Lines, Marks};
use crate::replay::Replay;
use crate::server_conn::IdleConns;
use crate::timers::Timers;

/// How often idle connections to servers are looked through.
const SWEEP: Duration = Duration::from_secs(1);

/// Desks kept for reuse.
const DESKS_KEPT: usize = 1024;

/// What the head of a message may grow to on a desk that is kept.
const DESK_KEPT_BYTES: usize = 16 * 1024;

/// The state of a worker thread.
pub(crate) struct Worker {
    clock: Clock,
    recent: Cell<Time>,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) timers: Rc<Timers>,
    pub(crate) idle: RefCell<IdleConns>,
    /// Of the access log.
    pub(crate) lines: RefCell<Lines>,
    #[expect(clippy::vec_box, reason = "a desk is handed from hand to hand, so it must be cheap to move")]
    desks: RefCell<Vec<Box<Desk>>>,
    random: RefCell<fastrand::Rng>,
    stopping: Cell<bool>,
    clients: Cell<usize>,
    swept: Cell<Time>,
}

/// Where the heads of one exchange lie while it runs.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) request: RequestHead,
    /// The head as it was read, where another server would get another one.
    pub(crate) head: Vec<u8>,
    /// What has been read of the body, for another try.
    pub(crate) replay: Replay,
    pub(crate) to_server: Vec<u8>,
    /// How much of `to_server` is the head.
    pub(crate) to_server_head: usize,
    pub(crate) response: ResponseHead,
    /// How the client's copy of the response is framed.
    pub(crate) response_framing: BodyLength,
    pub(crate) to_client: Vec<u8>,
    /// What is told of the request.
    pub(crate) entry: Entry,
    /// What is written into its messages to tell it by.
    pub(crate) marks: Marks,
}

impl Desk {
    /// A try begins on the server of `permit`: notes it, and marks the request for it.
    pub(crate) fn begin_try(&mut self, permit: &Permit) {
        self.entry.picked(permit);
        self.marks.begin_try(self.entry.tracing.as_ref());
    }
}

impl Worker {
    /// A worker whose heads of requests are at most `head_bytes` long.
    pub(crate) fn new(clock: Clock, head_bytes: usize) -> Rc<Self> {
        Rc::new(Self {
            clock,
            recent: Cell::new(clock.now()),
            buffers: Buffers::new(head_bytes),
            timers: Timers::new(clock.now()),
            idle: RefCell::default(),
            lines: RefCell::new(Lines::new(clock.now())),
            desks: RefCell::default(),
            random: RefCell::new(fastrand::Rng::new()),
            stopping: Cell::new(false),
            clients: Cell::new(0),
            swept: Cell::new(clock.now()),
        })
    }

    /// No new work is taken in; connections end as soon as they have nothing under way.
    pub(crate) fn stopping(&self) -> bool {
        self.stopping.get()
    }

    /// The time.
    pub(crate) fn now(&self) -> Time {
        self.recent.set(self.clock.now());
        self.recent.get()
    }

    /// The time when it was last asked for, at most one tick ago: good enough to set a deadline by.
    pub(crate) fn recently(&self) -> Time {
        self.recent.get()
    }

    /// A random number for a pick.
    pub(crate) fn random(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    /// A desk; give it back with [`Worker::clear_desk`].
    pub(crate) fn desk(&self) -> Box<Desk> {
        self.desks.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a desk back.
    pub(crate) fn clear_desk(&self, desk: Box<Desk>) {
        let heads = desk.to_server.capacity().max(desk.to_client.capacity()).max(desk.head.capacity());
        let small = heads.max(desk.replay.capacity()) <= DESK_KEPT_BYTES;
        let mut desks = self.desks.borrow_mut();
        if small && desks.len() < DESKS_KEPT {
            desks.push(desk);
        }
    }

    /// Counts a client connection for as long as the result lives.
    pub(crate) fn client(self: &Rc<Self>) -> ClientCount {
        self.clients.set(self.clients.get() + 1);
        ClientCount(Rc::clone(self))
    }

    /// Client connections open now.
    pub(crate) fn clients(&self) -> usize {
        self.clients.get()
    }

    /// What has to be done now and then.
    pub(crate) fn tick(&self) {
        let now = self.now();
        self.timers.advance(now);
        self.lines.borrow_mut().tick(now);
        if now.saturating_since(self.swept.get()) >= SWEEP {
            self.idle.borrow_mut().sweep(now);
            self.swept.set(now);
        }
    }

    /// From now on connections end as soon as they have nothing under way.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
        self.idle.borrow_mut().clear();
        self.timers.wake_all();
    }
}

/// One client connection in the worker's count.
pub(crate) struct ClientCount(Rc<Worker>);

impl Drop for ClientCount {
    fn drop(&mut self) {
        self.0.clients.set(self.0.clients.get() - 1);
    }
}
