//! The pools of a configuration with their settings, by name, and with those that routes set otherwise.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use plimsoll_config::{Config, Mirror, Pool as PoolRules, RouteRules, RouteTimeouts};
use plimsoll_core::Pools;

use crate::auth::Checks;
use crate::mirror::copied::{MirrorCounts, Mirroring};
use crate::served::Served;
use crate::stats::StickyStats;
use crate::sticky::{Origin, Stickiness};
use crate::tls::TlsPlan;

/// Pools with their settings. What is the same as in the configuration before is shared with it: tunnels hold on to what
/// they began with, for days, while configurations come and go.
#[derive(Default)]
pub(crate) struct Catalog {
    pools: HashMap<String, Arc<Served>>,
    /// What stickiness is made from.
    origin: Origin,
    /// Under the rules of routes, each once, by the name of the pool.
    tuned: HashMap<String, Vec<Arc<Served>>>,
    /// Those of the configuration before, from which is taken what is the same.
    tuned_before: HashMap<String, Vec<Arc<Served>>>,
    /// Where passwords are looked at, under every configuration.
    pub(crate) checks: Arc<Checks>,
    /// What became of copies, by the name of the pool that gets them.
    mirrors: BTreeMap<String, Arc<MirrorCounts>>,
    mirrors_before: BTreeMap<String, Arc<MirrorCounts>>,
}

/// What pools are made from: the configuration, the pools themselves, their TLS, and what was in force before.
type Sources<'a> = (&'a Config, &'a Pools, &'a TlsPlan, &'a Catalog);

impl Catalog {
    /// Nothing yet, for so many workers.
    pub(crate) fn by(workers: usize) -> Self {
        Self { origin: Origin::new(workers), ..Self::default() }
    }

    /// What became of the ties of requests, in each pool whose clients stick.
    pub(crate) fn sticky(&self) -> Vec<StickyStats> {
        let stats = self.pools.iter().filter_map(|(name, served)| Some(served.sticky.as_ref()?.stats(name)));
        let mut all: Vec<StickyStats> = stats.collect();
        all.sort_unstable_by(|one, other| one.pool.cmp(&other.pool));
        all
    }

    /// All pools of `config`; in the error the name of one that is not among the pools.
    pub(crate) fn new(config: &Config, (pools, tls): (&Pools, &TlsPlan), before: &Self) -> Result<Self, String> {
        let mut catalog = Self {
            pools: HashMap::with_capacity(config.pools.len()),
            origin: before.origin.clone(),
            tuned: HashMap::new(),
            tuned_before: before.tuned.clone(),
            checks: Arc::clone(&before.checks),
            mirrors: BTreeMap::new(),
            mirrors_before: before.mirrors.clone(),
        };
        for pool in &config.pools {
            catalog.add(&pool.name, (config, pools, tls, before), config.pools.len())?;
        }
        Ok(catalog)
    }

    /// Adds the pool of this name, after its fallback. `depth` bounds the chain of those, which a resolved configuration
    /// keeps free of cycles.
    fn add(&mut self, name: &str, sources: Sources<'_>, depth: usize) -> Result<Arc<Served>, String> {
        if let Some(known) = self.pools.get(name) {
            return Ok(Arc::clone(known));
        }
        let (config, pools, tls, before) = sources;
        let missing = || name.to_owned();
        let rules = config.pools.iter().find(|pool| pool.name == *name).ok_or_else(missing)?;
        let pool = pools.pool(name).ok_or_else(missing)?;
        let fallback = rules.unavailable.fallback.as_deref().filter(|_| depth > 0);
        let fallback = fallback.map(|name| self.add(name, sources, depth - 1)).transpose()?;
        let before = before.pools.get(name);
        let stuck = before.and_then(|before| before.sticky.as_deref());
        let sticky = Stickiness::new(rules, &self.origin, stuck);
        let served = Served::new(pool, rules, (fallback, tls.of_pool(name)), sticky);
        let same = before.filter(|before| before.is_same(&served));
        let served = same.cloned().unwrap_or_else(|| Arc::new(served));
        self.pools.insert(name.to_owned(), Arc::clone(&served));
        Ok(served)
    }

    /// The pool of this name; in the error the name, where there is none.
    pub(crate) fn pool(&self, name: &str) -> Result<Arc<Served>, String> {
        self.pools.get(name).cloned().ok_or_else(|| name.to_owned())
    }

    /// The same for the requests of a route, whose timeouts and retries hold for the fallbacks of the pool too.
    pub(crate) fn under(&mut self, name: &str, rules: &RouteRules) -> Result<Arc<Served>, String> {
        let served = self.pool(name)?;
        let sets_none = rules.timeouts == RouteTimeouts::default() && rules.retry.is_none();
        Ok(if sets_none { served } else { self.tuned(&served, rules) })
    }

    fn tuned(&mut self, served: &Served, rules: &RouteRules) -> Arc<Served> {
        let fallback = served.fallback.as_ref().map(|fallback| self.tuned(fallback, rules));
        let tuned = served.under(
            PoolRules {
                timeouts: rules.timeouts.over(&served.rules.timeouts),
                retry: rules.retry.clone().unwrap_or_else(|| served.rules.retry.clone()),
                ..served.rules.clone()
            },
            fallback,
        );
        let name = &served.rules.name;
        let known = |catalog: &HashMap<String, Vec<Arc<Served>>>| {
            catalog.get(name)?.iter().find(|known| known.is_same(&tuned)).cloned()
        };
        if let Some(known) = known(&self.tuned) {
            return known;
        }
        let tuned = known(&self.tuned_before).unwrap_or_else(|| Arc::new(tuned));
        self.tuned.entry(name.clone()).or_default().push(Arc::clone(&tuned));
        tuned
    }

    /// Where copies go by this rule. Those of the same pool are counted together.
    pub(crate) fn mirroring(&mut self, rule: &Mirror) -> Result<Arc<Mirroring>, String> {
        let served = self.pool(&rule.pool)?;
        let before = || self.mirrors_before.get(&rule.pool).cloned().unwrap_or_default();
        let counts = self.mirrors.entry(rule.pool.clone()).or_insert_with(before);
        Ok(Mirroring::new(served, rule.clone(), Arc::clone(counts)))
    }

    /// What became of copies so far, by the name of the pool that gets them.
    pub(crate) fn mirrors(&self) -> impl Iterator<Item = (&str, &MirrorCounts)> {
        self.mirrors.iter().map(|(pool, counts)| (&**pool, &**counts))
    }

    /// Lets go of the configuration before.
    pub(crate) fn seal(&mut self) {
        self.mirrors_before = BTreeMap::new();
        self.tuned_before = HashMap::new();
    }
}
