//! The last picks of a pool, kept for a while when somebody asks for them.
//!
//! Off, a pick pays one more comparison of the time. On, the first few of each second are kept, which shows how picks follow
//! each other and bounds what it costs; nobody ever waits for it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::lock::{lock, try_lock};
use crate::rank::Rank;
use crate::sight::Sight;
use crate::{Considered, Permit, Refused, ServerId, Time, Verdict};

/// One pick, and what it had before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Picked {
    /// When.
    pub at: Time,
    /// Counts the picks that were recorded, from 1.
    pub number: u64,
    /// Who was picked, or why nobody.
    pub picked: Result<ServerId, Refused>,
    /// What the server had in flight right after, this request included; 0 where nobody was picked.
    pub in_flight: u32,
    /// The request had been sent to a server before.
    pub retry: bool,
    /// The best of those who could take the request, as they were right before the pick: the one that was picked, and then
    /// up to seven more, the best first. Another thread may have changed their counts between the two.
    pub candidates: Vec<Considered>,
    /// How many could not take it, by reason.
    pub passed_over: Vec<(Verdict, usize)>,
}

/// Picks kept: a screenful or two.
const KEPT: usize = 64;

/// Candidates of a pick.
const CANDIDATES: usize = 8;

/// Picks recorded in a second at most.
const A_SECOND: usize = 32;

/// Servers looked at for it in a second at most, so that fewer picks of a large pool are recorded. A server takes some 35 ns,
/// so all of them take less than 2 ms, and a single pick among ten thousand servers a third of one.
const LOOKED_AT: usize = 50_000;

const SECOND: Duration = Duration::from_secs(1);

/// No pick is due to be recorded.
const NEVER: u64 = u64::MAX;

/// Records the picks of one pool.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// From when on the next pick is to be recorded, in nanoseconds.
    due: AtomicU64,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    until: Time,
    /// When the current second began, and how many were recorded in it.
    second: Time,
    in_second: usize,
    last: u64,
    kept: VecDeque<Picked>,
}

/// What a pick had before it.
pub(crate) struct Before {
    candidates: Vec<Considered>,
    passed_over: Vec<(Verdict, usize)>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { due: AtomicU64::new(NEVER), log: Mutex::default() }
    }

    /// Records until then, or for as long as was asked for before if that is longer.
    pub(crate) fn record(&self, until: Time) {
        let mut log = lock(&self.log);
        log.until = log.until.max(until);
        self.due.store(0, Ordering::Relaxed);
    }

    /// The last picks recorded, at most so many, the latest last.
    pub(crate) fn last(&self, count: usize) -> Vec<Picked> {
        let log = lock(&self.log);
        log.kept.iter().skip(log.kept.len().saturating_sub(count)).cloned().collect()
    }

    /// Whether a pick at `now` may be one to record.
    #[inline]
    pub(crate) fn is_due(&self, now: Time) -> bool {
        now.as_nanos() >= self.due.load(Ordering::Relaxed)
    }

    /// Whether the pick at `now` of one of so many servers is one to record, which counts it. Not while somebody else has
    /// the log.
    pub(crate) fn takes(&self, now: Time, servers: impl Fn() -> usize) -> bool {
        if !self.is_due(now) {
            return false;
        }
        let Some(mut log) = try_lock(&self.log) else { return false };
        if now >= log.until {
            self.due.store(NEVER, Ordering::Relaxed);
            return false;
        }
        if now.saturating_since(log.second) >= SECOND {
            (log.second, log.in_second) = (now, 0);
        }
        if log.in_second >= (LOOKED_AT / servers().max(1)).clamp(1, A_SECOND) {
            self.due.store((log.second + SECOND).as_nanos(), Ordering::Relaxed);
            return false;
        }
        log.in_second += 1;
        true
    }

    /// Keeps what became of a pick, unless somebody else has the log.
    pub(crate) fn keep(&self, picked: &Result<Permit, Refused>, before: Before, (at, retry): (Time, bool)) {
        let Some(mut log) = try_lock(&self.log) else { return };
        if log.kept.len() == KEPT {
            log.kept.pop_front();
        }
        log.last += 1;
        let number = log.last;
        let in_flight = picked.as_ref().map_or(0, |permit| permit.server().in_flight());
        let picked = picked.as_ref().map(|permit| permit.server().id().clone()).map_err(|refused| *refused);
        let Before { candidates, passed_over } = before;
        log.kept.push_back(Picked { at, number, picked, in_flight, retry, candidates, passed_over });
    }
}

impl Before {
    /// Of a pick that is about to be made.
    pub(crate) fn of(sight: &Sight<'_>) -> Self {
        let mut best: Vec<(Rank, usize)> = Vec::with_capacity(CANDIDATES + 1);
        let mut counts = [0; Verdict::ALL.len()];
        for i in (0..sight.len()).filter(|&i| sight.choice() != Some(i)) {
            let verdict = sight.verdict(i);
            if verdict != Verdict::Eligible {
                counts[verdict as usize] += 1;
                continue;
            }
            let rank = sight.rank(i);
            let place = best.iter().position(|(other, _)| rank.before(other)).unwrap_or(best.len());
            if place < CANDIDATES {
                best.insert(place, (rank, i));
                best.truncate(CANDIDATES);
            }
        }
        let all = sight.choice().into_iter().chain(best.into_iter().map(|(_, i)| i)).take(CANDIDATES);
        let passed_over = Verdict::ALL.into_iter().zip(counts).filter(|&(_, count)| count > 0).collect();
        Self { candidates: all.map(|i| sight.considered(i)).collect(), passed_over }
    }

    /// With the one that was picked in the first place.
    pub(crate) fn headed_by(mut self, picked: &Permit, sight: &Sight<'_>) -> Self {
        let is_it = |candidate: &Considered| candidate.id == *picked.server().id();
        let place = self.candidates.iter().position(is_it);
        // Others may have taken the best meanwhile, so that one was picked that was not among them.
        let first = match place {
            Some(place) => Some(self.candidates.remove(place)),
            None => sight.find(picked.server()).map(|i| sight.considered(i)),
        };
        if let Some(first) = first {
            self.candidates.insert(0, first);
            self.candidates.truncate(CANDIDATES);
        }
        self
    }
}
