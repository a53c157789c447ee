//! A pool: servers, and the rule by which one is picked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::health::Health;
use crate::home::Home;
use crate::live::Live;
use crate::lock::lock;
use crate::policy::Policy;
use crate::snapshot::{Member, Snapshot, Wanted};
use crate::turn::stride;
use crate::{
    AdminState, Audit, Event, Explanation, MemberStats, Permit, Picked, PoolRules, PoolSpec, PoolStats, ProbeResult,
    QueueStats, RebalanceStats, Refused, RetryBudget, Server, ServerId, ServerSpec, Ticket, Time,
};

/// What one pick is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// The time.
    pub now: Time,
    /// A random number, uniform over all of `u64`. Policies that draw servers draw from it; the others
    /// ignore it.
    pub random: u64,
    /// Servers this request was sent to before: none of them is picked while another is eligible.
    pub tried: &'a [Arc<Server>],
    /// A hash of what the request is told by: its client's address, a header, a cookie or its path. The policy `hash` goes by
    /// it, and by least connections where there is none; the others ignore it.
    pub key: Option<u64>,
    /// The name of the server that the client is stuck to. It is picked, whatever the policy, if it is listed, up, not full
    /// and not tried before, also when its weight is 0, when it warms up, and while it drains for as long as
    /// [`stick_drain`](PoolRules::stick_drain) says. Otherwise the policy decides at once: nobody waits for the one server.
    /// Nor does anybody overtake for its sake: while others wait in the queue this client waits like them, and has its
    /// server, if it has room, when its turn comes.
    pub stick: Option<&'a str>,
}

impl Ask<'_> {
    pub(crate) fn has_tried(&self, live: &Arc<Live>) -> bool {
        self.tried.iter().any(|server| Arc::ptr_eq(&server.live, live))
    }
}

/// A set of servers with a policy. Picks never wait for each other, nor for a change.
#[derive(Debug)]
pub struct Pool {
    name: Arc<str>,
    pub(crate) home: Arc<Home>,
    /// A policy of the user's own, which changes do not replace.
    own_policy: Option<Arc<dyn Policy>>,
}

impl Pool {
    /// A pool as `spec` wants it.
    pub fn new(name: &str, spec: PoolSpec, now: Time) -> Self {
        let pool = Self::empty(name, spec.policy.policy(), None, now);
        pool.apply(spec, now);
        pool
    }

    /// A pool of these servers with a policy of your own. It keeps the policy through every
    /// [`apply`](Pool::apply), whatever the spec's `policy` says.
    pub fn with_policy(name: &str, policy: Arc<dyn Policy>, servers: Vec<ServerSpec>, now: Time) -> Self {
        let pool = Self::empty(name, Arc::clone(&policy), Some(policy), now);
        pool.apply(PoolSpec { servers, ..PoolSpec::default() }, now);
        pool
    }

