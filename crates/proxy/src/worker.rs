//! A worker: one thread with everything a request needs at hand, so that nothing on its way is shared but the
//! pools.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use plimsoll_core::Time;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::buffer::Buffers;
use crate::clock::Clock;
use crate::http1::framing::BodyLength;
use crate::http1::request::RequestHead;
use crate::http1::response::ResponseHead;
use crate::listener::{self, Bound};
use crate::server_conn::IdleConns;
use crate::timers::{TICK, Timers};

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
    #[expect(clippy::vec_box, reason = "a desk is handed from hand to hand, so it must be cheap to move")]
    desks: RefCell<Vec<Box<Desk>>>,
    random: RefCell<fastrand::Rng>,
    stopping: Cell<bool>,
    clients: Cell<usize>,
}

/// Where the heads of one exchange lie while it runs.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) request: RequestHead,
    pub(crate) to_server: Vec<u8>,
    pub(crate) response: ResponseHead,
    /// How the client's copy of the response is framed.
    pub(crate) response_framing: BodyLength,
    pub(crate) to_client: Vec<u8>,
}

impl Worker {
    fn new(clock: Clock, head_bytes: usize) -> Rc<Self> {
        Rc::new(Self {
            clock,
            recent: Cell::new(clock.now()),
            buffers: Buffers::new(head_bytes),
            timers: Timers::new(clock.now()),
            idle: RefCell::default(),
            desks: RefCell::default(),
            random: RefCell::new(fastrand::Rng::new()),
            stopping: Cell::new(false),
            clients: Cell::new(0),
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

    /// The time when it was last asked for, at most one [`TICK`] ago: good enough to set a deadline by.
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
        let small = desk.to_server.capacity().max(desk.to_client.capacity()) <= DESK_KEPT_BYTES;
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

    fn stop(&self) {
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

/// What the workers are told, and what they tell.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) clock: Clock,
    /// Set once, to the longest time to wait for what is under way.
    pub(crate) stop: watch::Receiver<Option<Duration>>,
    /// Client connections that were still open when that time was over.
    pub(crate) cut_off: Arc<AtomicUsize>,
}

/// Runs a worker on this thread until it is told to stop and has finished. Says through `started` when it serves.
pub(crate) fn run(bound: Vec<Bound>, mut control: Control, started: &Sender<io::Result<()>>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let head_bytes = bound.iter().map(|bound| bound.service.listener.max_head).max().unwrap_or_default();
        let worker = Worker::new(control.clock, head_bytes);
        tokio::task::spawn_local(turn_wheel(Rc::clone(&worker)));
        let mut accepting = Vec::new();
        for bound in bound {
            let accept = listener::accept(bound, Rc::clone(&worker), control.stop.clone())?;
            accepting.push(tokio::task::spawn_local(accept));
        }
        // Whoever started this worker may have given up because of another.
        let _ = started.send(Ok(()));
        let Ok(Some(patience)) = control.stop.wait_for(Option::is_some).await.map(|patience| *patience) else {
            return Ok(());
        };
        for accept in accepting {
            // An accept loop ends by itself once it is told to stop.
            let _ = accept.await;
        }
        worker.stop();
        let finished = tokio::time::timeout(patience, no_clients(&worker)).await;
        if finished.is_err() {
            control.cut_off.fetch_add(worker.clients.get(), Ordering::Relaxed);
        }
        Ok(())
    })
}

async fn turn_wheel(worker: Rc<Worker>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swept = worker.now();
    loop {
        ticks.tick().await;
        let now = worker.now();
        worker.timers.advance(now);
        if now.saturating_since(swept) >= SWEEP {
            worker.idle.borrow_mut().sweep(now);
            swept = now;
        }
    }
}

async fn no_clients(worker: &Worker) {
    /// How soon the end of the last connection is noticed.
    const LOOK: Duration = Duration::from_millis(5);
    let mut looks = interval(LOOK);
    while worker.clients.get() > 0 {
        looks.tick().await;
    }
}
