//! What is: the process, its listeners and workers, the pools and their servers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::limit::Limit;

/// The process as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The process id.
    pub pid: u32,
    /// When it started.
    pub started: String,
    /// For how long it has been up.
    pub uptime_seconds: f64,
    /// Counts the configurations put in force, the first being 1.
    pub generation: u64,
    /// The file of the configuration, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// When the configuration was last put in force.
    pub configured: String,
    /// Settings that differ from the file because they were changed by this API.
    pub differences: usize,
    /// Whether a graceful stop is under way.
    pub stopping: bool,
    /// Client connections of all listeners open now.
    #[serde(default)]
    pub connections: u64,
    /// The most of those at once: `max_connections` of the process or of all listeners, or what the limit on open files leaves
    /// room for.
    #[serde(default)]
    pub connections_limit: u64,
    /// How often there was no descriptor or memory for another connection.
    #[serde(default)]
    pub descriptor_shortages: u64,
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// The limits for each client, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub limits: Vec<Limit>,
    /// The worker threads.
    pub workers: Vec<Worker>,
    /// The pools, without their servers.
    pub pools: Vec<Pool>,
}

/// One place where clients connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// The addresses bound.
    pub addresses: Vec<String>,
    /// The pools that serve it; none where it is gone and finishes what it has, or sends all requests elsewhere.
    pub pools: Vec<String>,
    /// Client connections open now.
    pub open: u64,
    /// The most that may be open.
    pub limit: u64,
    /// Client connections ever accepted.
    pub accepted: u64,
    /// Its routes in their order, where listeners are what is asked for; left out in what tells of everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// One route of a listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// The requests it is for, in words.
    pub when: String,
    /// What they come to, in words.
    pub comes_to: String,
    /// Requests that were its own; none is told of a route behind the first 1000 of its listener.
    pub requests: Option<u64>,
}

/// One worker thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// Its number, from 0.
    pub number: usize,
    /// Whether it serves; false when it has died.
    pub alive: bool,
    /// The share of the last second in which it was busy, 0 to 1.
    pub load: f64,
    /// Client connections open now.
    pub open: u64,
    /// Requests ever read.
    pub requests: u64,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its policy.
    pub policy: String,
    /// Requests in flight.
    pub in_flight: u64,
    /// Servers that take requests now.
    pub eligible: usize,
    /// All servers, those no longer listed included while they finish.
    pub servers_total: usize,
    /// Requests finished a second, over the last ten seconds.
    pub requests_per_second: f64,
    /// The share of errors among them, 0 to 1.
    pub error_rate: f64,
    /// The median response time of successes over the last ten seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p50_ms: Option<f64>,
    /// The 99th percentile of the same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p99_ms: Option<f64>,
    /// The largest in flight over weight of an eligible server, divided by the mean; 1 is even.
    pub imbalance: f64,
    /// Who waits for a server; only of a pool with a queue.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub queue: Option<Queue>,
    /// How its clients come back to the server that they had; only where they do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sticky: Option<Sticky>,
    /// How long-lived connections are spread; only of a pool with a rule for that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rebalance: Option<Rebalance>,
    /// Tries beyond the first.
    pub retries: Retries,
    /// Requests that found no server, by reason.
    pub refused: BTreeMap<String, u64>,
    /// The servers, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub servers: Option<Vec<Server>>,
}

/// Those who wait for a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Queue {
    /// How many wait.
    pub waiting: u64,
    /// How many may.
    pub limit: u64,
    /// For how long the oldest has waited.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest_ms: Option<f64>,
    /// How many ever left before they had their answer.
    pub left: u64,
}

/// How clients come back to the server that they had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sticky {
    /// By what: a cookie of ours, one that is learnt, or a field, with its name.
    pub by: String,
    /// Answers of the server that the client had.
    pub kept: u64,
    /// Answers of another, which the client has from then on.
    pub moved: u64,
    /// Answers to clients that had none.
    pub new: u64,
    /// Answers to clients whose cookie was nothing that Plimsoll would have made, or too old.
    pub refused: u64,
    /// Values remembered now, where values are learnt.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub learnt: Option<u64>,
}

/// How the long-lived connections of a pool are spread, and what is done about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rebalance {
    /// Long-lived connections on all servers that may be asked to close.
    pub long_lived: u64,
    /// Those that were open before there was a rule, and are left alone.
    #[serde(default)]
    pub older: u64,
    /// How far apart the fullest and the emptiest server that take requests are by all they have in flight, scaled by their
    /// weights.
    pub spread: u64,
    /// How many they may be apart.
    pub allowed: u32,
    /// How many have still to be closed.
    pub wanted: u64,
    /// Those that were closed and have not come back yet.
    pub awaited: u64,
    /// How many were ever closed.
    pub closed: u64,
    /// How many may be closed in which time.
    pub budget: String,
    /// What is done now.
    pub phase: RebalancePhase,
    /// The last time that servers were brought level, which may be now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub round: Option<RebalanceRound>,
}

