//! What a policy may see of its pool.

use std::ops::Range;

use crate::home::Home;
use crate::rank::{Load, Rank, Ranking};
use crate::shares::Draws;
use crate::snapshot::{Member, SCANNED, Snapshot};
use crate::{Ask, Verdict};

/// A pool as a policy sees it during one pick: lazily, so that a policy that looks at two servers never
/// walks the others.
///
/// Servers are numbered from 0 to [`len`](View::len), primaries before backups. What is read may change
/// between two reads, as other callers pick and release.
#[derive(Debug)]
pub struct View<'a> {
    snapshot: &'a Snapshot,
    home: &'a Home,
    ask: &'a Ask<'a>,
    bounds: Bounds,
    /// Something beside load and limit matters.
    closely: bool,
}

/// What matters in a pick beside load and limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Servers may be charged for fast failures.
    pub(crate) charged: bool,
    /// The number of this pick among the arrivals that warm-ups count; `None` lets who warms up have more than its share.
    pub(crate) arrival: Option<u64>,
    /// Servers already tried are left out.
    pub(crate) tried: bool,
    /// Backups may be taken.
    pub(crate) backups: bool,
}

impl Bounds {
    /// What matters while nobody fails or warms up, and to a first try.
    pub(crate) const NONE: Self = Self { charged: false, arrival: None, tried: false, backups: true };
}

/// A server chosen, and how busy it was when it was: the claim that follows is refused, and the policy
/// asked again, when it got busier in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    index: u32,
    seen: u32,
}

impl Choice {
    /// The server's number in the view.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// What it had in flight.
    pub(crate) fn seen(self) -> u32 {
        self.seen
    }
}

impl<'a> View<'a> {
    pub(crate) fn new((snapshot, home): (&'a Snapshot, &'a Home), ask: &'a Ask<'a>, bounds: Bounds) -> Self {
        let tried = bounds.tried && !ask.tried.is_empty();
        let bounds = Bounds { tried, ..bounds };
        let closely = bounds.charged || tried || snapshot.is_bounded() || !bounds.backups;
        Self { snapshot, home, ask, bounds, closely }
    }

    /// How many servers the pool has, eligible or not.
    #[allow(clippy::len_without_is_empty, reason = "a policy has no use for it")]
    pub fn len(&self) -> usize {
        self.snapshot.members.len()
    }

    /// How many of them, the first ones, are not backups.
    pub fn primaries(&self) -> usize {
        self.snapshot.primaries
    }

    /// Whether server `i` can take a request. Panics when `i` is not below [`len`](View::len), as do the
    /// others that take a number.
    pub fn eligible(&self, i: usize) -> bool {
        self.choice(i).is_some()
    }

    /// How busy server `i` is: in flight / weight, where a slot that is charged for a fast failure counts as in flight.
    pub fn load(&self, i: usize) -> Load {
        let member = self.member(i);
        let at_work = member.live.slots.in_flight() + self.charged(member);
        Ranking::Load.load(&member.live, (at_work, member.weight), self.ask.now)
    }

    /// The weight of server `i`.
    pub fn weight(&self, i: usize) -> u16 {
        self.member(i).weight
    }

    /// The choice of server `i`, if it can take a request.
    pub fn choice(&self, i: usize) -> Option<Choice> {
        let member = self.member(i);
        let seen = member.live.slots.in_flight();
        (member.eligible(seen) && self.lets(i)).then_some(Choice { index: i as u32, seen })
    }

    /// Whether what matters beside load and limit lets server `i` take the request.
    fn lets(&self, i: usize) -> bool {
        !self.closely || self.passed_over(i).is_none()
    }

    /// Whether an index may answer for all members, which knows nothing of who was tried.
    pub(crate) fn goes_by_index(&self) -> bool {
        !self.bounds.tried
    }

    /// What beside load and limit keeps the request from server `i`.
    pub(crate) fn passed_over(&self, i: usize) -> Option<Verdict> {
        let member = self.member(i);
        if self.bounds.tried && self.ask.has_tried(&member.live) {
            return Some(Verdict::Tried);
        }
        if member.backup && !self.bounds.backups {
            return Some(Verdict::Standby);
        }
        let arrival = self.bounds.arrival.filter(|_| member.ramped)?;
        let due = member.live.admitted.due(arrival, self.interval(i)?);
        (!due).then_some(Verdict::WarmingUp)
    }

