//! What a worker has at hand for its requests, so that nothing on their way is shared but the pools.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use plimsoll_core::{Permit, Pool, Time};
use tokio::sync::Notify;

use crate::buffer::Buffers;
use crate::clock::Clock;
use crate::compress::Wish;
use crate::counts::Counts;
use crate::grpc::{Answered, Call};
use crate::http1::framing::BodyLength;
use crate::http1::request::RequestHead;
use crate::http1::response::ResponseHead;
use crate::http2::shared::SharedConns;
use crate::limit::Limited;
use crate::log::entry::Entry;
use crate::log::lines::Lines;
use crate::log::marks::Marks;
use crate::mirror::copied::Copied;
use crate::mirror::under_way::UnderWay;
use crate::parked::Parked;
use crate::replay::Replay;
use crate::route::id::RouteId;
use crate::route::scratch::Scratch;
use crate::server_conn::idle::IdleConns;
use crate::shortage::Shortage;
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
    /// Connections to servers that speak HTTP/2.
    pub(crate) shared: RefCell<SharedConns>,
    /// Connections of clients that are idle.
    pub(crate) parked: RefCell<Parked>,
    /// Copies of requests under way.
    pub(crate) copies: Rc<UnderWay>,
    /// Of the access log.
    pub(crate) lines: RefCell<Lines>,
    #[expect(clippy::vec_box, reason = "a desk is handed from hand to hand, so it must be cheap to move")]
    desks: RefCell<Vec<Box<Desk>>>,
    random: RefCell<fastrand::Rng>,
    stopping: Cell<bool>,
    swept: Cell<Time>,
    /// Of descriptors, which all workers share.
    pub(crate) shortage: Arc<Shortage>,
    /// As far as this worker has answered it.
    calls: Cell<u64>,
    /// What it tells of itself.
    pub(crate) counts: Arc<Counts>,
    /// Those whose time passes here. Not kept alive by that: one that has left goes when nobody is served by it.
    ticked: RefCell<Vec<Weak<Pool>>>,
    /// Told of when something without which the worker cannot go on has panicked.
    pub(crate) failed: Notify,
}

/// Where the heads of one exchange lie while it runs.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) request: RequestHead,
    /// The request as a call of gRPC, if it is one.
    pub(crate) call: Option<Call>,
    /// Which route of its listener it has, once that is known.
    pub(crate) route: Option<RouteId>,
    pub(crate) scratch: Scratch,
    /// What it holds of the limits of its client.
    pub(crate) limited: Limited,
    /// What is wanted of the answer, where that route compresses.
    pub(crate) wish: Wish,
    /// What goes to another pool too, as far as it has been read.
    pub(crate) copy: Option<Box<Copied>>,
    /// Path and query for the server, where they are not those that came; else empty.
    pub(crate) target: Vec<u8>,
    /// The head as it was read, where it is needed later: another server would get another one, or the answer tells of it.
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
    /// Field lines for the client that bring it back to its server.
    pub(crate) stick: Vec<u8>,
    /// What is told of the request.
    pub(crate) entry: Entry,
    /// What is written into its messages to tell it by.
    pub(crate) marks: Marks,
}

impl Desk {
    /// A request begins.
    pub(crate) fn begin(&mut self) {
        self.route = None;
        self.limited.clear();
        self.target.clear();
        self.head.clear();
    }

    /// Keeps the head that was read, unless that has been done.
    pub(crate) fn keep_head(&mut self, head: &[u8]) {
        if self.head.is_empty() {
            self.head.extend_from_slice(head);
        }
    }

    /// Keeps what was read next of the body for who wants it; `whole` says that nothing was left out.
    pub(crate) fn keep_body(&mut self, read: &[u8], whole: bool) {
        self.replay.keep(read, whole);
        if let Some(copy) = &mut self.copy {
            copy.keep(read, whole);
        }
    }

    /// A try begins on the server of `permit`: notes it, and marks the request for it.
    pub(crate) fn begin_try(&mut self, permit: &Permit) {
        self.entry.picked(permit);
        self.marks.begin_try(self.entry.tracing.as_ref());
        if let Some(call) = &mut self.call {
            call.status = None;
        }
    }

    /// How the server has answered, as far as that is known.
    pub(crate) fn answered(&self) -> Answered {
        Answered { http: self.response.status, call: self.call.as_ref().and_then(|call| call.status) }
    }
}

