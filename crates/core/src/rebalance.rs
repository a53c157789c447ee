//! Rebalance: connections that live long stay where they were picked, so servers that join later have nothing to do. Where a
//! rule wants it, the oldest that look idle on the fullest servers are asked to close, so that those who come back find the
//! new ones.
//!
//! Nothing is closed unless its client, connecting again, is sent elsewhere by what picks go by: all that servers have in
//! flight, for their weights. Requests, streams and connections that were open before there was a rule are load that stays.
//! So what is needed is counted anew from that at each tick (`level`), and asked again before each single one.
//!
//! Short requests make what is in flight noisy: at any one moment a server may look fuller or emptier than it is. A round
//! therefore closes no more than **the fewest that any look of the settle time found needed**: a gap that requests fill now
//! and then is none that a client would be sent into at such a moment, and what was needed at each of many looks in a row
//! is not noise. (The least that each server carried over that time would not do: the least of those that fill with whatever
//! comes is too low beside the others, and connections would move for it that come back.)
//!
//! A connection that was asked counts no more where it is, but as one that is on its way back, until another comes: so nothing
//! is closed twice for one move, and clients that do not come back bring about no further closing. When a round did not help,
//! as where something makes clients come back to the server they had, the next one waits twice as long.

mod held;
mod level;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use held::LongLived;
use held::Shelves;
use level::{Held, Levels, Moves};

use crate::home::Home;
use crate::lock::{lock, try_lock};
use crate::rank::Ranking;
use crate::rules::Rebalance;
use crate::snapshot::{Details, Snapshot};
use crate::time::whole_nanos;
use crate::{HealthState, Time};

/// How often it is looked whether something is to be done, whoever ticks.
const LOOK: Duration = Duration::from_millis(50);

/// Of a budget no more is saved up than what this long gives.
const CATCH_UP: Duration = Duration::from_millis(200);

/// After rounds that did not help the wait doubles so often.
const DOUBLINGS: u32 = 6;

/// How the long-lived connections of a pool are spread, and what is done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebalanceStats {
    /// The rule in force.
    pub rule: Rebalance,
    /// Long-lived connections on all servers that may be asked to close.
    pub long_lived: u64,
    /// Those that were open before there was a rule, and are left alone.
    pub older: u64,
    /// How far apart the fullest and the emptiest server that take requests are by all they have in flight, scaled by their
    /// weights.
    pub spread: u64,
    /// How many have still to be closed.
    pub wanted: u64,
    /// Those that were closed and have not come back yet.
    pub awaited: u64,
    /// How many were ever closed.
    pub closed: u64,
    /// What is done now.
    pub phase: Phase,
    /// The last round, which may be under way.
    pub round: Option<Round>,
}

/// What is done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Servers are as level as the rule wants them.
    Level,
    /// They are not, but it is waited whether that settles by itself.
    Settling,
    /// They are not, but a server warms up and could not take its share yet.
    WarmingUp,
    /// Connections are being closed.
    Closing,
}

impl Phase {
    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Settling => "settling",
            Self::WarmingUp => "warming-up",
            Self::Closing => "closing",
        }
    }
}

/// One time that servers were brought level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Counts the rounds of the pool, from 1.
    pub number: u64,
    /// When it began.
    pub began: Time,
    /// The long-lived connections there were.
    pub long_lived: u64,
    /// How far servers were apart.
    pub spread: u64,
    /// How many had to be closed.
    pub planned: u64,
    /// How it ended, if it has.
    pub ended: Option<RoundEnd>,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundEnd {
    /// When.
    pub at: Time,
    /// How many it had closed.
    pub closed: u64,
    /// How far servers are apart now.
    pub spread: u64,
}

/// What one pool knows of its long-lived connections.
#[derive(Debug, Default)]
pub(crate) struct Rebalancer {
    /// When the next look is due, in nanoseconds.
    due: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    shelves: Shelves,
    /// When the budget allows the next one.
    next_ask: Time,
    last_ask: Time,
    uneven: Option<Uneven>,
    round: Option<Round>,
    /// What had been closed before the round under way.
    closed_before: u64,
    /// Rounds in a row that did not help, and how many servers there were.
    futile: (u32, usize),
}

/// Servers that are apart.
#[derive(Clone, Copy, Debug)]
struct Uneven {
    since: Time,
    /// The fewest moves that were needed at any look since then.
    fewest: u64,
}

