//! The immutable member list of a pool: replaced whole, never edited.

use std::sync::Arc;

use crate::home::Home;
use crate::policy::Policy;
use crate::rank::{NOT_ELIGIBLE, Rank, Ranking};
use crate::server::Live;
use crate::shares::Shares;
use crate::slots::Claim;
use crate::{AdminState, Ask, MAX_IN_FLIGHT, Refused, Server, ServerSpec, Time, View, turn};

/// Members, and what is worked out from them once so that a pick need not.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Counts the changes of the pool.
    pub(crate) generation: u64,
    pub(crate) policy: Arc<dyn Policy>,
    /// Primaries first and then backups, each in the order they are listed.
    pub(crate) members: Box<[Member]>,
    /// How many of the members are primaries.
    pub(crate) primaries: usize,
    pub(crate) shares: Shares,
}

/// A server with what the configuration says of it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) server: Arc<Server>,
    /// The server's own, kept here to save a step on the way to it.
    pub(crate) live: Arc<Live>,
    pub(crate) weight: u16,
    /// What it may have in flight to take one more: its limit, or 0 when it takes nothing new.
    pub(crate) capacity: u32,
    pub(crate) limit: u32,
    pub(crate) backup: bool,
    pub(crate) state: AdminState,
    pub(crate) stride: u64,
}

impl Member {
    pub(crate) fn new(server: Arc<Server>, spec: &ServerSpec) -> Self {
        let limit = spec
            .max_connections
            .map_or(MAX_IN_FLIGHT, |limit| limit.get().min(MAX_IN_FLIGHT));
        let admits = spec.state == AdminState::Ready && spec.weight > 0;
        Self {
            live: Arc::clone(&server.live),
            server,
            weight: spec.weight,
            capacity: if admits { limit } else { 0 },
            limit,
            backup: spec.backup,
            state: spec.state,
            stride: turn::stride(spec.weight),
        }
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

    /// Where it stands under a ranking with this much in flight.
    #[inline]
    pub(crate) fn rank(&self, ranking: Ranking, in_flight: u32, now: Time) -> Rank {
        Rank {
            tier: if self.eligible(in_flight) {
                u8::from(self.backup)
            } else {
                NOT_ELIGIBLE
            },
            load: ranking.load(&self.live, (in_flight, self.weight), now),
            due: self.live.turn.due(),
        }
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
    pub(crate) fn new(generation: u64, policy: Arc<dyn Policy>, members: Vec<Member>) -> Self {
        let (mut ordered, backups): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| !member.backup);
        let primaries = ordered.len();
        ordered.extend(backups);
        let shares = Shares::new(&ordered, primaries);
        Self {
            generation,
            policy,
            members: ordered.into(),
            primaries,
            shares,
        }
    }

    /// Chooses a member and claims a slot on it, in one step. The caller owes the release.
    #[inline]
    pub(crate) fn claim(&self, ask: &Ask, home: &Home) -> Result<&Arc<Server>, Refused> {
        let view = View::new(self, ask.now);
        for _ in 0..CHOICES {
            let Some(choice) = self.policy.choose(&view, ask) else {
                return Err(self.why_none());
            };
            let member = &self.members[choice.index()];
            if member.live.slots.claim(choice.seen(), member.capacity) == Claim::Taken {
                return Ok(self.claimed(choice.index(), ask, home));
            }
            // Whoever took the slot may not have got round to the index yet.
            self.repair(choice.index(), ask.now);
        }
        self.claim_any(ask, home)
    }

    /// The last resort: the best member that still has a slot, however busy it got meanwhile.
    #[cold]
    fn claim_any(&self, ask: &Ask, home: &Home) -> Result<&Arc<Server>, Refused> {
        let view = View::new(self, ask.now);
        if let Some(choice) = self.policy.choose(&view, ask) {
            let member = &self.members[choice.index()];
            if member.live.slots.claim(u32::MAX, member.capacity) == Claim::Taken {
                return Ok(self.claimed(choice.index(), ask, home));
            }
        }
        for (i, member) in self.members.iter().enumerate() {
            if member.live.slots.claim(u32::MAX, member.capacity) == Claim::Taken {
                return Ok(self.claimed(i, ask, home));
            }
        }
        Err(self.why_none())
    }

    /// Books a slot that was just claimed.
    #[inline]
    fn claimed(&self, i: usize, ask: &Ask, home: &Home) -> &Arc<Server> {
        let Member {
            server, live, stride, ..
        } = &self.members[i];
        live.turn.take(&home.clock, *stride);
        live.last_pick
            .store(ask.now.as_nanos(), std::sync::atomic::Ordering::Relaxed);
        home.repair(live, ask.now);
        server
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

    pub(crate) fn repair(&self, _i: usize, _now: Time) {}
}
