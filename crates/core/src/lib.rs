//! The balancing itself: pools of servers, and a count of what each has in flight that is always true.
//!
//! No I/O, no async runtime, no clock of its own: time and randomness come in with each call, so that a proxy, a
//! program of yours and a simulation run the very same code.

mod explain;
mod histogram;
mod home;
mod latency;
mod outcome;
mod permit;
mod policy;
mod pool;
mod pools;
mod rank;
mod refused;
mod server;
mod shares;
mod slots;
mod snapshot;
mod spec;
mod stats;
mod sync;
mod tally;
mod time;
mod tournament;
mod turn;
mod view;

pub use explain::{Considered, Explanation, Verdict};
pub use outcome::{Outcome, OutcomeKind};
pub use permit::Permit;
pub use policy::Policy;
pub use pool::{Ask, Pool};
pub use pools::Pools;
pub use rank::{Load, Ranking};
pub use refused::Refused;
pub use server::{Server, ServerId};
pub use slots::MAX_IN_FLIGHT;
pub use spec::{AdminState, PolicyKind, PoolSpec, ServerSpec, UnknownName};
pub use stats::{Distribution, MemberStats, PoolStats, ServerStats};
pub use time::Time;
pub use view::{Choice, View};
