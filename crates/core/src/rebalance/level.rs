//! How many connections have to move for servers to be level, and down to which count one may be asked to give.
//!
//! A level is told in connections of a server of average weight: at level x a server of weight w holds `x * w / average`,
//! rounded down where it is the least that it should have and up where it is the most. Servers are within the bound when all
//! of them lie between some level and one that is `spread` higher. For each such pair of levels, what is above it has to go
//! and what is below it has to be filled, and the larger of the two is the number of moves; the fewest over all pairs is
//! what is needed. Both sides are monotonic in the level, so it is found by halving.

/// What one server holds, and its share relative to the others, which is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) count: u32,
    pub(crate) weight: u16,
}

/// The servers of a pool by what they hold.
#[derive(Debug)]
pub(crate) struct Levels<'a> {
    held: &'a [Held],
    weights: u128,
    /// Connections that are on their way back, to wherever the least is.
    owed: u64,
}

/// What is to be moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    /// How many connections have to be closed.
    pub(crate) needed: u64,
    /// No server is to have less than this level by it.
    pub(crate) least: u64,
}

impl<'a> Levels<'a> {
    pub(crate) fn new(held: &'a [Held], owed: u64) -> Self {
        let weights = held.iter().map(|held| u128::from(held.weight)).sum();
        Self { held, weights, owed }
    }

    /// The fewest moves after which all servers are within `spread` of each other.
    pub(crate) fn moves(&self, spread: u32) -> Moves {
        if self.held.len() < 2 {
            return Moves::default();
        }
        let servers = self.held.len() as u64;
        let all = self.held.iter().map(|held| u64::from(held.count)).sum::<u64>() + self.owed;
        let spread = u64::from(spread);
        let first = all.saturating_sub(servers.saturating_mul(spread)).div_ceil(servers);
        let (mut low, mut high) = (first, all / servers);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.lacking(middle) >= self.surplus(middle + spread) { high = middle } else { low = middle + 1 }
        }
        let at = |least: u64| Moves { needed: self.lacking(least).max(self.surplus(least + spread)), least };
        let below = low.checked_sub(1).filter(|below| *below >= first).map(at);
        below.into_iter().chain([at(low)]).min_by_key(|moves| moves.needed).unwrap_or_default()
    }

    /// How far the most loaded and the least loaded lie apart.
    pub(crate) fn spread(&self) -> u64 {
        let level = |held: &Held| {
            u128::from(held.count) * self.weights / (u128::from(held.weight) * self.held.len() as u128).max(1)
        };
        let (least, most) = (self.held.iter().map(level).min(), self.held.iter().map(level).max());
        let apart = most.unwrap_or(0) - least.unwrap_or(0);
        u64::try_from(apart).unwrap_or(u64::MAX)
    }

    /// What a server of this weight should have at least at a level.
    pub(crate) fn floor(&self, level: u64, weight: u16) -> u64 {
        let exact = u128::from(level) * u128::from(weight) * self.held.len() as u128 / self.weights.max(1);
        u64::try_from(exact).unwrap_or(u64::MAX)
    }

    fn ceiling(&self, level: u64, weight: u16) -> u64 {
        let exact = (u128::from(level) * u128::from(weight) * self.held.len() as u128).div_ceil(self.weights.max(1));
        u64::try_from(exact).unwrap_or(u64::MAX)
    }

    /// What is missing up to a level, beyond what is on its way.
    fn lacking(&self, level: u64) -> u64 {
        let lacks = |held: &Held| self.floor(level, held.weight).saturating_sub(held.count.into());
        self.held.iter().map(lacks).sum::<u64>().saturating_sub(self.owed)
    }

    /// What is there above a level.
    fn surplus(&self, level: u64) -> u64 {
        let above = |held: &Held| u64::from(held.count).saturating_sub(self.ceiling(level, held.weight));
        self.held.iter().map(above).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(counts: &[(u32, u16)]) -> Vec<Held> {
        counts.iter().map(|&(count, weight)| Held { count, weight }).collect()
    }

    fn needed(counts: &[(u32, u16)], owed: u64, spread: u32) -> u64 {
        Levels::new(&held(counts), owed).moves(spread).needed
    }

    #[test]
    fn as_many_move_as_a_fourth_server_lacks_and_no_more() {
        let full = [(100, 1), (100, 1), (100, 1), (0, 1)];
        assert_eq!(needed(&full, 0, 1), 75);
        assert_eq!(needed(&full, 0, 10), 68, "at 78, 77, 77, 68");
        assert_eq!(needed(&[(75, 1), (75, 1), (75, 1), (0, 1)], 75, 1), 0, "who is on the way back counts");
        assert_eq!(needed(&[(76, 1), (76, 1), (76, 1), (73, 1)], 0, 1), 2);
        assert_eq!(needed(&[(76, 1), (75, 1), (75, 1), (75, 1)], 0, 1), 0);
        assert_eq!(needed(&[(100, 1)], 0, 1), 0);
        assert_eq!(needed(&[], 5, 1), 0);
    }

    #[test]
    fn weights_are_shares_and_equal_ones_change_nothing() {
        assert_eq!(needed(&[(100, 7), (100, 7), (100, 7), (0, 7)], 0, 1), 75);
        assert_eq!(needed(&[(60, 3), (20, 1)], 0, 1), 0);
        assert_eq!(needed(&[(80, 1), (0, 3)], 0, 1), 60);
        assert_eq!(Levels::new(&held(&[(100, 7), (0, 7)]), 0).spread(), 100);
        assert_eq!(Levels::new(&held(&[(60, 3), (20, 1)]), 0).spread(), 0);
    }

    /// Moves one after the other from the most to the least loaded, which nothing beats where weights are equal.
    fn one_by_one(counts: &[u32], spread: u32) -> u64 {
        let mut counts = counts.to_vec();
        for moved in 0.. {
            counts.sort_unstable();
            let last = counts.len() - 1;
            if counts[last] - counts[0] <= spread {
                return moved;
            }
            counts[last] -= 1;
            counts[0] += 1;
        }
        unreachable!("it becomes level")
    }

    #[test]
    fn nobody_does_it_with_fewer_moves() {
        for servers in 2..=4_u32 {
            let most: u32 = if servers == 4 { 7 } else { 14 };
            for all in 0..most.pow(servers) {
                let counts: Vec<u32> = (0..servers).map(|place| all / most.pow(place) % most).collect();
                let equal: Vec<(u32, u16)> = counts.iter().map(|count| (*count, 1)).collect();
                for spread in 1..5 {
                    assert_eq!(needed(&equal, 0, spread), one_by_one(&counts, spread), "{counts:?} within {spread}");
                }
            }
        }
    }
}