    /// Takes the turn of a server that warms up; true for all others. False when another caller has just taken it.
    #[inline]
    pub(crate) fn takes_turn(&self, i: usize) -> bool {
        let Some(arrival) = self.bounds.arrival.filter(|_| self.member(i).ramped) else { return true };
        self.interval(i).is_none_or(|interval| self.member(i).live.admitted.take(arrival, interval))
    }

    /// How many arrivals lie between two picks of a server that warms up.
    fn interval(&self, i: usize) -> Option<f64> {
        self.snapshot.details[i].ramp.map(|(ramp, share)| ramp.interval(share, self.ask.now))
    }

    fn charged(&self, member: &Member) -> u32 {
        if self.bounds.charged { member.live.charge.at(self.ask.now) } else { 0 }
    }

    /// The eligible server that comes first in `ranking`, and of equals the one whose turn is due first: a
    /// primary when any can take a request, else a backup, else `None`.
    #[inline]
    pub fn least(&self, ranking: Ranking) -> Option<Choice> {
        if self.closely {
            return self.least_closely(ranking);
        }
        if let Some(best) = self.snapshot.indexed_best(ranking) {
            return self.choice(best);
        }
        match ranking {
            Ranking::Load => self.scan(|member, n| member.rank(Ranking::Load, (n, 0), self.ask.now)),
            Ranking::ExpectedDelay => self.scan(|member, n| member.rank(Ranking::ExpectedDelay, (n, 0), self.ask.now)),
            Ranking::Turn => self.scan(|member, n| member.rank(Ranking::Turn, (n, 0), self.ask.now)),
            Ranking::ResponseTime => self.scan(|member, n| member.rank(Ranking::ResponseTime, (n, 0), self.ask.now)),
        }
    }

    /// The server of a key: the first around the pool's ring that is eligible and within the bound on its load, from the same
    /// tier as [`least`](View::least) would take. When nobody is found soon, the least loaded. Only a policy that
    /// [is keyed](crate::Policy::is_keyed) has a ring.
    pub fn keyed(&self, key: u64) -> Option<Choice> {
        if let Some(choice) = self.around(false, key) {
            return Some(choice);
        }
        let least = self.least(Ranking::Load)?;
        let backup = self.member(least.index()).backup;
        let around = if backup { self.around(true, key) } else { None };
        Some(around.unwrap_or(least))
    }

    /// The first of a tier around its ring that may have the request.
    fn around(&self, backup: bool, key: u64) -> Option<Choice> {
        /// Points looked at at least. Where one server in twenty serves, they miss it once in 700 times.
        const FEWEST: usize = 128;
        let tier = self.snapshot.shares.tier(backup);
        let weights = u128::from(self.snapshot.shares.total(&tier));
        let ring = self.snapshot.roll.ring(backup).filter(|_| weights > 0)?;
        // In flight < bound x average x weight, all multiplied out; in flight + 1 is at most that rounded up.
        let bound = u128::from(self.snapshot.rules.hash_bound.as_u16());
        let room = bound * u128::from(self.at_work(&tier) + 1);
        let far = tier.len().max(FEWEST);
        ring.from(key).take(far).filter_map(|i| self.choice(i)).find(|choice| {
            let member = self.member(choice.index());
            let load = u128::from(choice.seen + self.charged(member));
            load * 100 * weights < room * u128::from(member.weight)
        })
    }

    /// What the servers of a tier have in flight that take requests; in a large pool, what all servers have.
    fn at_work(&self, tier: &Range<usize>) -> u64 {
        if self.len() > SCANNED {
            return self.home.alive.permits();
        }
        let serving = self.snapshot.members[tier.clone()].iter().filter(|member| member.admits());
        serving.map(|member| u64::from(member.live.slots.in_flight())).sum()
    }

