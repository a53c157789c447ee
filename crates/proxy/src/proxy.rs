//! The data plane as a whole: started, asked where it listens, stopped.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use plimsoll_config::{Config, Pool as PoolRules};
use plimsoll_core::{Pools, ProbeResult, Server};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::listener::{self, Bound};
use crate::log::{LogError, Logs};
use crate::prober::{Prober, Target};
use crate::service::Service;
use crate::thread::{self as worker_thread, Control};

/// A running data plane.
#[derive(Debug)]
pub struct Proxy {
    addresses: Vec<(String, SocketAddr)>,
    workers: Vec<JoinHandle<()>>,
    /// `None` when no pool is probed.
    prober: Option<Prober>,
    logs: Arc<Logs>,
    stop: watch::Sender<Option<Duration>>,
    cut_off: Arc<AtomicUsize>,
    patience: Duration,
}

/// Why the data plane could not be started.
#[derive(Debug)]
pub enum StartError {
    /// An address of a listener could not be bound.
    Bind {
        /// The listener's name.
        listener: String,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A listener names a pool that is not among the pools.
    NoPool {
        /// The listener's name.
        listener: String,
        /// The pool's name.
        pool: String,
    },
    /// The access log cannot be written where it should be.
    Log(LogError),
    /// A thread could not be started.
    Worker(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { listener, address, source } => {
                write!(f, "listener `{listener}` cannot listen on {address}: ")?;
                match source.kind() {
                    io::ErrorKind::AddrInUse => {
                        f.write_str("the port is in use; stop what listens there, or choose another port")
                    }
                    io::ErrorKind::PermissionDenied => f.write_str(
                        "permission denied; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE",
                    ),
                    io::ErrorKind::AddrNotAvailable => f.write_str("this machine has no such address"),
                    _ => write!(f, "{source}"),
                }
            }
            Self::NoPool { listener, pool } => {
                write!(f, "listener `{listener}` wants pool `{pool}`, which is not there")
            }
            Self::Log(error) => error.fmt(f),
            Self::Worker(source) => write!(f, "a worker thread cannot be started: {source}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Worker(source) => Some(source),
            Self::Log(error) => Some(&error.source),
            Self::NoPool { .. } => None,
        }
    }
}

impl Proxy {
    /// Binds all listeners of `config` and serves them with `workers` threads over `pools`.
    ///
    /// `clock` must be the one the pools were made with. Everything is bound before anything is served.
    pub fn start(config: &Config, workers: usize, pools: &Pools, clock: Clock) -> Result<Self, StartError> {
        let workers = workers.max(1);
        let logs = Arc::new(Logs::new());
        let plan = logs.prepare(config, workers).map_err(StartError::Log)?;
        let mut addresses = Vec::new();
        let mut bound: Vec<Vec<Bound>> = (0..workers).map(|_| Vec::new()).collect();
        for listener in &config.listeners {
            let service = Service::new(config, listener, pools, &plan)
                .map_err(|pool| StartError::NoPool { listener: listener.name.clone(), pool })?;
            let service = Arc::new(service);
            for &address in &listener.binds {
                let failed = |source| StartError::Bind { listener: listener.name.clone(), address, source };
                let sockets = listener::bind(address, workers).map_err(failed)?;
                addresses.extend(
                    sockets.first().and_then(|socket| socket.local_addr().ok()).map(|at| (listener.name.clone(), at)),
                );
                for (worker, socket) in bound.iter_mut().zip(sockets) {
                    worker.push(Bound { socket, service: Arc::clone(&service) });
                }
            }
        }
        let (stop, stopped) = watch::channel(None);
        let cut_off = Arc::new(AtomicUsize::new(0));
        let control = Control { clock, stop: stopped, cut_off: Arc::clone(&cut_off) };
        let workers = start_workers(bound, &control).map_err(StartError::Worker)?;
        let targets = targets(config, pools);
        let prober = (!targets.is_empty()).then(|| Prober::start(judge(pools, clock))).transpose();
        let prober = prober.map_err(StartError::Worker)?;
        if let Some(prober) = &prober {
            prober.replace(targets);
        }
        logs.commit(&plan);
        Ok(Self { addresses, workers, prober, logs, stop, cut_off, patience: config.shutdown_timeout })
    }

    /// The addresses bound, each with the name of its listener.
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// The access log and the traces.
    pub fn logs(&self) -> &Arc<Logs> {
        &self.logs
    }

    /// Opens the file of the access log anew, for whoever has moved it away.
    pub fn reopen_logs(&self) {
        self.logs.reopen();
    }

    /// Begins a graceful stop: nothing new is accepted, what is under way is finished.
    pub fn stop(&self) {
        self.stop.send_replace(Some(self.patience));
    }

    /// Waits until all workers have ended after [`Proxy::stop`]. Returns how many client connections were still
    /// busy when the configured `shutdown_timeout` had passed and were cut off.
    pub fn wait(self) -> usize {
        for worker in self.workers {
            // A worker that panicked has nothing left to wait for.
            let _ = worker.join();
        }
        // Last, so that what is finishing still learns of servers that come back.
        if let Some(prober) = self.prober {
            prober.stop();
        }
        self.logs.finish();
        self.cut_off.load(Ordering::Relaxed)
    }
}

/// Every server to be probed.
fn targets(config: &Config, pools: &Pools) -> Vec<Target> {
    let of_pool = |rules: &PoolRules| {
        let probe = Arc::new(rules.probe.clone()?);
        let hosts: HashMap<_, _> = rules.servers.iter().map(|server| (&*server.name, server.authority())).collect();
        let target = |server: Arc<Server>| {
            let host = hosts.get(server.id().name())?.clone();
            Some(Target { server, host, probe: Arc::clone(&probe) })
        };
        Some(pools.pool(&rules.name)?.servers().into_iter().filter_map(target).collect::<Vec<_>>())
    };
    config.pools.iter().filter_map(of_pool).flatten().collect()
}

/// Hands what probes find to the pools of the servers.
fn judge(pools: &Pools, clock: Clock) -> impl Fn(&Server, ProbeResult) + Send + 'static {
    let pools: HashMap<_, _> = pools.all().into_iter().map(|pool| (pool.name().to_owned(), pool)).collect();
    move |server: &Server, result| {
        if let Some(pool) = pools.get(server.id().pool()) {
            pool.probed(server, result, clock.now());
        }
    }
}

/// Starts a thread for each worker and waits until all of them serve.
fn start_workers(bound: Vec<Vec<Bound>>, control: &Control) -> io::Result<Vec<JoinHandle<()>>> {
    let (started, starts) = mpsc::channel();
    let start = |(number, bound): (usize, Vec<Bound>)| {
        let (control, started) = (control.clone(), started.clone());
        let run = move || {
            if let Err(error) = worker_thread::run(bound, control, &started) {
                // Nobody listens only when the start has failed already.
                let _ = started.send(Err(error));
            }
        };
        thread::Builder::new().name(format!("worker-{number}")).spawn(run)
    };
    let workers = bound.into_iter().enumerate().map(start).collect::<io::Result<Vec<_>>>()?;
    drop(started);
    starts.iter().take(workers.len()).collect::<io::Result<()>>()?;
    Ok(workers)
}
