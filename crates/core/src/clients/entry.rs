//! What a table knows of one client.

use std::time::Duration;

use super::key::ClientKey;
use super::over::Over;
use super::rules::{Bounds, Kind, Limits};
use super::stats::ClientStats;
use super::window::{Place, Window};
use crate::Time;

/// One client: 128 bytes that are two lines of the cache next to each other, never of two pages, and the lines are
/// fetched together. What all look-ups begin with comes first.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
pub(super) struct Entry {
    /// `None` where nobody is.
    key: Option<ClientKey>,
    requests: Window,
    connections: Window,
    rest: Rest,
    refused: u32,
    /// When it last wanted something, in [`TICK`]s.
    seen: u32,
}

/// What the limits say to one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It begins in this place.
    Fits(Place),
    /// It is over.
    Over(Over),
}

/// When to come again after a limit at once.
const SOON: Duration = Duration::from_secs(1);

/// Nanoseconds of the unit in which it is remembered when a client was seen, as a power of two: a millisecond, so that 32
/// bits go round in 52 days.
const TICK: u32 = 20;

/// In these, by how much another thread may have read its clock earlier: a minute.
const LATE: u32 = 1 << 16;

impl Entry {
    /// A place where nobody is.
    pub(super) const VACANT: Self =
        Self { key: None, requests: Window::NEW, connections: Window::NEW, rest: Rest(0), refused: 0, seen: 0 };

    /// A client that did nothing yet.
    pub(super) fn new(key: ClientKey, now: Time) -> Self {
        Self { key: Some(key), seen: ticks(now), ..Self::VACANT }
    }

    /// Who it is.
    pub(super) fn key(&self) -> Option<ClientKey> {
        self.key
    }

    /// The slot of the next client with the same home.
    pub(super) fn next(&self) -> Option<usize> {
        self.rest.next()
    }

    pub(super) fn set_next(&mut self, next: Option<usize>) {
        self.rest.set_next(next);
    }

    /// Whether the table has it among those that may hold nothing.
    pub(super) fn is_listed(&self) -> bool {
        self.rest.is_listed()
    }

    pub(super) fn list(&mut self, listed: bool) {
        self.rest.list(listed);
    }

    /// What the limits say to one more that comes `now` and would wait for `most`.
    pub(super) fn judge(&self, kind: Kind, bounds: &Bounds, now: Time, most: Duration) -> Judged {
        let window = match kind {
            Kind::Connection => &self.connections,
            Kind::Request => &self.requests,
        };
        let (at_once, in_time) = kind.limits();
        if bounds.at_once.is_some_and(|limit| window.held >= limit.get()) {
            return Judged::Over(Over { limit: at_once, retry_after: SOON });
        }
        match window.place(&bounds.pace, now) {
            Place::Later(at) if at.saturating_since(now) > most => {
                Judged::Over(Over { limit: in_time, retry_after: at.saturating_since(now) })
            }
            place => Judged::Fits(place),
        }
    }

    /// Counts one at once.
    pub(super) fn hold(&mut self, kind: Kind) {
        let held = &mut self.window(kind).held;
        *held = held.saturating_add(1);
        if kind == Kind::Request {
            self.rest.count();
        }
    }

    /// Takes one off.
    pub(super) fn release(&mut self, kind: Kind) {
        let held = &mut self.window(kind).held;
        debug_assert!(*held > 0, "a hold ends once");
        *held = held.saturating_sub(1);
    }

    fn window(&mut self, kind: Kind) -> &mut Window {
        match kind {
            Kind::Connection => &mut self.connections,
            Kind::Request => &mut self.requests,
        }
    }

    /// Counts one in time.
    pub(super) fn begin(&mut self, kind: Kind, bounds: &Bounds, place: Place) {
        self.window(kind).begin(&bounds.pace, place);
    }