/// The pool as it is at one look.
struct Look {
    /// Servers that take requests, by their places in the snapshot.
    places: Vec<usize>,
    /// What each of them holds.
    held: Vec<Held>,
    /// Those of them that may give one now, the fullest first.
    givers: Vec<usize>,
    moves: Moves,
    spread: u64,
    /// What picks add to what a server has in flight.
    ahead: u64,
    /// One of them warms up.
    warming: bool,
}

impl Look {
    /// Counts what has to move while so many are on their way back.
    fn count(&mut self, rule: &Rebalance, awaited: u64) {
        let levels = Levels::new(&self.held, awaited);
        (self.moves, self.spread) = (levels.moves(rule.spread.get()), levels.spread());
        self.givers = if self.moves.needed > 0 { levels.givers(self.moves.least, self.ahead) } else { Vec::new() };
        if self.givers.is_empty() {
            self.moves.needed = 0;
        }
    }
}

impl Rebalancer {
    /// Without a rule nobody looks: that servers were apart before says nothing once there is one again.
    pub(crate) fn rest(&self) {
        lock(&self.state).uneven = None;
    }
}

impl Home {
    /// Asks connections to close where that is due.
    pub(crate) fn rebalance(&self, now: Time) {
        if self.current.load().rules.rebalance.is_none() {
            return;
        }
        let due = self.rebalancer.due.load(Ordering::Relaxed);
        if now.as_nanos() < due {
            return;
        }
        // Whoever else ticks now does the same.
        let Some(mut state) = try_lock(&self.rebalancer.state) else { return };
        self.rebalancer.due.store((now + LOOK).as_nanos(), Ordering::Relaxed);
        let snapshot = self.warm_snapshot(now);
        if let Some(rule) = snapshot.rules.rebalance {
            state.tick(&rule, &snapshot, now);
        }
    }

    pub(crate) fn rebalance_stats(&self, now: Time) -> Option<RebalanceStats> {
        let snapshot = self.warm_snapshot(now);
        let rule = snapshot.rules.rebalance?;
        let state = lock(&self.rebalancer.state);
        let look = state.look(&rule, &snapshot, now);
        let settling = state.uneven.filter(|_| !state.under_way());
        Some(RebalanceStats {
            rule,
            long_lived: state.shelves.all(),
            older: state.older(&snapshot),
            spread: look.spread,
            wanted: settling.map_or(look.moves.needed, |uneven| look.moves.needed.min(uneven.fewest)),
            awaited: state.shelves.awaited(),
            closed: state.shelves.closed(),
            phase: state.phase(&look),
            round: state.round,
        })
    }
}

impl State {
    fn under_way(&self) -> bool {
        self.round.is_some_and(|round| round.ended.is_none())
    }

    fn phase(&self, look: &Look) -> Phase {
        match look.moves.needed {
            _ if look.warming && look.moves.needed > 0 => Phase::WarmingUp,
            _ if self.under_way() => Phase::Closing,
            0 => Phase::Level,
            _ => Phase::Settling,
        }
    }

    /// Long-lived connections that began without a rule.
    fn older(&self, snapshot: &Snapshot) -> u64 {
        let older = |details: &Details| {
            let open = details.server.live.tally.long_lived.load(Ordering::Relaxed);
            open.saturating_sub(self.shelves.known_on(details.server.id()))
        };
        snapshot.details.iter().map(older).sum()
    }

    /// Counts what servers hold that take requests, and what has to move.
    fn look(&self, rule: &Rebalance, snapshot: &Snapshot, now: Time) -> Look {
        let takes = |i: &usize| {
            let member = &snapshot.members[*i];
            member.admits() && member.weight > 0 && member.live.state() == HealthState::Up
        };
        let mut places: Vec<usize> = (0..snapshot.primaries).filter(takes).collect();
        if places.is_empty() {
            places = (snapshot.primaries..snapshot.members.len()).filter(takes).collect();
        }
        let mut all: Vec<(usize, Held)> = places.into_iter().map(|i| (i, self.held(snapshot, i, now))).collect();
        let weights: u64 = all.iter().map(|(_, held)| u64::from(held.weight)).sum();
        let counts: u64 = all.iter().map(|(_, held)| u64::from(held.count)).sum();
        // One that is full though it has less than its share can take no more.
        all.retain(|(_, held)| {
            let below = u64::from(held.count) * weights < counts * u64::from(held.weight);
            !below || held.takes > 0
        });
        let warming = all.iter().any(|(i, _)| snapshot.members[*i].ramped);
        let (places, held) = all.into_iter().unzip();
        let ahead = u64::from(snapshot.policy.ranking() == Some(Ranking::ExpectedDelay));
        let mut look = Look { places, held, givers: Vec::new(), moves: Moves::default(), spread: 0, ahead, warming };
        look.count(rule, self.shelves.awaited());
        look
    }

