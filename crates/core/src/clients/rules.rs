//! What the configuration says of clients' limits, and the form in which it is asked at each request.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::over::ClientLimit;
use super::window::Pace;

/// How much one client may have and begin, and of how many clients a table keeps count. Without a limit it is only
/// counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRules {
    /// Connections it may have at once.
    pub connections: Option<NonZeroU32>,
    /// Requests it may have at once.
    pub requests: Option<NonZeroU32>,
    /// Connections it may begin within a window.
    pub connection_rate: Option<Rate>,
    /// Requests it may begin within a window.
    pub request_rate: Option<Rate>,
    /// Clients counted at the same time; more than [`ClientRules::MOST_ENTRIES`] are taken as that many.
    pub entries: NonZeroUsize,
    /// Nobody is refused or delayed; what would have been is counted as such. It counts as one at once like any other,
    /// but not in its rate, so that a dry run tells of rates what would come true.
    pub dry_run: bool,
}

/// At most so many begun within any window: a sliding one, wherever it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub limit: NonZeroU32,
    /// The length of the window; zero is taken as a nanosecond.
    pub window: Duration,
}

/// Where there is no limit to a rate, it is told over this.
const SHOWN: Duration = Duration::from_secs(10);

impl ClientRules {
    /// The largest table: 3.2 GB when full.
    pub const MOST_ENTRIES: usize = 1 << 24;

    /// Rules without a limit: clients are only counted.
    pub const fn counting(entries: NonZeroUsize) -> Self {
        let (connections, requests, connection_rate, request_rate) = (None, None, None, None);
        Self { connections, requests, connection_rate, request_rate, entries, dry_run: false }
    }

    /// The clients it keeps count of.
    pub(super) fn capacity(&self) -> usize {
        self.entries.get().min(Self::MOST_ENTRIES)
    }
}

/// What a client begins: the two kinds that are counted, each with a limit at once and one in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Connection,
    Request,
}

impl Kind {
    /// The limit at once, and the limit in time.
    pub(super) const fn limits(self) -> (ClientLimit, ClientLimit) {
        match self {
            Self::Connection => (ClientLimit::Connections, ClientLimit::ConnectionRate),
            Self::Request => (ClientLimit::Requests, ClientLimit::RequestRate),
        }
    }
}

/// The rules of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    /// How many at once.
    pub(super) at_once: Option<NonZeroU32>,
    /// How many in time.
    pub(super) pace: Pace,
}

/// All of it but the size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    pub(super) connections: Bounds,
    pub(super) requests: Bounds,
    pub(super) dry_run: bool,
}

impl Limits {
    pub(super) fn new(rules: &ClientRules) -> Self {
        let pace = |rate: Option<Rate>| match rate {
            Some(Rate { limit, window }) => Pace::new(Some(limit), window),
            None => Pace::new(None, SHOWN),
        };
        Self {
            connections: Bounds { at_once: rules.connections, pace: pace(rules.connection_rate) },
            requests: Bounds { at_once: rules.requests, pace: pace(rules.request_rate) },
            dry_run: rules.dry_run,
        }
    }

    pub(super) fn of(&self, kind: Kind) -> &Bounds {
        match kind {
            Kind::Connection => &self.connections,
            Kind::Request => &self.requests,
        }
    }
}
