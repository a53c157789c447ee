//! What places clients, so that nobody can choose addresses or values that meet in one place.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use super::key::ClientKey;

/// A keyed hash.
pub(super) struct Secret {
    /// It has taken in the seed.
    hasher: DefaultHasher,
}

impl Secret {
    pub(super) fn new(seed: u64) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(seed);
        Self { hasher }
    }

    /// The lower half tells the shard.
    pub(super) fn hash(&self, key: ClientKey) -> u64 {
        let mut hasher = self.hasher.clone();
        hasher.write_u128(key.bits());
        hasher.finish()
    }

    /// What tells the home within a shard.
    pub(super) fn tag(&self, key: ClientKey) -> u32 {
        tag(self.hash(key))
    }
}

/// The upper half of a hash.
pub(super) fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl fmt::Debug for Secret {
    /// Nothing, since it would give the seed away.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}
