//! Picks of clients that are stuck to a server: it is theirs whatever the policy says, as long as it can take them.
//!
//! Such a pick is an ordinary one in all that is counted: it has a slot within the limit, takes the server's turn, and is an
//! arrival for those who warm up. It is not held back by a warm-up or by charges of the black-hole guard. Health is respected:
//! a server that is down, ejected or on trial has nobody stuck to it. Weight 0 keeps those who are there for as long as it
//! stands, a drain for as long as [`PoolRules::stick_drain`] says.

use std::sync::Arc;

use crate::home::Home;
use crate::slots::Claim;
use crate::snapshot::{Details, Snapshot};
use crate::{AdminState, Ask, HealthState, PoolRules, Server, Time};

impl Home {
    /// Claims a slot on the server that the client is stuck to, in one step, if it can have one.
    pub(crate) fn claim_stuck(&self, ask: &Ask<'_>) -> Option<Arc<Server>> {
        ask.stick?;
        let snapshot = self.warm_snapshot(ask.now);
        let i = snapshot.stuck(ask)?;
        let (member, details) = (&snapshot.members[i], &snapshot.details[i]);
        if member.live.slots.claim(u32::MAX, details.limit) != Claim::Taken {
            return None;
        }
        if snapshot.is_bounded() {
            // It uses up its server's share too, so that strangers do not come on top.
            member.live.admitted.note(self.arrive());
        }
        Some(Arc::clone(snapshot.claimed(i, ask, self)))
    }
}

impl Snapshot {
    /// The member of this name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.roll.find(name, |i| self.details[i].server.id().name() == name)
    }

    /// The member that the client is stuck to, if that takes such clients now, full or not.
    pub(crate) fn stuck(&self, ask: &Ask<'_>) -> Option<usize> {
        let i = self.find(ask.stick?)?;
        let (member, details) = (&self.members[i], &self.details[i]);
        let keeps = match details.state {
            AdminState::Ready => member.weight == 0,
            AdminState::Drain => details.sticks_until(&self.rules).is_some_and(|until| ask.now < until),
            AdminState::Down => false,
        };
        let takes = member.admits() || keeps && member.live.state() == HealthState::Up;
        (takes && !ask.has_tried(&member.live)).then_some(i)
    }

    /// Whether a member that keeps such clients can take one more.
    pub(crate) fn has_room_for_stuck(&self, i: usize) -> bool {
        self.members[i].live.slots.in_flight() < self.details[i].limit
    }
}

impl Details {
    /// Until when it takes requests of clients that are stuck to it although it drains.
    pub(crate) fn sticks_until(&self, rules: &PoolRules) -> Option<Time> {
        let since = self.draining_since.filter(|_| !rules.stick_drain.is_zero())?;
        Some(since + rules.stick_drain)
    }
}
