//! The immutable member list of a pool: replaced whole, never edited.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::home::Home;
use crate::live::Live;
use crate::policy::Policy;
use crate::rank::{Load, Rank, Ranking};
use crate::roll::Roll;
use crate::shares::Shares;
use crate::slots::Claim;
use crate::tournament::{Contest, MAX_MEMBERS, Reach, Tournament};
use crate::view::Bounds;
use crate::warm_up::Ramp;
use crate::{
    AdminState, Ask, Choice, HealthState, MAX_IN_FLIGHT, PoolRules, Refused, Server, ServerSpec, Time, View, WhenNone,
    turn,
};

/// Members, and what is worked out from them once so that a pick need not.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Counts the changes of the pool.
    pub(crate) generation: u64,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) rules: Arc<PoolRules>,
    /// Primaries first and then backups, each in the order they are listed.
    pub(crate) members: Box<[Member]>,
    /// Of each member.
    pub(crate) details: Box<[Details]>,
    /// How many of the members are primaries.
    pub(crate) primaries: usize,
    pub(crate) shares: Shares,
    pub(crate) roll: Arc<Roll>,
    /// The members that warm up.
    pub(crate) ramped: Box<[u32]>,
    /// When the first of them will be warm.
    ramped_until: Time,
    index: Option<Index>,
}

/// A large pool's index, for the ranking its policy asks for.
#[derive(Debug)]
struct Index {
    ranking: Ranking,
    tree: Tournament<8, 8>,
    /// The next member to be looked at for no reason but the time that passed.
    stalest: AtomicUsize,
}

/// Pools of more members than this have an index.
pub(crate) const SCANNED: usize = 64;

/// What a choice reads of a member: little, so that many fit a line of the cache.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) live: Arc<Live>,
    /// What it may have in flight to take one more: its limit, or 0 when it takes nothing new.
    pub(crate) capacity: u32,
    pub(crate) weight: u16,
    pub(crate) backup: bool,
    /// Its share of arrivals is bounded.
    pub(crate) ramped: bool,
}

/// The rest that is known of a member.
#[derive(Debug)]
pub(crate) struct Details {
    pub(crate) server: Arc<Server>,
    pub(crate) limit: u32,
    pub(crate) state: AdminState,
    /// Since when it drains, while it does.
    pub(crate) draining_since: Option<Time>,
    /// Its ramp and its fair share of its tier, while it is ramped.
    pub(crate) ramp: Option<(Ramp, (u16, u64))>,
}

impl Details {
    /// Whether the operator wants it to take requests.
    pub(crate) fn wanted(&self, weight: u16) -> bool {
        is_wanted(self.state, weight)
    }
}

/// Whether the operator wants a server to take requests.
fn is_wanted(state: AdminState, weight: u16) -> bool {
    state == AdminState::Ready && weight > 0
}

/// A server as its pool wants it, whatever its health.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) server: Arc<Server>,
    pub(crate) limit: u32,
    pub(crate) weight: u16,
    pub(crate) backup: bool,
    pub(crate) state: AdminState,
    pub(crate) draining_since: Option<Time>,
}

impl Wanted {
    /// A server as `spec` wants it. If it is to drain, it has done so since then.
    pub(crate) fn new(server: Arc<Server>, spec: &ServerSpec, since: Time) -> Self {
        let limit = spec.max_connections.map_or(MAX_IN_FLIGHT, |limit| limit.get().min(MAX_IN_FLIGHT));
        let draining_since = (spec.state == AdminState::Drain).then_some(since);
        Self { server, limit, weight: spec.weight, backup: spec.backup, state: spec.state, draining_since }
    }

    /// Its name within the pool.
    pub(crate) fn name(&self) -> &str {
        self.server.id().name()
    }

    /// Whether it would take requests if its health were no matter.
    pub(crate) fn admissible(&self) -> bool {
        is_wanted(self.state, self.weight)
    }

    fn up(&self) -> bool {
        self.server.live.state() == HealthState::Up
    }
}

