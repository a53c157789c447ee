//! The data plane wired to its pools: what `serve` and `demo` both run.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::Context;
use plimsoll_config::Config;
use plimsoll_core::{PoolSpec, Pools};
use plimsoll_proxy::{Clock, Logs, Proxy};

use crate::check::servers;
use crate::console;
use crate::trace::Exporter;

/// A running data plane with the pools it serves.
pub(crate) struct Plane {
    pub(crate) pools: Arc<Pools>,
    pub(crate) clock: Clock,
    proxy: Proxy,
    /// Sends traces, where there are any.
    exporter: Option<Exporter>,
}

impl Plane {
    /// Makes the pools of `specs` and serves them as `config` says.
    ///
    /// # Errors
    /// An address that cannot be bound, or a thread that cannot be started.
    pub(crate) fn start(config: &Config, specs: Vec<(String, PoolSpec)>) -> anyhow::Result<Self> {
        let clock = Clock::start();
        let pools = Arc::new(Pools::new());
        pools.apply(specs, clock.now());
        // What this process may use: its affinity and the quota of its control group are respected.
        let cores = || available_parallelism().map_or(1, NonZeroUsize::get);
        let workers = config.workers.map_or_else(cores, NonZeroUsize::get);
        let proxy = Proxy::start(config, workers, &pools, clock)?;
        let traces = config.trace.clone().and_then(|settings| Some((proxy.logs().traces()?, settings)));
        let exporter = traces.map(|(traces, settings)| Exporter::start(traces, Some(settings))).transpose()?;
        Ok(Self { pools, clock, proxy, exporter })
    }

    /// Says where it listens and what serves there, a line for each address.
    pub(crate) fn announce(&self, config: &Config) {
        for (name, address) in self.proxy.addresses() {
            let listener = config.listeners.iter().find(|listener| listener.name == *name);
            let serving = listener.and_then(|listener| config.pools.iter().find(|pool| pool.name == listener.pool));
            if let Some(pool) = serving {
                let (count, policy) = (servers(pool.servers.len()), pool.policy);
                console::say(format_args!("listening on http://{address} -> pool {} ({count}, {policy})", pool.name));
            }
        }
    }

    /// An address under which this machine reaches the first listener.
    pub(crate) fn local_address(&self) -> anyhow::Result<SocketAddr> {
        let first = self.proxy.addresses().first();
        let (_, address) = first.context("no listener has an address")?;
        let local = match address {
            SocketAddr::V4(any) if any.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(any) if any.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            given => given.ip(),
        };
        Ok(SocketAddr::new(local, address.port()))
    }

    /// The access log and the traces.
    pub(crate) fn logs(&self) -> Arc<Logs> {
        Arc::clone(self.proxy.logs())
    }

    /// Takes nothing new, waits for what is under way, and gives the number of client connections that were cut off
    /// because they were still busy after `shutdown_timeout`.
    pub(crate) fn stop(self) -> usize {
        self.proxy.stop();
        let cut_off = self.proxy.wait();
        // Last, so that it sends what the last requests left.
        drop(self.exporter);
        cut_off
    }
}
