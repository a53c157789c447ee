//! What a policy may see of its pool.

use crate::rank::{Load, Rank, Ranking};
use crate::shares::Draws;
use crate::snapshot::{Member, Snapshot};
use crate::{Ask, Time};

/// A pool as a policy sees it during one pick: lazily, so that a policy that looks at two servers never
/// walks the others.
///
/// Servers are numbered from 0 to [`len`](View::len), primaries before backups. What is read may change
/// between two reads, as other callers pick and release.
#[derive(Debug)]
pub struct View<'a> {
    snapshot: &'a Snapshot,
    now: Time,
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
    pub(crate) fn new(snapshot: &'a Snapshot, now: Time) -> Self {
        Self { snapshot, now }
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

    /// How busy server `i` is: in flight / weight.
    pub fn load(&self, i: usize) -> Load {
        let member = self.member(i);
        Ranking::Load.load(&member.live, (member.live.slots.in_flight(), member.weight), self.now)
    }

    /// The weight of server `i`.
    pub fn weight(&self, i: usize) -> u16 {
        self.member(i).weight
    }

    /// The choice of server `i`, if it can take a request.
    pub fn choice(&self, i: usize) -> Option<Choice> {
        let member = self.member(i);
        let seen = member.live.slots.in_flight();
        member.eligible(seen).then_some(Choice { index: i as u32, seen })
    }

    /// The eligible server that comes first in `ranking`, and of equals the one whose turn is due first: a
    /// primary when any can take a request, else a backup, else `None`.
    #[inline]
    pub fn least(&self, ranking: Ranking) -> Option<Choice> {
        if let Some(best) = self.snapshot.indexed_best(ranking) {
            return self.choice(best);
        }
        match ranking {
            Ranking::Load => self.scan(|member, n| member.rank(Ranking::Load, n, self.now)),
            Ranking::ExpectedDelay => self.scan(|member, n| member.rank(Ranking::ExpectedDelay, n, self.now)),
            Ranking::Turn => self.scan(|member, n| member.rank(Ranking::Turn, n, self.now)),
            Ranking::ResponseTime => self.scan(|member, n| member.rank(Ranking::ResponseTime, n, self.now)),
        }
    }

    /// An eligible server drawn by weight, from the same tier as [`least`](View::least) would take.
    pub fn draw(&self, ask: &Ask) -> Option<Choice> {
        let mut draws = Draws::new(ask.random);
        self.drawn(&mut draws, None)
    }

    /// Two different eligible servers of one tier drawn by weight; the second is `None` when there is only
    /// one.
    pub fn draw_two(&self, ask: &Ask) -> Option<(Choice, Option<Choice>)> {
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