impl Member {
    /// Whether it can take a request with this much in flight: the one definition of *eligible*.
    #[inline]
    pub(crate) fn eligible(&self, in_flight: u32) -> bool {
        in_flight < self.capacity
    }

    /// Whether it takes requests at all, full or not.
    pub(crate) fn admits(&self) -> bool {
        self.capacity > 0
    }

    /// Where it stands in its tier with this much in flight, and charged with so much more.
    #[inline]
    pub(crate) fn rank(&self, ranking: Ranking, (in_flight, charged): (u32, u32), now: Time) -> Rank {
        let load = ranking.load(&self.live, (in_flight + charged, self.weight), now);
        let load = if self.eligible(in_flight) { load } else { Load::INFINITE };
        Rank { load, due: self.live.turn.due() }
    }
}

/// How often a choice is made anew because the server got busier in between, before a slot is taken where
/// there is one. With k callers at once this only ever matters to the last of them, and it bounds the work.
const CHOICES: u32 = 4;

impl Snapshot {
    /// A pool's first: no members.
    pub(crate) fn empty(policy: Arc<dyn Policy>) -> Self {
        Self::new(0, (policy, Arc::default()), (Vec::new(), None), Time::ZERO)
    }

    /// The members as they are wanted, each as far as its health at `now` lets it. A roll of the same members in the same
    /// order is kept.
    pub(crate) fn new(
        generation: u64,
        (policy, rules): (Arc<dyn Policy>, Arc<PoolRules>),
        (mut wanted, roll): (Vec<Wanted>, Option<&Arc<Roll>>),
        now: Time,
    ) -> Self {
        wanted.sort_by_key(|wanted| wanted.backup);
        let primaries = wanted.partition_point(|wanted| !wanted.backup);
        let roll = roll.map_or_else(|| Arc::new(Roll::new(&wanted, primaries, policy.is_keyed())), Arc::clone);
        let none = !wanted.iter().any(|wanted| wanted.admissible() && wanted.up());
        let regardless = none && rules.when_none == WhenNone::TryAll;
        let admits = |wanted: &Wanted| wanted.admissible() && (wanted.up() || regardless);
        let ramps = [&wanted[..primaries], &wanted[primaries..]].map(|tier| ramps(tier, &rules, &admits, now)).concat();
        let (members, details): (Vec<Member>, Vec<Details>) = wanted
            .into_iter()
            .zip(ramps)
            .map(|(wanted, ramp)| {
                let capacity = if admits(&wanted) { wanted.limit } else { 0 };
                let Wanted { server, limit, weight, backup, state, draining_since } = wanted;
                let live = Arc::clone(&server.live);
                let member = Member { live, capacity, weight, backup, ramped: ramp.is_some() };
                (member, Details { server, limit, state, draining_since, ramp })
            })
            .unzip();
        // One that takes nothing new is never to be drawn.
        let weights = members.iter().map(|member| if member.admits() { member.weight } else { 0 });
        let shares = Shares::new(weights, primaries);
        let ramped = (0..members.len() as u32).filter(|&i| members[i as usize].ramped).collect();
        let ramped_until = details.iter().filter_map(|details| details.ramp).map(|(ramp, _)| ramp.ends()).min();
        let indexed = (SCANNED + 1..=MAX_MEMBERS).contains(&members.len());
        let index = policy.ranking().filter(|_| indexed).map(|ranking| Index {
            ranking,
            tree: Tournament::new(members.len()),
            stalest: AtomicUsize::new(0),
        });
        let ramped_until = ramped_until.unwrap_or(Time::LAST);
        let (members, details) = (members.into(), details.into());
        Self { generation, policy, rules, members, details, primaries, shares, roll, ramped, ramped_until, index }
    }

    /// The same after what is believed of the servers has changed, or time has passed.
    pub(crate) fn renewed(&self, now: Time) -> Self {
        let wanted = self.members.iter().zip(&self.details).map(|(member, details)| Wanted {
            server: Arc::clone(&details.server),
            limit: details.limit,
            weight: member.weight,
            backup: member.backup,
            state: details.state,
            draining_since: details.draining_since,
        });
        let rules = (Arc::clone(&self.policy), Arc::clone(&self.rules));
        Self::new(self.generation + 1, rules, (wanted.collect(), Some(&self.roll)), now)
    }

