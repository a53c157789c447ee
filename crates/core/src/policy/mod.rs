//! The rules of the pick. Each policy has a file whose head states its formula, the reason for it, what
//! happens when all servers are idle, and how ties break.

use std::fmt;
use std::sync::Arc;

use crate::{Ask, Choice, PolicyKind, Ranking, View};

mod hash;
mod least_connections;
mod least_response_time;
mod random;
mod round_robin;
mod shortest_expected_delay;
mod two_choices;

/// Chooses a server for each request. Bring your own with [`Pool::with_policy`](crate::Pool::with_policy).
pub trait Policy: fmt::Debug + Send + Sync {
    /// What statistics and explanations call it.
    fn name(&self) -> &str;

    /// The server to take, or `None` when no server can. It is asked again, a few times, when others were
    /// quicker. It must not block, and two calls with the same view and ask should choose alike, since
    /// [`Pool::explain`](crate::Pool::explain) calls it too.
    fn choose(&self, view: &View<'_>, ask: &Ask<'_>) -> Option<Choice>;

    /// The ranking it asks the view for the least of, so that a large pool keeps an index for it and
    /// explanations show its scores. A policy without one is explained by load.
    fn ranking(&self) -> Option<Ranking> {
        None
    }

    /// Whether it asks the view for the server of a key, so that the pool keeps the ring for it.
    fn is_keyed(&self) -> bool {
        false
    }
}

impl PolicyKind {
    /// The policy of this name.
    pub fn policy(self) -> Arc<dyn Policy> {
        match self {
            Self::LeastConnections => Arc::new(least_connections::LeastConnections),
            Self::ShortestExpectedDelay => Arc::new(shortest_expected_delay::ShortestExpectedDelay),
            Self::RoundRobin => Arc::new(round_robin::RoundRobin),
            Self::LeastResponseTime => Arc::new(least_response_time::LeastResponseTime),
            Self::TwoChoices => Arc::new(two_choices::TwoChoices),
            Self::Random => Arc::new(random::Random),
            Self::Hash => Arc::new(hash::Hash),
        }
    }
}
