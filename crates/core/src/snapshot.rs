//! The immutable member list of a pool: replaced whole, never edited.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::home::Home;
use crate::live::Live;
use crate::policy::Policy;
use crate::rank::{Load, Rank, Ranking};
use crate::shares::Shares;
use crate::slots::Claim;
use crate::tournament::{Contest, MAX_MEMBERS, Reach, Tournament};
use crate::{AdminState, Ask, Choice, MAX_IN_FLIGHT, Refused, Server, ServerSpec, Time, View, turn};

/// Members, and what is worked out from them once so that a pick need not.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Counts the changes of the pool.
    pub(crate) generation: u64,
    pub(crate) policy: Arc<dyn Policy>,
    /// Primaries first and then backups, each in the order they are listed.
    pub(crate) members: Box<[Member]>,
    /// Of each member.
    pub(crate) details: Box<[Details]>,
    /// How many of the members are primaries.
    pub(crate) primaries: usize,
    pub(crate) shares: Shares,
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
const SCANNED: usize = 64;

/// What a choice reads of a member: little, so that many fit a line of the cache.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) live: Arc<Live>,
    /// What it may have in flight to take one more: its limit, or 0 when it takes nothing new.
    pub(crate) capacity: u32,
    pub(crate) weight: u16,
    pub(crate) backup: bool,
}

/// The rest that the configuration says of a member.
#[derive(Debug)]
pub(crate) struct Details {
    pub(crate) server: Arc<Server>,
    pub(crate) limit: u32,
    pub(crate) state: AdminState,
}

impl Member {
    /// A server as a member of its pool.
    pub(crate) fn new(server: Arc<Server>, spec: &ServerSpec) -> (Self, Details) {
        let limit = spec.max_connections.map_or(MAX_IN_FLIGHT, |limit| limit.get().min(MAX_IN_FLIGHT));
        let admits = spec.state == AdminState::Ready && spec.weight > 0;
        let member = Self {
            live: Arc::clone(&server.live),
            capacity: if admits { limit } else { 0 },
            weight: spec.weight,
            backup: spec.backup,
        };
        (member, Details { server, limit, state: spec.state })
    }

    /// Whether it can take a request with this much in flight: the one definition of *eligible*.
    #[inline]
    pub(crate) fn eligible(&self, in_flight: u32) -> bool {
        in_flight < self.capacity
    }

    /// Whether it takes requests at all, full or not.
    pub(crate) fn admits(&self) -> bool {
        self.capacity > 0
    }

    /// Where it stands in its tier with this much in flight.
    #[inline]
    pub(crate) fn rank(&self, ranking: Ranking, in_flight: u32, now: Time) -> Rank {
        let load = ranking.load(&self.live, (in_flight, self.weight), now);
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
        Self::new(0, policy, Vec::new())
    }

    /// Members in the order they are listed.
    pub(crate) fn new(generation: u64, policy: Arc<dyn Policy>, mut members: Vec<(Member, Details)>) -> Self {
        members.sort_by_key(|(member, _)| member.backup);
        let (members, details): (Vec<Member>, Vec<Details>) = members.into_iter().unzip();
        let primaries = members.partition_point(|member| !member.backup);
        // One that takes nothing new is never to be drawn.
        let weights = members.iter().map(|member| if member.admits() { member.weight } else { 0 });
        let shares = Shares::new(weights, primaries);
        let indexed = (SCANNED + 1..=MAX_MEMBERS).contains(&members.len());
        let index = policy.ranking().filter(|_| indexed).map(|ranking| Index {
            ranking,
            tree: Tournament::new(members.len()),
            stalest: AtomicUsize::new(0),
        });
        Self { generation, policy, members: members.into(), details: details.into(), primaries, shares, index }
    }

