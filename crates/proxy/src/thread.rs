//! The thread of a worker: its runtime, its listeners, its ticks, and how it ends.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Clock;
use crate::listener::{self, Bound};
use crate::service::Served;
use crate::timers::TICK;
use crate::worker::Worker;

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
        let served: Vec<_> = bound.iter().map(|bound| Arc::clone(&bound.service.served)).collect();
        tokio::task::spawn_local(tick(Rc::clone(&worker), served));
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
            control.cut_off.fetch_add(worker.clients(), Ordering::Relaxed);
        }
        Ok(())
    })
}

async fn tick(worker: Rc<Worker>, served: Vec<Arc<Served>>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        worker.tick();
        for first in &served {
            std::iter::successors(Some(first), |served| served.fallback.as_ref())
                .for_each(|served| served.pool.tick(worker.recently()));
        }
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
