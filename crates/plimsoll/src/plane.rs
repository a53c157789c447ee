//! The data plane wired to its pools and to control: what `serve` and `demo` both run.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use plimsoll_config::{Config, Target, Trace};
use plimsoll_control::{
    AdminDoors, Beginning, Control, DataPlane, HandshakeStats, Journal, ListenerStats, LogStats, MirrorStats, Names,
    PlaneStats, Prepared, RouteStats, Source, StickyStats, TopClient, WorkerStats,
};
use plimsoll_core::{Pools, Time};
use plimsoll_proxy::{Clock, Doors, Inherited, Proxy, StartError, WorkerState, cores};

use crate::account::Account;
use crate::console;
use crate::trace::Exporter;

/// A running data plane with the pools it serves.
pub(crate) struct Plane {
    pub(crate) pools: Arc<Pools>,
    pub(crate) clock: Clock,
    proxy: Arc<Proxy>,
    /// Sends traces, where there are any.
    exporter: Arc<Exporter>,
    /// Whose rights the process has since its start as root, where it gave up its own.
    account: Option<Account>,
}

/// What a plane stands on: all that is bound, while there is one thread.
pub(crate) struct Ground {
    pub(crate) doors: Doors,
    pub(crate) admin: AdminDoors,
}

impl Ground {
    /// Binds what `config` wants, but for what is `inherited`.
    ///
    /// # Errors
    /// An address that cannot be bound, or something inherited that nothing wants.
    pub(crate) fn bind(config: &Config, inherited: Vec<Inherited>) -> anyhow::Result<Self> {
        let doors = Doors::open(config, workers(config), inherited)?;
        Ok(Self { doors, admin: AdminDoors::open(config)? })
    }
}

/// Worker threads: as many as the file says, or as this process can keep busy.
pub(crate) fn workers(config: &Config) -> usize {
    config.workers.map_or_else(cores::worth_using, NonZeroUsize::get)
}

/// What an operator should know of `config` on this machine, though it can be served.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let (workers, cores) = (workers(config), cores::usable().len());
    let crowded = (config.process.pin_workers && workers > cores).then(|| {
        format!(
            "`pin_workers` keeps each worker on a core, and {workers} workers are more than the {cores} that this process may \
             use: some share one while others may be idle; lower `workers`, or remove `pin_workers`"
        )
    });
    plimsoll_proxy::tls_warnings(config, SystemTime::now()).into_iter().chain(crowded).collect()
}

impl Plane {
    /// Makes the pools that `config` asks for and serves them as it says. Gives the host names that were looked up, too.
    ///
    /// # Errors
    /// A host name without an address, a log that cannot be written, or a thread that cannot be started.
    pub(crate) fn start(config: &Config, doors: Doors, account: Option<Account>) -> anyhow::Result<(Self, Names)> {
        let mut names = Names::default();
        let specs = names.pool_specs(config, true)?;
        let clock = Clock::start();
        let pools = Arc::new(Pools::new());
        pools.apply(specs, clock.now());
        let proxy = Arc::new(Proxy::start_at(doors, config, &pools, clock)?);
        let exporter = Arc::new(Exporter::new(Arc::clone(proxy.logs())));
        exporter.prepare(config.trace.as_ref())?;
        exporter.follow(config.trace.clone());
        Ok((Self { pools, clock, proxy, exporter, account }, names))
    }

