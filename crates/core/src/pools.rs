//! All pools, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use crate::lock::lock;
use crate::{Audit, Pool, PoolSpec, Time};

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

    /// Holds the permits alive of all pools, also of those that are leaving, against what their servers have in flight:
    /// the sum of [`Pool::audit`] over them.
    pub fn audit(&self) -> Audit {
        let leaving = lock(&self.leaving);
        let pools: Vec<Arc<Pool>> = self.by_name.load().values().chain(leaving.iter()).cloned().collect();
        drop(leaving);
        pools.iter().fold(Audit::default(), |sum, pool| sum.plus(pool.audit()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Claim;
    use crate::{Ask, ServerSpec};

    #[test]
    fn a_slot_claimed_or_released_behind_the_back_of_permits_is_found() {
        let pools = Pools::new();
        let spec = PoolSpec { servers: vec![ServerSpec::new("a", ([127, 0, 0, 1], 1).into())], ..PoolSpec::default() };
        pools.apply([("other".to_owned(), spec.clone()), ("p".to_owned(), spec)], Time::ZERO);
        let pool = pools.pool("p").unwrap();
        let held = [(); 2].map(|()| pool.pick(&Ask::default()));
        assert_eq!(pools.audit(), Audit { permits_alive: 2, in_flight: 2, apart: 0 });
        let slots = &pool.home.current.load().members[0].live.slots;
        assert!(slots.release());
        assert_eq!(pools.audit(), Audit { permits_alive: 2, in_flight: 1, apart: 1 });
        assert_eq!([(); 2].map(|()| slots.claim(9, 9)), [Claim::Taken; 2]);
        assert_eq!(pools.audit(), Audit { permits_alive: 2, in_flight: 3, apart: 1 });
        drop(held);
        assert_eq!(pools.audit(), Audit { permits_alive: 0, in_flight: 1, apart: 1 });
    }
}
