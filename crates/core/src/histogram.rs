//! Two distributions of durations side by side, as they are written: one relaxed addition for each number.
//!
//! Buckets are log-linear: each power of two is cut into eight equal parts, so a bucket is at most an eighth
//! wide relative to where it starts. Below sixteen each value has a bucket of its own. This is the layout of `HdrHistogram`
//! (Tene), at 1,920 bytes a distribution, which matters with ten thousand servers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::time::whole_nanos;

/// Eight parts to a power of two: enough to tell 100 ms from 113.
const PART_BITS: u32 = 3;

/// Up to 2^32 microseconds, which is 71 minutes; longer ones go to the last bucket.
const MAX_BITS: u32 = 32;

pub(crate) const BUCKETS: usize = ((MAX_BITS - PART_BITS + 1) << PART_BITS) as usize;

/// The time to first byte and the total time of the requests of one server.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Times {
    first_byte_nanos: AtomicU64,
    total_nanos: AtomicU64,
    /// Buckets of equal times are neighbours, since most answers are short: both are then counted in one
    /// line of the cache.
    buckets: [Pair; BUCKETS],
}

#[derive(Debug, Default)]
struct Pair {
    first_byte: AtomicU64,
    total: AtomicU64,
}

impl Times {
    pub(crate) fn new() -> Self {
        Self {
            first_byte_nanos: AtomicU64::new(0),
            total_nanos: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| Pair::default()),
        }
    }

    /// Adds one request.
    #[inline]
    pub(crate) fn record(&self, first_byte: Option<Duration>, total: Duration) {
        if let Some(first_byte) = first_byte.map(whole_nanos) {
            self.first_byte_nanos.fetch_add(first_byte, Ordering::Relaxed);
            self.buckets[bucket(first_byte / 1000)].first_byte.fetch_add(1, Ordering::Relaxed);
        }
        let total = whole_nanos(total);
        self.total_nanos.fetch_add(total, Ordering::Relaxed);
        self.buckets[bucket(total / 1000)].total.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn first_byte(&self) -> Distribution {
        self.read(&self.first_byte_nanos, |pair| &pair.first_byte)
    }

    pub(crate) fn total(&self) -> Distribution {
        self.read(&self.total_nanos, |pair| &pair.total)
    }

    /// Adds the counts of total times, by bucket.
    pub(crate) fn add_totals(&self, counts: &mut [u64; BUCKETS]) {
        for (count, pair) in counts.iter_mut().zip(&self.buckets) {
            *count += pair.total.load(Ordering::Relaxed);
        }
    }

    fn read(&self, sum: &AtomicU64, count: impl Fn(&Pair) -> &AtomicU64) -> Distribution {
        let counts = self.buckets.iter().map(|pair| count(pair).load(Ordering::Relaxed));
        Distribution { counts: counts.collect(), sum_nanos: sum.load(Ordering::Relaxed) }
    }
}

/// The bucket of a number of microseconds.
#[inline]
fn bucket(micros: u64) -> usize {
    let micros = micros.min((1 << MAX_BITS) - 1);
    let octave = (micros | 1 << PART_BITS).ilog2() - PART_BITS;
    // The leading bit of what is left of `micros` counts as one more octave.
    ((u64::from(octave) << PART_BITS) + (micros >> octave)) as usize
}

/// The longest duration that falls into a bucket, but for the last, which takes all that are longer.
fn bucket_end(bucket: usize) -> Duration {
    let octave = (bucket >> PART_BITS).saturating_sub(1);
    let part = (bucket - (octave << PART_BITS)) as u64;
    Duration::from_nanos(((part + 1) << octave) * 1000 - 1)
}

/// The duration that half of those counted did not exceed, `None` of none.
pub(crate) fn median(counts: &[u64]) -> Option<Duration> {
    quantile_of(counts, 0.5)
}

fn quantile_of(counts: &[u64], quantile: f64) -> Option<Duration> {
    let wanted = (quantile * counts.iter().sum::<u64>() as f64).max(1.0);
    let mut reached = 0;
    let bucket = counts.iter().position(|&count| {
        reached += count;
        reached as f64 >= wanted
    });
    bucket.map(bucket_end)
}

/// Durations as counts over buckets, with their exact sum.
///
/// Buckets are of microseconds and an eighth wide relative to where they start; from 71 minutes on
/// everything falls into the last.
#[derive(Clone, Debug)]
pub struct Distribution {
    pub(crate) counts: Box<[u64]>,
    pub(crate) sum_nanos: u64,
}

impl Distribution {
    /// How many durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All durations added up, exact to the nanosecond.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos)
    }

    /// The mean, or `None` of none.
    pub fn mean(&self) -> Option<Duration> {
        self.sum_nanos.checked_div(self.count()).map(Duration::from_nanos)
    }

    /// The duration that a share `quantile` (0 to 1) of all did not exceed, rounded up to the end of its
    /// bucket. `None` of none, or when `quantile` is out of range.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        if !(0.0..=1.0).contains(&quantile) {
            return None;
        }
        quantile_of(&self.counts, quantile)
    }

    /// The buckets that hold anything, in order: the longest duration each takes, and its count.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let all = self.counts.iter().enumerate();
        all.filter(|&(_, &count)| count > 0).map(|(bucket, &count)| (bucket_end(bucket), count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gap() {
        for (i, end) in (0..BUCKETS).map(|i| (i, bucket_end(i))) {
            let last = u64::try_from(end.as_nanos()).unwrap();
            assert_eq!(bucket(last / 1000), i);
            assert_eq!(bucket((last + 1) / 1000), (i + 1).min(BUCKETS - 1));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_and_mean() {
        let times = Times::new();
        for millis in 1..=100 {
            times.record(None, Duration::from_millis(millis));
        }
        let total = times.total();
        assert_eq!(times.first_byte().quantile(0.5), None);
        assert_eq!((total.count(), total.mean()), (100, Some(Duration::from_micros(50_500))));
        for (quantile, millis) in [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)] {
            let found = total.quantile(quantile).unwrap();
            let exact = Duration::from_millis(millis);
            assert!(found >= exact && found <= exact + exact / 8, "{quantile}: {found:?}");
        }
        assert_eq!(total.quantile(1.1), None);
    }
}
