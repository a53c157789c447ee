//! Points in time as the caller tells them: core has no clock of its own.

use std::ops::Add;
use std::time::Duration;

/// Nanoseconds since an origin the caller chose, which must be the same for everything given to one
/// [`Pools`](crate::Pools). A monotonic clock suits; it lasts 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// The last one that can be told.
    pub const LAST: Self = Self(u64::MAX);

    /// The point `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it. Callers on different threads read
    /// their clocks in no fixed order, so a small step back is normal and not worth an error.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// The point `span` later, at most the last one that can be told.
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(whole_nanos(span)))
    }
}

/// A span as nanoseconds; the 584 years that fit are enough for any request.
pub(crate) fn whole_nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_never_run_backwards_or_over() {
        let early = Time::from_nanos(5);
        let late = early + Duration::from_nanos(7);
        assert_eq!(late.saturating_since(early), Duration::from_nanos(7));
        assert_eq!(early.saturating_since(late), Duration::ZERO);
        assert_eq!((late + Duration::MAX).as_nanos(), u64::MAX);
    }
}
