//! Two distributions of durations side by side, as they are written: one relaxed addition for each number.
//!
//! Buckets are log-linear: each power of two is cut into eight equal parts, so a bucket is at most an eighth
//! wide relative to where it starts. Below sixteen each value has a bucket of its own. This is the layout of `HdrHistogram`
//! (Tene), at 1,920 bytes a distribution, which matters with ten thousand servers.

use std::iter::Sum;
use std::ops::AddAssign;
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
        // Read at one go, since most of them are empty at the end and those are not kept.
        let counts: [u64; BUCKETS] = std::array::from_fn(|i| count(&self.buckets[i]).load(Ordering::Relaxed));
        let used = counts.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
        Distribution { counts: counts[..used].into(), sum_nanos: sum.load(Ordering::Relaxed) }
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

/// Durations as counts over buckets, with their exact sum. The default is of none.
///
/// Buckets are of microseconds and an eighth wide relative to where they start; from 71 minutes on
/// everything falls into the last.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    /// Up to the last that is not 0, or further.
    counts: Box<[u64]>,
    sum_nanos: u64,
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

    /// What came after `earlier`, which was read of the same source.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.counts.iter().copied().chain(std::iter::repeat(0));
        let counts = self.counts.iter().zip(before).map(|(now, before)| now.saturating_sub(before)).collect();
        Self { counts, sum_nanos: self.sum_nanos.saturating_sub(earlier.sum_nanos) }
    }

    /// How many durations are below each of `bounds`, which ascend. One that shares its bucket with a bound counts as above
    /// it, so a count may lack durations of up to an eighth below its bound; it lacks none where buckets end, which is
    /// at 8 to 16 times any power of two microseconds.
    pub fn below(&self, bounds: &[Duration]) -> Vec<u64> {
        let mut buckets = self.buckets().peekable();
        let mut reached = 0;
        let count = |bound: &Duration| {
            while let Some((_, count)) = buckets.next_if(|(end, _)| end <= bound) {
                reached += count;
            }
            reached
        };
        bounds.iter().map(count).collect()
    }

    /// The buckets that hold anything, in order: the longest duration each takes, and its count.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let all = self.counts.iter().enumerate();
        all.filter(|&(_, &count)| count > 0).map(|(bucket, &count)| (bucket_end(bucket), count))
    }
}

impl AddAssign<&Distribution> for Distribution {
    /// Both together.
    fn add_assign(&mut self, other: &Distribution) {
        if self.counts.len() < other.counts.len() {
            let more = std::iter::repeat_n(0, other.counts.len() - self.counts.len());
            self.counts = self.counts.iter().copied().chain(more).collect();
        }
        for (count, other) in self.counts.iter_mut().zip(&other.counts) {
            *count += other;
        }
        self.sum_nanos = self.sum_nanos.saturating_add(other.sum_nanos);
    }
}

impl<'a> Sum<&'a Distribution> for Distribution {
    /// All together.
    fn sum<I: Iterator<Item = &'a Distribution>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
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

    #[test]
    fn distributions_add_up_and_come_apart() {
        let millis = |from: u64, to: u64| {
            let times = Times::new();
            (from..=to).for_each(|millis| times.record(None, Duration::from_millis(millis)));
            times.total()
        };
        let all: Distribution = [millis(1, 10), millis(11, 500), Distribution::default()].iter().sum();
        assert_eq!((all.count(), all.sum()), (500, Duration::from_millis(125_250)));
        let buckets = |of: &Distribution| of.buckets().collect::<Vec<_>>();
        assert_eq!(buckets(&all), buckets(&millis(1, 500)));
        let later = all.since(&millis(11, 500));
        assert_eq!((buckets(&later), later.sum()), (buckets(&millis(1, 10)), Duration::from_millis(55)));
        assert_eq!((later.since(&all).count(), later.since(&later).mean()), (0, None));
    }

    #[test]
    fn counts_below_bounds_are_never_too_high() {
        let times = Times::new();
        (1..=4000).for_each(|micros| times.record(None, Duration::from_micros(micros)));
        let at = |micros| times.total().below(&[Duration::from_micros(micros)])[0];
        for end in [1, 2, 8, 15, 64, 128, 2048, 3072] {
            assert_eq!(at(end), end - 1, "all that are shorter");
        }
        for bound in 1..4000 {
            assert!((bound - bound / 8 - 1..=bound).contains(&at(bound)), "{bound}: {}", at(bound));
        }
        assert_eq!(times.total().below(&[10, 20, 1 << 20].map(Duration::from_micros)), [9, 19, 4000]);
    }
}
