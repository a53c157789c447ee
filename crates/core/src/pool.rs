//! A pool: servers, and the rule by which one is picked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::home::Home;
use crate::policy::Policy;
use crate::rank::Ranking;
use crate::snapshot::{Details, Member, Snapshot};
use crate::turn::{Clock, stride};
use crate::{Explanation, MemberStats, Permit, PoolSpec, PoolStats, Refused, Server, ServerId, ServerSpec, Time};

/// What one pick is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The time.
    pub now: Time,
    /// A random number, uniform over all of `u64`. Policies that draw servers draw from it; the others
    /// ignore it.
    pub random: u64,
}

/// A set of servers with a policy. Picks never wait for each other, nor for a change.
#[derive(Debug)]
pub struct Pool {
    name: Arc<str>,
    home: Arc<Home>,
    /// A policy of the user's own, which changes do not replace.
    own_policy: Option<Arc<dyn Policy>>,
    refused: AtomicU64,
    /// Servers no longer listed that may still have requests in flight, so that one that is listed again
    /// comes back with its counts. The lock lets one change in at a time.
    leaving: Mutex<Vec<Arc<Server>>>,
}

impl Pool {
    /// A pool as `spec` wants it.
    pub fn new(name: &str, spec: PoolSpec, now: Time) -> Self {
        let pool = Self::empty(name, spec.policy.policy(), None);
        pool.apply(spec, now);
        pool
    }

    /// A pool of these servers with a policy of your own. It keeps the policy through every
    /// [`apply`](Pool::apply), whatever the spec's `policy` says.
    pub fn with_policy(name: &str, policy: Arc<dyn Policy>, servers: Vec<ServerSpec>, now: Time) -> Self {
        let pool = Self::empty(name, Arc::clone(&policy), Some(policy));
        pool.apply(PoolSpec { servers, ..PoolSpec::default() }, now);
        pool
    }

    fn empty(name: &str, policy: Arc<dyn Policy>, own_policy: Option<Arc<dyn Policy>>) -> Self {
        let current = ArcSwap::from_pointee(Snapshot::empty(policy));
        Self {
            name: name.into(),
            home: Arc::new(Home { current, clock: Clock::default() }),
            own_policy,
            refused: AtomicU64::new(0),
            leaving: Mutex::new(Vec::new()),
        }
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Picks a server and counts the request on it, in one step.
    ///
    /// # Errors
    /// [`Refused`] when no server can take the request.
    #[inline]
    pub fn pick(&self, ask: &Ask) -> Result<Permit, Refused> {
        let snapshot = self.home.current.load();
        match snapshot.claim(ask, &self.home) {
            Ok(server) => Ok(Permit::new(Arc::clone(server), ask.now)),
            Err(refused) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(refused)
            }
        }
    }