    /// Starts the control plane over it, with the configuration and the names it was started with.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub(crate) fn control(
        &self,
        doors: AdminDoors,
        (config, names): (Config, Names),
        source: Source,
        journal: Journal,
    ) -> anyhow::Result<Control> {
        let (proxy, exporter) = (Arc::clone(&self.proxy), Arc::clone(&self.exporter));
        let plane = Arc::new(Wires { proxy, exporter, clock: self.clock, account: self.account.clone() });
        let (pools, journal) = (Arc::clone(&self.pools), Arc::new(journal));
        let beginning = Beginning { config, source, names, pools, plane, journal };
        Ok(Control::start_at(doors, beginning)?)
    }

    /// Whether every worker has come to its ticks since this was asked with the same `seen`; those that have ended need not.
    pub(crate) fn look_at_workers(&self, seen: &mut Vec<u64>) -> bool {
        let workers = self.proxy.stats().workers;
        let ticks: Vec<u64> = workers.iter().map(|worker| worker.ticks).collect();
        let before = std::mem::replace(seen, ticks);
        let goes_on = |(number, worker): (usize, &plimsoll_proxy::WorkerStats)| {
            worker.state != WorkerState::Serving || before.get(number).is_none_or(|before| *before != worker.ticks)
        };
        let all_died = workers.iter().all(|worker| worker.state == WorkerState::Died);
        !all_died && workers.iter().enumerate().all(goes_on)
    }

    /// Says where it listens and what serves there, a line for each address.
    pub(crate) fn announce(&self, config: &Config) {
        for (name, address) in self.proxy.addresses() {
            let listener = config.listeners.iter().find(|listener| listener.name == *name);
            let Some(listener) = listener else { continue };
            let scheme = listener.scheme();
            let pools = listener.target.pools();
            let plain = listener.target.routes().len() <= 1 && !matches!(listener.target, Target::Sni { .. });
            let alone = pools.first().filter(|_| plain && pools.len() == 1);
            let serving = alone.and_then(|name| config.pools.iter().find(|pool| pool.name == **name));
            match serving {
                Some(pool) => {
                    let (name, count, policy) = (&pool.name, servers(pool.servers.len()), pool.policy);
                    console::say(format_args!("listening on {scheme}://{address} -> pool {name} ({count}, {policy})"));
                }
                None => console::say(format_args!("listening on {scheme}://{address} -> {}", listener.target)),
            }
        }
        let cores: Vec<String> = self.proxy.cores().iter().map(ToString::to_string).collect();
        if !cores.is_empty() {
            console::say(format_args!("workers are pinned to cores: {}", cores.join(", ")));
        }
    }

    /// An address under which this machine reaches the first listener.
    pub(crate) fn local_address(&self) -> anyhow::Result<SocketAddr> {
        let addresses = self.proxy.addresses();
        let address = addresses.iter().find_map(|(_, bind)| bind.ip()).context("no listener has an address")?;
        let local = match address {
            SocketAddr::V4(any) if any.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(any) if any.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            given => given.ip(),
        };
        Ok(SocketAddr::new(local, address.port()))
    }

    /// Takes nothing new, waits for what is under way, and gives the number of client connections that were cut off
    /// because they were still busy after `shutdown_timeout`.
    pub(crate) fn stop(&self) -> usize {
        self.proxy.stop();
        self.proxy.wait()
    }
}

/// The data plane as control sees it: the two know nothing of each other, so their words are translated here.
struct Wires {
    proxy: Arc<Proxy>,
    exporter: Arc<Exporter>,
    clock: Clock,
    account: Option<Account>,
}

impl Wires {
    /// Why a configuration cannot be put in force; and what can be done about it where that is not what it was at the start.
    fn refusal(&self, error: &StartError) -> String {
        let denied = matches!(error, StartError::Bind { source, .. } if source.kind() == ErrorKind::PermissionDenied);
        match self.account.as_ref().filter(|_| denied) {
            Some(Account { name, .. }) => format!(
                "{error}. The rights of root were given up for user {name} after the start: restart to bind it, start by \
                 systemd with AmbientCapabilities=CAP_NET_BIND_SERVICE and User={name} in the unit, or lower \
                 net.ipv4.ip_unprivileged_port_start"
            ),
            None => error.to_string(),
        }
    }
}

impl DataPlane for Wires {
    fn now(&self) -> Time {
        self.clock.now()
    }

    fn prepare(&self, config: &Config) -> Result<Box<dyn Prepared>, String> {
        let prepared = self.proxy.prepare(config).map_err(|error| self.refusal(&error))?;
        self.exporter.prepare(config.trace.as_ref()).map_err(|error| format!("{error:#}"))?;
        let (proxy, exporter) = (Arc::clone(&self.proxy), Arc::clone(&self.exporter));
        Ok(Box::new(Change { proxy, exporter, prepared, trace: config.trace.clone() }))
    }

    fn warnings(&self, config: &Config) -> Vec<String> {
        warnings(config)
    }