    /// Counts one that was over.
    pub(super) fn refuse(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    /// Remembers that it wanted something `now`, unless another thread did with a later time.
    pub(super) fn see(&mut self, now: Time) {
        let now = ticks(now);
        if self.seen.wrapping_sub(now) > LATE {
            self.seen = now;
        }
    }

    /// For how many ticks it wanted nothing.
    pub(super) fn quiet(&self, now: Time) -> u32 {
        let now = ticks(now);
        if self.seen.wrapping_sub(now) > LATE { now.wrapping_sub(self.seen) } else { 0 }
    }

    /// Whether it has anything at once, so that it must stay.
    pub(super) fn is_held(&self) -> bool {
        self.connections.held > 0 || self.requests.held > 0
    }

    /// Whether nothing of it counts any more.
    pub(super) fn is_over(&self, limits: &Limits, now: Time) -> bool {
        !self.is_held()
            && self.requests.is_over(&limits.requests.pace, now)
            && self.connections.is_over(&limits.connections.pace, now)
    }

    /// Follows a change of the rules.
    pub(super) fn follow_change(&mut self, before: &Limits, after: &Limits) {
        if !after.requests.pace.counts_like(&before.requests.pace) {
            self.requests.follow_change();
        }
        if !after.connections.pace.counts_like(&before.connections.pace) {
            self.connections.follow_change();
        }
    }

    /// What is told of it, and how many requests it began of late.
    pub(super) fn stats(&self, limits: &Limits, now: Time) -> Option<(u64, ClientStats)> {
        let pace = &limits.requests.pace;
        let stats = ClientStats {
            key: self.key?,
            connections: self.connections.held,
            requests: self.requests.held,
            request_rate: self.requests.rate(pace, now),
            refused: u64::from(self.refused),
            total_requests: self.rest.counted(),
        };
        Some((self.requests.recent(pace, now), stats))
    }
}

fn ticks(time: Time) -> u32 {
    (time.as_nanos() >> TICK) as u32
}

/// Three things in one word, since two lines of the cache have no more room. From the lowest bit: the next slot and one,
/// or zero; whether it is listed; all requests it was let in with.
#[derive(Clone, Copy, Debug)]
struct Rest(u64);

/// Bits of a slot: the largest table has 1.5 times 2^24 of them, all in one shard if it began small.
const NEXT: u32 = 25;
const LISTED: u64 = 1 << NEXT;

/// What is left for requests counts for three months at 30,000 a second.
const REQUEST: u64 = LISTED << 1;

impl Rest {
    fn next(self) -> Option<usize> {
        ((self.0 & (LISTED - 1)) as usize).checked_sub(1)
    }

    fn set_next(&mut self, next: Option<usize>) {
        let next = next.map_or(0, |slot| slot as u64 + 1);
        debug_assert!(next < LISTED, "a slot has {NEXT} bits");
        self.0 = self.0 & !(LISTED - 1) | next;
    }

    fn is_listed(self) -> bool {
        self.0 & LISTED != 0
    }

    fn list(&mut self, listed: bool) {
        self.0 = self.0 & !LISTED | if listed { LISTED } else { 0 };
    }

    fn count(&mut self) {
        self.0 = self.0.checked_add(REQUEST).unwrap_or(self.0);
    }

    fn counted(self) -> u64 {
        self.0 / REQUEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_two_lines_of_the_cache() {
        assert_eq!((size_of::<Entry>(), align_of::<Entry>()), (128, 128));
    }

    #[test]
    fn what_shares_a_word_does_not_meet() {
        let mut rest = Rest(0);
        for next in [Some(0), Some((1 << NEXT) - 2), None, Some(12345)] {
            for listed in [true, false] {
                let before = rest.counted();
                rest.set_next(next);
                rest.list(listed);
                rest.count();
                assert_eq!((rest.next(), rest.is_listed(), rest.counted()), (next, listed, before + 1));
            }
        }
        let mut full = Rest(u64::MAX);
        full.count();
        assert_eq!(full.0, u64::MAX, "it stays as it is");
    }

    #[test]
    fn who_was_seen_before_the_ticks_went_round_is_not_taken_for_a_newcomer() {
        let key = ClientKey::named(b"a", 1);
        let nearly = Time::from_nanos((1 << (u32::BITS + TICK)) - 1);
        let mut entry = Entry::new(key, nearly);
        let after = nearly + Duration::from_secs(1);
        let second = 1_000_000_000 >> TICK;
        assert!(entry.quiet(after).abs_diff(second) <= 1);
        entry.see(after);
        entry.see(nearly);
        assert_eq!(entry.quiet(after), 0, "the clock of another thread may be read earlier");
    }
}
