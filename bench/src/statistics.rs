//! Medians, and ratios that survive a machine whose speed drifts.

use serde::Serialize;

/// The middle of a set of measurements and how far they reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// `None` for an empty set, and for one that holds something which is not a number.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Some(Self { median, low: sorted[0], high: sorted[sorted.len() - 1] })
    }

    /// The spread of `ours / theirs`, taken round by round: the two windows of a round are neighbours in time, so
    /// a machine that slows down slows both, where the ratio of two medians would mix fast and slow minutes.
    /// `None` when the two have no round in common.
    pub(crate) fn of_ratios(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(o, t)| o / t).collect();
        Self::of(&ratios)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        let odd = Spread::of(&[9.0, 1.0, 2.0]).expect("three values");
        assert_eq!((odd.low, odd.median, odd.high), (1.0, 2.0, 9.0));
        let even = Spread::of(&[4.0, 1.0, 2.0, 100.0]).expect("four values");
        assert_eq!((even.low, even.median, even.high), (1.0, 3.0, 100.0));
    }

    #[test]
    fn nothing_and_what_is_not_a_number_have_no_median() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[1.0, f64::NAN]), None);
        assert_eq!(Spread::of_ratios(&[1.0], &[0.0]), None);
        assert_eq!(Spread::of_ratios(&[1.0], &[]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine is twice as slow in the second round and three times in the third.
        let spread = Spread::of_ratios(&[7.0, 14.0, 21.0], &[10.0, 20.0, 30.0]).expect("rounds");
        assert!((spread.low - 0.7).abs() < 1e-12 && (spread.high - 0.7).abs() < 1e-12);
    }
}
