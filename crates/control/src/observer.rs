//! Looks at the pools and writes into the journal what happened to them: each change of a server's health, and now and
//! then how many requests found no server and why.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_core::{Event, Pool, Pools, Refused, Round, Time};

use crate::api::EventKind;
use crate::journal::{Happened, Journal};
use crate::wall::Wall;

/// How often pools are to be looked at. A pool remembers its last thousand events, so none is missed below 10,000 a second.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// Refusals of a pool are told at most this often: an overload must not flood the journal.
const BETWEEN_REFUSALS: Duration = Duration::from_secs(10);

/// What of the pools has been told.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    watched: Vec<Watched>,
}

/// A pool, and how much of what happened to it has been told.
#[derive(Debug)]
struct Watched {
    pool: Arc<Pool>,
    seen: u64,
    refused: Vec<(Refused, u64)>,
    told_refusals: Option<Time>,
    /// The last round of a rebalance that was told of, and the last whose end was.
    told_rounds: (u64, u64),
}

impl Observer {
    /// Tells what is new at `now`; at the `last` look nothing is put off.
    pub(crate) fn look(&mut self, pools: &Pools, journal: &Journal, now: Time, last: bool) {
        let all = pools.all();
        for pool in &all {
            if !self.watched.iter().any(|known| Arc::ptr_eq(&known.pool, pool)) {
                self.watched.push(Watched::new(Arc::clone(pool)));
            }
        }
        for pool in &mut self.watched {
            pool.look(journal, now, last);
        }
        // One that went is forgotten after it has been told of once more.
        self.watched.retain(|known| all.iter().any(|pool| Arc::ptr_eq(&known.pool, pool)));
    }
}

impl Watched {
    fn new(pool: Arc<Pool>) -> Self {
        Self { pool, seen: 0, refused: Vec::new(), told_refusals: None, told_rounds: (0, 0) }
    }

    fn look(&mut self, journal: &Journal, now: Time, last: bool) {
        let events = self.pool.events(self.seen);
        if !events.is_empty() {
            let wall = Wall::new(now);
            for event in &events {
                self.seen = event.number;
                journal.add(health(event, wall));
            }
        }
        for (message, at) in self.rebalanced(now) {
            let (at, pool) = (Some(Wall::new(now).text(at)), Some(self.pool.name().to_owned()));
            journal.add(Happened { at, pool, ..Happened::new(EventKind::Rebalance, message) });
        }
        if let Some(message) = self.refusals(now, last) {
            let pool = Some(self.pool.name().to_owned());
            journal.add(Happened { pool, ..Happened::new(EventKind::Refused, message) });
        }
    }

    /// That long-lived connections are being spread anew, and that they have been, where that is news.
    fn rebalanced(&mut self, now: Time) -> Vec<(String, Time)> {
        let stats = self.pool.rebalance(now);
        let Some(round) = stats.as_ref().and_then(|stats| stats.round) else { return Vec::new() };
        let (mut news, name) = (Vec::new(), self.pool.name());
        if self.told_rounds.0 < round.number {
            let Round { long_lived, spread, planned, .. } = round;
            let message = format!(
                "pool {name}: rebalance begins: {long_lived} long-lived connections, spread {spread}, {planned} to be closed"
            );
            news.push((message, round.began));
            self.told_rounds.0 = round.number;
        }
        if let Some(end) = round.ended
            && self.told_rounds.1 < round.number
        {
            let (closed, from, to) = (end.closed, round.spread, end.spread);
            let message = format!("pool {name}: rebalance ends: {closed} closed, spread {from} -> {to}");
            news.push((message, end.at));
            self.told_rounds.1 = round.number;
        }
        news
    }

    /// How many requests found no server since that was last told, unless that was just now.
    fn refusals(&mut self, now: Time, last: bool) -> Option<String> {
        let just_now = self.told_refusals.is_some_and(|told| now.saturating_since(told) < BETWEEN_REFUSALS);
        if just_now && !last {
            return None;
        }
        let refused = self.pool.refused();
        let before = |reason| self.refused.iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| *count);
        let newly = refused.iter().map(|(reason, count)| (reason, count - before(*reason)));
        let reasons: Vec<String> =
            newly.filter(|(_, count)| *count > 0).map(|(reason, count)| format!("{count} {}", reason.name())).collect();
        if reasons.is_empty() {
            return None;
        }
        self.refused = refused;
        self.told_refusals = Some(now);
        Some(format!("pool {}: requests that found no server: {}", self.pool.name(), reasons.join(", ")))
    }
}

fn health(event: &Event, wall: Wall) -> Happened {
    let Event { at, server, from, to, reason, .. } = event;
    let message = format!("pool {}: server {} is {to} (was {from}): {reason}", server.pool(), server.name());
    Happened {
        at: Some(wall.text(*at)),
        pool: Some(server.pool().to_owned()),
        server: Some(server.name().to_owned()),
        from: Some(from.to_string()),
        to: Some(to.to_string()),
        ..Happened::new(EventKind::Health, message)
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_core::{Ask, PoolSpec};

    use super::*;

    #[test]
    fn refusals_are_told_once_and_not_too_often() {
        let pool = Arc::new(Pool::new("app", PoolSpec::default(), Time::ZERO));
        let mut watched = Watched::new(Arc::clone(&pool));
        let after = |looks: u32| Time::ZERO + BETWEEN_REFUSALS / 2 * looks;
        assert_eq!(watched.refusals(after(0), false), None);
        let refuse = || assert!(pool.pick(&Ask::default()).is_err());
        refuse();
        let told = Some("pool app: requests that found no server: 1 no-server".to_owned());
        assert_eq!(watched.refusals(after(0), false), told);
        refuse();
        assert_eq!(watched.refusals(after(1), false), None);
        assert_eq!(watched.refusals(after(2), false), told);
        assert_eq!(watched.refusals(after(6), false), None);
        refuse();
        assert_eq!(watched.refusals(after(7), false), told);
        refuse();
        assert_eq!(watched.refusals(after(7), true), told, "the last look leaves nothing untold");
    }
}
