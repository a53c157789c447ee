//! The prober: asks servers how they are, at intervals, and tells what it found.
//!
//! One thread with a runtime of its own beside the workers, so that however many servers are probed, and however they
//! answer, no request waits for it. What a result leads to is the pool's matter; the prober only looks
//! whether a server is down, since those are asked more often.
//!
//! `schedule` says which `target` to ask when, `ask` makes one probe, `exchange`, `http` and `grpc` judge what comes back,
//! `failure` lists what may be wrong with it. Neither a slow server nor a hostile one can hold the prober up: each probe
//! has one timeout for everything and a bound on what it reads, and the number under way is bounded too.

mod ask;
mod exchange;
mod failure;
mod grpc;
mod http;
mod schedule;
mod target;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use plimsoll_core::{ProbeResult, Server, Time};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Clock;
use crate::descriptors::MOST_PROBES;
use crate::timers::Timers;
use ask::Desk;
use schedule::Schedule;

pub(crate) use target::Target;

/// How often it is looked whose time has come, or is up, and so how late either may be noticed. Measured with 400 probes a
/// second, without the optimiser: 160 us of CPU for each at 5 ms, 72 at 50 ms, 64 at 100 ms, 60 at 250 ms. Of what the
/// kernel needs for a connection nothing is left in the processor's cache after a sleep, and probes begun together share it.
const PACE: Duration = Duration::from_millis(100);

/// A running prober. It ends when it is dropped; [`Prober::stop`] waits for that.
#[derive(Debug)]
pub(crate) struct Prober {
    targets: watch::Sender<Vec<Target>>,
    thread: JoinHandle<()>,
}

impl Prober {
    /// Starts a prober that has nobody to ask yet. `judge` gets what is found, on the prober's thread, so it should return
    /// at once.
    ///
    /// Returns the error of the system when it has no thread or descriptor left for it.
    pub(crate) fn start(judge: impl Fn(&Server, ProbeResult) + Send + 'static) -> io::Result<Self> {
        let (targets, wanted) = watch::channel(Vec::new());
        let (started, start) = mpsc::channel();
        let run = move || {
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            let failed = runtime.as_ref().err().map(io::Error::kind);
            // Nobody listens only when this thread could not be started.
            let _ = started.send(failed.map_or(Ok(()), |kind| Err(io::Error::from(kind))));
            if let Ok(runtime) = runtime {
                // A task of its own: what wakes the future that a runtime blocks on costs a system call.
                runtime.block_on(async { tokio::task::spawn_local(Runner::new(judge).run(wanted)).await }).ok();
            }
        };
        let thread = thread::Builder::new().name("prober".to_owned()).spawn(run)?;
        start.recv().map_err(io::Error::other)??;
        Ok(Self { targets, thread })
    }

    /// Probes these from now on; of several for one server the first counts. A server probed as before keeps its time
    /// and what is under way; to every other a probe under way comes to nothing.
    pub(crate) fn replace(&self, targets: Vec<Target>) {
        self.targets.send_replace(targets);
    }

    /// Ends it, with all that is under way.
    pub(crate) fn stop(self) {
        drop(self.targets);
        // One that panicked has nothing left to wait for.
        let _ = self.thread.join();
    }
}

/// A target and where it stands.
struct Probed {
    target: Arc<Target>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    task: AbortHandle,
    began: Time,
}

/// How a probe ended: of the server with this serial, and `None` when this machine could not ask.
type Ended = (u64, Option<ProbeResult>);

/// The prober's only loop.
struct Runner<J> {
    judge: J,
    /// By the serial of the server.
    probed: HashMap<u64, Probed>,
    schedule: Schedule,
    probes: JoinSet<Ended>,
    timers: Rc<Timers>,
    desk: Rc<Desk>,
    random: fastrand::Rng,
    clock: Clock,
    /// The time at the last tick.
    now: Time,
}

impl<J: Fn(&Server, ProbeResult)> Runner<J> {
    fn new(judge: J) -> Self {
        let clock = Clock::start();
        Self {
            judge,
            probed: HashMap::new(),
            schedule: Schedule::new(MOST_PROBES),
            probes: JoinSet::new(),
            timers: Timers::new(clock.now()),
            desk: Desk::new(),
            random: fastrand::Rng::new(),
            clock,
            now: clock.now(),
        }
    }

    /// Probes what is wanted until nobody is left to want anything.
    async fn run(mut self, mut wanted: watch::Receiver<Vec<Target>>) {
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(ended) = self.probes.join_next_with_id() => self.end(ended),
                _ = ticks.tick(), if !self.probed.is_empty() => {
                    self.now = self.clock.now();
                    self.timers.advance(self.now);
                }
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let targets = wanted.borrow_and_update().clone();
                    self.replace(targets);
                }
            }
            while let Some(serial) = self.schedule.take(self.now) {
                self.begin(serial);
            }
        }
    }

    fn replace(&mut self, targets: Vec<Target>) {
        let mut before = std::mem::take(&mut self.probed);
        let mut new = Vec::new();
        for target in targets {
            let serial = target.server.serial();
            if self.probed.contains_key(&serial) {
                continue;
            }
            let same = before.get(&serial).is_some_and(|probed| probed.target.is_same(&target));
            let kept = if same { before.remove(&serial) } else { None };
            if kept.is_none() {
                new.push(serial);
            }
            let probed = kept.unwrap_or_else(|| Probed { target: Arc::new(target), under_way: None });
            self.probed.insert(serial, probed);
        }
        self.schedule.retain(|serial| !before.contains_key(&serial));
        for under_way in before.into_values().filter_map(|probed| probed.under_way) {
            under_way.task.abort();
        }
        self.now = self.clock.now();
        for serial in new {
            let interval = self.probed[&serial].target.interval();
            self.schedule.add(serial, interval, self.now, self.random.u64(..));
        }
    }

    fn begin(&mut self, serial: u64) {
        let Some(probed) = self.probed.get_mut(&serial) else { return self.schedule.ended() };
        let (target, desk, deadline) = (Arc::clone(&probed.target), Rc::clone(&self.desk), self.timers.deadline());
        deadline.set(self.now + target.probe.timeout);
        let task = self.probes.spawn_local(async move { (serial, ask::ask(&target, &deadline, &desk).await) });
        probed.under_way = Some(UnderWay { task, began: self.now });
    }

    fn end(&mut self, ended: Result<(Id, Ended), JoinError>) {
        self.schedule.ended();
        let (id, serial, finding) = match ended {
            Ok((id, (serial, finding))) => (id, Some(serial), finding),
            // Called off, or panicked: then the server must not go without probes for the rest of its life.
            Err(error) => (error.id(), self.serial_of(error.id()), None),
        };
        let Some(serial) = serial else { return };
        let Some(probed) = self.probed.get_mut(&serial) else { return };
        let Some(UnderWay { began, .. }) = probed.under_way.take_if(|under_way| under_way.task.id() == id) else {
            return;
        };
        let target = Arc::clone(&probed.target);
        if let Some(finding) = finding {
            (self.judge)(&target.server, finding);
        }
        let interval = target.interval();
        self.schedule.again(serial, began, interval, self.random.u64(..));
    }

    fn serial_of(&self, task: Id) -> Option<u64> {
        let mut all = self.probed.iter();
        let of_task = |probed: &Probed| probed.under_way.as_ref().is_some_and(|under_way| under_way.task.id() == task);
        all.find(|(_, probed)| of_task(probed)).map(|(serial, _)| *serial)
    }
}
