//! An open loop of clients: requests start at random (Poisson), whether or not those before were answered, and latency
//! counts from when they were meant to start.

pub(crate) mod arrivals;
pub(crate) mod client;
pub(crate) mod random;
pub(crate) mod tally;
pub(crate) mod wait;

/// The bytes of body that each request asks for.
pub(crate) const BODY: usize = 128;