    /// An eligible server drawn by weight, from the same tier as [`least`](View::least) would take.
    pub fn draw(&self, ask: &Ask<'_>) -> Option<Choice> {
        let mut draws = Draws::new(ask.random);
        self.drawn(&mut draws, None)
    }

    /// Two different eligible servers of one tier drawn by weight; the second is `None` when there is only
    /// one.
    pub fn draw_two(&self, ask: &Ask<'_>) -> Option<(Choice, Option<Choice>)> {
        let mut draws = Draws::new(ask.random);
        let first = self.drawn(&mut draws, None)?;
        let backup = self.member(first.index()).backup;
        Some((first, self.drawn_of_tier(backup, &mut draws, Some(first.index()))))
    }

    fn drawn(&self, draws: &mut Draws, besides: Option<usize>) -> Option<Choice> {
        let primary = self.drawn_of_tier(false, draws, besides);
        primary.or_else(|| self.drawn_of_tier(true, draws, besides))
    }

    /// Draws until an eligible one comes up, which keeps the shares of the eligible right. When most are
    /// not, it counts them out instead.
    fn drawn_of_tier(&self, backup: bool, draws: &mut Draws, besides: Option<usize>) -> Option<Choice> {
        // While half the weight is eligible, all of these fail once in 65,000 picks.
        const DRAWS: u32 = 16;
        let tier = self.snapshot.shares.tier(backup);
        for _ in 0..DRAWS {
            let i = self.snapshot.shares.draw(&tier, besides, draws)?;
            if let Some(choice) = self.choice(i) {
                return Some(choice);
            }
        }
        let eligible: Vec<Choice> = tier.filter(|&i| Some(i) != besides).filter_map(|i| self.choice(i)).collect();
        let total = eligible.iter().map(|choice| u64::from(self.weight(choice.index()))).sum();
        let mut point = draws.below(total);
        eligible.into_iter().find(|choice| {
            let weight = u64::from(self.weight(choice.index()));
            let found = point < weight;
            point = point.saturating_sub(weight);
            found
        })
    }

    #[inline]
    fn scan(&self, rank: impl Fn(&Member, u32) -> Rank) -> Option<Choice> {
        let (primaries, backups) = self.snapshot.members.split_at(self.snapshot.primaries);
        least_of(primaries, &rank).or_else(|| {
            let backup = least_of(backups, &rank)?;
            Some(Choice { index: backup.index + primaries.len() as u32, ..backup })
        })
    }

    /// The least where more than load and limit matter. An index knows nothing of those who warm up.
    fn least_closely(&self, ranking: Ranking) -> Option<Choice> {
        match self.snapshot.indexed_best(ranking) {
            Some(best) if self.goes_by_index() => {
                let ramped = self.snapshot.ramped.iter().map(|&i| i as usize);
                self.least_among(ranking, std::iter::once(best).chain(ramped))
            }
            _ => self.least_among(ranking, 0..self.len()),
        }
    }

    fn least_among(&self, ranking: Ranking, candidates: impl Iterator<Item = usize>) -> Option<Choice> {
        let mut best: Option<(bool, Rank, Choice)> = None;
        for choice in candidates.filter_map(|i| self.choice(i)) {
            let member = self.member(choice.index());
            let rank = member.rank(ranking, (choice.seen, self.charged(member)), self.ask.now);
            let better = best.as_ref().is_none_or(
                |(backup, other, _)| {
                    if member.backup == *backup { rank.before(other) } else { *backup }
                },
            );
            if better {
                best = Some((member.backup, rank, choice));
            }
        }
        best.map(|(_, _, choice)| choice)
    }

    fn member(&self, i: usize) -> &Member {
        &self.snapshot.members[i]
    }
}

/// The first of the least.
#[inline]
fn least_of(members: &[Member], rank: impl Fn(&Member, u32) -> Rank) -> Option<Choice> {
    let mut best = Rank::LAST;
    let mut choice = None;
    for (i, member) in members.iter().enumerate() {
        let seen = member.live.slots.in_flight();
        if !member.eligible(seen) {
            continue;
        }
        let rank = rank(member, seen);
        if rank.before(&best) {
            best = rank;
            choice = Some(Choice { index: i as u32, seen });
        }
    }
    choice
}