    fn empty(name: &str, policy: Arc<dyn Policy>, own_policy: Option<Arc<dyn Policy>>, now: Time) -> Self {
        let home = Arc::new(Home::new(Snapshot::empty(policy), now));
        Self { name: name.into(), home, own_policy }
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Picks a server and counts the request on it, in one step. Nobody who waits in the queue is overtaken.
    ///
    /// # Errors
    /// [`Refused`] when no server can take the request. After [`Refused::AllFull`] it may be worth to
    /// [`wait`](Pool::wait), so that is counted as a refusal only in a pool without a queue.
    #[inline]
    pub fn pick(&self, ask: &Ask<'_>) -> Result<Permit, Refused> {
        let picked = if self.home.queue.is_waited_in() { self.home.pick_after_queue(ask) } else { self.home.pick(ask) };
        if let Err(refused) = picked {
            self.count(refused);
        }
        picked
    }

    /// Whether any of its servers takes requests, be it full, or is due for a trial: if none does, a pick comes to nothing.
    pub fn is_open(&self, now: Time) -> bool {
        let snapshot = self.home.current.load();
        let ask = Ask { now, ..Ask::default() };
        snapshot.members.iter().any(Member::admits) || self.home.trial_candidate(&snapshot, &ask).is_some()
    }

    #[cold]
    fn count(&self, refused: Refused) {
        if refused != Refused::AllFull || self.home.current.load().rules.queue.is_none() {
            self.home.refusals.add(refused);
        }
    }

    /// Does what time alone brings about for those who wait, where otherwise a trial or the end of a warm-up is met by the
    /// next pick, and for long-lived connections. To be called every tenth of a second or so by who uses the queue or
    /// [`PoolRules::rebalance`].
    pub fn tick(&self, now: Time) {
        self.home.rebalance(now);
        if self.home.queue.is_waited_in() {
            self.home.serve_queue(now);
        }
    }

    /// Takes a place in the pool's queue, for a request that could not be picked for at once.
    ///
    /// # Errors
    /// [`Refused::AllFull`] when the pool has no queue, [`Refused::QueueFull`] when it is full.
    pub fn wait(&self, ask: &Ask<'_>) -> Result<Ticket, Refused> {
        let rule = self.home.current.load().rules.queue.ok_or(Refused::AllFull)?;
        self.home.wait(&rule, ask)
    }

    /// Takes one retry out of the pool's budget; false when it is used up, so that the request must end as it did.
    pub fn may_retry(&self, now: Time) -> bool {
        let mut budget = lock(&self.home.budget);
        let snapshot = self.home.current.load();
        budget.take(snapshot.rules.retry_budget, now, || snapshot.picks())
    }

    /// Takes in what a probe of one of the pool's servers found. Without [`PoolRules::probe`](crate::PoolRules) it is
    /// ignored.
    pub fn probed(&self, server: &Server, result: ProbeResult, now: Time) {
        self.home.probed(server, result, now);
    }

    /// Makes the pool what `spec` says while picks and releases go on. Servers are told by name: one that
    /// was there before keeps what it has in flight and has done, also when its address, weight, limit or
    /// state changes. One that is no longer listed finishes what it has in flight. Whoever waits keeps its place.
    pub fn apply(&self, spec: PoolSpec, now: Time) {
        let mut leaving = lock(&self.home.change);
        let old = self.home.current.load_full();
        let policy = self.own_policy.clone().unwrap_or_else(|| spec.policy.policy());
        let mut roster = Roster::new(&old, std::mem::take(&mut *leaving));
        let wanted = roster.enlist(&self.home, &self.name, &spec, now);
        let new = Arc::new(Snapshot::new(old.generation + 1, (policy, Arc::new(spec.rules)), (wanted, None), now));
        roster.welcome(&self.home, &new);
        let mut budget = lock(&self.home.budget);
        self.home.put_in_force(&new, roster.unlisted(), now);
        // Under one lock, so that no retry is judged by the servers of now and the picks of those before.
        budget.follow(old.picks(), new.picks());
        drop(budget);
        *leaving = roster.rest();
        drop(old);
        // Only permits, callers and snapshots still in use can hold a server now; once none does, nothing
        // can happen to it any more.
        leaving.retain(|server| server.in_flight() > 0 || server.is_held());
        drop(leaving);
        if new.rules.rebalance.is_none() {
            self.home.rebalancer.rest();
        }
        if self.home.queue.is_waited_in() {
            self.home.serve_queue(now);
        }
    }

    /// What happened to the health of servers after event number `seen`, 0 for all that is remembered: the last
    /// thousand.
    pub fn events(&self, seen: u64) -> Vec<Event> {
        self.home.events.since(seen)
    }

    /// The servers listed now, primaries first.
    pub fn servers(&self) -> Vec<Arc<Server>> {
        let snapshot = self.home.current.load();
        snapshot.details.iter().map(|details| Arc::clone(&details.server)).collect()
    }

    /// The server of this name, if it is listed now: what [`Ask::tried`] takes, to find out what a retry would meet.
    pub fn server(&self, name: &str) -> Option<Arc<Server>> {
        let snapshot = self.home.current.load();
        snapshot.find(name).map(|i| Arc::clone(&snapshot.details[i].server))
    }

    /// What the pool and each of its servers do.
    pub fn stats(&self) -> PoolStats {
        let (snapshot, leaving) = self.home.members();
        let members = snapshot.members.iter().zip(&snapshot.details);
        let listed = members.map(|(member, details)| MemberStats {
            server: details.server.stats(),
            health: details.server.health_report(),
            warming_up: member.ramped,
            weight: member.weight,
            limit: details.limit,
            backup: member.backup,
            state: details.state,
            sticks_until: details.sticks_until(&snapshot.rules),
            listed: true,
        });
        let gone = leaving.iter().filter(|server| server.in_flight() > 0).map(|server| MemberStats {
            server: server.stats(),
            health: server.health_report(),
            warming_up: false,
            weight: 0,
            limit: 0,
            backup: false,
            state: AdminState::Drain,
            sticks_until: None,
            listed: false,
        });
        let (retries, retries_over_budget) = lock(&self.home.budget).spent();
        PoolStats {
            name: self.name.to_string(),
            policy: snapshot.policy.name().to_owned(),
            servers: listed.chain(gone).collect(),
            refused: self.home.refusals.read(),
            queue: self.home.queue.stats(snapshot.rules.queue.as_ref()),
            retries,
            retries_over_budget,
        }
    }

    /// How many requests found no server, by reason, as [`stats`](Pool::stats) tells.
    pub fn refused(&self) -> Vec<(Refused, u64)> {
        self.home.refusals.read()
    }

    /// Who waits for a server, as [`stats`](Pool::stats) tells.
    pub fn queue(&self) -> QueueStats {
        self.home.queue.stats(self.home.current.load().rules.queue.as_ref())
    }

    /// How its long-lived connections are spread, and what is done about it; `None` without a rule for that.
    pub fn rebalance(&self, now: Time) -> Option<RebalanceStats> {
        self.home.rebalance_stats(now)
    }

    /// What the pool may retry at `now`.
    pub fn retry_budget(&self, now: Time) -> RetryBudget {
        let budget = lock(&self.home.budget);
        let (copy, snapshot) = (budget.clone(), self.home.current.load_full());
        drop(budget);
        copy.room_at(snapshot.rules.retry_budget, now, || snapshot.picks())
    }

    /// Keeps picks until then, for [`recorded`](Pool::recorded): the first 32 of each second, and fewer in a pool of more
    /// than 1500 servers. When it was asked for a longer time before, that holds. No pick waits for it, and it ends by
    /// itself.
    pub fn record_picks(&self, until: Time) {
        self.home.recorder.record(until);
    }

    /// The last picks that were kept, at most `last` of at most 64, the latest last.
    pub fn recorded(&self, last: usize) -> Vec<Picked> {
        self.home.recorder.last(last)
    }

    /// Why a pick with this ask would go where it goes, without picking. For an ordinary ask it is also the cheapest look at
    /// what every server carries now.
    pub fn explain(&self, ask: &Ask<'_>) -> Explanation {
        Explanation::of(&self.name, &self.home, ask)
    }

    /// Holds the permits alive against what the servers have in flight, listed or not. It may be called at any time
    /// and from any thread; what changes meanwhile makes it less sharp and never wrong. Why is told in `alive.rs`.
    pub fn audit(&self) -> Audit {
        self.home.alive.audit(|| self.in_flight())
    }

    /// Permits alive on all servers, listed or not.
    pub(crate) fn in_flight(&self) -> u64 {
        let (snapshot, leaving) = self.home.members();
        let listed = snapshot.details.iter().map(|details| &details.server);
        listed.chain(leaving.iter()).map(|server| u64::from(server.in_flight())).sum()
    }
}

impl Drop for Pool {
    /// Servers hold on to the home, and the home to the servers: those of its snapshot and those that left.
    fn drop(&mut self) {
        let mut leaving = lock(&self.home.change);
        let policy = Arc::clone(&self.home.current.load().policy);
        self.home.current.store(Arc::new(Snapshot::empty(policy)));
        let gone = std::mem::take(&mut *leaving);
        drop(leaving);
        drop(gone);
    }
}

/// The servers a pool knows while it changes.
struct Roster {
    known: BTreeMap<ServerId, Known>,
    listed: BTreeSet<ServerId>,
    /// Those of the listed that took requests until now.
    served: BTreeSet<ServerId>,
}

struct Known {
    server: Arc<Server>,
    /// Whether it took requests until now.
    admitted: bool,
    /// Since when it drains, if it does.
    draining_since: Option<Time>,
}

impl Roster {
    fn new(old: &Snapshot, leaving: Vec<Arc<Server>>) -> Self {
        let left = leaving.into_iter().map(|server| Known { server, admitted: false, draining_since: None });
        let listed = old.members.iter().zip(&old.details).map(|(member, details)| Known {
            server: Arc::clone(&details.server),
            admitted: member.admits(),
            draining_since: details.draining_since,
        });
        let known = left.chain(listed).map(|known| (known.server.id().clone(), known));
        Self { known: known.collect(), listed: BTreeSet::new(), served: BTreeSet::new() }
    }

