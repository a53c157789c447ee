//! How fast a server works. Work is measured in the time it takes a sound server, and a fault is a curve that says
//! how much of it gets done by when; all workers of a server follow the same one.

use std::time::Duration;

/// What is wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Stands still, and answers nothing at all, for the first of every three seconds.
    Stall,
    /// Takes twenty times as long.
    Slow,
    /// Answers 500 at once to everything but a probe.
    Error500,
    /// Takes eight times as long until its first request, then gets faster over three seconds.
    Cold,
}

const STALL: Duration = Duration::from_secs(1);
/// The time between two stalls.
const WORKING: Duration = Duration::from_secs(2);
const SLOW: f64 = 20.0;
/// How much longer a cold server takes.
const COLD: f64 = 8.0;
/// How long it takes to become warm, from its first request.
pub(crate) const WARMING: Duration = Duration::from_secs(3);

/// The curve in force.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Curve {
    Full,
    Stalling,
    Slow,
    Warming,
}

/// How much work a worker of a server has had time for since the server began.
#[derive(Debug)]
pub(super) struct Pace {
    curve: Curve,
    /// Since when the curve is in force, and the work done until then.
    since: Duration,
    before: Duration,
}

impl Pace {
    /// Full speed.
    pub(super) fn new() -> Self {
        Self { curve: Curve::Full, since: Duration::ZERO, before: Duration::ZERO }
    }

    /// Follows that fault's curve from now on. A cold server stays at full speed until it is told to warm, as it has no
    /// work to do before.
    pub(super) fn set(&mut self, fault: Fault, now: Duration) {
        self.turn(
            now,
            match fault {
                Fault::None | Fault::Error500 | Fault::Cold => Curve::Full,
                Fault::Stall => Curve::Stalling,
                Fault::Slow => Curve::Slow,
            },
        );
    }

    /// The first request has come to a cold server.
    pub(super) fn begin_warming(&mut self, now: Duration) {
        self.turn(now, Curve::Warming);
    }

    fn turn(&mut self, now: Duration, curve: Curve) {
        *self = Self { curve, since: now, before: self.work(now) };
    }

    /// The work done by that time.
    pub(super) fn work(&self, now: Duration) -> Duration {
        self.before + self.curve.work(now.saturating_sub(self.since))
    }

    /// When that much work will have been done; rounded up, so that it then has.
    pub(super) fn when(&self, work: Duration) -> Duration {
        self.since + self.curve.time(work.saturating_sub(self.before))
    }

    /// Until when the server stands still, if it does.
    pub(super) fn held_until(&self, now: Duration) -> Option<Duration> {
        let into = modulo(now.saturating_sub(self.since), stall_every());
        (self.curve == Curve::Stalling && into < STALL).then(|| now + STALL.saturating_sub(into))
    }
}

impl Curve {
    /// The work done in a time since the curve began.
    fn work(self, time: Duration) -> Duration {
        match self {
            Self::Full => time,
            Self::Slow => time.div_f64(SLOW),
            Self::Stalling => {
                let into = modulo(time, stall_every());
                let whole = WORKING * periods(time, stall_every());
                whole + into.saturating_sub(STALL)
            }
            Self::Warming if time < WARMING => Duration::from_secs_f64(warming_work(time.as_secs_f64())),
            Self::Warming => warm_work() + time.saturating_sub(WARMING),
        }
    }

    /// The time after which that work is done.
    fn time(self, work: Duration) -> Duration {
        // What is computed in floating point may come out too short by a rounding.
        const ROUNDING: Duration = Duration::from_nanos(100);
        match self {
            Self::Full => work,
            Self::Slow => work.mul_f64(SLOW) + ROUNDING,
            Self::Stalling => {
                // Work that ends with a period is done before the next stall, not after it.
                let before = periods(work.saturating_sub(Duration::from_nanos(1)), WORKING);
                stall_every() * before + STALL + work.saturating_sub(WORKING * before)
            }
            Self::Warming if work < warm_work() => Duration::from_secs_f64(warming_time(work.as_secs_f64())) + ROUNDING,
            Self::Warming => WARMING + work.saturating_sub(warm_work()),
        }
    }
}

