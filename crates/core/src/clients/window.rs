//! A sliding window of fixed size that never lets one too many in.
//!
//! Time is cut into spans of a sixteenth of the window. A window counts what began in the span of its latest one and in
//! the sixteen before. Whatever began within one window of now lies in these, so that the limit holds for *every*
//! window, wherever it begins. The price is strictness: what began counts for up to a sixteenth of the window longer
//! than it should, so a client at a steady pace gets at least 16/17 of its limit. A log of times would be exact, and as
//! long as the limit; one counter weighted by the share of the last window (as in many proxies) lets too many in when
//! they come in bursts, and so does GCRA (ITU-T I.371), up to twice the limit.
//!
//! Places ahead can be reserved: they are counted in their own span, in order, and nobody who comes later gets one
//! before them. The source of it is GCRA's virtual time; here it is the time of the latest place given.
//!
//! Spans that are over keep their count in 16 bits, eleven of them a mantissa: exact below 2048, and above it rounded
//! up by less than a thousandth, which again is too strict and never too lax.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::Time;
use crate::time::whole_nanos;

/// Spans a window is cut into.
const SPANS: usize = 16;

/// What is the same for all clients: how many, and in what time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    /// Nanoseconds of a span, rounded up; not zero.
    span: u64,
    /// How many within a window; none is without end.
    limit: Option<NonZeroU32>,
    /// Nanoseconds between two who wait, so that they come evenly.
    gap: u64,
}

impl Pace {
    pub(super) fn new(limit: Option<NonZeroU32>, window: Duration) -> Self {
        let window = whole_nanos(window).max(1);
        let gap = limit.map_or(0, |limit| window / u64::from(limit.get()));
        Self { span: window.div_ceil(SPANS as u64), limit, gap }
    }

    /// Whether what was counted by `other` means the same here.
    pub(super) fn counts_like(&self, other: &Self) -> bool {
        self.span == other.span
    }
}

/// When one more may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At once. It counts as of the time told, which is later than now when another thread's clock was read after ours.
    Now(Time),
    /// Not before the time told.
    Later(Time),
}

/// What one client began of late.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// When the latest began, or will.
    latest: u64,
    /// How many in its span.
    count: u32,
    /// Whether the latest is one who waits.
    reserved: bool,
    /// How many in the spans before it, the nearest first.
    past: [Squeezed; SPANS],
}

impl Window {
    /// Of a client that began nothing yet.
    pub(super) const NEW: Self = Self { latest: 0, count: 0, reserved: false, past: [Squeezed(0); SPANS] };

    /// When one more may begin that comes `now`. Nobody gets a place before one who waits.
    pub(super) fn place(&self, pace: &Pace, now: Time) -> Place {
        let now = now.as_nanos();
        let waiting = self.reserved && self.latest > now;
        let from = if waiting { self.latest.saturating_add(pace.gap) } else { self.latest.max(now) };
        let free = pace.limit.map_or(from, |limit| self.first_free(pace.span, u64::from(limit.get()), from));
        let at = Time::from_nanos(free);
        if waiting || free > from { Place::Later(at) } else { Place::Now(at) }
    }

    /// The first time from `from` on, which is not before the latest, when the spans of a window hold less than
    /// `limit`.
    fn first_free(&self, span: u64, limit: u64, from: u64) -> u64 {
        let head = self.latest / span;
        let mut counted = self.counted();
        let mut passed = from / span - head;
        // What the spans that are too old by then held.
        let gone = usize::try_from(passed).unwrap_or(usize::MAX).min(SPANS);
        counted -= self.past[SPANS - gone..].iter().map(|past| past.widened()).sum::<u64>();
        if passed > SPANS as u64 || counted < limit {
            return from;
        }
        for past in self.past[..SPANS - gone].iter().rev() {
            passed += 1;
            counted -= past.widened();
            if counted < limit {
                return head.saturating_add(passed).saturating_mul(span);
            }
        }
        head.saturating_add(SPANS as u64 + 1).saturating_mul(span)
    }

    /// What all spans hold.
    fn counted(&self) -> u64 {
        u64::from(self.count) + self.past.iter().map(|past| past.widened()).sum::<u64>()
    }

    /// Counts one at a place that [`place`](Self::place) gave.
    pub(super) fn begin(&mut self, pace: &Pace, place: Place) {
        let (at, reserved) = match place {
            Place::Now(at) => (at.as_nanos(), false),
            Place::Later(at) => (at.as_nanos(), true),
        };
        let passed = (at / pace.span).saturating_sub(self.latest / pace.span);
        if passed > 0 {
            self.pass(usize::try_from(passed).unwrap_or(usize::MAX));
        }
        self.latest = self.latest.max(at);
        self.count = self.count.saturating_add(1);
        self.reserved = reserved;
    }

    /// Lets so many spans pass, one or more.
    fn pass(&mut self, spans: usize) {
        if spans > SPANS {
            self.past = [Squeezed(0); SPANS];
        } else {
            self.past.copy_within(..SPANS - spans, spans);
            self.past[..spans].fill(Squeezed(0));
            self.past[spans - 1] = Squeezed::new(self.count);
        }
        self.count = 0;
    }

    /// Whether nothing of it counts any more at `now`.
    pub(super) fn is_over(&self, pace: &Pace, now: Time) -> bool {
        (now.as_nanos() / pace.span).saturating_sub(self.latest / pace.span) > SPANS as u64
    }

    /// Follows a change to spans of another length: all that counts is taken as being as late as the latest, so that no
    /// window of the new length is overrun by what came before the change and was still counted.
    pub(super) fn follow_change(&mut self) {
        self.count = u32::try_from(self.counted()).unwrap_or(u32::MAX);
        self.past = [Squeezed(0); SPANS];
    }

