//! How a claim or release finds the place in the index that it must repair, also while the pool changes.

use std::sync::atomic::{AtomicU64, Ordering};

/// Where a server stands in the index of its pool's current snapshot: generation and index in one word.
///
/// A change of the pool publishes the new snapshot, then writes the places, then repairs the index at every
/// place. A claim or release changes the count, then reads the place. All four are sequentially consistent,
/// so of the two, at least one sees the other: a caller that reads an old place changed its count before
/// the change reads it for the repair, and one that reads a new place finds the new snapshot.
#[derive(Debug)]
pub(crate) struct Place(AtomicU64);

/// Sixteen million servers a pool, and 10^12 changes of it.
const INDEX_BITS: u32 = 24;

/// Not in an indexed snapshot: what all servers of small pools say.
const NOWHERE: u64 = u64::MAX;

impl Place {
    pub(crate) fn nowhere() -> Self {
        Self(AtomicU64::new(NOWHERE))
    }

    pub(crate) fn leave(&self) {
        self.0.store(NOWHERE, Ordering::SeqCst);
    }

    pub(crate) fn set(&self, generation: u64, index: usize) {
        self.0.store(generation << INDEX_BITS | index as u64, Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn read(&self) -> Option<(u64, usize)> {
        let place = self.0.load(Ordering::SeqCst);
        let index = place & ((1 << INDEX_BITS) - 1);
        (place != NOWHERE).then_some((place >> INDEX_BITS, index as usize))
    }
}