/// The factor by which work takes longer falls linearly, from 8 to 1: at t it is 8 - kt with k = 7 / 3 s. The work done
/// is the integral of its inverse, ln(8 / (8 - kt)) / k.
fn warming_work(time: f64) -> f64 {
    (COLD / (COLD - slope() * time)).ln() / slope()
}

/// The inverse of `warming_work`.
fn warming_time(work: f64) -> f64 {
    COLD / slope() * (1.0 - (-slope() * work).exp())
}

fn slope() -> f64 {
    (COLD - 1.0) / WARMING.as_secs_f64()
}

/// What is done when the server is warm.
fn warm_work() -> Duration {
    Duration::from_secs_f64(warming_work(WARMING.as_secs_f64()))
}

fn stall_every() -> Duration {
    STALL + WORKING
}

fn periods(time: Duration, period: Duration) -> u32 {
    u32::try_from(time.as_nanos() / period.as_nanos()).unwrap_or(u32::MAX)
}

fn modulo(time: Duration, period: Duration) -> Duration {
    time.saturating_sub(period * periods(time, period))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_stalling_server_works_two_seconds_in_three() {
        let mut pace = Pace::new();
        pace.set(Fault::Stall, ms(500));
        let done = |at| pace.work(ms(at));
        assert_eq!(done(500), ms(500));
        assert_eq!(done(1500), ms(500), "nothing in the first second");
        assert_eq!(done(3500), ms(2500));
        assert_eq!(done(4400), ms(2500));
        assert_eq!(done(5000), ms(3000));
        assert_eq!(pace.held_until(ms(700)), Some(ms(1500)));
        assert_eq!(pace.held_until(ms(1500)), None);
        assert_eq!(pace.held_until(ms(3500)), Some(ms(4500)));
        assert_eq!(pace.when(ms(510)), ms(1510));
        assert_eq!(pace.when(ms(2500)), ms(3500), "at the end of a period, not after the next stall");
        assert_eq!(pace.when(ms(2501)), ms(4501));
    }

    #[test]
    fn a_slow_server_takes_twenty_times_as_long_and_only_while_it_is_slow() {
        let mut pace = Pace::new();
        pace.set(Fault::Slow, ms(1000));
        assert_eq!(pace.work(ms(1400)), ms(1020));
        pace.set(Fault::None, ms(1400));
        assert_eq!(pace.work(ms(1410)), ms(1030));
    }

    #[test]
    fn a_cold_server_takes_eight_times_as_long_at_first_and_is_warm_after_three_seconds() {
        let mut pace = Pace::new();
        pace.set(Fault::Cold, ms(0));
        pace.begin_warming(ms(1000));
        // What a millisecond of time does at some moment.
        let speed = |at| pace.work(ms(at + 1)).saturating_sub(pace.work(ms(at))).as_secs_f64() * 1e3;
        assert!((speed(1000) - 1.0 / 8.0).abs() < 1e-3, "{}", speed(1000));
        // Half way the factor is 4.5.
        assert!((speed(2500) - 1.0 / 4.5).abs() < 1e-3, "{}", speed(2500));
        assert!((speed(3999) - 1.0).abs() < 2e-3, "{}", speed(3999));
        assert!((speed(4000) - 1.0).abs() < 1e-6);
        assert!((speed(9000) - 1.0).abs() < 1e-6);
    }

    /// A server that woke too early for its work would spin.
    #[test]
    fn when_the_time_for_some_work_has_come_it_is_done_and_not_long_since() {
        for fault in [Fault::None, Fault::Stall, Fault::Slow, Fault::Cold] {
            let mut pace = Pace::new();
            pace.set(fault, ms(10));
            if fault == Fault::Cold {
                pace.begin_warming(ms(20));
            }
            for step in 1..4000 {
                let work = ms(21) + Duration::from_micros(step * 2503);
                let done = pace.work(pace.when(work));
                assert!(done >= work && done < work + Duration::from_micros(1), "{fault:?}: {work:?}, {done:?}");
            }
        }
    }
}
