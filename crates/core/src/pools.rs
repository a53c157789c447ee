//! All pools, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use crate::lock::lock;
use crate::{Pool, PoolSpec, Time};

/// Every pool of a program. Finding one never waits; changes come one at a time.
#[derive(Debug, Default)]
pub struct Pools {
    by_name: ArcSwap<BTreeMap<String, Arc<Pool>>>,
    /// Pools no longer listed that may still have requests in flight, so that one that is listed again
    /// comes back with its counts.
    leaving: Mutex<Vec<Arc<Pool>>>,
}

impl Pools {
    /// No pools.
    pub fn new() -> Self {
        Self::default()
    }

    /// The pool of this name.
    pub fn pool(&self, name: &str) -> Option<Arc<Pool>> {
        self.by_name.load().get(name).cloned()
    }

    /// All pools by name, as of now.
    pub fn all(&self) -> Vec<Arc<Pool>> {
        self.by_name.load().values().cloned().collect()
    }

    /// Makes the pools what `specs` says while requests go on: those of a known name are changed in place
    /// and every server that stays keeps its counts; the others come or go. A pool that went still serves
    /// who holds it. Of several specs with one name the first counts.
    pub fn apply(&self, specs: impl IntoIterator<Item = (String, PoolSpec)>, now: Time) {
        let mut leaving = lock(&self.leaving);
        let mut known: BTreeMap<String, Arc<Pool>> = BTreeMap::clone(&self.by_name.load());
        known.extend(leaving.drain(..).map(|pool| (pool.name().to_owned(), pool)));
        let mut listed: BTreeMap<String, Arc<Pool>> = BTreeMap::new();
        for (name, spec) in specs {
            if listed.contains_key(&name) {
                continue;
            }
            let pool = match known.remove(&name) {
                Some(pool) => {
                    pool.apply(spec, now);
                    pool
                }
                None => Arc::new(Pool::new(&name, spec, now)),
            };
            listed.insert(name, pool);
        }
        drop(self.by_name.swap(Arc::new(listed)));
        leaving.extend(known.into_values());
        leaving.retain(|pool| pool.in_flight() > 0 || Arc::strong_count(pool) > 1);
    }
}
