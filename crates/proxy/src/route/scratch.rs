//! Memory for finding routes.

use plimsoll_config::DecodedQuery;

use super::needs::NeedId;

/// Memory for a look for a route, used for one request after the other.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) query: DecodedQuery,
    pub(super) needs: Vec<NeedId>,
}

impl Scratch {
    /// Bytes that it holds.
    pub(crate) fn capacity(&self) -> usize {
        self.query.capacity() + self.needs.capacity() * size_of::<NeedId>()
    }
}
