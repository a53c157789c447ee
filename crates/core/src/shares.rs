//! Drawing a member by weight without walking the pool.

use std::ops::Range;

/// For each member the weights up to and including its own, within its tier. Weight 0 is never drawn.
#[derive(Debug)]
pub(crate) struct Shares {
    upto: Box<[u64]>,
    primaries: usize,
}

impl Shares {
    /// Shares by these weights, of which the first `primaries` are one tier and the rest the other.
    pub(crate) fn new(weights: impl Iterator<Item = u16>, primaries: usize) -> Self {
        let mut sum = 0;
        let upto = weights.enumerate().map(|(i, weight)| {
            if i == primaries {
                sum = 0;
            }
            sum += u64::from(weight);
            sum
        });
        Self { upto: upto.collect(), primaries }
    }

    /// The members of a tier: 0 primaries, 1 backups.
    pub(crate) fn tier(&self, backup: bool) -> Range<usize> {
        if backup { self.primaries..self.upto.len() } else { 0..self.primaries }
    }

    /// The weights of a tier together.
    pub(crate) fn total(&self, tier: &Range<usize>) -> u64 {
        self.upto[tier.clone()].last().copied().unwrap_or(0)
    }

    /// A member of the tier drawn by weight, leaving out `besides`; `None` when no weight is left.
    pub(crate) fn draw(&self, tier: &Range<usize>, besides: Option<usize>, draws: &mut Draws) -> Option<usize> {
        let sums = &self.upto[tier.clone()];
        let total = *sums.last()?;
        let (gap_start, gap) = besides.map_or((total, 0), |i| {
            let start = if i == tier.start { 0 } else { self.upto[i - 1] };
            (start, self.upto[i] - start)
        });
        let left = total - gap;
        if left == 0 {
            return None;
        }
        let mut point = draws.below(left);
        if point >= gap_start {
            point += gap;
        }
        Some(tier.start + sums.partition_point(|&upto| upto <= point))
    }
}

/// A stream of random numbers from one: `SplitMix64` (Steele, Lea, Flood, 2014), so that one pick with a
/// given random number always goes the same way.
#[derive(Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`. The bias of taking the high half of a product is at most bound / 2^64.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// The next number of the stream.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
