//! The count that everything rests on: what one server has in flight.
//!
//! In flight and the total of picks share one atomic word, so that a claim is one step, a release is one
//! step, and whoever reads sees both numbers of the same moment.

use super::sync::{AtomicU64, Ordering};

/// The most one server can have in flight, whatever its own limit: about a million.
///
/// Sixteen times the ports one address has towards another; beyond it the server counts as full.
pub const MAX_IN_FLIGHT: u32 = (1 << IN_FLIGHT_BITS) - 1;

/// The low bits hold what is in flight and the 44 above them the picks, which at 100,000 a second last
/// five years before they start anew (as any counter may); a carry out of them falls off the word.
const IN_FLIGHT_BITS: u32 = 20;

/// One more pick, still in flight.
const CLAIM: u64 = (1 << IN_FLIGHT_BITS) + 1;

/// In flight and picks of one server.
#[derive(Debug)]
pub(crate) struct Slots {
    word: AtomicU64,
}

/// What became of an attempt to claim a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The slot is the caller's, who owes one release.
    Taken,
    /// The server carries more than the caller had seen, so the choice may no longer be right.
    Busier,
    /// The server is at its capacity.
    Full,
}

impl Slots {
    /// A server that never carried anything.
    pub(crate) fn new() -> Self {
        Self { word: AtomicU64::new(0) }
    }

    /// What is in flight now. `SeqCst`, as all steps of a claim and a release are: each is ordered before
    /// the read of the server's place that follows it (see `Place`).
    #[inline]
    pub(crate) fn in_flight(&self) -> u32 {
        in_flight_of(self.word.load(Ordering::SeqCst))
    }

    /// In flight and all picks ever, of one moment.
    pub(crate) fn in_flight_and_picks(&self) -> (u32, u64) {
        let word = self.word.load(Ordering::Acquire);
        (in_flight_of(word), word >> IN_FLIGHT_BITS)
    }

    /// Takes a slot if no more than `seen` and fewer than `capacity` are in flight. Less than was seen is
    /// welcome: the server became a better choice since.
    #[inline]
    pub(crate) fn claim(&self, seen: u32, capacity: u32) -> Claim {
        let capacity = capacity.min(MAX_IN_FLIGHT);
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let in_flight = in_flight_of(word);
            if in_flight >= capacity {
                return Claim::Full;
            }
            if in_flight > seen {
                return Claim::Busier;
            }
            let next = word.wrapping_add(CLAIM);
            match self.word.compare_exchange_weak(word, next, Ordering::SeqCst, Ordering::Acquire) {
                Ok(_) => return Claim::Taken,
                Err(now) => word = now,
            }
        }
    }

    /// Gives a slot back. False when there was none to give back, which is a bug of this crate: then
    /// nothing changes.
    #[inline]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        let before = self.word.fetch_sub(1, Ordering::SeqCst);
        if in_flight_of(before) == 0 {
            self.word.fetch_add(1, Ordering::SeqCst);
            return false;
        }
        true
    }
}

#[inline]
fn in_flight_of(word: u64) -> u32 {
    word as u32 & MAX_IN_FLIGHT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_claims_and_releases() {
        let slots = Slots::new();
        assert_eq!(slots.claim(0, 2), Claim::Taken);
        assert_eq!(slots.claim(0, 2), Claim::Busier);
        assert_eq!(slots.claim(1, 2), Claim::Taken);
        assert_eq!(slots.claim(2, 2), Claim::Full);
        assert!(slots.release());
        assert_eq!(slots.in_flight_and_picks(), (1, 2));
    }

    #[test]
    fn a_release_too_many_is_told_and_changes_nothing() {
        let slots = Slots::new();
        assert_eq!(slots.claim(0, 1), Claim::Taken);
        assert!(slots.release());
        assert!(!slots.release());
        assert_eq!(slots.in_flight_and_picks(), (0, 1));
    }

    #[test]
    fn the_count_stops_below_its_bits() {
        let slots = Slots::new();
        for _ in 0..MAX_IN_FLIGHT {
            assert_eq!(slots.claim(u32::MAX, u32::MAX), Claim::Taken);
        }
        assert_eq!(slots.claim(u32::MAX, u32::MAX), Claim::Full);
        assert_eq!(slots.in_flight_and_picks(), (MAX_IN_FLIGHT, u64::from(MAX_IN_FLIGHT)));
    }
}