impl Worker {
    /// A worker that serves nothing yet, and counts what it does in `counts`.
    pub(crate) fn new(clock: Clock, counts: Arc<Counts>, shortage: Arc<Shortage>) -> Rc<Self> {
        Rc::new(Self {
            clock,
            recent: Cell::new(clock.now()),
            buffers: Buffers::new(0, Arc::clone(&counts)),
            timers: Timers::new(clock.now()),
            idle: RefCell::default(),
            shared: RefCell::default(),
            parked: RefCell::default(),
            copies: Rc::default(),
            lines: RefCell::new(Lines::new(clock.now())),
            desks: RefCell::default(),
            random: RefCell::new(fastrand::Rng::new()),
            stopping: Cell::new(false),
            swept: Cell::new(clock.now()),
            calls: Cell::new(shortage.calls()),
            shortage,
            counts,
            ticked: RefCell::default(),
            failed: Notify::new(),
        })
    }

    /// No new work is taken in; connections end as soon as they have nothing under way.
    pub(crate) fn stopping(&self) -> bool {
        self.stopping.get()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
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
    pub(crate) fn clear_desk(&self, mut desk: Box<Desk>) {
        desk.copy = None;
        let heads = desk
            .to_server
            .capacity()
            .max(desk.to_client.capacity())
            .max(desk.head.capacity())
            .max(desk.target.capacity())
            .max(desk.scratch.capacity());
        let small = heads.max(desk.replay.capacity()) <= DESK_KEPT_BYTES;
        let mut desks = self.desks.borrow_mut();
        if small && desks.len() < DESKS_KEPT {
            desks.push(desk);
        }
    }

    /// Counts a client connection for as long as the result lives.
    pub(crate) fn client(self: &Rc<Self>) -> ClientCount {
        self.counts.open.add(1);
        ClientCount(Rc::clone(self))
    }

    /// Client connections open now.
    pub(crate) fn clients(&self) -> usize {
        self.counts.open.read() as usize
    }

    /// Counts a tunnel for as long as the result lives.
    pub(crate) fn tunnel(&self) -> TunnelCount<'_> {
        self.counts.tunnels.add(1);
        TunnelCount(&self.counts)
    }

    /// Time passes for `pool` too from now on.
    pub(crate) fn tick_pool(&self, pool: &Arc<Pool>) {
        let mut ticked = self.ticked.borrow_mut();
        if !ticked.iter().any(|known| known.as_ptr() == Arc::as_ptr(pool)) {
            ticked.push(Arc::downgrade(pool));
        }
    }

    /// What has to be done now and then.
    pub(crate) fn tick(&self) {
        let now = self.now();
        self.timers.advance(now);
        self.lines.borrow_mut().tick(now);
        let calls = self.shortage.calls();
        if self.calls.replace(calls) != calls {
            self.close_idle();
        }
        self.shortage.recover();
        self.parked.borrow_mut().call();
        if now.saturating_since(self.swept.get()) >= SWEEP {
            self.idle.borrow_mut().sweep(now);
            self.shared.borrow_mut().sweep(now);
            self.swept.set(now);
        }
        self.counts.conns_idle.set((self.idle.borrow().count() + self.shared.borrow().idle()) as u64);
        self.ticked.borrow_mut().retain(|pool| pool.upgrade().inspect(|pool| pool.tick(now)).is_some());
    }

    /// From now on connections end as soon as they have nothing under way.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
        self.idle.borrow_mut().clear();
        self.shared.borrow_mut().clear();
        self.timers.wake_all();
    }

    /// Closes connections that are idle, as there is no descriptor left for another: here at once, and by the other workers
    /// with their next tick. False when nothing is idle here.
    pub(crate) fn make_way(&self) -> bool {
        self.shortage.call();
        self.close_idle()
    }

    /// Closes connections to servers that carry nothing, if there are any.
    fn close_idle(&self) -> bool {
        let (mut idle, mut shared) = (self.idle.borrow_mut(), self.shared.borrow_mut());
        let had_any = idle.count() + shared.idle() > 0;
        idle.clear();
        shared.close_idle();
        had_any
    }
}

/// One client connection in the worker's count.
pub(crate) struct ClientCount(Rc<Worker>);

impl Drop for ClientCount {
    fn drop(&mut self) {
        self.0.counts.open.take_off(1);
        if std::thread::panicking() {
            self.0.counts.panics.add(1);
        }
    }
}

/// One tunnel in the worker's count.
pub(crate) struct TunnelCount<'a>(&'a Counts);

impl Drop for TunnelCount<'_> {
    fn drop(&mut self) {
        self.0.tunnels.take_off(1);
    }
}

/// Held by a task that a worker cannot do without: the worker is told if it panics.
pub(crate) struct Vital(pub(crate) Rc<Worker>);

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_connection_that_ends_by_a_panic_is_told_of_and_counts_no_more() {
        let worker = Worker::new(Clock::start(), Arc::default(), Arc::default());
        let (good, bad) = (worker.client(), worker.client());
        drop(good);
        let task = AssertUnwindSafe(move || {
            let _bad = bad;
            panic!("while it is served");
        });
        assert!(catch_unwind(task).is_err());
        assert_eq!((worker.clients(), worker.counts.panics.read()), (0, 1));
    }
}