    /// Picks ever, of all members.
    pub(crate) fn picks(&self) -> u64 {
        self.members.iter().map(|member| member.live.slots.in_flight_and_picks().1).sum()
    }

    /// Whether somebody warms up.
    #[inline]
    pub(crate) fn is_bounded(&self) -> bool {
        !self.ramped.is_empty()
    }

    /// Whether somebody who warmed up has done so.
    pub(crate) fn warmed_up(&self, now: Time) -> bool {
        now >= self.ramped_until
    }

    /// Chooses a member and claims a slot on it, in one step. The caller owes the release.
    #[inline]
    pub(crate) fn claim(&self, ask: &Ask<'_>, home: &Home, bounds: Bounds) -> Result<&Arc<Server>, Refused> {
        let view = View::new((self, home), ask, bounds);
        for _ in 0..CHOICES {
            let Some(choice) = self.policy.choose(&view, ask) else {
                return self.claim_any(ask, home, &view);
            };
            let member = &self.members[choice.index()];
            if view.takes_turn(choice.index())
                && member.live.slots.claim(choice.seen(), member.capacity) == Claim::Taken
            {
                return Ok(self.claimed(choice.index(), ask, home));
            }
            // Whoever took the slot may not have got round to the index yet.
            self.repair(choice.index(), Reach::Root, home.moment(ask.now));
        }
        self.claim_any(ask, home, &view)
    }

    /// The last resort, when no member was chosen or others were quicker each time. The index may have been
    /// left naming a full member by a caller who is about to repair it; that is done here, a bounded number
    /// of times, before it is believed that nobody can. When there are slots but every claim came too late,
    /// the first slot found must do.
    #[cold]
    fn claim_any(&self, ask: &Ask<'_>, home: &Home, view: &View<'_>) -> Result<&Arc<Server>, Refused> {
        let mut found = None;
        for _ in 0..CHOICES {
            found = self.policy.choose(view, ask).map(Choice::index);
            let named = || self.index.as_ref().filter(|_| view.goes_by_index()).map(|index| index.tree.best());
            let Some(i) = found.or_else(named) else { break };
            if view.eligible(i) && view.takes_turn(i) && self.claim_slot(i) {
                return Ok(self.claimed(i, ask, home));
            }
            self.repair(i, Reach::Root, home.moment(ask.now));
        }
        let slot = found.and_then(|_| (0..self.members.len()).find(|&i| view.eligible(i) && self.claim_slot(i)));
        slot.map(|i| self.claimed(i, ask, home)).ok_or_else(|| self.why_none())
    }

    /// Claims a slot on a member, however busy it is.
    fn claim_slot(&self, i: usize) -> bool {
        let member = &self.members[i];
        member.live.slots.claim(u32::MAX, member.capacity) == Claim::Taken
    }

    /// Books a slot that was just claimed.
    #[inline]
    pub(crate) fn claimed(&self, i: usize, ask: &Ask<'_>, home: &Home) -> &Arc<Server> {
        let Member { live, weight, .. } = &self.members[i];
        live.turn.take(&home.clock, turn::stride(*weight));
        live.last_pick.store(ask.now.as_nanos(), Ordering::Relaxed);
        home.repair(live, Reach::Root, ask.now);
        self.refresh_stalest(home, ask.now);
        &self.details[i].server
    }

    /// The member the index names for a ranking, eligible or not; `None` without an index for it.
    #[inline]
    pub(crate) fn indexed_best(&self, ranking: Ranking) -> Option<usize> {
        let index = self.index.as_ref().filter(|index| index.ranking == ranking)?;
        Some(index.tree.best())
    }

    /// Whether members have a place in an index that must be kept up to date.
    pub(crate) fn is_indexed(&self) -> bool {
        self.index.is_some()
    }

    /// Brings the index up to date with one member.
    #[inline]
    pub(crate) fn repair(&self, i: usize, reach: Reach, moment: Moment) {
        if let Some(index) = &self.index {
            index.repair(i, reach, (&self.members, moment));
        }
    }

