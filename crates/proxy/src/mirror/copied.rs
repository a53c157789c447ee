//! Where copies of requests go, and one of them while its request is being read.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use plimsoll_config::Mirror;

use super::under_way::Entered;
use crate::http1::framing::BodyLength;
use crate::replay::Replay;
use crate::served::Served;

/// Where the copies of a route go.
pub(crate) struct Mirroring {
    pub(crate) served: Arc<Served>,
    pub(super) rule: Mirror,
    pub(super) counts: Arc<MirrorCounts>,
}

/// What became of the copies to one pool. It goes on from one configuration to the next.
#[derive(Debug, Default)]
pub(crate) struct MirrorCounts {
    sent: AtomicU64,
    skipped: AtomicU64,
    failed: AtomicU64,
}

/// The copy of a request that is being read. One that goes nowhere is counted as skipped.
pub(crate) struct Copied {
    pub(super) mirroring: Arc<Mirroring>,
    pub(super) body: Replay,
    pub(super) framing: BodyLength,
    pub(super) bodiless: bool,
    /// The PROXY header, where the pool is to get one.
    pub(super) greeting: Option<Vec<u8>>,
    /// Its place among those under way, until it goes.
    pub(super) entered: Option<Entered>,
}

impl Mirroring {
    pub(crate) fn new(served: Arc<Served>, rule: Mirror, counts: Arc<MirrorCounts>) -> Arc<Self> {
        Arc::new(Self { served, rule, counts })
    }

    /// Whether a request with this `random` number is among the share that is copied.
    pub(super) fn is_drawn(&self, random: u64) -> bool {
        // The upper half of the product is evenly spread over the hundred.
        ((u128::from(random) * 100) >> u64::BITS) < u128::from(self.rule.sample.as_u8())
    }
}

impl fmt::Debug for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copied").field("pool", &self.mirroring.rule.pool).finish_non_exhaustive()
    }
}

impl Copied {
    /// Keeps what was read next of the body; `whole` says that nothing was left out.
    pub(crate) fn keep(&mut self, read: &[u8], whole: bool) {
        self.body.keep(read, whole);
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if self.entered.is_some() {
            self.mirroring.counts.skipped();
        }
    }
}

impl MirrorCounts {
    /// Copies that were answered, that were not made, and that failed.
    pub(crate) fn read(&self) -> [u64; 3] {
        [&self.sent, &self.skipped, &self.failed].map(|count| count.load(Relaxed))
    }

    pub(super) fn ended(&self, well: bool) {
        if well { &self.sent } else { &self.failed }.fetch_add(1, Relaxed);
    }

    /// One was not made.
    pub(super) fn skipped(&self) {
        self.skipped.fetch_add(1, Relaxed);
    }
}
