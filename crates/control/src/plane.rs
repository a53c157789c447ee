//! What control needs of the data plane. The program stands between the two, which know nothing of each other.

use std::time::Duration;

use plimsoll_config::Config;
use plimsoll_core::{ClientStats, ClientTableStats, Pools, Time};

/// The data plane as control sees it.
pub trait DataPlane: Send + Sync {
    /// The time by the clock of the pools.
    fn now(&self) -> Time;

    /// Does all that can fail of putting `config` in force, such as binding its sockets, and changes nothing yet.
    /// Dropping what is returned undoes it.
    ///
    /// # Errors
    /// Why it cannot be done, in a sentence for the user.
    fn prepare(&self, config: &Config) -> Result<Box<dyn Prepared>, String>;

    /// What an operator should know of `config`, a sentence each, though it can be served: a certificate that ends soon.
    fn warnings(&self, _config: &Config) -> Vec<String> {
        Vec::new()
    }

    /// The busiest clients in a limit, at most `most`; `None` where there is none of this name.
    fn top_clients(&self, _limit: &str, _most: usize) -> Option<Vec<TopClient>> {
        None
    }

    /// What it does.
    fn stats(&self) -> PlaneStats;

    /// Trouble with its logs that has not been told yet, in a sentence; now and then, not for each line.
    fn trouble(&self) -> Option<String>;

    /// Opens the files it writes to anew.
    fn reopen_logs(&self);
}

/// A configuration that is ready to be put in force.
pub trait Prepared: Send {
    /// Puts it in force. The pools follow it already.
    ///
    /// # Errors
    /// Why it could not be done after all; that is a bug of ours.
    fn commit(self: Box<Self>, pools: &Pools) -> Result<(), String>;
}

/// What the data plane does.
#[derive(Clone, Debug, Default)]
pub struct PlaneStats {
    /// Each worker, in order of their numbers.
    pub workers: Vec<WorkerStats>,
    /// Each listener, in the order of the configuration; then those that finish what they have.
    pub listeners: Vec<ListenerStats>,
    /// What the tables of the limits for clients tell, by the names of the limits.
    pub limits: Vec<(String, ClientTableStats)>,
    /// Each pool whose clients stick.
    pub sticky: Vec<StickyStats>,
    /// Copies of requests, for each pool that gets some.
    pub mirrors: Vec<MirrorStats>,
    /// The access log, when there is one.
    pub log: Option<LogStats>,
    /// Client connections of all listeners open now.
    pub clients: u64,
    /// The most of those at once: `max_connections` of the process or of all listeners, or what descriptors leave room for.
    pub clients_limit: u64,
    /// How often there was no descriptor or memory for another connection.
    pub shortages: u64,
    /// Whether a graceful stop is under way.
    pub stopping: bool,
}

/// A client that a limit knows.
#[derive(Clone, Debug)]
pub struct TopClient {
    /// What people call it.
    pub name: String,
    /// What it has and did.
    pub stats: ClientStats,
}

/// What one worker does and has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkerStats {
    /// False when it has died.
    pub alive: bool,
    /// Client connections accepted.
    pub accepted: u64,
    /// Client connections open now.
    pub open: u64,
    /// Requests read.
    pub requests: u64,
    /// Bytes read from clients.
    pub received: u64,
    /// Bytes written to clients.
    pub sent: u64,
    /// Connections to servers opened.
    pub opened: u64,
    /// Connections to servers used again.
    pub reused: u64,
    /// Idle connections to servers kept now.
    pub idle: u64,
    /// Tunnels open now.
    pub tunnels: u64,
    /// Time spent working.
    pub busy: Duration,
    /// Client connections that ended by a panic, which is a bug of ours.
    pub panics: u64,
    /// How late its last tick was.
    pub lag: Duration,
    /// The latest its ticks have been in the last 15 seconds or more.
    pub worst_lag: Duration,
}

/// What one listener does and has done.
#[derive(Clone, Debug, Default)]
pub struct ListenerStats {
    /// Its name.
    pub name: String,
    /// The addresses bound.
    pub addresses: Vec<String>,
    /// Client connections open now.
    pub open: u64,
    /// The most that may be open.
    pub limit: u64,
    /// Client connections accepted.
    pub accepted: u64,
    /// Client connections closed, or requests without a route refused, for the client's address.
    pub denied: u64,
    /// TLS handshakes with its clients; `None` is a listener without TLS.
    pub handshakes: Option<HandshakeStats>,
    /// Client connections refused because of the PROXY header they should begin with, for each reason; empty where none is
    /// expected.
    pub proxy_headers_refused: Vec<(&'static str, u64)>,
    /// What each route had; the first 1000, then the others together.
    pub routes: Vec<RouteStats>,
}

/// What one route of a listener had.
#[derive(Clone, Debug, Default)]
pub struct RouteStats {
    /// Its name.
    pub name: String,
    /// Requests that were its own.
    pub requests: u64,
    /// Those among them that were refused, for each reason.
    pub denied: [(&'static str, u64); 2],
}

/// Copies of requests to one pool.
#[derive(Clone, Debug, Default)]
pub struct MirrorStats {
    /// The pool's name.
    pub pool: String,
    /// What became of them, and how many.
    pub results: [(&'static str, u64); 3],
}

/// How TLS handshakes with the clients of a listener went.
#[derive(Clone, Debug, Default)]
pub struct HandshakeStats {
    /// Those that went well.
    pub done: u64,
    /// Those that did not, for each reason.
    pub failed: Vec<(&'static str, u64)>,
}

/// How the clients of a pool have come back to the servers that they had before.
#[derive(Clone, Debug, Default)]
pub struct StickyStats {
    /// The name of the pool.
    pub pool: String,
    /// Answers of the server that the client had.
    pub kept: u64,
    /// Answers of another, which the client has from then on.
    pub moved: u64,
    /// Answers to clients that had none.
    pub fresh: u64,
    /// Answers to clients whose cookie was nothing that we would have made, or too old.
    pub refused: u64,
    /// Values remembered now, where values are learnt.
    pub learnt: Option<u64>,
}

impl StickyStats {
    /// Each count with a word for it.
    pub(crate) fn results(&self) -> [(&'static str, u64); 4] {
        [("kept", self.kept), ("moved", self.moved), ("new", self.fresh), ("refused", self.refused)]
    }
}

/// What the access log has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogStats {
    /// Lines written.
    pub written: u64,
    /// Lines dropped because the writer could not keep up.
    pub dropped: u64,
    /// Failures to write.
    pub errors: u64,
}
