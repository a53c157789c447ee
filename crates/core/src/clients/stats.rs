//! What a table tells of itself and of its clients.

use std::ops::AddAssign;

use super::key::ClientKey;
use super::over::ClientLimit;

/// A table and what it did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientTableStats {
    /// Clients it keeps count of.
    pub entries: usize,
    /// The most it would.
    pub capacity: usize,
    /// Clients forgotten to make room, though something of them still counted.
    pub evicted: u64,
    /// Clients forgotten because nothing of them counted any more.
    pub expired: u64,
    /// What was let in without being counted, since the table was full of clients that hold something.
    pub untracked: u64,
    /// Refused, by limit.
    pub refused: LimitCounts,
    /// Let in by a dry run though it was over, by limit.
    pub would_refuse: LimitCounts,
    /// Let in after a wait; in a dry run, what would have waited.
    pub delayed: u64,
}

impl ClientTableStats {
    /// Adds what another part of the table did.
    pub(super) fn add(&mut self, other: &Self) {
        self.evicted += other.evicted;
        self.expired += other.expired;
        self.untracked += other.untracked;
        self.refused += other.refused;
        self.would_refuse += other.would_refuse;
        self.delayed += other.delayed;
    }
}

/// A number for each limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitCounts([u64; ClientLimit::ALL.len()]);

impl LimitCounts {
    /// The one of this limit.
    pub fn of(&self, limit: ClientLimit) -> u64 {
        self.0[limit as usize]
    }

    /// Those of all limits.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn count(&mut self, limit: ClientLimit) {
        self.0[limit as usize] += 1;
    }
}

impl AddAssign for LimitCounts {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }
}

/// What a table knows of one client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClientStats {
    /// Who it is.
    pub key: ClientKey,
    /// Connections it has.
    pub connections: u32,
    /// Requests it has, with those that wait for their time.
    pub requests: u32,
    /// Requests a second that it began within its window; the last ten seconds where no rate is limited.
    pub request_rate: f64,
    /// What was refused to it since it is known, or in a dry run would have been.
    pub refused: u64,
    /// Requests it was let in with since it is known.
    pub total_requests: u64,
}

/// The busiest of those that were shown to it, and no more of them than asked for.
#[derive(Debug)]
pub(super) struct Busiest {
    most: usize,
    found: Vec<(u64, ClientStats)>,
}

impl Busiest {
    pub(super) fn new(most: usize) -> Self {
        Self { most, found: Vec::with_capacity(most * 2) }
    }

    /// Keeps it if it may be among the busiest.
    pub(super) fn show(&mut self, recent: u64, stats: ClientStats) {
        if self.found.len() >= self.most * 2 {
            self.narrow();
        }
        self.found.push((recent, stats));
    }

    fn narrow(&mut self) {
        let rank = |(recent, stats): &(u64, ClientStats)| (*recent, stats.total_requests, stats.connections, stats.key);
        // One that moved meanwhile may have been shown twice.
        self.found.sort_unstable_by_key(|shown| (shown.1.key, std::cmp::Reverse(rank(shown))));
        self.found.dedup_by_key(|(_, stats)| stats.key);
        self.found.sort_unstable_by_key(|shown| std::cmp::Reverse(rank(shown)));
        self.found.truncate(self.most);
    }

    /// The busiest, the first of them first: by requests of late, then by all, then by connections.
    pub(super) fn in_order(mut self) -> Vec<ClientStats> {
        self.narrow();
        self.found.into_iter().map(|(_, stats)| stats).collect()
    }
}
