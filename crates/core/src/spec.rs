//! What a pool should be: the plain data that [`Pool::apply`](crate::Pool::apply) turns into servers.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::{Address, PoolRules};

/// A pool as wanted: its policy and its servers, in the order they are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolSpec {
    /// How servers are chosen.
    pub policy: PolicyKind,
    /// The servers. Of several with one name the first counts and the others are left out; reporting
    /// them is the work of whoever wrote the list.
    pub servers: Vec<ServerSpec>,
    /// What the pool does beside choosing.
    pub rules: PoolRules,
}

/// A server as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSpec {
    /// Its name within the pool, which is its identity: what it has in flight and has done is kept
    /// through every change under the same name.
    pub name: String,
    /// Where it listens, most wanted first.
    pub addresses: Vec<Address>,
    /// Its share relative to the others; 0 takes nothing new.
    pub weight: u16,
    /// The most it may have in flight; `None` leaves it at [`MAX_IN_FLIGHT`](crate::MAX_IN_FLIGHT).
    pub max_connections: Option<NonZeroU32>,
    /// Used only while no server that is not a backup can take a request.
    pub backup: bool,
    /// What the operator wants of it.
    pub state: AdminState,
}

impl ServerSpec {
    /// A ready server of weight 1 at one address, without a limit of its own.
    pub fn new(name: impl Into<String>, address: SocketAddr) -> Self {
        Self {
            name: name.into(),
            addresses: vec![address.into()],
            weight: 1,
            max_connections: None,
            backup: false,
            state: AdminState::Ready,
        }
    }

    /// The same with another weight.
    #[must_use]
    pub fn with_weight(self, weight: u16) -> Self {
        Self { weight, ..self }
    }

    /// The same with a limit on what it may have in flight.
    #[must_use]
    pub fn with_max_connections(self, limit: NonZeroU32) -> Self {
        Self { max_connections: Some(limit), ..self }
    }

    /// The same as a backup.
    #[must_use]
    pub fn with_backup(self) -> Self {
        Self { backup: true, ..self }
    }

    /// The same in another state.
    #[must_use]
    pub fn with_state(self, state: AdminState) -> Self {
        Self { state, ..self }
    }
}

/// What an operator wants of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AdminState {
    /// Takes requests.
    #[default]
    Ready,
    /// Finishes what it has and takes nothing new.
    Drain,
    /// Out of use. Takes nothing new; what it has in flight may be cut off by the data plane.
    Down,
}

impl AdminState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Drain, Self::Down];

    /// The word for it in configuration files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Down => "down",
        }
    }
}

/// The policies that come with the crate, by the names configuration files use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// Least in flight for its weight.
    #[default]
    LeastConnections,
    /// Least in flight for its weight, counting the request to come; idle servers first.
    ShortestExpectedDelay,
    /// In turn by weight, blind to load.
    RoundRobin,
    /// Least time to first byte times what is in flight, for its weight.
    LeastResponseTime,
    /// The less loaded of two drawn by weight.
    TwoChoices,
    /// Drawn by weight.
    Random,
    /// By a key of the request, as long as its server is not much busier than others.
    Hash,
}

impl PolicyKind {
    /// Every policy, the default first.
    pub const ALL: [Self; 7] = [
        Self::LeastConnections,
        Self::ShortestExpectedDelay,
        Self::RoundRobin,
        Self::LeastResponseTime,
        Self::TwoChoices,
        Self::Random,
        Self::Hash,
    ];

    /// The word for it in configuration files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeastConnections => "least-connections",
            Self::ShortestExpectedDelay => "shortest-expected-delay",
            Self::RoundRobin => "round-robin",
            Self::LeastResponseTime => "least-response-time",
            Self::TwoChoices => "two-choices",
            Self::Random => "random",
            Self::Hash => "hash",
        }
    }

    /// Its rule in a sentence; how and why is told at the head of each policy's file.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::LeastConnections => "The least in flight / weight; of equals the one whose turn is due first.",
            Self::ShortestExpectedDelay => {
                "The least (in flight + 1) / weight, an idle server before a busy one; of equals the one whose turn is \
                 due first."
            }
            Self::RoundRobin => "The one whose turn is due first, as often as its weight says, whatever is in flight.",
            Self::LeastResponseTime => {
                "The least time to first byte x (in flight + 1) / weight; of equals the one whose turn is due first."
            }
            Self::TwoChoices => "Of two servers drawn by weight the one with less in flight / weight.",
            Self::Random => "Drawn by weight, whatever is in flight.",
            Self::Hash => {
                "The first by the hash of the request's key that is not far busier than the average; without a key the least \
                 in flight / weight."
            }
        }
    }
}

/// A word that names no policy, or no state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    what: &'static str,
    word: String,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no {}", self.word, self.what)
    }
}

impl std::error::Error for UnknownName {}

impl fmt::Display for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for AdminState {
    type Err = UnknownName;

    fn from_str(word: &str) -> Result<Self, UnknownName> {
        let named = Self::ALL.into_iter().find(|state| state.name() == word);
        named.ok_or_else(|| UnknownName { what: "server state", word: word.to_owned() })
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PolicyKind {
    type Err = UnknownName;

    fn from_str(word: &str) -> Result<Self, UnknownName> {
        let named = Self::ALL.into_iter().find(|kind| kind.name() == word);
        named.ok_or_else(|| UnknownName { what: "policy", word: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for kind in PolicyKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for state in AdminState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
    }

    #[test]
    fn an_unknown_name_is_told_back() {
        let error = "leastconn".parse::<PolicyKind>().unwrap_err();
        assert_eq!(error.to_string(), "\"leastconn\" is no policy");
        assert!("Ready".parse::<AdminState>().is_err(), "names are exact");
    }
}
