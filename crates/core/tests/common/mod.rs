//! What several tests share.

#![allow(dead_code, reason = "each test uses its part of it")]

pub(crate) mod simulation;

use std::net::SocketAddr;
use std::time::Duration;

use plimsoll_core::Time;

/// Random numbers from a seed: xorshift64* (Vigna, 2016), unlike what the crate itself draws with.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`, which is small.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }
}

/// An address on the loopback that nothing is sent to.
pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Runs one history for each seed from 1 to `count`, or for `PLIMSOLL_SEED` alone. A history that fails says its seed.
/// True when all were run.
#[allow(clippy::disallowed_methods, reason = "a test may read its environment")]
pub(crate) fn histories(count: u64, history: impl Fn(u64)) -> bool {
    let asked = std::env::var("PLIMSOLL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = asked.map_or(1..=count, |seed| seed..=seed);
    for seed in seeds {
        let replay = Replay(seed);
        history(seed);
        drop(replay);
    }
    asked.is_none()
}

/// Tells how to replay a history, should it fail.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with PLIMSOLL_SEED={}", self.0);
        }
    }
}

/// Whole milliseconds after the origin.
pub(crate) fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}
