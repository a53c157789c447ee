//! How many connections have to move for servers to be level, and whether one that is closed would go elsewhere.
//!
//! A server is as full as picks see it: by all that it has in flight, for its weight. Requests, streams and connections that
//! were open before there was a rule are load that stays; only the others can be given away, and only what a server may
//! have beside what it has can be taken.
//!
//! A level is told in connections of a server of average weight: at level x a server of weight w holds `x * w / average`,
//! rounded down where it is the least that it should have and up where it is the most. Servers are within the bound when all
//! of them lie between some level and one that is `spread` higher, but for those above it that have nothing to give and those
//! below it that can take nothing. For each such pair of levels, what is above it and can be given has to go and what is below
//! it and can be taken has to be filled, and the larger of the two is the number of moves; the fewest over all pairs is
//! what is needed. Both sides are monotonic in the level, so it is found by halving.

/// What one server holds, and its share relative to the others, which is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// All that it carries but for what is about to leave.
    pub(crate) count: u32,
    /// With that, as picks see it.
    pub(crate) seen: u32,
    pub(crate) weight: u16,
    /// The connections among them that may be closed.
    pub(crate) gives: u32,
    /// How many more it may have.
    pub(crate) takes: u32,
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

    /// The fewest moves after which all servers are within `spread` of each other, as far as they can be.
    pub(crate) fn moves(&self, spread: u32) -> Moves {
        if self.held.len() < 2 {
            return Moves::default();
        }
        let spread = u64::from(spread);
        // Above the fullest there is no surplus.
        let (mut low, mut high) =
            (0, self.held.iter().map(|held| self.level(held)).max().unwrap_or(0).saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.lacking(middle) >= self.surplus(middle.saturating_add(spread)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        let at = |least: u64| {
            let lacking = self.lacking(least).min(self.above(least));
            Moves { needed: lacking.max(self.surplus(least.saturating_add(spread))), least }
        };
        let below = low.checked_sub(1).map(at);
        below.into_iter().chain([at(low)]).min_by_key(|moves| moves.needed).unwrap_or_default()
    }

    /// How far the most loaded and the least loaded lie apart.
    pub(crate) fn spread(&self) -> u64 {
        let level = |held: &Held| self.level(held);
        let (least, most) = (self.held.iter().map(level).min(), self.held.iter().map(level).max());
        most.unwrap_or(0) - least.unwrap_or(0)
    }

    /// The servers that may give one, so that they have no less than a level then and its client is sent elsewhere; the
    /// fullest first. With `ahead` 0 picks go by in flight / weight, with 1 by (in flight + 1) / weight.
    pub(crate) fn givers(&self, level: u64, ahead: u64) -> Vec<usize> {
        let may_give = |at: &usize| {
            let held = &self.held[*at];
            held.gives > 0 && u64::from(held.count) > self.floor(level, held.weight)
        };
        let mut givers: Vec<usize> = (0..self.held.len()).filter(may_give).collect();
        let left = |at: usize| left(&self.held[at], ahead) as f64 / f64::from(self.held[at].weight);
        givers.sort_by(|a, b| left(*b).total_cmp(&left(*a)));
        // The fuller one is, the more others there are to go to.
        givers.truncate(givers.partition_point(|at| self.sends_elsewhere(&self.held[*at], ahead)));
        givers
    }

    /// Whether the client of a connection that this server closes now is sent elsewhere when it connects again, though all
    /// who are on their way back come before it: as long as others are less loaded than the server is without it, those are
    /// picked.
    fn sends_elsewhere(&self, from: &Held, ahead: u64) -> bool {
        let left = left(from, ahead);
        let places = |held: &Held| {
            let upto = (left * u64::from(held.weight)).div_ceil(u64::from(from.weight).max(1));
            upto.saturating_sub(u64::from(held.seen) + ahead).min(held.takes.into())
        };
        self.held.iter().map(places).sum::<u64>() > self.owed
    }

    fn level(&self, held: &Held) -> u64 {
        let level = u128::from(held.count) * self.weights / (u128::from(held.weight) * self.held.len() as u128).max(1);
        u64::try_from(level).unwrap_or(u64::MAX)
    }

    /// What a server of this weight should have at least at a level.
    fn floor(&self, level: u64, weight: u16) -> u64 {
        let exact = u128::from(level) * u128::from(weight) * self.held.len() as u128 / self.weights.max(1);
        u64::try_from(exact).unwrap_or(u64::MAX)
    }

    fn ceiling(&self, level: u64, weight: u16) -> u64 {
        let exact = (u128::from(level) * u128::from(weight) * self.held.len() as u128).div_ceil(self.weights.max(1));
        u64::try_from(exact).unwrap_or(u64::MAX)
    }

    /// What is missing up to a level and can be taken, beyond what is on its way.
    fn lacking(&self, level: u64) -> u64 {
        let lacks = |held: &Held| {
            let below = self.floor(level, held.weight).saturating_sub(held.count.into());
            below.min(held.takes.into())
        };
        self.held.iter().map(lacks).sum::<u64>().saturating_sub(self.owed)
    }

    /// What can be given by servers that then still have a level.
    fn above(&self, level: u64) -> u64 {
        let above = |held: &Held| {
            let above = u64::from(held.count).saturating_sub(self.floor(level, held.weight));
            above.min(held.gives.into())
        };
        self.held.iter().map(above).sum()
    }

    /// What is there above a level and can be given.
    fn surplus(&self, level: u64) -> u64 {
        let above = |held: &Held| {
            let above = u64::from(held.count).saturating_sub(self.ceiling(level, held.weight));
            above.min(held.gives.into())
        };
        self.held.iter().map(above).sum()
    }
}

/// What picks compare of a server once one more has left it, but for its weight.
fn left(held: &Held, ahead: u64) -> u64 {
    u64::from(held.count).saturating_sub(1) + ahead
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers that may give all they have and take whatever comes.
    fn held(counts: &[(u32, u16)]) -> Vec<Held> {
        let free = |&(count, weight)| Held { count, seen: count, weight, gives: count, takes: u32::MAX };
        counts.iter().map(free).collect()
    }

    fn needed(counts: &[(u32, u16)], owed: u64, spread: u32) -> u64 {
        Levels::new(&held(counts), owed).moves(spread).needed
    }

    /// Of servers of equal weight, each with what it has, gives and takes.
    fn needed_of(all: &[[u32; 3]], spread: u32) -> u64 {
        let held = |&[count, gives, takes]: &[u32; 3]| Held { count, seen: count, weight: 1, gives, takes };
        let held: Vec<Held> = all.iter().map(held).collect();
        Levels::new(&held, 0).moves(spread).needed
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

    /// Moves one after the other from the most loaded that can give to the least loaded that can take, which nothing beats
    /// where weights are equal.
    fn one_by_one(all: &[[u32; 3]], spread: u32) -> u64 {
        let mut all = all.to_vec();
        for moved in 0.. {
            let from = (0..all.len()).filter(|at| all[*at][1] > 0).max_by_key(|at| all[*at][0]);
            let to = (0..all.len()).filter(|at| all[*at][2] > 0).min_by_key(|at| all[*at][0]);
            let (Some(from), Some(to)) = (from, to) else { return moved };
            if all[from][0].saturating_sub(all[to][0]) <= spread {
                return moved;
            }
            all[from] = [all[from][0] - 1, all[from][1] - 1, all[from][2]];
            all[to] = [all[to][0] + 1, all[to][1], all[to][2] - 1];
        }
        unreachable!("it becomes level")
    }

    #[test]
    fn nobody_does_it_with_fewer_moves() {
        for servers in 2..=4_u32 {
            let most: u32 = if servers == 4 { 7 } else { 14 };
            for all in 0..most.pow(servers) {
                let counts: Vec<u32> = (0..servers).map(|place| all / most.pow(place) % most).collect();
                let equal: Vec<[u32; 3]> = counts.iter().map(|count| [*count, *count, u32::MAX]).collect();
                for spread in 1..5 {
                    assert_eq!(needed_of(&equal, spread), one_by_one(&equal, spread), "{counts:?} within {spread}");
                }
            }
        }
    }

    #[test]
    fn what_stays_is_load_and_nothing_moves_that_cannot_or_need_not() {
        const FREE: u32 = u32::MAX;
        assert_eq!(needed_of(&[[10, 0, FREE], [10, 0, FREE], [10, 10, FREE]], 1), 0, "level, whatever it is");
        assert_eq!(needed_of(&[[10, 0, FREE], [10, 0, FREE], [0, 0, FREE]], 1), 0, "nobody can give");
        assert_eq!(needed_of(&[[10, 0, FREE], [10, 0, FREE], [10, 10, FREE], [0, 0, FREE]], 1), 5);
        assert_eq!(needed_of(&[[1000, 0, FREE], [10, 10, FREE], [0, 0, FREE]], 1), 5, "one far above moves nobody");
        assert_eq!(needed_of(&[[20, 20, FREE], [20, 20, FREE], [0, 0, 5]], 1), 5, "no more than its limit lets in");
        for all in 0..5_u32.pow(6) {
            let digit = |place: u32| all / 5_u32.pow(place) % 5;
            let three: Vec<[u32; 3]> = (0..3).map(|i| [2 * digit(i), digit(i + 3).min(2 * digit(i)), FREE]).collect();
            for spread in 1..4 {
                assert_eq!(needed_of(&three, spread), one_by_one(&three, spread), "{three:?} within {spread}");
            }
        }
    }

    #[test]
    fn who_is_closed_goes_elsewhere_only_if_somebody_is_less_loaded() {
        let elsewhere = |counts: &[(u32, u16)], owed, ahead| {
            let held = held(counts);
            Levels::new(&held, owed).sends_elsewhere(&held[0], ahead)
        };
        assert!(elsewhere(&[(3, 1), (1, 1)], 0, 0));
        assert!(!elsewhere(&[(2, 1), (1, 1)], 0, 0), "it might be either");
        assert!(!elsewhere(&[(3, 1), (1, 1)], 1, 0), "somebody else is sent there before");
        assert!(elsewhere(&[(13, 4), (2, 1)], 0, 0), "12 / 4 is more than 2 / 1");
        assert!(!elsewhere(&[(9, 4), (2, 1)], 0, 0));
        assert!(
            elsewhere(&[(10, 4), (2, 1)], 0, 0) && !elsewhere(&[(10, 4), (2, 1)], 0, 1),
            "10 / 4 is less than 3 / 1"
        );
        let [from, to] = [held(&[(9, 1)])[0], held(&[(1, 1)])[0]];
        for to in [Held { takes: 0, ..to }, Held { seen: 8, ..to }] {
            let held = [from, to];
            assert!(Levels::new(&held, 0).givers(0, 0).is_empty(), "{to:?}");
        }
        assert_eq!(Levels::new(&[to, from], 0).givers(1, 0), [1]);
    }
}
