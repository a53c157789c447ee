//! What the data plane tells of itself: plain data, for metrics and dashboards.

use std::time::Duration;

use plimsoll_config::Bind;
use plimsoll_core::ClientTableStats;

use crate::tls::handshakes::HandshakeStats;

/// Workers and listeners as of now. Each number is true, but they are not all of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyStats {
    /// By number: the thread of the first is called `worker-0`.
    pub workers: Vec<WorkerStats>,
    /// In the order of the configuration; then those that are gone and still have connections open.
    pub listeners: Vec<ListenerStats>,
    /// Each pool whose clients stick, by name.
    pub sticky: Vec<StickyStats>,
    /// Copies of requests, for each pool that gets some, by name.
    pub mirrors: Vec<MirrorStats>,
    /// Client connections of all listeners open now that count against the limit of the process.
    pub clients: usize,
    /// The most of those at once: what is wanted, or what descriptors leave room for.
    pub clients_limit: usize,
    /// How often there was no descriptor or memory for another connection.
    pub shortages: u64,
    /// The limits for each client, in the order of the configuration.
    pub limits: Vec<LimitStats>,
    /// A graceful stop has begun.
    pub stopping: bool,
}

/// Whether a worker is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// It serves, or finishes what is under way.
    Serving,
    /// It has ended because it was told to.
    Stopped,
    /// It ended by a panic, which is a bug of ours. Its connections are lost; new ones go to the other workers.
    Died,
}

/// One worker. What is counted is counted since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerStats {
    /// Whether it is there.
    pub state: WorkerState,
    /// Client connections it took.
    pub accepted: u64,
    /// Client connections open now, tunnels included.
    pub open: u64,
    /// Requests whose head it read; those that could not be understood are not among them.
    pub requests: u64,
    /// Bytes read from clients.
    pub bytes_from_clients: u64,
    /// Bytes written to clients.
    pub bytes_to_clients: u64,
    /// Connections to servers opened for a request.
    pub conns_opened: u64,
    /// Requests, or tries of them, sent over a connection to a server that was open already.
    pub conns_reused: u64,
    /// Connections to servers that are kept idle; up to 50 ms old.
    pub conns_idle: u64,
    /// Connections that have switched to another protocol and are open now.
    pub tunnels: u64,
    /// Client connections that ended by a panic, which is a bug of ours; the worker went on.
    pub panics: u64,
    /// How often it came to look at what has to be done now and then, 20 times a second: one that is stuck does not.
    pub ticks: u64,
    /// How long the thread had something to do; up to 50 ms old.
    pub busy: Duration,
    /// How late the last of its ticks came, 20 of which are due each second. The timer of the runtime alone makes it up to
    /// about 2 ms; what is more is what a request may have had to wait for the others.
    pub lag: Duration,
    /// The longest such lag of the last 15 to 30 seconds.
    pub worst_lag: Duration,
}

/// One limit for each client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitStats {
    /// Its name.
    pub name: String,
    /// What its table tells. Counted since there is a limit of this name.
    pub table: ClientTableStats,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerStats {
    /// Its name.
    pub name: String,
    /// Where it listens, ports chosen by the system filled in. Empty when it is gone.
    pub addresses: Vec<Bind>,
    /// The pools that serve it, or did last.
    pub pools: Vec<String>,
    /// Client connections open now that count against the limit. More than `limit` only after it was lowered.
    pub open: usize,
    /// The most client connections at once.
    pub limit: usize,
    /// Client connections it ever served. Goes on when the listener is renamed, or comes back while some are open.
    pub accepted: u64,
    /// Client connections among them that were closed for the address of their client, where connections are balanced; else
    /// the requests that were refused for it and have no route. Those of a route are counted there.
    pub denied: u64,
    /// How TLS handshakes with its clients went; `None` is a listener without, or one that is gone.
    pub handshakes: Option<HandshakeStats>,
    /// Client connections among them that were refused because of the PROXY header they should begin with; `None` is a
    /// listener that expects none, or one that is gone.
    pub proxy_headers: Option<ProxyHeaderStats>,
    /// What its routes had, in their order: each of the first 1000, then the others together. Empty when it is gone, and where
    /// there are none.
    pub routes: Vec<RouteStats>,
}

/// One route of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteStats {
    /// Its name.
    pub name: String,
    /// Requests that were its own. Goes on while the listener has a route of this name.
    pub requests: u64,
    /// Those among them that were refused for the address of their client.
    pub denied_by_address: u64,
    /// Those that were refused because they showed no name with its password, or one that could not be looked at.
    pub denied_by_password: u64,
}

/// How the clients of one pool have stuck so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StickyStats {
    /// The name of the pool.
    pub pool: String,
    /// Answers of the server that the client had before.
    pub kept: u64,
    /// Answers of another one, which the client has from now on.
    pub moved: u64,
    /// Answers to clients that had none before.
    pub fresh: u64,
    /// Answers to clients whose cookie was not one that we would have made, or too old.
    pub refused: u64,
    /// Values remembered now, where values are learnt.
    pub learnt: Option<usize>,
}

/// Copies of requests to one pool, since the start, or since it first got some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorStats {
    /// Its name.
    pub pool: String,
    /// Those that were answered, however.
    pub sent: u64,
    /// Those that were not made, since they were too large, too many, or no server could take them.
    pub skipped: u64,
    /// Those that were not answered whole or in time.
    pub failed: u64,
}

/// Client connections that were refused because of the PROXY header they should begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyHeaderStats {
    /// From an address that none is expected from.
    pub strangers: u64,
    /// Began with something else, or with a header that is not right.
    pub no_header: u64,
    /// Did not send the whole header in time.
    pub unfinished: u64,
}
