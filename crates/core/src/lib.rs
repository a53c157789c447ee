//! The balancing itself: every request goes to the server that is least busy right now, and the count that
//! decides it is always true.
//!
//! A [`Pool`] is a set of servers with a policy. [`Pool::pick`] chooses one and counts the request on it,
//! in one step; the [`Permit`] it gives is the request, and dropping the permit is the only way the count
//! goes down, whether the request went well, was cancelled or panicked.
//!
//! ```
//! use plimsoll_core::{Ask, Pool, PoolSpec, ServerSpec, Time};
//!
//! let server = |name: &str, port| ServerSpec::new(name, ([127, 0, 0, 1], port).into());
//! let servers = vec![server("small", 9001), server("large", 9002).with_weight(2)];
//! let pool = Pool::new("app", PoolSpec { servers, ..PoolSpec::default() }, Time::ZERO);
//!
//! let ask = Ask { now: Time::ZERO, ..Ask::default() };
//! let held: Vec<_> = (0..3).filter_map(|_| pool.pick(&ask).ok()).collect();
//! let in_flight: Vec<u32> = pool.servers().iter().map(|server| server.in_flight()).collect();
//! assert_eq!(in_flight, [1, 2]);
//!
//! drop(held);
//! assert_eq!(pool.stats().in_flight(), 0);
//! ```
//!
//! How a request went is told by finishing its permit, and why a server is picked can be asked for:
//!
//! ```
//! # use std::time::Duration;
//! # use plimsoll_core::{Ask, Outcome, Pool, PoolSpec, Refused, ServerSpec, Time};
//! # let servers = vec![ServerSpec::new("a", ([127, 0, 0, 1], 9001).into())];
//! # let pool = Pool::new("app", PoolSpec { servers, ..PoolSpec::default() }, Time::ZERO);
//! # let ask = Ask::default();
//! let permit = pool.pick(&ask)?;
//! let address = permit.server().addresses()[0].clone();
//! // ... talk to the server at that address ...
//! permit.finish(Outcome::success(Duration::from_millis(3), Duration::from_millis(5)).with_bytes(120, 4096));
//!
//! let told = pool.explain(&ask);
//! println!("{told}");
//! assert_eq!(told.picked?.name(), "a");
//! # assert_eq!(address.to_string(), "127.0.0.1:9001");
//! # Ok::<(), Refused>(())
//! ```
//!
//! No I/O, no async runtime, no clock and no randomness of its own: time and random numbers come in with
//! each call, so that a proxy, a program of yours and a simulation run the very same code. Picks and
//! releases take no lock; a change of a pool ([`Pool::apply`], [`Pools::apply`]) keeps every server that
//! stays, with its counts, while they go on.

mod address;
mod alive;
mod budget;
mod clients;
mod events;
mod explain;
mod guard;
mod health;
mod histogram;
mod home;
mod judge;
mod latency;
mod live;
mod lock;
mod outcome;
mod permit;
mod place;
mod policy;
mod pool;
mod pools;
mod queue;
mod rank;
mod rebalance;
mod record;
mod recorder;
mod refused;
mod ring;
mod roll;
mod rules;
mod seat;
mod server;
mod shares;
mod sight;
mod slots;
mod snapshot;
mod spec;
mod stats;
mod stick;
mod sync;
mod tally;
mod time;
mod tournament;
mod turn;
mod view;
mod warm_up;

pub use address::Address;
pub use alive::Audit;
pub use budget::RetryBudget;
pub use clients::{
    Admission, ClientHold, ClientKey, ClientLimit, ClientRules, ClientStats, ClientTable, ClientTableStats,
    LimitCounts, Over, Rate,
};
pub use events::Event;
pub use explain::{Because, Considered, Explanation, Verdict};
pub use health::{HealthReport, HealthState, ProbeResult, Probed, Reason};
pub use histogram::Distribution;
pub use outcome::{Outcome, OutcomeKind};
pub use permit::Permit;
pub use policy::Policy;
pub use pool::{Ask, Pool};
pub use pools::Pools;
pub use queue::{QueueStats, Ticket};
pub use rank::{Load, Ranking};
pub use rebalance::{LongLived, Phase, RebalanceStats, Round, RoundEnd};
pub use recorder::Picked;
pub use refused::Refused;
pub use rules::{Eject, HashBound, Initial, Percent, PoolRules, ProbeRule, QueueRule, Rebalance, WarmUp, WhenNone};
pub use server::{Server, ServerId};
pub use slots::MAX_IN_FLIGHT;
pub use spec::{AdminState, PolicyKind, PoolSpec, ServerSpec, UnknownName};
pub use stats::{MemberStats, PoolStats, ServerStats};
pub use time::Time;
pub use view::{Choice, View};
pub use warm_up::WarmUpProgress;
