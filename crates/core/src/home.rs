//! What the servers of one pool share.

use arc_swap::ArcSwap;

use crate::Time;
use crate::live::Live;
use crate::snapshot::Snapshot;
use crate::tournament::Reach;
use crate::turn::Clock;

/// The current snapshot of a pool and its virtual clock. Servers hold it, so that a permit can be dropped
/// without knowing its pool; the pool empties it when it goes, which breaks the circle.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) current: ArcSwap<Snapshot>,
    pub(crate) clock: Clock,
}

impl Home {
    /// Brings the index, if there is one, up to date with a server whose rank has just changed.
    #[inline]
    pub(crate) fn repair(&self, live: &Live, reach: Reach, now: Time) {
        if let Some((generation, index)) = live.place.read() {
            let snapshot = self.current.load();
            // A snapshot newer than the place is being put in force, and will repair this place once it
            // is; one older than the place cannot be met (see `place.rs`).
            if snapshot.generation == generation {
                snapshot.repair(index, reach, now);
            }
        }
    }
}