    /// The servers of the pool to be: known ones where the name is known, new ones elsewhere. Those that come into a
    /// pool that is running are cold.
    fn enlist(&mut self, home: &Arc<Home>, pool: &str, spec: &PoolSpec, now: Time) -> Vec<Wanted> {
        let running = !self.known.is_empty();
        let mut all = Vec::with_capacity(spec.servers.len());
        for server_spec in &spec.servers {
            let id = ServerId::new(pool, &server_spec.name);
            if self.listed.contains(&id) {
                continue;
            }
            let known = self.known.remove(&id);
            let served = known.as_ref().is_some_and(|known| known.admitted);
            let since = known.as_ref().and_then(|known| known.draining_since).unwrap_or(now);
            let server = known.map_or_else(
                || Arc::new(Server::new(id.clone(), &server_spec.addresses, home, Health::new(spec.rules.probe, now))),
                |known| follow(&known.server, server_spec, (home, &spec.rules), now),
            );
            self.listed.insert(id);
            let wanted = Wanted::new(server, server_spec, since);
            if running && wanted.admissible() && !served {
                wanted.server.live.health(|health| health.warm_from(now));
            }
            if served {
                self.served.insert(wanted.server.id().clone());
            }
            all.push(wanted);
        }
        all
    }

    /// Sets those that take requests now and took none before to the pool's clock.
    fn welcome(&self, home: &Home, snapshot: &Snapshot) {
        let count = snapshot.members.len();
        for (i, (member, details)) in snapshot.members.iter().zip(&snapshot.details).enumerate() {
            if member.admits() && !self.served.contains(details.server.id()) {
                member.live.turn.join(&home.clock, stride(member.weight), (i, count));
                member.live.admitted.begin(home.arrivals.load(Ordering::Relaxed));
            }
        }
    }

    /// Servers that are no longer listed.
    fn unlisted(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.known.values().map(|known| &known.server)
    }

    fn rest(self) -> Vec<Arc<Server>> {
        self.known.into_values().map(|known| known.server).collect()
    }
}

/// A known server under a new spec: what is believed of it is forgotten when it has another address, and follows the rules
/// elsewhere.
fn follow(server: &Arc<Server>, spec: &ServerSpec, (home, rules): (&Home, &PoolRules), now: Time) -> Arc<Server> {
    let live = &server.live;
    let moved = *server.addresses() != *spec.addresses;
    home.alter(server, now, |health| {
        if !moved {
            return health.follow(rules.probe.as_ref(), rules.eject.as_ref(), now);
        }
        let before = std::mem::replace(health, Health::new(rules.probe, now));
        health.moved(&before, now)
    });
    if !moved {
        return Arc::clone(server);
    }
    live.charge.clear();
    Arc::new(server.moved(&spec.addresses))
}
