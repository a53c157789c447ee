//! Which route of its listener a request has, for those who need not know what a route is.

/// Which route of its listener a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteId(pub(super) u32);

impl RouteId {
    /// Its place among the routes of the listener.
    pub(crate) fn place(self) -> usize {
        self.0 as usize
    }
}