    /// What a server holds, as picks will see it once those have left who are asked to. Slots charged for failures are load
    /// to them, too.
    fn held(&self, snapshot: &Snapshot, i: usize, now: Time) -> Held {
        let (member, server) = (&snapshot.members[i], snapshot.details[i].server.id());
        let in_flight = member.live.slots.in_flight();
        let stays = in_flight.saturating_sub(self.shelves.leaving_from(server));
        let charged = member.live.charge.at(now);
        Held {
            count: stays + charged,
            seen: in_flight + charged,
            weight: member.weight,
            gives: self.shelves.open_on(server).min(stays),
            takes: member.capacity.saturating_sub(in_flight),
        }
    }

    fn tick(&mut self, rule: &Rebalance, snapshot: &Snapshot, now: Time) {
        let look = self.look(rule, snapshot, now);
        if !self.under_way() {
            self.begin(rule, &look, now);
        }
        if let Some(round) = self.round.filter(|round| round.ended.is_none()) {
            self.go_on(round, (rule, snapshot), look, now);
        }
    }

    /// Begins a round if servers have been apart for long enough.
    fn begin(&mut self, rule: &Rebalance, look: &Look, now: Time) {
        if look.moves.needed == 0 || look.warming {
            self.uneven = None;
            return;
        }
        if self.futile.1 != look.places.len() {
            self.futile = (0, look.places.len());
        }
        let needed = look.moves.needed;
        let uneven = self.uneven.get_or_insert(Uneven { since: now, fewest: needed });
        uneven.fewest = uneven.fewest.min(needed);
        let Uneven { since, fewest } = *uneven;
        let wait = rule.settle.saturating_mul(1 << self.futile.0.min(DOUBLINGS));
        if now.saturating_since(since) < wait {
            return;
        }
        let number = self.round.map_or(0, |round| round.number) + 1;
        let (planned, spread) = (fewest, look.spread);
        let long_lived = self.shelves.all();
        self.round = Some(Round { number, began: now, long_lived, spread, planned, ended: None });
        self.closed_before = self.shelves.closed();
        self.shelves.begin_round();
        self.next_ask = now;
        self.uneven = None;
    }

    /// Asks as many as the budget allows, and ends the round when it has done what it can.
    fn go_on(&mut self, round: Round, (rule, snapshot): (&Rebalance, &Snapshot), mut look: Look, now: Time) {
        let interval = rule.budget.window / rule.budget.limit.get();
        let mut asked = self.shelves.closed() - self.closed_before + self.shelves.leaving();
        while look.moves.needed > 0 && asked < round.planned && !look.warming && self.next_ask <= now {
            let Some(at) = self.ask_one(rule, snapshot, &look, now) else { break };
            (look.held[at].count, look.held[at].gives) = (look.held[at].count - 1, look.held[at].gives - 1);
            look.count(rule, self.shelves.awaited());
            asked += 1;
            self.last_ask = now;
            let saved = Time::from_nanos(now.as_nanos().saturating_sub(whole_nanos(CATCH_UP)));
            self.next_ask = self.next_ask.max(saved) + interval;
        }
        let done = look.moves.needed == 0 || asked >= round.planned;
        let settled = self.shelves.awaited() == 0 || now.saturating_since(self.last_ask) >= rule.settle;
        if done && self.shelves.leaving() == 0 && settled {
            let closed = self.shelves.closed() - self.closed_before;
            // Requests that come and go make one look at the end no measure of that.
            let helped = self.shelves.back() * 2 <= closed;
            self.futile.0 = if helped { 0 } else { self.futile.0.saturating_add(1) };
            self.round = Some(Round { ended: Some(RoundEnd { at: now, closed, spread: look.spread }), ..round });
        }
    }

    /// Asks the oldest that looks idle on the fullest server that may give one and has such. Gives the place of that among
    /// those looked at.
    fn ask_one(&mut self, rule: &Rebalance, snapshot: &Snapshot, look: &Look, now: Time) -> Option<usize> {
        let quiet_since = Time::from_nanos(now.as_nanos().saturating_sub(whole_nanos(rule.idle)));
        look.givers.iter().copied().find(|at| {
            let server = snapshot.details[look.places[*at]].server.id();
            self.shelves.ask_oldest(server, quiet_since)
        })
    }
}
