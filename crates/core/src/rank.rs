//! What ordered policies compare: the one definition of *load*, and the order of servers under each rule.

use std::cmp::Ordering;

use crate::Time;
use crate::live::Live;
use crate::turn::earlier;

/// How busy a server is for its weight: in flight / weight, compared exactly.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    amount: u64,
    weight: u16,
}

impl Load {
    /// More than any server can have: of one that takes nothing.
    pub(crate) const INFINITE: Self = Self { amount: 1, weight: 0 };

    /// `amount` on a server of this weight. The order below holds for amounts under 2^48, since then
    /// amount times weight fits 64 bits.
    #[inline]
    pub(crate) fn new(amount: u64, weight: u16) -> Self {
        debug_assert!(amount < 1 << 48);
        if weight == 0 { Self::INFINITE } else { Self { amount, weight } }
    }

    /// As a number for people; infinite at weight 0.
    pub fn as_f64(self) -> f64 {
        self.amount as f64 / f64::from(self.weight)
    }
}

impl Ord for Load {
    /// Compares `a / w` with `b / v` as `a * v` with `b * w`, which also puts 1 / 0 last.
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        (self.amount * u64::from(other.weight)).cmp(&(other.amount * u64::from(self.weight)))
    }
}

impl PartialOrd for Load {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Load {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Load {}

/// An order of servers, so that a policy can ask its [`View`](crate::View) for the least. A pool whose
/// policy names its ranking keeps an index for it when it is large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranking {
    /// In flight / weight.
    Load,
    /// (In flight + 1) / weight, and before them all who have nothing in flight.
    ExpectedDelay,
    /// Only whose turn it is.
    Turn,
    /// Recent time to first byte times (in flight + 1) / weight.
    ResponseTime,
}

impl Ranking {
    /// What is compared for a server of this weight with this much in flight.
    #[inline]
    pub(crate) fn load(self, live: &Live, (in_flight, weight): (u32, u16), now: Time) -> Load {
        let in_flight = u64::from(in_flight);
        match self {
            Self::Load => Load::new(in_flight, weight),
            Self::ExpectedDelay if in_flight == 0 => Load::new(0, weight),
            Self::ExpectedDelay => Load::new(in_flight + 1, weight),
            Self::Turn => Load::new(0, weight),
            Self::ResponseTime => {
                // 2^32 microseconds times 2^16 requests: a server with more is compared as if it had these.
                let at_work = in_flight.min((1 << 16) - 2) + 1;
                Load::new(u64::from(live.latency.cost(in_flight as u32, now)) * at_work, weight)
            }
        }
    }
}

/// Where a server stands among those of its tier: by load, then by turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank {
    pub(crate) load: Load,
    pub(crate) due: u64,
}

impl Rank {
    /// Where a server stands that takes nothing.
    pub(crate) const LAST: Self = Self { load: Load::INFINITE, due: 0 };

    /// Whether it is the better of the two; of equals neither is.
    #[inline]
    pub(crate) fn before(&self, other: &Self) -> bool {
        match self.load.cmp(&other.load) {
            Ordering::Less => true,
            Ordering::Equal => earlier(self.due, other.due),
            Ordering::Greater => false,
        }
    }
}
