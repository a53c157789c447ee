//! The admin API, the dashboard and the metrics over HTTP, on the thread of control: whatever it is asked, no worker
//! waits for it.
//!
//! `gate` knows where it is served and follows the configuration, `door` is one address or socket, `tls` what stands behind
//! an encrypted one. `serve` accepts connections and ends them, `guard` decides who is heard and `intruders` counts who is not,
//! `routes` says what can be asked, over what lies on the `desk`, `ask` reads questions, `answer` writes answers, `stream` goes on answering, `page` hands out what a browser needs.
//! Everything a caller can make us hold is bounded: connections, heads, bodies, streams, the time of each.

mod answer;
mod ask;
mod desk;
mod door;
pub(crate) mod gate;
mod guard;
mod intruders;
mod page;
mod patience;
mod refusals;
mod routes;
mod serve;
mod stream;
mod tls;

pub(crate) use serve::serve;
