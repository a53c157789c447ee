//! Who is probed: the servers of every pool of the configuration in force that wants it.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use plimsoll_config::{Config, Pool as PoolRules, ServerProtocol};
use plimsoll_core::{Pool, Pools, ProbeResult, Server};

use crate::clock::Clock;
use crate::lock::lock;
use crate::prober::{Prober, Target};
use crate::tls::TlsPlan;

/// A prober, and the pools that learn what it finds.
#[derive(Debug)]
pub(crate) struct Probing {
    prober: Prober,
    judges: Arc<Mutex<HashMap<String, Arc<Pool>>>>,
}

impl Probing {
    /// A prober that has nobody to ask yet.
    ///
    /// # Errors
    /// Its thread cannot be started.
    pub(crate) fn start(clock: Clock) -> io::Result<Self> {
        let judges = Arc::new(Mutex::new(HashMap::<String, Arc<Pool>>::new()));
        let judging = Arc::clone(&judges);
        let judge = move |server: &Server, result: ProbeResult| {
            let pool = lock(&judging).get(server.id().pool()).cloned();
            if let Some(pool) = pool {
                pool.probed(server, result, clock.now());
            }
        };
        Ok(Self { prober: Prober::start(judge)?, judges })
    }

    /// Whether `config` has anybody probed.
    pub(crate) fn wanted(config: &Config) -> bool {
        config.pools.iter().any(|pool| pool.probe.is_some())
    }

    /// Probes what `config` says from now on, which may be nobody.
    pub(crate) fn follow(&self, config: &Config, pools: &Pools, tls: &TlsPlan) {
        let probed = config.pools.iter().filter(|rules| rules.probe.is_some());
        let probed: HashMap<_, _> =
            probed.filter_map(|rules| Some((rules.name.clone(), pools.pool(&rules.name)?))).collect();
        let targets =
            config.pools.iter().filter_map(|rules| targets(rules, probed.get(&rules.name)?, tls)).flatten().collect();
        *lock(&self.judges) = probed;
        self.prober.replace(targets);
    }

    /// Ends it.
    pub(crate) fn stop(self) {
        self.prober.stop();
    }
}

/// Every server of `pool` that is to be probed by `rules`.
fn targets(rules: &PoolRules, pool: &Pool, tls: &TlsPlan) -> Option<Vec<Target>> {
    let probe = Arc::new(rules.probe.clone()?);
    let tls = tls.of_pool(&rules.name).filter(|_| probe.tls);
    let greeting = rules.send_proxy.filter(|_| probe.send_proxy);
    let http2 = rules.protocol == ServerProtocol::Http2;
    let hosts: HashMap<_, _> = rules.servers.iter().map(|server| (&*server.name, server.authority())).collect();
    let target = |server: Arc<Server>| {
        let host = hosts.get(server.id().name())?.clone();
        Some(Target { server, host, probe: Arc::clone(&probe), tls: tls.clone(), greeting, http2 })
    };
    Some(pool.servers().into_iter().filter_map(target).collect())
}
