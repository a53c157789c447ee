//! The data plane as a whole: started, led to another configuration, asked how it is, stopped.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use plimsoll_config::{Bind, Config};
use plimsoll_core::{ClientStats, Pools};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::cores;
use crate::counts::Counts;
use crate::descriptors::Descriptors;
use crate::in_force::InForce;
use crate::lock::lock;
use crate::log::{Logs, Plan};
use crate::places::Change;
use crate::probing::Probing;
use crate::room::Occupancy;
use crate::shortage::Shortage;
use crate::sockets::{Bound, Inherited};
use crate::start_error::StartError;
use crate::stats::ProxyStats;
use crate::thread::{self as worker_thread, Control, Order};
use crate::tls::TlsPlan;

/// A running data plane. Everything is done through a shared reference, from any thread.
///
/// A change of the configuration has two steps: [`prepare`](Self::prepare) does what can fail and changes nothing, then
/// [`commit`](Self::commit) puts it in force. They wait for each other, and for nothing that a client or server does.
pub struct Proxy {
    clock: Clock,
    workers: Vec<WorkerLink>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    in_force: Mutex<InForce>,
    /// `None` until a pool is probed.
    probing: Mutex<Option<Probing>>,
    logs: Arc<Logs>,
    stop: watch::Sender<Option<Duration>>,
    cut_off: Arc<AtomicUsize>,
    shortage: Arc<Shortage>,
    /// The core of each worker; empty where they are not pinned.
    cores: Vec<usize>,
}

/// What is needed to talk to a worker.
struct WorkerLink {
    orders: UnboundedSender<Order>,
    counts: Arc<Counts>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

/// The sockets of a configuration, bound before there is a data plane: while there is one thread, so that rights can be given
/// up between this and the start.
#[derive(Debug)]
pub struct Doors {
    bound: Vec<Bound>,
    workers: usize,
}

impl Doors {
    /// Binds what the listeners of `config` want, for as many workers; what is `inherited` is used in place of that.
    ///
    /// # Errors
    /// An address that cannot be bound, or something inherited that no listener wants.
    pub fn open(config: &Config, workers: usize, inherited: Vec<Inherited>) -> Result<Self, StartError> {
        let workers = workers.max(1);
        let taken = inherited.into_iter().map(|socket| socket.bound(config, workers)).collect::<Result<_, _>>()?;
        let bound = InForce::default().bind(config, workers, taken)?;
        Ok(Self { bound, workers })
    }
}

/// A configuration whose sockets are bound, to be given to [`Proxy::commit`]. Dropped instead, it closes them again.
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    bound: Vec<Bound>,
    /// For clients and servers.
    tls: TlsPlan,
    /// What is to be told of requests, opened.
    telling: Plan,
    /// Started for this configuration, where none was there.
    probing: Option<Probing>,
}

impl Proxy {
    /// Binds all listeners of `config` and serves them with `workers` threads over `pools`.
    ///
    /// `clock` must be the one the pools were made with. Everything is bound before anything is served.
    pub fn start(config: &Config, workers: usize, pools: &Pools, clock: Clock) -> Result<Self, StartError> {
        Self::start_at(Doors::open(config, workers, Vec::new())?, config, pools, clock)
    }

    /// The same with `doors` that were opened for `config`.
    pub fn start_at(doors: Doors, config: &Config, pools: &Pools, clock: Clock) -> Result<Self, StartError> {
        let cores = if config.process.pin_workers { cores::usable() } else { Vec::new() };
        let proxy = Self::idle(doors.workers, cores, clock).map_err(StartError::Worker)?;
        let prepared = proxy.prepare_with(config, doors.bound)?;
        proxy.commit(prepared, pools)?;
        Ok(proxy)
    }

