//! Exponential times, drawn from seeds so that a run can be repeated.

use std::time::Duration;

/// A source of exponentially distributed times.
#[derive(Debug)]
pub(crate) struct Exponential {
    uniform: fastrand::Rng,
}

impl Exponential {
    /// The same seed gives the same times, and any other seed, be it the next number, times that have nothing to do
    /// with them.
    pub(crate) fn new(seed: u64) -> Self {
        Self { uniform: fastrand::Rng::with_seed(scattered(seed)) }
    }

    /// One time out of the distribution with that mean, by inversion: -mean x ln(1 - u) with u uniform in 0..1, so that
    /// the logarithm is never taken of zero.
    pub(crate) fn time(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.uniform.f64()).ln())
    }
}

/// Neighbouring seeds far apart: the generator itself (wyrand) gives them streams that resemble each other, enough to
/// disturb a queue whose arrivals and service times come from two of them. This is the output function of
/// `SplitMix64` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
fn scattered(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_seeds_are_strangers() {
        let mean = Duration::from_millis(20);
        let (mut one, mut other) = (Exponential::new(5), Exponential::new(6));
        let deviation = |times: &mut Exponential| times.time(mean).as_secs_f64() / mean.as_secs_f64() - 1.0;
        let count = 100_000;
        let covariance: f64 =
            (0..count).map(|_| deviation(&mut one) * deviation(&mut other)).sum::<f64>() / f64::from(count);
        // With a variance of 1 its standard error is 0.003.
        assert!(covariance.abs() < 0.015, "{covariance}");
    }

    #[test]
    fn mean_and_tail_are_those_of_an_exponential() {
        let mean = Duration::from_millis(20);
        let mut times = Exponential::new(1);
        let drawn: Vec<f64> = (0..200_000).map(|_| times.time(mean).as_secs_f64() * 1e3).collect();
        let average = drawn.iter().sum::<f64>() / drawn.len() as f64;
        // Its standard error is 20 ms / sqrt(200,000) = 0.045 ms.
        assert!((average - 20.0).abs() < 0.2, "{average}");
        let above = drawn.iter().filter(|&&ms| ms > 92.1).count();
        // exp(-92.1 / 20) = 1%, so 2000 with a standard deviation of 45.
        assert!((1800..2200).contains(&above), "{above}");
    }
}
