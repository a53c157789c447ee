//! When the requests are meant to start: a Poisson process, whose rate may change in steps. It knows nothing of
//! answers, which is what makes the loop open.

use std::time::Duration;

use super::random::Exponential;

/// A stretch of time at one rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Leg {
    /// When it ends, from the start of the run.
    pub(crate) until: Duration,
    /// Requests a second.
    pub(crate) rate: f64,
}

/// Gives one intended start after the other, from the start of the run.
#[derive(Debug)]
pub(crate) struct Arrivals {
    gaps: Exponential,
    legs: Vec<Leg>,
    leg: usize,
    last: Duration,
}

impl Arrivals {
    /// The legs follow one another. The same seed and legs give the same arrivals.
    pub(crate) fn new(seed: u64, legs: &[Leg]) -> Self {
        Self { gaps: Exponential::new(seed), legs: legs.to_vec(), leg: 0, last: Duration::ZERO }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    /// A gap that would reach beyond its leg is drawn anew from the leg's end at the new rate: the process has no
    /// memory, so that is the same as if the rate had changed within the gap.
    fn next(&mut self) -> Option<Duration> {
        loop {
            let leg = self.legs.get(self.leg)?;
            let next = self.last + self.gaps.time(Duration::from_secs(1)).div_f64(leg.rate);
            if next < leg.until {
                self.last = next;
                return Some(next);
            }
            self.last = leg.until;
            self.leg += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGS: [Leg; 2] =
        [Leg { until: Duration::from_secs(40), rate: 2500.0 }, Leg { until: Duration::from_secs(50), rate: 10_000.0 }];

    #[test]
    fn each_leg_has_its_rate_and_the_last_one_ends_it() {
        let all: Vec<Duration> = Arrivals::new(7, &LEGS).collect();
        assert!(all.is_sorted());
        let (first, second): (Vec<_>, Vec<_>) = all.into_iter().partition(|at| *at < LEGS[0].until);
        // 100,000 each, with a standard deviation of 316.
        for count in [first.len(), second.len()] {
            assert!(count.abs_diff(100_000) < 1600, "{count}");
        }
        assert!(second.last().is_some_and(|at| *at < LEGS[1].until));
    }

    /// Even arrivals would have a variance of counts near 0, bursts one above the mean; Poisson's is the mean.
    #[test]
    fn counts_in_equal_intervals_vary_as_much_as_their_mean() {
        let mut counts = vec![0_u32; 4000];
        for at in Arrivals::new(8, &LEGS[..1]) {
            counts[(at.as_millis() / 10) as usize] += 1;
        }
        let mean = 25.0;
        let deviations = counts.iter().map(|count| (f64::from(*count) - mean).powi(2));
        let dispersion = deviations.sum::<f64>() / counts.len() as f64 / mean;
        // Its standard error is sqrt(2 / 4000) = 0.022.
        assert!((0.9..1.1).contains(&dispersion), "{dispersion}");
    }

    #[test]
    fn a_seed_repeats_its_arrivals() {
        let first = |seed| Arrivals::new(seed, &LEGS).take(100).collect::<Vec<_>>();
        assert_eq!(first(3), first(3));
        assert_ne!(first(3), first(4));
    }
}
