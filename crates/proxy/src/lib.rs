//! Plimsoll's data plane: listeners, TLS, HTTP/1.1, HTTP/2, gRPC, TCP, forwarding.
//!
//! [`Proxy::start`] binds what a [`Config`](plimsoll_config::Config) says and serves it over the given
//! [`Pools`](plimsoll_core::Pools), one thread for each worker, until it is stopped. A worker has its own sockets,
//! buffers, timers and connections to servers; the pools are all that workers share. Another configuration is followed while
//! it serves: [`Proxy::prepare`], then [`Proxy::commit`].
//!
//! A request goes through these rooms: `listener` accepts its connection, `arrival` sees to what comes before the protocol
//! (`proxy_header`, `tls`), `serve` reads its head, `request` finds its `route`, picks a server or lets it `wait` for one, `server_conn` finds a
//! connection to it, `exchange` forwards it and brings the response back through a `flow` for each direction, `tries` says
//! whether another server is tried when that fails, `sticky` brings a client back to the server it had, `tunnel` takes over when it was an upgrade. `http1` knows the words and never
//! waits, `grpc` how calls of gRPC differ. `log` and `trace` collect what is told of a request and hand it out. Beside all
//! that, `prober` asks the servers how they are.
//!
//! Whatever a connection runs over is a `wire`. A stream of `http2` is one too, and reads like a connection with a single
//! message of HTTP/1, so it is served as one and forwarded by the same exchange. A connection that is balanced as a whole goes
//! to `tcp`, which knows the same `wait`, `tries` and `tunnel`.
//!
//! A configuration goes through these: `proxy` takes it, `sockets` binds what is new of it, `in_force` remembers what of the
//! old goes on under it (`catalog` which pools, `served` under which rules), and each worker's `places` follow. A `connection`
//! asks its `place` for the `service` of the moment whenever it reads a head; `room` holds it under a limit that may change at
//! any time, and in that of the process, which `descriptors` measures; `shortage` is what happens when those run out all the
//! same; `cores` are what workers may run on; `counts` are what a worker tells.

mod arrival;
mod auth;
mod buffer;
mod catalog;
mod client;
mod clock;
mod compress;
mod connection;
pub mod cores;
mod counts;
mod descriptors;
mod door;
mod exchange;
mod flow;
mod grpc;
mod http1;
mod http2;
mod in_force;
mod limit;
mod listener;
mod lock;
mod log;
mod mirror;
mod parked;
mod patience;
mod peer;
mod place;
mod places;
mod prober;
mod probing;
mod proxy;
mod proxy_header;
mod rebalance;
mod replay;
mod request;
mod room;
mod route;
mod serve;
mod served;
mod server_conn;
mod service;
mod shortage;
mod sockets;
mod start_error;
mod stats;
mod sticky;
mod tcp;
mod thread;
mod timers;
mod tls;
mod trace;
mod tries;
mod trouble;
mod tunnel;
mod unix_socket;
mod wait;
mod wire;
mod worker;

pub use clock::Clock;
pub use descriptors::Descriptors;
pub use log::{LogError, LogStats, Logs};
pub use proxy::{Doors, Prepared, Proxy};
pub use route::{Choice, Unroutable, choose_route};
pub use sockets::Inherited;
pub use start_error::StartError;
pub use stats::{
    LimitStats, ListenerStats, MirrorStats, ProxyHeaderStats, ProxyStats, RouteStats, StickyStats, WorkerState,
    WorkerStats,
};
pub use tls::{HandshakeFailure, HandshakeStats, UnfitFile, check_tls, tls_warnings};
pub use trace::{TracedRequest, TracedTry};