    /// Chooses a member and claims a slot on it, in one step. The caller owes the release.
    #[inline]
    pub(crate) fn claim(&self, ask: &Ask, home: &Home) -> Result<&Arc<Server>, Refused> {
        let view = View::new(self, ask.now);
        for _ in 0..CHOICES {
            let Some(choice) = self.policy.choose(&view, ask) else {
                return self.claim_any(ask, home);
            };
            let member = &self.members[choice.index()];
            if member.live.slots.claim(choice.seen(), member.capacity) == Claim::Taken {
                return Ok(self.claimed(choice.index(), ask, home));
            }
            // Whoever took the slot may not have got round to the index yet.
            self.repair(choice.index(), Reach::Root, ask.now);
        }
        self.claim_any(ask, home)
    }

    /// The last resort, when no member was chosen or others were quicker each time. The index may have been
    /// left naming a full member by a caller who is about to repair it; that is done here, a bounded number
    /// of times, before it is believed that nobody can. When there are slots but every claim came too late,
    /// the first slot found must do.
    #[cold]
    fn claim_any(&self, ask: &Ask, home: &Home) -> Result<&Arc<Server>, Refused> {
        let view = View::new(self, ask.now);
        let mut found = None;
        for _ in 0..CHOICES {
            found = self.policy.choose(&view, ask).map(Choice::index);
            let Some(i) = found.or_else(|| Some(self.index.as_ref()?.tree.best())) else {
                break;
            };
            if self.claim_slot(i) {
                return Ok(self.claimed(i, ask, home));
            }
            self.repair(i, Reach::Root, ask.now);
        }
        let slot = found.and_then(|_| (0..self.members.len()).find(|&i| self.claim_slot(i)));
        slot.map(|i| self.claimed(i, ask, home)).ok_or_else(|| self.why_none())
    }

    /// Claims a slot on a member, however busy it is.
    fn claim_slot(&self, i: usize) -> bool {
        let member = &self.members[i];
        member.live.slots.claim(u32::MAX, member.capacity) == Claim::Taken
    }

    /// Books a slot that was just claimed.
    #[inline]
    fn claimed(&self, i: usize, ask: &Ask, home: &Home) -> &Arc<Server> {
        let Member { live, weight, .. } = &self.members[i];
        live.turn.take(&home.clock, turn::stride(*weight));
        live.last_pick.store(ask.now.as_nanos(), Ordering::Relaxed);
        home.repair(live, Reach::Root, ask.now);
        self.refresh_stalest(ask.now);
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
    pub(crate) fn repair(&self, i: usize, reach: Reach, now: Time) {
        if let Some(index) = &self.index {
            index.tree.repair(i, reach, &self.field(index, now));
        }
    }

    /// Brings the index up to date with all members.
    pub(crate) fn repair_all(&self, now: Time) {
        if let Some(index) = &self.index {
            index.tree.replay(&self.field(index, now));
        }
    }

    fn field<'a>(&'a self, index: &Index, now: Time) -> Field<'a> {
        Field { members: &self.members, ranking: index.ranking, now }
    }

    /// Response times fade with time alone, which no claim or release tells the index. So each pick looks
    /// at one more member in turn: a server shunned for long is met again after as many picks as the pool
    /// has members, and the cost stays flat.
    #[inline]
    fn refresh_stalest(&self, now: Time) {
        let fading = self.index.as_ref().filter(|index| index.ranking == Ranking::ResponseTime);
        if let Some(index) = fading {
            let next = index.stalest.fetch_add(1, Ordering::Relaxed) % self.members.len();
            index.tree.repair(next, Reach::Needed, &self.field(index, now));
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

/// The members as the index sees them at one time.
struct Field<'a> {
    members: &'a [Member],
    ranking: Ranking,
    now: Time,
}

impl Contest for Field<'_> {
    /// The tier comes first: a backup stands behind all primaries that are eligible.
    type Rank = (bool, Rank);

    #[inline]
    fn rank(&self, i: usize) -> (bool, Rank) {
        let member = &self.members[i];
        let in_flight = member.live.slots.in_flight();
        let behind = member.backup | !member.eligible(in_flight);
        (behind, member.rank(self.ranking, in_flight, self.now))
    }

    #[inline]
    fn before(a: &(bool, Rank), b: &(bool, Rank)) -> bool {
        if a.0 == b.0 { a.1.before(&b.1) } else { b.0 }
    }
}
