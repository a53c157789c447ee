//! The thread of a worker: its runtime, its ticks, the changes it is told of, and how it ends.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions, RuntimeMetrics};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Clock;
use crate::cores;
use crate::counts::{Counts, Lag};
use crate::places::{Change, Places};
use crate::shortage::Shortage;
use crate::timers::TICK;
use crate::worker::{Vital, Worker};

/// What a worker is told, and what it tells.
pub(crate) struct Control {
    pub(crate) clock: Clock,
    pub(crate) orders: mpsc::UnboundedReceiver<Order>,
    /// Set once, to the longest time to wait for what is under way.
    pub(crate) stop: watch::Receiver<Option<Duration>>,
    /// Client connections that were still open when that time was over.
    pub(crate) cut_off: Arc<AtomicUsize>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) shortage: Arc<Shortage>,
    /// The core that it is to stay on.
    pub(crate) core: Option<usize>,
}

/// What a worker is to do.
pub(crate) enum Order {
    /// Serve what this says, and say so.
    Follow(Box<Change>, Sender<io::Result<()>>),
    /// Panic.
    #[cfg(test)]
    Die,
}

/// Runs a worker on this thread until it is told to stop and has finished. Says through `started` when it takes orders.
pub(crate) fn run(control: Control, started: &Sender<io::Result<()>>) -> io::Result<()> {
    control.core.map(cores::pin).transpose()?;
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let mut life = Life { counts: Arc::clone(&control.counts), died: true };
    let metrics = runtime.metrics();
    let end = runtime.block_on(work(control, metrics, started));
    // What is left of connections goes now, so that they are gone once the worker is said to have ended.
    drop(runtime);
    life.died = end == End::Failed;
    Ok(())
}

/// Why a worker ended.
#[derive(PartialEq, Eq)]
enum End {
    /// It was told to.
    Stopped,
    /// A part that it needs has panicked. Without its ticks no timeout would fire, so others are left to serve.
    Failed,
}

/// Tells how a worker ended, also when it is by a panic.
struct Life {
    counts: Arc<Counts>,
    died: bool,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.counts.ended(self.died);
    }
}

async fn work(control: Control, metrics: RuntimeMetrics, started: &Sender<io::Result<()>>) -> End {
    let Control { clock, mut orders, mut stop, cut_off, counts, shortage, .. } = control;
    let worker = Worker::new(clock, counts, shortage);
    tokio::task::spawn_local(tick(Rc::clone(&worker), metrics));
    let mut places = Places::new(Rc::clone(&worker));
    // Whoever started this worker may have given up because of another.
    let _ = started.send(Ok(()));
    let patience = {
        let stopped = stop.wait_for(Option::is_some);
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                biased;
                () = worker.failed.notified() => return End::Failed,
                told = &mut stopped => break told.ok().and_then(|patience| *patience),
                Some(order) = orders.recv() => obey(order, &mut places).await,
            }
        }
    };
    // Whoever gave an order that was not obeyed any more learns of it.
    drop(orders);
    // Nobody is left to wait for the end when nobody is left to tell of it.
    let Some(patience) = patience else { return End::Stopped };
    places.close().await;
    worker.stop();
    if tokio::time::timeout(patience, no_clients(&worker)).await.is_err() {
        cut_off.fetch_add(worker.clients(), Ordering::Relaxed);
    }
    End::Stopped
}

async fn obey(order: Order, places: &mut Places) {
    match order {
        Order::Follow(change, done) => {
            let result = places.follow(*change).await;
            // Whoever gave the order may have ended.
            let _ = done.send(result);
        }
        #[cfg(test)]
        Order::Die => panic!("told to"),
    }
}

async fn tick(worker: Rc<Worker>, metrics: RuntimeMetrics) {
    /// The only worker of a runtime of one thread.
    const ONLY: usize = 0;
    let _vital = Vital(Rc::clone(&worker));
    let mut lag = Lag::new(worker.recently());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let late = ticks.tick().await.elapsed();
        worker.tick();
        lag.note(late, worker.recently());
        worker.counts.ticked(metrics.worker_total_busy_duration(ONLY), &lag);
    }
}

async fn no_clients(worker: &Worker) {
    /// How soon the end of the last connection is noticed.
    const LOOK: Duration = Duration::from_millis(5);
    let mut looks = interval(LOOK);
    while worker.clients() > 0 {
        looks.tick().await;
    }
}
