//! Whose turn it is among servers of equal load: virtual time, as in weighted fair queueing.
//!
//! Each server has a time at which its next turn is *due*, and each pick moves that on by a stride of
//! `1 / weight`. Among equals the one due first wins, so equal servers are picked in proportion to their
//! weights, and the one that waited longest comes next. The pool's clock follows the turns taken. A server
//! that was passed over for long, because it was busy, is long overdue: it wins the next tie and is then set
//! to the clock, so that it wins once and not hundreds of times.
//!
//! Within one unit of virtual time a server of weight w comes due w times, so an idle pool goes round in
//! exact proportion. Servers start at different phases, spread evenly over one stride in the order they are
//! listed; that interleaves a heavy one with the light ones (weights 5/1/1 give a a a b a a c) and keeps equals
//! in their listed order.
//!
//! Source: start-time fair queueing (Goyal, Vin, Cheng, 1996), with phases added.
//!
//! Times wrap round; two are compared by the sign of their difference, which is right while they are less
//! than 2^63 apart: some 8 * 10^12 picks of a server of weight 1. Loads and stores are relaxed and a racing update can
//! be lost. That costs somebody a fair tie, and never a count.

use std::sync::atomic::{AtomicU64, Ordering};

/// One pick at weight 1. A stride is at least 16 even at the largest weight, and a weight's rounding error
/// stays below a pick in ten thousand there.
const SCALE: u64 = 1 << 20;

/// When a server's next turn is due.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    due: AtomicU64,
}

/// The virtual time of a pool: the latest turn that was taken when due.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    now: AtomicU64,
}

impl Clock {
    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }
}

impl Turn {
    /// When the turn is due, to be compared by [`earlier`].
    #[inline]
    pub(crate) fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }

    /// Takes the turn of a server with this stride.
    #[inline]
    pub(crate) fn take(&self, clock: &Clock, stride: u64) {
        let (due, now) = (self.due(), clock.now());
        let start = if earlier(due, now) { now } else { due };
        self.due.store(start.wrapping_add(stride), Ordering::Relaxed);
        if start != now {
            clock.now.store(start, Ordering::Relaxed);
        }
    }

    /// Sets a server that joins as the `index`th of `count` to the clock, at its phase of the stride.
    pub(crate) fn join(&self, clock: &Clock, stride: u64, (index, count): (usize, usize)) {
        // Stride is at most 2^20 and twice the index far below 2^40, so this cannot overflow.
        let phase = stride * (2 * index as u64 + 1) / (2 * count.max(1) as u64);
        self.due.store(clock.now().wrapping_add(phase), Ordering::Relaxed);
    }

    /// How far the turn is ahead of the clock, in picks at weight 1; negative when overdue.
    pub(crate) fn ahead(&self, clock: &Clock) -> f64 {
        self.due().wrapping_sub(clock.now()).cast_signed() as f64 / SCALE as f64
    }
}

/// The stride of a weight. Weight 0 never has a turn; its stride is that of 1.
pub(crate) fn stride(weight: u16) -> u64 {
    SCALE / u64::from(weight.max(1))
}

/// Whether virtual time `a` comes before `b`.
#[inline]
pub(crate) fn earlier(a: u64, b: u64) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(weights: &[u16], clock: &Clock) -> Vec<Turn> {
        let turns: Vec<Turn> = weights.iter().map(|_| Turn::default()).collect();
        for (i, turn) in turns.iter().enumerate() {
            turn.join(clock, stride(weights[i]), (i, weights.len()));
        }
        turns
    }

    fn next(turns: &[Turn], weights: &[u16], clock: &Clock) -> usize {
        let mut first = 0;
        for i in 1..turns.len() {
            if earlier(turns[i].due(), turns[first].due()) {
                first = i;
            }
        }
        turns[first].take(clock, stride(weights[first]));
        first
    }

    #[test]
    fn a_heavy_server_is_interleaved_with_the_light() {
        let (weights, clock) = ([5, 1, 1], Clock::default());
        let turns = joined(&weights, &clock);
        let order: Vec<usize> = (0..14).map(|_| next(&turns, &weights, &clock)).collect();
        assert_eq!(order, [0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 2]);
    }

    #[test]
    fn an_overdue_server_wins_once() {
        let (weights, clock) = ([1, 1], Clock { now: AtomicU64::new(u64::MAX - 5 * SCALE) });
        let turns = joined(&weights, &clock);
        for _ in 0..100 {
            turns[0].take(&clock, stride(1));
        }
        let order: Vec<usize> = (0..5).map(|_| next(&turns, &weights, &clock)).collect();
        assert_eq!(order, [1, 0, 1, 0, 1], "also where the clock wraps round");
    }
}