    /// Binds what `config` needs and is not bound yet, and changes nothing else.
    ///
    /// Sockets are told by their address as configured. Those that are bound already stay, whatever their listener is
    /// called now, and so does a port that was left to the system. New ones listen from now on: the kernel holds who comes
    /// until the commit, and resets them when `Prepared` is dropped instead. A number of workers that differs from the one
    /// at the start is ignored.
    ///
    /// # Errors
    /// An address that cannot be bound, a certificate that cannot be used, a log that cannot be written, or the prober's thread that cannot be started. Nothing has changed then.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, StartError> {
        self.prepare_with(config, Vec::new())
    }

    /// The same where some is `bound` already.
    fn prepare_with(&self, config: &Config, bound: Vec<Bound>) -> Result<Prepared, StartError> {
        let workers = self.serving().count();
        let telling = self.logs.prepare(config, self.workers.len()).map_err(StartError::Log)?;
        let before = lock(&self.in_force).tls().clone();
        let tls = TlsPlan::new(config, &before)?;
        let bound = lock(&self.in_force).bind(config, workers, bound)?;
        let missing = Probing::wanted(config) && lock(&self.probing).is_none();
        let probing = missing.then(|| Probing::start(self.clock)).transpose().map_err(StartError::Worker)?;
        Ok(Prepared { config: config.clone(), bound, tls, telling, probing })
    }

    /// Puts a prepared configuration in force over `pools`, which it must have been applied to before. Once this returns,
    /// all workers follow it, and the sockets of listeners that are gone are closed. After [`stop`](Self::stop) it does
    /// nothing.
    ///
    /// Connections go on. From the next request on they are served by the new settings and pools; requests and tunnels
    /// under way end by those they began with. Where a listener is gone, what the kernel has accepted is still served,
    /// idle connections close, and busy ones after their request; tunnels stay. Open connections go on counting against the
    /// `max_connections` of the listener of that name or, if it was renamed, of the one that took its address over.
    ///
    /// # Errors
    /// A pool of the configuration is not among `pools`, or what another configuration that was committed since has closed
    /// cannot be bound again; nothing has changed then. [`StartError::Worker`] if a worker's runtime cannot take a new
    /// socket: all else is in force then, and the other workers serve that address.
    pub fn commit(&self, prepared: Prepared, pools: &Pools) -> Result<(), StartError> {
        let Prepared { config, bound, tls, telling, probing } = prepared;
        let mut in_force = lock(&self.in_force);
        if self.stop.borrow().is_some() {
            return Ok(());
        }
        let bound = in_force.bind(&config, self.serving().count(), bound)?;
        let clients = Descriptors::of(&config, self.workers.len()).clients;
        self.shortage.follow(&config, self.workers.len());
        let (next, mut sockets) = in_force.next(&config, (bound, &telling, tls), clients, pools)?;
        next.set_limits();
        let services = next.places();
        let (done, answers) = mpsc::channel();
        for worker in self.serving() {
            let sockets = sockets.iter_mut().filter_map(|(place, sockets)| Some((*place, sockets.pop()?))).collect();
            let change = Change { services: Arc::clone(&services), sockets };
            // One that has died since closes its sockets by that.
            let _ = worker.orders.send(Order::Follow(Box::new(change), done.clone()));
        }
        drop(done);
        self.logs.commit(&telling);
        let before = std::mem::replace(&mut *in_force, next);
        let followed = answers.iter().fold(Ok(()), io::Result::and);
        // Not before the workers have let go of it: to free what ten thousand servers need is not their work.
        drop(before);
        let mut known = lock(&self.probing);
        *known = known.take().or(probing);
        if let Some(probing) = &*known {
            probing.follow(&config, pools, in_force.tls());
        }
        followed.map_err(StartError::Worker)
    }

    /// The addresses bound, each with the name of its listener.
    pub fn addresses(&self) -> Vec<(String, Bind)> {
        lock(&self.in_force).addresses()
    }

    /// What workers and listeners tell of themselves. Costs them nothing.
    pub fn stats(&self) -> ProxyStats {
        let workers = self.workers.iter().map(|worker| worker.counts.read()).collect();
        let in_force = lock(&self.in_force);
        let (listeners, Occupancy { limit, inside, .. }) = (in_force.listeners(), in_force.clients());
        let (sticky, limits, mirrors) = (in_force.sticky(), in_force.limits(), in_force.mirrors());
        let stopping = self.stop.borrow().is_some();
        ProxyStats {
            workers,
            listeners,
            sticky,
            mirrors,
            clients: inside,
            clients_limit: limit,
            shortages: self.shortage.times(),
            limits,
            stopping,
        }
    }

    /// The `most` busiest clients in a limit, and what people call them; `None` where there is no limit of this name.
    pub fn top_clients(&self, limit: &str, most: usize) -> Option<Vec<(String, ClientStats)>> {
        let limit = lock(&self.in_force).limit(limit)?;
        Some(limit.top(most, self.clock.now()))
    }

    /// The core that each worker stays on; empty where they are not pinned.
    pub fn cores(&self) -> &[usize] {
        &self.cores
    }

    /// That the process runs out of descriptors, in a sentence for an operator who has not been told of it; now and then, not
    /// each time.
    pub fn shortage(&self) -> Option<String> {
        self.shortage.news(Instant::now())
    }

    /// The access log and the traces.
    pub fn logs(&self) -> &Arc<Logs> {
        &self.logs
    }

    /// Begins a graceful stop: nothing new is accepted, what is under way is finished.
    pub fn stop(&self) {
        let mut in_force = lock(&self.in_force);
        self.stop.send_replace(Some(in_force.patience()));
        // Who has connected already is still served.
        in_force.remove_files();
    }

    /// Waits until all workers have ended after [`Proxy::stop`]. Returns how many client connections were still
    /// busy when the configured `shutdown_timeout` had passed and were cut off.
    pub fn wait(&self) -> usize {
        for worker in lock(&self.threads).drain(..) {
            // A worker that panicked has nothing left to wait for.
            let _ = worker.join();
        }
        // Last, so that what is finishing still learns of servers that come back.
        if let Some(probing) = lock(&self.probing).take() {
            probing.stop();
        }
        self.logs.finish();
        self.cut_off.load(Ordering::Relaxed)
    }

    /// A data plane whose workers serve nothing, and stay on these cores if there are any.
    fn idle(workers: usize, usable: Vec<usize>, clock: Clock) -> io::Result<Self> {
        let cores: Vec<usize> = usable.into_iter().cycle().take(workers).collect();
        let shortage = Arc::new(Shortage::prepared());
        let (stop, stopped) = watch::channel(None);
        let cut_off = Arc::new(AtomicUsize::new(0));
        let (started, starts) = mpsc::channel();
        let (mut links, mut threads) = (Vec::new(), Vec::new());
        for number in 0..workers {
            let (orders, ordered) = unbounded_channel();
            let counts = Arc::new(Counts::of(number));
            links.push(WorkerLink { orders, counts: Arc::clone(&counts) });
            let (stop, cut_off, started) = (stopped.clone(), Arc::clone(&cut_off), started.clone());
            let (shortage, core) = (Arc::clone(&shortage), cores.get(number).copied());
            let run = move || {
                let control = Control { clock, orders: ordered, stop, cut_off, counts, shortage, core };
                if let Err(error) = worker_thread::run(control, &started) {
                    // Nobody listens only when the start has failed already.
                    let _ = started.send(Err(error));
                }
            };
            threads.push(thread::Builder::new().name(format!("worker-{number}")).spawn(run)?);
        }
        drop(started);
        starts.iter().take(workers).collect::<io::Result<()>>()?;
        Ok(Self {
            clock,
            workers: links,
            threads: Mutex::new(threads),
            in_force: Mutex::new(InForce::by(workers)),
            probing: Mutex::default(),
            logs: Arc::new(Logs::new()),
            stop,
            cut_off,
            shortage,
            cores,
        })
    }

    /// The workers that are there.
    fn serving(&self) -> impl Iterator<Item = &WorkerLink> {
        self.workers.iter().filter(|worker| worker.counts.serves())
    }
}
