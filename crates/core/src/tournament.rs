//! The index of a large pool: a tree of tournaments that names the best member at its root.
//!
//! A leaf node names the best of `BLOCK` neighbouring members, a node above it the best of what `FAN` nodes below
//! name. Ranks are not kept: they are read from the members each time, so that there is no second copy of
//! a count to go wrong. After a member's rank changed, the nodes above it are played anew, from its leaf up.
//!
//! No thread waits for another. A node is a winner and a version in one word; to play it is to read the
//! word, compare the candidates, and swap in the winner with the next version if the word is still the
//! same, else to start over. The version goes up even when the winner stays. Why that is enough: take the
//! last two players of a node. The later one's swap succeeded, so it read the word after the earlier one's
//! swap, and with it everything the earlier one saw: the last word on a node is given by someone who saw
//! the last change below it. Hence once all callers are done, the root names the best.
//!
//! Meanwhile, a caller between its change and its repair hides at most the members that its own should have made way for
//! in one block: with k callers at once the root is the best of all but k - 1 at most.

use super::sync::{AtomicU64, Ordering};

/// The members as the tree sees them.
pub(crate) trait Contest {
    /// How good a member is at this moment.
    type Rank;

    /// Reads the rank of a member.
    fn rank(&self, member: usize) -> Self::Rank;

    /// Whether `a` is better than `b`; of equals neither is.
    fn before(a: &Self::Rank, b: &Self::Rank) -> bool;
}

/// How a repair may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Every node up to the root is played: after a claim, since the root may still name the claimed
    /// member on account of another caller who was stopped half way up.
    Root,
    /// Stops below the first node that neither changed nor names the member: after a release, since
    /// nothing above depends on it.
    Needed,
}

/// A tree over a fixed number of members, at least one.
#[derive(Debug)]
pub(crate) struct Tournament<const BLOCK: usize, const FAN: usize> {
    members: usize,
    /// All nodes, level by level from the leaves up.
    nodes: Box<[AtomicU64]>,
    /// Where each level starts in `nodes`; the root is alone on the last.
    starts: Box<[usize]>,
}

/// The low bits of a node name its winner, the 40 above are its version: to wrap round unnoticed, a caller
/// would have to sleep through 10^12 changes between two of its instructions.
const WINNER_BITS: u32 = 24;

/// The most members a tree can name.
pub(crate) const MAX_MEMBERS: usize = 1 << WINNER_BITS;

impl<const BLOCK: usize, const FAN: usize> Tournament<BLOCK, FAN> {
    /// A tree over `members`, of which nothing is known until [`replay`](Self::replay).
    pub(crate) fn new(members: usize) -> Self {
        assert!((1..=MAX_MEMBERS).contains(&members), "a tree names one to {MAX_MEMBERS} members");
        let mut starts = vec![0];
        let mut width = members.div_ceil(BLOCK);
        let mut count = width;
        while width > 1 {
            starts.push(count);
            width = width.div_ceil(FAN);
            count += width;
        }
        // Until they are played, leaves name their first member and so do the nodes above them.
        let mut nodes: Vec<AtomicU64> = Vec::with_capacity(count);
        let mut span = BLOCK;
        for (level, &start) in starts.iter().enumerate() {
            let end = starts.get(level + 1).copied().unwrap_or(count);
            nodes.extend((0..end - start).map(|node| AtomicU64::new((node * span) as u64)));
            span *= FAN;
        }
        Self { members, nodes: nodes.into(), starts: starts.into() }
    }

    /// The best member, as far as repairs have come.
    #[inline]
    pub(crate) fn best(&self) -> usize {
        winner_of(self.nodes[self.nodes.len() - 1].load(Ordering::Acquire))
    }

    /// Brings the tree up to date after the rank of `member` changed.
    #[inline]
    pub(crate) fn repair(&self, member: usize, reach: Reach, contest: &impl Contest) {
        let mut node = member / BLOCK;
        for level in 0..self.starts.len() {
            let (was, is) = self.play(level, node, contest);
            if reach == Reach::Needed && was == is && is != member {
                return;
            }
            node /= FAN;
        }
    }

    /// Brings the whole tree up to date.
    pub(crate) fn replay(&self, contest: &impl Contest) {
        for level in 0..self.starts.len() {
            for node in 0..self.end(level) - self.starts[level] {
                self.play(level, node, contest);
            }
        }
    }

    /// Plays one node; gives its winner before and after.
    #[inline]
    fn play(&self, level: usize, node: usize, contest: &impl Contest) -> (usize, usize) {
        let word = &self.nodes[self.starts[level] + node];
        let mut seen = word.load(Ordering::Acquire);
        loop {
            let winner = if level == 0 {
                let members = node * BLOCK..((node + 1) * BLOCK).min(self.members);
                best_of(members, contest)
            } else {
                let below = self.starts[level - 1];
                let first = below + node * FAN;
                let last = (first + FAN).min(self.starts[level]);
                let named = self.nodes[first..last].iter();
                best_of(named.map(|node| winner_of(node.load(Ordering::Acquire))), contest)
            };
            let next = ((seen >> WINNER_BITS).wrapping_add(1) << WINNER_BITS) | winner as u64;
            match word.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return (winner_of(seen), winner),
                Err(now) => seen = now,
            }
        }
    }

    fn end(&self, level: usize) -> usize {
        self.starts.get(level + 1).copied().unwrap_or(self.nodes.len())
    }
}

#[inline]
fn winner_of(word: u64) -> usize {
    (word & (MAX_MEMBERS as u64 - 1)) as usize
}

/// The best of some members, the first of equals. There is always one.
#[inline]
fn best_of<C: Contest>(members: impl IntoIterator<Item = usize>, contest: &C) -> usize {
    let mut members = members.into_iter();
    let mut best = members.next().unwrap_or(0);
    let mut best_rank = contest.rank(best);
    for member in members {
        let rank = contest.rank(member);
        if C::before(&rank, &best_rank) {
            (best, best_rank) = (member, rank);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(Vec<u64>);

    impl Contest for Numbers {
        type Rank = u64;

        fn rank(&self, member: usize) -> u64 {
            self.0[member]
        }

        fn before(a: &u64, b: &u64) -> bool {
            a < b
        }
    }

    #[test]
    fn the_root_names_the_least_after_every_change() {
        for size in [1, 2, 7, 8, 9, 64, 65, 300] {
            let tree = Tournament::<4, 3>::new(size);
            let mut numbers = Numbers((0..size as u64).rev().collect());
            tree.replay(&numbers);
            assert_eq!(tree.best(), size - 1);
            for step in 0..2000 {
                let member = step * 7 % size;
                numbers.0[member] = (step as u64 * 2_654_435_761) % 1009;
                tree.repair(member, [Reach::Root, Reach::Needed][step % 2], &numbers);
                let least = numbers.0.iter().min();
                assert_eq!(Some(&numbers.0[tree.best()]), least, "size {size}, step {step}");
            }
        }
    }
}
