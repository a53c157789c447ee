//! Why that server?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every server of a pool as a pick would see it now, and which it would take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The pool.
    pub pool: String,
    /// Its policy.
    pub policy: String,
    /// The rule of the pick in a sentence.
    pub rule: String,
    /// The server that would be picked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub picked: Option<String>,
    /// What decides it: `stuck` (the client), `trial` (of a server that was left out), `key` (the hash of what the request
    /// has) or `policy`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub because: Option<String>,
    /// Why none would be.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
    /// The servers, primaries first.
    pub servers: Vec<Candidate>,
}

/// A server as a pick sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// Its name in the pool.
    pub name: String,
    /// Requests in flight.
    pub in_flight: u32,
    /// Its share relative to the others.
    pub weight: u16,
    /// Slots kept charged for fast failures; they count as load.
    pub charged: u32,
    /// The most it may have in flight; null is no limit.
    pub max_connections: Option<u32>,
    /// Whether it serves only when no other can.
    pub backup: bool,
    /// What the policy compares, the least being the best; left out at weight 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub score: Option<f64>,
    /// How far its turn is ahead; of equal scores the smallest wins.
    pub turn: f64,
    /// Whether it could be picked, and why not.
    pub verdict: String,
}

/// One pick as it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pick {
    /// When.
    pub at: String,
    /// Counts the picks that were recorded, from 1.
    pub number: u64,
    /// The server that was picked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub picked: Option<String>,
    /// Why none was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
    /// What the server had in flight then, this request included.
    pub in_flight: u32,
    /// Whether it was for another try.
    pub retry: bool,
    /// The best few as the pick saw them, the picked one first.
    pub candidates: Vec<Candidate>,
    /// How many others were passed over, by verdict.
    pub passed_over: BTreeMap<String, usize>,
}
