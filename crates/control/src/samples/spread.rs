//! A distribution of durations as its filled buckets only: of most servers a few dozen of the 240 that core has, so that
//! ten samples of a thousand servers stay within some megabytes.

use std::time::Duration;

use plimsoll_core::Distribution;

/// Durations counted by bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spread {
    /// The longest duration of each filled bucket in nanoseconds, in order, and its count.
    filled: Vec<(u64, u64)>,
    sum: Duration,
}

impl Spread {
    /// What core has counted.
    pub(crate) fn of(distribution: &Distribution) -> Self {
        let filled = distribution.buckets().map(|(end, count)| (nanos(end), count));
        Self { filled: filled.collect(), sum: distribution.sum() }
    }

    /// What came since it was as `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut before = earlier.filled.iter().peekable();
        let newly = self.filled.iter().filter_map(|&(end, count)| {
            while before.next_if(|(other, _)| *other < end).is_some() {}
            let counted = before.next_if(|(other, _)| *other == end).map_or(0, |(_, counted)| *counted);
            (count > counted).then(|| (end, count - counted))
        });
        Self { filled: newly.collect(), sum: self.sum.saturating_sub(earlier.sum) }
    }

    /// Adds what is in another.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sum += other.sum;
        for &(end, count) in &other.filled {
            match self.filled.binary_search_by_key(&end, |&(end, _)| end) {
                Ok(at) => self.filled[at].1 += count,
                Err(at) => self.filled.insert(at, (end, count)),
            }
        }
    }

    /// How many.
    pub(crate) fn count(&self) -> u64 {
        self.filled.iter().map(|(_, count)| count).sum()
    }

    /// All of them added up.
    pub(crate) fn sum(&self) -> Duration {
        self.sum
    }

    /// The duration that a share `quantile` (0 to 1) did not exceed, as core rounds it; `None` of none.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<Duration> {
        let wanted = (quantile * self.count() as f64).max(1.0);
        let mut reached = 0;
        let found = self.filled.iter().find(|(_, count)| {
            reached += count;
            reached as f64 >= wanted
        });
        found.map(|(end, _)| Duration::from_nanos(*end))
    }

    /// How many lie between each bound, in order, and the one before it; those above the last come last.
    pub(crate) fn between(&self, bounds: &[Duration]) -> Vec<u64> {
        let mut counts = vec![0; bounds.len() + 1];
        for &(end, count) in &self.filled {
            counts[bounds.partition_point(|bound| nanos(*bound) < end)] += count;
        }
        counts
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use plimsoll_core::{Ask, Outcome, Pool, PoolSpec, ServerSpec, Time};

    use super::*;

    fn counted(pool: &Pool, millis: impl IntoIterator<Item = u64>) -> Distribution {
        for millis in millis {
            let total = Duration::from_millis(millis);
            pool.pick(&Ask::default()).unwrap().finish(Outcome::success(total, total));
        }
        pool.servers()[0].stats().total
    }

    fn pool() -> Pool {
        let servers = vec![ServerSpec::new("a", ([127, 0, 0, 1], 1).into())];
        Pool::new("app", PoolSpec { servers, ..PoolSpec::default() }, Time::ZERO)
    }

    #[test]
    fn differences_and_sums_are_those_of_what_was_counted() {
        let pool = pool();
        let before = Spread::of(&counted(&pool, [1, 5, 5, 900]));
        let after = Spread::of(&counted(&pool, [5, 7, 7, 2000]));
        let newly = after.since(&before);
        assert_eq!((newly.count(), newly.sum()), (4, Duration::from_millis(2019)));
        assert_eq!(newly, Spread::of(&counted(&self::pool(), [5, 7, 7, 2000])));
        let mut sum = before.clone();
        sum.add(&newly);
        assert_eq!(sum, after);
        assert_eq!(after.since(&after), Spread::default());
    }

    #[test]
    fn quantiles_are_those_of_core() {
        let counted = counted(&pool(), (1..=100).chain([3000, 3001]));
        let spread = Spread::of(&counted);
        for quantile in [0.0, 0.01, 0.5, 0.9, 0.99, 1.0] {
            assert_eq!(spread.quantile(quantile), counted.quantile(quantile));
        }
        assert_eq!(Spread::default().quantile(0.5), None);
    }

    #[test]
    fn bounds_at_the_ends_of_buckets_count_exactly() {
        let spread = Spread::of(&counted(&pool(), [1, 2, 2, 3, 5, 600]));
        let bounds = [1024, 2048, 4096].map(Duration::from_micros);
        assert_eq!(spread.between(&bounds), [1, 2, 1, 2]);
    }
}
