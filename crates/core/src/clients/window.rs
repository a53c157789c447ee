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
    /// What to multiply by in place of a division by the span.
    inverse: u64,
    /// How many within a window; none is without end.
    limit: Option<NonZeroU32>,
    /// Nanoseconds between two who wait, so that they come evenly.
    gap: u64,
}

impl Pace {
    pub(super) fn new(limit: Option<NonZeroU32>, window: Duration) -> Self {
        let window = whole_nanos(window).max(1);
        let gap = limit.map_or(0, |limit| window / u64::from(limit.get()));
        let span = window.div_ceil(SPANS as u64);
        Self { span, inverse: u64::MAX / span, limit, gap }
    }

    /// The span that a time is in, counted from the first, by a product in place of a division, which takes several times
    /// as long (Granlund and Montgomery, 1994). The inverse is less than one below `2^64 / span`, so the product of it
    /// and any time is less than `2^64` too small, and its upper half right or one too small.
    fn span_of(&self, nanos: u64) -> u64 {
        let span = ((u128::from(nanos) * u128::from(self.inverse)) >> 64) as u64;
        span + u64::from(nanos - span * self.span >= self.span)
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

/// What one client began of late, and what of it goes on: of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// When the latest began, or will, and whether it is one who waits.
    latest: Latest,
    /// How many in its span.
    count: u32,
    /// How many it has at once. It is no business of a window's, but here is the room for it.
    pub(super) held: u32,
    past: Past,
}

impl Window {
    /// Of a client that began nothing yet.
    pub(super) const NEW: Self = Self { latest: Latest(0), count: 0, held: 0, past: Past::NONE };

    /// When one more may begin that comes `now`. Nobody gets a place before one who waits.
    pub(super) fn place(&self, pace: &Pace, now: Time) -> Place {
        let (now, latest) = (now.as_nanos(), self.latest.nanos());
        let waiting = self.latest.is_reserved() && latest > now;
        let from = if waiting { latest.saturating_add(pace.gap) } else { latest.max(now) };
        let free = pace.limit.map_or(from, |limit| self.first_free(pace, u64::from(limit.get()), from));
        let at = Time::from_nanos(free);
        if waiting || free > from { Place::Later(at) } else { Place::Now(at) }
    }

    /// The first time from `from` on, which is not before the latest, when the spans of a window hold less than
    /// `limit`.
    fn first_free(&self, pace: &Pace, limit: u64, from: u64) -> u64 {
        let head = pace.span_of(self.latest.nanos());
        let passed = pace.span_of(from) - head;
        if passed > SPANS as u64 {
            return from;
        }
        // Without what the spans held that are too old by then.
        let left = self.past.after(passed as usize);
        if u64::from(self.count) + left.sum() < limit { from } else { self.first_left(pace, limit, passed) }
    }

    /// The same when the spans that are left, `passed` after the latest, hold as many as the limit.
    #[cold]
    fn first_left(&self, pace: &Pace, limit: u64, passed: u64) -> u64 {
        let head = pace.span_of(self.latest.nanos());
        let enough = (passed as usize + 1..=SPANS)
            .find(|passed| u64::from(self.count) + self.past.after(*passed).sum() < limit)
            .unwrap_or(SPANS + 1);
        head.saturating_add(enough as u64).saturating_mul(pace.span)
    }

    /// What all spans hold.
    fn counted(&self) -> u64 {
        u64::from(self.count) + self.past.sum()
    }

    /// Counts one at a place that [`place`](Self::place) gave.
    pub(super) fn begin(&mut self, pace: &Pace, place: Place) {
        let (at, reserved) = match place {
            Place::Now(at) => (at.as_nanos(), false),
            Place::Later(at) => (at.as_nanos(), true),
        };
        let latest = self.latest.nanos();
        let at = latest.max(at.min(Latest::LAST));
        let passed = pace.span_of(at) - pace.span_of(latest);
        if passed > 0 {
            let spans = usize::try_from(passed).unwrap_or(usize::MAX);
            self.past = self.past.after(spans).with(spans - 1, Squeezed::new(self.count));
            self.count = 0;
        }
        self.latest = Latest::new(at, reserved);
        self.count = self.count.saturating_add(1);
    }

    /// Whether nothing of it counts any more at `now`.
    pub(super) fn is_over(&self, pace: &Pace, now: Time) -> bool {
        let latest = pace.span_of(self.latest.nanos());
        pace.span_of(now.as_nanos()).saturating_sub(latest) > SPANS as u64
    }

    /// Follows a change to spans of another length: all that counts is taken as being as late as the latest, so that no
    /// window of the new length is overrun by what came before the change and was still counted.
    pub(super) fn follow_change(&mut self) {
        self.count = u32::try_from(self.counted()).unwrap_or(u32::MAX);
        self.past = Past::NONE;
    }