    /// Makes the pool what `spec` says while picks and releases go on. Servers are told by name: one that
    /// was there before keeps what it has in flight and has done, also when its address, weight, limit or
    /// state changes. One that is no longer listed finishes what it has in flight.
    pub fn apply(&self, spec: PoolSpec, now: Time) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.home.current.load_full();
        let policy = self.own_policy.clone().unwrap_or_else(|| spec.policy.policy());
        let mut roster = Roster::new(&old, std::mem::take(&mut *leaving));
        let members = roster.enlist(&self.name, &self.home, spec.servers);
        let new = Arc::new(Snapshot::new(old.generation + 1, policy, members));
        self.home.put_in_force(&new, roster.unlisted(), now);
        *leaving = roster.rest();
        drop(old);
        // Only permits, callers and snapshots still in use can hold a server now; once none does, nothing
        // can happen to it any more.
        leaving.retain(|server| server.in_flight() > 0 || Arc::strong_count(server) > 1);
    }

    /// The servers listed now, primaries first.
    pub fn servers(&self) -> Vec<Arc<Server>> {
        let snapshot = self.home.current.load();
        snapshot.details.iter().map(|details| Arc::clone(&details.server)).collect()
    }

    /// What the pool and each of its servers do.
    pub fn stats(&self) -> PoolStats {
        let leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.home.current.load_full();
        let members = snapshot.members.iter().zip(&snapshot.details);
        let listed = members.map(|(member, details)| MemberStats {
            server: details.server.stats(),
            weight: member.weight,
            limit: details.limit,
            backup: member.backup,
            state: details.state,
            listed: true,
        });
        let gone = leaving.iter().filter(|server| server.in_flight() > 0).map(|server| MemberStats {
            server: server.stats(),
            weight: 0,
            limit: 0,
            backup: false,
            state: crate::AdminState::Drain,
            listed: false,
        });
        PoolStats {
            name: self.name.to_string(),
            policy: snapshot.policy.name().to_owned(),
            servers: listed.chain(gone).collect(),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// Why a pick with this ask would go where it goes, without picking.
    pub fn explain(&self, ask: &crate::Ask) -> Explanation {
        Explanation::of(&self.name, &self.home.current.load(), &self.home.clock, ask)
    }

    /// Permits alive on all servers, listed or not.
    pub(crate) fn in_flight(&self) -> u64 {
        let leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.home.current.load();
        let listed = snapshot.details.iter().map(|details| &details.server);
        listed.chain(leaving.iter()).map(|server| u64::from(server.in_flight())).sum()
    }
}

impl Drop for Pool {
    /// Servers hold on to the home, and the home's snapshot to the servers.
    fn drop(&mut self) {
        let policy = Arc::clone(&self.home.current.load().policy);
        self.home.current.store(Arc::new(Snapshot::empty(policy)));
    }
}

impl Home {
    /// Publishes a snapshot and tells every server its place, in the order that
    /// [`Place`](crate::home::Place) asks for.
    fn put_in_force<'a>(&self, new: &Arc<Snapshot>, gone: impl Iterator<Item = &'a Arc<Server>>, now: Time) {
        let measured = new.policy.ranking() == Some(Ranking::ResponseTime);
        for member in &new.members {
            member.live.tally.measured.store(measured, Ordering::Relaxed);
        }
        new.repair_all(now);
        self.current.store(Arc::clone(new));
        for (i, member) in new.members.iter().enumerate() {
            if new.is_indexed() {
                member.live.place.set(new.generation, i);
            } else {
                member.live.place.leave();
            }
        }
        for server in gone {
            server.live.place.leave();
        }
        new.repair_all(now);
    }
}

/// The servers a pool knows while it changes.
struct Roster {
    known: BTreeMap<ServerId, Known>,
    listed: BTreeSet<ServerId>,
}

struct Known {
    server: Arc<Server>,
    /// Whether it took requests until now.
    admitted: bool,
}

impl Roster {
    fn new(old: &Snapshot, leaving: Vec<Arc<Server>>) -> Self {
        let left = leaving.into_iter().map(|server| Known { server, admitted: false });
        let listed = old
            .members
            .iter()
            .zip(&old.details)
            .map(|(member, details)| Known { server: Arc::clone(&details.server), admitted: member.admits() });
        let known = left.chain(listed).map(|known| (known.server.id().clone(), known));
        Self { known: known.collect(), listed: BTreeSet::new() }
    }

    /// The members of the pool to be: known servers where the name is known, new ones elsewhere. Those
    /// that took no requests before start at the pool's clock.
    fn enlist(&mut self, pool: &str, home: &Arc<Home>, specs: Vec<ServerSpec>) -> Vec<(Member, Details)> {
        let count = specs.len();
        let mut members = Vec::with_capacity(count);
        for (i, spec) in specs.into_iter().enumerate() {
            let id = ServerId::new(pool, &spec.name);
            if self.listed.contains(&id) {
                continue;
            }
            let known = self.known.remove(&id);
            let admitted = known.as_ref().is_some_and(|known| known.admitted);
            let server = match known {
                Some(known) if *known.server.addresses() == *spec.addresses => known.server,
                Some(known) => Arc::new(known.server.moved(&spec.addresses)),
                None => Arc::new(Server::new(id.clone(), &spec.addresses, home)),
            };
            self.listed.insert(id);
            let (member, details) = Member::new(server, &spec);
            if member.admits() && !admitted {
                member.live.turn.join(&home.clock, stride(member.weight), (i, count));
            }
            members.push((member, details));
        }
        members
    }

    /// Servers that are no longer listed.
    fn unlisted(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.known.values().map(|known| &known.server)
    }

    fn rest(self) -> Vec<Arc<Server>> {
        self.known.into_values().map(|known| known.server).collect()
    }
}