    fn stats(&self) -> PlaneStats {
        let stats = self.proxy.stats();
        PlaneStats {
            workers: stats.workers.iter().map(worker).collect(),
            listeners: stats.listeners.into_iter().map(listener).collect(),
            limits: stats.limits.into_iter().map(|limit| (limit.name, limit.table)).collect(),
            sticky: stats.sticky.into_iter().map(sticky).collect(),
            mirrors: stats.mirrors.into_iter().map(mirror).collect(),
            log: Some(log(self.proxy.logs().stats())),
            clients: stats.clients as u64,
            clients_limit: stats.clients_limit as u64,
            shortages: stats.shortages,
            stopping: stats.stopping,
        }
    }

    fn top_clients(&self, limit: &str, most: usize) -> Option<Vec<TopClient>> {
        let top = self.proxy.top_clients(limit, most)?;
        Some(top.into_iter().map(|(name, stats)| TopClient { name, stats }).collect())
    }

    fn trouble(&self) -> Option<String> {
        self.proxy.logs().news().or_else(|| self.proxy.shortage())
    }

    fn reopen_logs(&self) {
        self.proxy.logs().reopen();
    }
}

/// A configuration for which everything is bound.
struct Change {
    proxy: Arc<Proxy>,
    exporter: Arc<Exporter>,
    prepared: plimsoll_proxy::Prepared,
    trace: Option<Trace>,
}

impl Prepared for Change {
    fn commit(self: Box<Self>, pools: &Pools) -> Result<(), String> {
        self.exporter.follow(self.trace);
        self.proxy.commit(self.prepared, pools).map_err(|error| error.to_string())
    }
}

fn sticky(stats: plimsoll_proxy::StickyStats) -> StickyStats {
    let plimsoll_proxy::StickyStats { pool, kept, moved, fresh, refused, learnt } = stats;
    StickyStats { pool, kept, moved, fresh, refused, learnt: learnt.map(|count| count as u64) }
}

fn worker(worker: &plimsoll_proxy::WorkerStats) -> WorkerStats {
    WorkerStats {
        alive: worker.state != WorkerState::Died,
        accepted: worker.accepted,
        open: worker.open,
        requests: worker.requests,
        received: worker.bytes_from_clients,
        sent: worker.bytes_to_clients,
        opened: worker.conns_opened,
        reused: worker.conns_reused,
        idle: worker.conns_idle,
        tunnels: worker.tunnels,
        busy: worker.busy,
        panics: worker.panics,
        lag: worker.lag,
        worst_lag: worker.worst_lag,
    }
}

fn listener(listener: plimsoll_proxy::ListenerStats) -> ListenerStats {
    let refused = listener.proxy_headers.map(|refused| {
        vec![("stranger", refused.strangers), ("no_header", refused.no_header), ("timeout", refused.unfinished)]
    });
    ListenerStats {
        name: listener.name,
        addresses: listener.addresses.iter().map(ToString::to_string).collect(),
        open: listener.open as u64,
        limit: listener.limit as u64,
        accepted: listener.accepted,
        denied: listener.denied,
        handshakes: listener.handshakes.map(|handshakes| HandshakeStats {
            done: handshakes.done,
            failed: handshakes.failures().map(|(reason, count)| (reason.name(), count)).collect(),
        }),
        proxy_headers_refused: refused.unwrap_or_default(),
        routes: listener.routes.into_iter().map(route).collect(),
    }
}

fn route(route: plimsoll_proxy::RouteStats) -> RouteStats {
    let denied = [("address", route.denied_by_address), ("auth", route.denied_by_password)];
    RouteStats { name: route.name, requests: route.requests, denied }
}

fn mirror(mirror: plimsoll_proxy::MirrorStats) -> MirrorStats {
    let results = [("sent", mirror.sent), ("skipped", mirror.skipped), ("failed", mirror.failed)];
    MirrorStats { pool: mirror.pool, results }
}

fn log(log: plimsoll_proxy::LogStats) -> LogStats {
    LogStats { written: log.written, dropped: log.dropped, errors: log.errors }
}

/// `1 server`, `2 servers`.
pub(crate) fn servers(count: usize) -> String {
    match count {
        1 => "1 server".to_owned(),
        _ => format!("{count} servers"),
    }
}