/// What is done about the long-lived connections of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RebalancePhase {
    /// Nothing: servers are level.
    Level,
    /// It is waited whether servers become level by themselves.
    Settling,
    /// It is waited for a server that warms up.
    WarmingUp,
    /// Connections are being closed.
    Closing,
}

/// One time that servers were brought level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RebalanceRound {
    /// Counts them, from 1.
    pub number: u64,
    /// When it began.
    pub began: String,
    /// How far servers were apart before.
    pub spread_before: u64,
    /// How many had to be closed.
    pub planned: u64,
    /// When it ended, if it has.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<String>,
    /// How many were closed, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub closed: Option<u64>,
    /// How far servers were apart when it had ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spread_after: Option<u64>,
}

/// Tries beyond the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Retries {
    /// How many were made.
    pub made: u64,
    /// How many were not, because the budget was used up.
    pub over_budget: u64,
}

/// A server of a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Server {
    /// Its name in the pool.
    pub name: String,
    /// Where it listens, most wanted first.
    pub addresses: Vec<String>,
    /// What the operator wants of it.
    pub state: State,
    /// What is believed of it.
    pub health: Health,
    /// Requests in flight.
    pub in_flight: u32,
    /// Connections that last among them, upgraded or of TCP.
    #[serde(default)]
    pub long_lived: u64,
    /// The most it may have; null is no limit.
    pub max_connections: Option<u32>,
    /// Its share relative to the others.
    pub weight: u16,
    /// Whether it serves only when no other can.
    pub backup: bool,
    /// What the policy compares, the least being the best; left out at weight 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub score: Option<f64>,
    /// Requests finished a second, over the last ten seconds.
    pub requests_per_second: f64,
    /// The share of errors among them, 0 to 1.
    pub error_rate: f64,
    /// The median response time of successes over the last ten seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p50_ms: Option<f64>,
    /// The 99th percentile of the same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p99_ms: Option<f64>,
    /// Requests ever sent there.
    pub picks: u64,
    /// How they ended.
    pub outcomes: Outcomes,
    /// Bytes sent to it.
    pub sent_bytes: u64,
    /// Bytes received from it.
    pub received_bytes: u64,
    /// Where it stands in its warm-up, while it warms up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warm_up: Option<WarmUp>,
    /// Until when it takes requests of clients that are stuck to it, while it drains.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sticks_until: Option<String>,
    /// Slots kept charged for fast failures.
    pub charged: u32,
    /// Whether it is listed; one that is not finishes what it has.
    pub listed: bool,
    /// What differs from the file, by the names of settings.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub edited: Vec<String>,
}

/// What an operator wants of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Takes requests.
    Ready,
    /// Finishes what it has and takes nothing new.
    Drain,
    /// Out of use.
    Down,
}

/// What is believed of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// The belief.
    pub state: HealthName,
    /// Since when.
    pub since: String,
    /// Why, in words.
    pub reason: String,
    /// Failures in a row, of its requests.
    pub failures_in_a_row: u32,
    /// How often it was ejected.
    pub ejections: u64,
    /// When an ejected server is tried again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ejected_until: Option<String>,
    /// The last probes, the latest last.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub probes: Vec<Probe>,
}

/// A belief about a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HealthName {
    /// It takes requests.
    Up,
    /// Its probes fail.
    Down,
    /// Its requests failed; it is left out for a while.
    Ejected,
    /// A single request is finding out whether it works again.
    Trial,
}

/// A probe as remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Probe {
    /// When it ended.
    pub at: String,
    /// How long it took.
    pub took_ms: f64,
    /// Why it failed; left out when it passed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<String>,
}

/// How requests ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outcomes {
    /// Well.
    pub success: u64,
    /// Answered with a refusal.
    pub rejected: u64,
    /// Broken after the connection stood.
    pub failed: u64,
    /// Never had a connection.
    pub connect_failed: u64,
    /// Out of time.
    pub timed_out: u64,
    /// Left by the client.
    pub aborted: u64,
}

/// A warm-up under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WarmUp {
    /// How far it is, 0 to 1.
    pub progress: f64,
    /// When it ends.
    pub until: String,
}
