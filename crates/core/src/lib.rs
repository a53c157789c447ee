//! Plimsoll core.

use std::fmt;
use std::str::FromStr;

/// The rule by which a pool picks a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PolicyKind {
    /// In flight divided by weight.
    #[default]
    LeastConnections,
    /// (In flight + 1) divided by weight, an idle server first.
    ShortestExpectedDelay,
    /// Smooth weighted round robin, blind to load.
    RoundRobin,
    /// Measured time to first byte times (in flight + 1) divided by weight.
    LeastResponseTime,
    /// The less loaded of two random servers.
    TwoChoices,
    /// Weighted random.
    Random,
}

impl PolicyKind {
    /// Every policy, the default first.
    pub const ALL: [Self; 6] = [
        Self::LeastConnections,
        Self::ShortestExpectedDelay,
        Self::RoundRobin,
        Self::LeastResponseTime,
        Self::TwoChoices,
        Self::Random,
    ];
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::LeastConnections => "least-connections",
            Self::ShortestExpectedDelay => "shortest-expected-delay",
            Self::RoundRobin => "round-robin",
            Self::LeastResponseTime => "least-response-time",
            Self::TwoChoices => "two-choices",
            Self::Random => "random",
        })
    }
}

impl FromStr for PolicyKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or(())
    }
}

/// What the operator wants of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AdminState {
    /// Takes requests.
    #[default]
    Ready,
    /// Finishes what runs, takes nothing new.
    Drain,
    /// Takes nothing.
    Down,
}

impl AdminState {
    /// Every state, the default first.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Drain, Self::Down];
}

impl fmt::Display for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Down => "down",
        })
    }
}

impl FromStr for AdminState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|state| state.to_string() == text)
            .ok_or(())
    }
}
