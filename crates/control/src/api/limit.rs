//! Limits for each client, and the clients that are busiest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A limit for each client: its rules, and what it did since the process has had a limit of this name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Limit {
    /// Its name.
    pub name: String,
    /// What makes a client: `client`, `route`, `header` and its name, or `cookie` and its name.
    pub key: String,
    /// Connections that a client may have.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connections: Option<u32>,
    /// Requests that it may have at once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub requests: Option<u32>,
    /// Connections that it may begin, such as `50/s`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connection_rate: Option<String>,
    /// Requests that it may begin.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request_rate: Option<String>,
    /// What becomes of more: `reject`, `close` or `delay`.
    pub over: String,
    /// For how long, where it is delayed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delay_seconds: Option<f64>,
    /// Nobody is refused, and what would have been is counted.
    pub dry_run: bool,
    /// Clients that are kept count of.
    pub clients: u64,
    /// The most of them.
    pub capacity: u64,
    /// Connections and requests refused, by the rule that was reached.
    pub refused: BTreeMap<String, u64>,
    /// The same of those that a dry run let in.
    pub would_refuse: BTreeMap<String, u64>,
    /// Let in after a wait.
    pub delayed: u64,
    /// Clients forgotten to make room for others, though something of them still counted.
    pub evicted: u64,
    /// Let in without a count, as there was no room for one.
    pub untracked: u64,
}

/// A client as a limit knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Client {
    /// Its address or network; the listener and the route; or, of what it sent in a header or a cookie, `#` and a part of a
    /// hash, which is another in each process.
    pub client: String,
    /// Connections it has.
    pub connections: u32,
    /// Requests it has, with those that wait for their time.
    pub requests: u32,
    /// Requests it began of late: within the time of the limit's rate, or ten seconds.
    pub requests_per_second: f64,
    /// Refused to it since it is known; in a dry run, what would have been.
    pub refused: u64,
    /// Requests it was let in with since it is known.
    pub total_requests: u64,
}