    /// Brings the index up to date with all members.
    pub(crate) fn repair_all(&self, moment: Moment) {
        if let Some(index) = &self.index {
            if moment.charged {
                index.tree.replay(&index.field::<true>(&self.members, moment.now));
            } else {
                index.tree.replay(&index.field::<false>(&self.members, moment.now));
            }
        }
    }

    /// Response times and charges fade with time alone, which no claim or release tells the index. So each pick
    /// looks at one more member in turn: a server shunned for long is met again after as many picks as the pool
    /// has members, and the cost stays flat.
    #[inline]
    fn refresh_stalest(&self, home: &Home, now: Time) {
        let Some(index) = &self.index else { return };
        if index.ranking == Ranking::ResponseTime || home.guard.charged_lately(now) {
            let next = index.stalest.fetch_add(1, Ordering::Relaxed) % self.members.len();
            index.repair(next, Reach::Needed, (&self.members, home.moment(now)));
        }
    }

    /// Why nobody could be chosen.
    #[cold]
    pub(crate) fn why_none(&self) -> Refused {
        if self.members.is_empty() {
            Refused::NoServer
        } else if self.members.iter().any(Member::admits) {
            Refused::AllFull
        } else {
            Refused::AllDown
        }
    }
}

/// The ramps of the members of a tier: of those that came in from the cold of late, unless all did, since then nobody is
/// there to carry what they do not.
fn ramps(
    tier: &[Wanted],
    rules: &PoolRules,
    admits: &impl Fn(&Wanted) -> bool,
    now: Time,
) -> Vec<Option<(Ramp, (u16, u64))>> {
    let whole: u64 = tier.iter().filter(|wanted| admits(wanted)).map(|wanted| u64::from(wanted.weight)).sum();
    let ramp = |wanted: &Wanted| {
        let since = wanted.server.live.health(|health| health.warming_since())?;
        let ramp = Ramp { rule: rules.warm_up?, since };
        (admits(wanted) && ramp.ends() > now).then_some((ramp, (wanted.weight, whole)))
    };
    let ramps: Vec<_> = tier.iter().map(ramp).collect();
    let warm = tier.iter().zip(&ramps).any(|(wanted, ramp)| admits(wanted) && ramp.is_none());
    if warm { ramps } else { vec![None; tier.len()] }
}

impl Index {
    #[inline]
    fn repair(&self, i: usize, reach: Reach, (members, moment): (&[Member], Moment)) {
        if moment.charged {
            self.tree.repair(i, reach, &self.field::<true>(members, moment.now));
        } else {
            self.tree.repair(i, reach, &self.field::<false>(members, moment.now));
        }
    }

    fn field<'a, const CHARGED: bool>(&self, members: &'a [Member], now: Time) -> Field<'a, CHARGED> {
        Field { members, ranking: self.ranking, now }
    }
}

/// The members as the index sees them at one time. Where none is charged, which is nearly always, it does not look.
struct Field<'a, const CHARGED: bool> {
    members: &'a [Member],
    ranking: Ranking,
    now: Time,
}

/// A time, and whether any server is charged at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Time,
    pub(crate) charged: bool,
}

impl<const CHARGED: bool> Contest for Field<'_, CHARGED> {
    /// The tier comes first: a backup stands behind all primaries that are eligible.
    type Rank = (bool, Rank);

    #[inline]
    fn rank(&self, i: usize) -> (bool, Rank) {
        let member = &self.members[i];
        let in_flight = member.live.slots.in_flight();
        // Those who warm up are looked at one by one.
        let behind = member.backup | member.ramped | !member.eligible(in_flight);
        let charge = if CHARGED { member.live.charge.at(self.now) } else { 0 };
        (behind, member.rank(self.ranking, (in_flight, charge), self.now))
    }

    #[inline]
    fn before(a: &(bool, Rank), b: &(bool, Rank)) -> bool {
        if a.0 == b.0 { a.1.before(&b.1) } else { b.0 }
    }
}
