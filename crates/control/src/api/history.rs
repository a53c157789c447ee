//! What was: samples of the last ten minutes, for charts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The last ten minutes of a pool, a sample each few seconds, the oldest first. All lists are equally long; null is what
/// was not there or not known then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// From one sample to the next.
    pub step_seconds: f64,
    /// When the last sample was taken.
    pub until: String,
    /// Requests finished a second.
    pub requests_per_second: Vec<Option<f64>>,
    /// Errors a second.
    pub errors_per_second: Vec<Option<f64>>,
    /// The median response time of successes.
    pub p50_ms: Vec<Option<f64>>,
    /// The 99th percentile of the same.
    pub p99_ms: Vec<Option<f64>>,
    /// Requests in flight, on all servers.
    pub in_flight: Vec<Option<u64>>,
    /// Those who wait in the queue.
    pub queue: Vec<Option<u64>>,
    /// In flight, by server: of a large pool those that carried most.
    pub servers: Vec<ServerHistory>,
}

/// The last ten minutes of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServerHistory {
    /// Its name in the pool.
    pub name: String,
    /// Requests in flight.
    pub in_flight: Vec<Option<u32>>,
}