    /// How many began within the window that ends `now`, as well as it is known: those who still wait are not among
    /// them.
    pub(super) fn recent(&self, pace: &Pace, now: Time) -> u64 {
        let (now, head) = (now.as_nanos() / pace.span, self.latest / pace.span);
        let is_recent =
            |back: usize| head.checked_sub(back as u64).is_some_and(|at| at <= now && now - at <= SPANS as u64);
        let past = self.past.iter().enumerate().filter(|(i, _)| is_recent(i + 1)).map(|(_, past)| past.widened());
        past.sum::<u64>() + if is_recent(0) { u64::from(self.count) } else { 0 }
    }

    /// The same a second.
    pub(super) fn rate(&self, pace: &Pace, now: Time) -> f64 {
        let nanos = SPANS as f64 * pace.span as f64 + (now.as_nanos() % pace.span) as f64;
        self.recent(pace, now) as f64 / (nanos / 1e9)
    }
}

/// A count in 16 bits, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Squeezed(u16);

/// Bits that are kept as they are.
const MANTISSA: u32 = 11;

impl Squeezed {
    fn new(count: u32) -> Self {
        let excess = (u32::BITS - count.leading_zeros()).saturating_sub(MANTISSA);
        let kept = u64::from(count).div_ceil(1 << excess);
        // Rounding up may have made it a bit longer.
        let (excess, kept) = if kept >> MANTISSA == 0 { (excess, kept) } else { (excess + 1, kept >> 1) };
        Self((excess << MANTISSA) as u16 | kept as u16)
    }

    fn widened(self) -> u64 {
        let kept = u64::from(self.0) & ((1 << MANTISSA) - 1);
        kept << (self.0 >> MANTISSA)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn pace(limit: u32, millis: u64) -> Pace {
        Pace::new(NonZeroU32::new(limit), Duration::from_millis(millis))
    }

    #[test]
    fn counts_are_squeezed_upwards_by_less_than_a_thousandth() {
        for count in
            (0..5000).chain((0..32).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])).chain([u32::MAX])
        {
            let squeezed = Squeezed::new(count).widened();
            assert!(squeezed >= u64::from(count), "{count}");
            assert!(squeezed - u64::from(count) <= u64::from(count) / 1024, "{count} became {squeezed}");
            assert!(count >= 2048 || squeezed == u64::from(count), "{count}");
        }
    }

    #[test]
    fn what_began_counts_for_a_window_and_at_most_a_sixteenth_more() {
        let pace = pace(1, 1600);
        let mut window = Window::NEW;
        assert_eq!(window.place(&pace, at(99)), Place::Now(at(99)));
        window.begin(&pace, Place::Now(at(99)));
        assert_eq!(window.place(&pace, at(100)), Place::Later(at(1700)));
        assert_eq!(window.place(&pace, at(1699)), Place::Later(at(1700)));
        assert_eq!(window.place(&pace, at(1700)), Place::Now(at(1700)));
        assert!(!window.is_over(&pace, at(1699)));
        assert!(window.is_over(&pace, at(1700)));
    }

    #[test]
    fn who_waits_is_spread_and_not_overtaken() {
        let pace = pace(4, 1600);
        let mut window = Window::NEW;
        for _ in 0..4 {
            window.begin(&pace, window.place(&pace, at(0)));
        }
        let places: Vec<Place> = (0..5)
            .map(|_| {
                let place = window.place(&pace, at(10));
                window.begin(&pace, place);
                place
            })
            .collect();
        // The fifth has to be a window and a span after the first of them, which is at 1700.
        assert_eq!(places, [1700, 2100, 2500, 2900, 3400].map(|millis| Place::Later(at(millis))));
        assert_eq!(window.place(&pace, at(1750)), Place::Later(at(3800)), "though one alone began since 1700");
    }

    #[test]
    fn a_clock_that_is_read_a_little_earlier_gets_its_place_at_once() {
        let pace = pace(2, 1600);
        let mut window = Window::NEW;
        window.begin(&pace, Place::Now(at(200)));
        assert_eq!(window.place(&pace, at(199)), Place::Now(at(200)));
    }

    #[test]
    fn extreme_times_and_windows_end_well() {
        for pace in [
            Pace::new(NonZeroU32::new(1), Duration::ZERO),
            Pace::new(NonZeroU32::new(u32::MAX), Duration::MAX),
            Pace::new(NonZeroU32::new(1), Duration::MAX),
            Pace::new(None, Duration::ZERO),
        ] {
            let mut window = Window::NEW;
            for now in [Time::LAST, Time::ZERO, Time::LAST, at(1), Time::LAST] {
                let place = window.place(&pace, now);
                window.begin(&pace, place);
                assert!(window.recent(&pace, now) <= 5);
                assert!(window.rate(&pace, now).is_finite());
                window.is_over(&pace, now);
            }
            window.follow_change();
            assert_eq!(window.counted(), u64::from(window.count));
        }
    }

    #[test]
    fn the_rate_shown_is_that_of_a_steady_pace() {
        let pace = Pace::new(None, Duration::from_secs(10));
        let mut window = Window::NEW;
        for millis in (0..60_000).step_by(10) {
            window.begin(&pace, window.place(&pace, at(millis)));
            if millis > 20_000 {
                let rate = window.rate(&pace, at(millis));
                assert!((99.0..=101.0).contains(&rate), "{rate}");
            }
        }
        assert!(window.rate(&pace, at(200_000)) < f64::EPSILON);
    }
}
