//! How long a server lately took to its first byte: a moving average that follows rises at once and falls
//! slowly.
//!
//! A sample above the average replaces it (a server that gets slow must be noticed at the first slow answer);
//! a sample below pulls it down with a half-life of [`HALF_LIFE_NANOS`], by the time that passed and not by
//! the number of samples, so that a busy server is not smoothed less than a quiet one. While nothing is in
//! flight the average halves at the same rate, so that a server shunned after a slow moment is tried again.
//!
//! Source: the "peak EWMA" of Finagle; halving in place of `exp` keeps it in integers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Time;
use crate::time::whole_nanos;

/// Long against the noise of single answers, short against an operator's patience.
const HALF_LIFE_NANOS: u64 = 5_000_000_000;

/// Sample times are kept in units of 2^20 ns, about a millisecond, so that they fit 32 bits and wrap round
/// after 52 days. Between two samples of one unit only a rise counts.
const TICK_BITS: u32 = 20;

/// Differences below this are noise of scheduling, not of the server; answers this fast are equally good.
const FLOOR_MICROS: u32 = 1000;

/// What a server that never answered is taken for while it is at work on its first requests: a second, so
/// that a new one gets one request to show itself and not a flood.
const UNKNOWN_BUSY_MICROS: u32 = 1_000_000;

/// Microseconds in the high half of the word, the tick of the last sample in the low one; 0 when nothing
/// was learnt. One word, so that both are of one sample; a racing sample may be lost, which costs a little
/// freshness.
#[derive(Debug)]
pub(crate) struct Latency {
    word: AtomicU64,
}

impl Latency {
    pub(crate) fn new() -> Self {
        Self { word: AtomicU64::new(0) }
    }

    /// Takes in the time to first byte of a success that ended at `now`.
    pub(crate) fn learn(&self, first_byte: Duration, now: Time) {
        let sample = (whole_nanos(first_byte) / 1000).clamp(1, u64::from(u32::MAX)) as u32;
        let (average, at) = self.parts();
        let elapsed = ticks(now).wrapping_sub(at);
        let next = if sample >= average {
            sample
        } else if elapsed == 0 {
            return;
        } else {
            sample + halved(average - sample, elapsed)
        };
        self.word.store(u64::from(next) << 32 | u64::from(ticks(now)), Ordering::Relaxed);
    }

    /// The cost of one request in microseconds at `now`, with `in_flight` at work: at least the floor, and
    /// rounded down to steps of an eighth to a quarter, so that servers a noise apart stay equal and share
    /// by load and turn.
    pub(crate) fn cost(&self, in_flight: u32, now: Time) -> u32 {
        let (average, at) = self.parts();
        let current = match (average, in_flight) {
            (0, 0) => 0,
            (0, _) => UNKNOWN_BUSY_MICROS,
            (_, 0) => halved(average, ticks(now).wrapping_sub(at)),
            _ => average,
        };
        stepped(current.max(FLOOR_MICROS))
    }

    fn parts(&self) -> (u32, u32) {
        let word = self.word.load(Ordering::Relaxed);
        ((word >> 32) as u32, word as u32)
    }
}

fn ticks(time: Time) -> u32 {
    (time.as_nanos() >> TICK_BITS) as u32
}

/// `value` after `elapsed` ticks of halving. Between two halvings it falls in a straight line, which is at
/// most 6% above the true curve.
fn halved(value: u32, elapsed: u32) -> u32 {
    const HALF_LIFE: u64 = HALF_LIFE_NANOS >> TICK_BITS;
    // A negative span, from clocks read in different order on two threads, wraps to a huge one.
    let elapsed = if elapsed.cast_signed() < 0 { 0 } else { u64::from(elapsed) };
    let (halvings, rest) = (elapsed / HALF_LIFE, elapsed % HALF_LIFE);
    if halvings >= 32 {
        return 0;
    }
    let start = u64::from(value >> halvings);
    (start - start * rest / (2 * HALF_LIFE)) as u32
}

/// Keeps the leading bit of `value` and the two below it.
fn stepped(value: u32) -> u32 {
    let dropped = (value | 0b111).ilog2() - 2;
    value >> dropped << dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn a_rise_counts_at_once_and_a_fall_by_halves() {
        let latency = Latency::new();
        latency.learn(Duration::from_millis(10), after(0));
        latency.learn(Duration::from_millis(800), after(1));
        assert_eq!(latency.cost(1, after(1)), stepped(800_000));
        latency.learn(Duration::from_millis(10), after(5001));
        let fallen = latency.cost(1, after(5001));
        assert!((stepped(400_000)..=stepped(410_000)).contains(&fallen), "{fallen}");
    }

    #[test]
    fn it_decays_only_while_idle_and_down_to_the_floor() {
        let latency = Latency::new();
        latency.learn(Duration::from_secs(8), after(0));
        assert_eq!(latency.cost(2, after(60_000)), stepped(8_000_000));
        let idle = latency.cost(0, after(10_000));
        assert!((stepped(1_990_000)..=stepped(2_010_000)).contains(&idle), "{idle}");
        assert_eq!(latency.cost(0, after(600_000)), stepped(FLOOR_MICROS));
    }

    #[test]
    fn near_equals_are_equal() {
        assert_eq!(stepped(1100), stepped(1200));
        assert_ne!(stepped(1000), stepped(1300));
        assert_eq!([stepped(0), stepped(5), stepped(9), stepped(u32::MAX)], [0, 5, 8, 0xE000_0000]);
    }
}
