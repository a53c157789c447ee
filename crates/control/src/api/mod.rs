//! What the admin API says and is told, as it stands in JSON: the same types serve the server, its description
//! and the commands that are its clients.
//!
//! Units are in the names: `_seconds`, `_ms`, `_bytes`; rates are per second. A time of day is RFC 3339 in UTC. What is
//! not there is left out rather than null, except where null is what a client must be able to tell.

mod change;
mod event;
mod history;
mod limit;
mod object;
mod problem;
mod status;
mod why;

pub use change::{AddServers, Changed, Difference, NewServer, Reloaded, ServerPatch};
pub use event::{Event, EventKind, Message, MessageKind};
pub use history::{History, ServerHistory};
pub use limit::{Client, Limit};
pub(crate) use object::Object;
pub use problem::Problem;
pub use status::{
    Health, HealthName, Listener, Outcomes, Pool, Probe, Queue, Rebalance, RebalancePhase, RebalanceRound, Retries,
    Route, Server, State, Status, Sticky, WarmUp, Worker,
};
pub use why::{Candidate, Explanation, Pick};