    /// How many began within the window that ends `now`, as well as it is known: those who still wait are not among
    /// them.
    pub(super) fn recent(&self, pace: &Pace, now: Time) -> u64 {
        let (now, head) = (pace.span_of(now.as_nanos()), pace.span_of(self.latest.nanos()));
        let is_recent =
            |back: usize| head.checked_sub(back as u64).is_some_and(|at| at <= now && now - at <= SPANS as u64);
        let past = self.past.each().enumerate().filter(|(i, _)| is_recent(i + 1)).map(|(_, past)| past.widened());
        past.sum::<u64>() + if is_recent(0) { u64::from(self.count) } else { 0 }
    }

    /// The same a second.
    pub(super) fn rate(&self, pace: &Pace, now: Time) -> f64 {
        let nanos = SPANS as f64 * pace.span as f64 + (now.as_nanos() % pace.span) as f64;
        self.recent(pace, now) as f64 / (nanos / 1e9)
    }
}

/// A time in nanoseconds, which 63 bits hold for three centuries, and in the highest bit whether it was reserved.
#[derive(Clone, Copy, Debug)]
struct Latest(u64);

impl Latest {
    const LAST: u64 = u64::MAX >> 1;

    fn new(nanos: u64, reserved: bool) -> Self {
        Self(nanos | u64::from(reserved) << 63)
    }

    fn nanos(self) -> u64 {
        self.0 & Self::LAST
    }

    fn is_reserved(self) -> bool {
        self.0 > Self::LAST
    }
}

/// Bits of a span.
const BITS: usize = u16::BITS as usize;

/// Spans of a word.
const LANES: usize = SPANS / 2;

/// How many in the spans before that of the latest, the nearest in the lowest bits of the first word: so that all move
/// on and are summed without loops whose lengths no processor foresees.
#[derive(Clone, Copy, Debug)]
struct Past([u128; 2]);

impl Past {
    const NONE: Self = Self([0; 2]);

    /// What is left of it some spans later, and how long ago that was then.
    fn after(self, spans: usize) -> Self {
        if spans >= SPANS {
            return Self::NONE;
        }
        let [near, far] = if spans >= LANES { [0, self.0[0]] } else { self.0 };
        let bits = (spans % LANES * BITS) as u32;
        // In two steps, as a shift by all bits is none.
        Self([near << bits, far << bits | near >> 1 >> (u128::BITS - 1 - bits)])
    }

    /// With what a span held that was not counted yet.
    fn with(mut self, span: usize, count: Squeezed) -> Self {
        if let Some(word) = self.0.get_mut(span / LANES) {
            *word |= u128::from(count.0) << (span % LANES * BITS);
        }
        self
    }

    fn sum(self) -> u64 {
        const EXCESS: u128 = lanes(u16::MAX << MANTISSA);
        let [near, far] = self.0;
        if (near | far) & EXCESS != 0 {
            return self.each().map(Squeezed::widened).sum();
        }
        // Sixteen counts of eleven bits have room in one lane: halves are added until it is four, and these by a product.
        let sums = near + far;
        let sums = (sums as u64) + (sums >> 64) as u64;
        sums.wrapping_mul(lanes(1) as u64) >> (u64::BITS - u16::BITS)
    }

    fn each(self) -> impl Iterator<Item = Squeezed> {
        self.0.into_iter().flat_map(|word| (0..LANES).map(move |lane| Squeezed((word >> (lane * BITS)) as u16)))
    }
}

/// The same in each lane.
const fn lanes(count: u16) -> u128 {
    u128::MAX / u16::MAX as u128 * count as u128
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
    fn a_span_is_what_a_division_tells() {
        let mut random = 1_u64;
        for window in (0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]).chain([u64::MAX]) {
            let pace = Pace::new(None, Duration::from_nanos(window));
            let check = |nanos: u64| assert_eq!(pace.span_of(nanos), nanos / pace.span, "{nanos} of {window}");
            for _ in 0..200 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let nanos = random >> (random % 64);
                check(nanos);
                // Where it begins, and just before.
                let begin = nanos - nanos % pace.span;
                check(begin);
                check(begin.wrapping_sub(1));
            }
            [0, 1, u64::MAX, u64::MAX - 1].into_iter().for_each(check);
        }
    }

    #[test]
    fn spans_move_on_and_are_summed_as_in_a_list() {
        let mut random = 1_u64;
        let mut below = |end: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % end
        };
        let (mut past, mut list) = (Past::NONE, [0_u64; SPANS]);
        for _ in 0..20_000 {
            let spans = below(4) as usize * below(7) as usize;
            let end = [10, 2048, 2048, 1 << 31][below(4) as usize];
            let count = Squeezed::new(below(end) as u32);
            past = past.after(spans);
            list.rotate_right(spans.min(SPANS));
            list[..spans.min(SPANS)].fill(0);
            if (1..=SPANS).contains(&spans) {
                past = past.with(spans - 1, count);
                list[spans - 1] = count.widened();
            }
            assert!(past.each().map(Squeezed::widened).eq(list));
            assert_eq!(past.sum(), list.iter().sum::<u64>());
        }
        assert_eq!(past.with(SPANS, Squeezed::new(1)).sum(), past.sum(), "what is too old counts no more");
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
