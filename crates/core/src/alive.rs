//! Permits alive, counted a second time and apart from the servers' slots, so that the two can be compared: the audit
//! that finds a slot without a permit, or a permit without a slot.
//!
//! Each thread counts on a line of its own, so that a pick costs a few plain stores and nothing is shared. A permit may
//! end on another thread than it began on; only the sums mean anything.
//!
//! # Why the audit never finds a leak where there is none
//! A pick is a step of one thread: it counts itself as under way, claims a slot, and in one write counts a permit *made* and
//! itself as over. An end is one too: in one write a permit *ended* and itself under way, then it releases the slot, and is
//! over. The audit reads, in this order: all ends (E of them, V still under way); all permits made (M); what every server has
//! in flight (F); again all permits made (M', and W picks under way) and all ends (E'). Every write releases and every read
//! acquires, so whoever sees a write sees all that its thread did before. Now, if each claim and release belongs to a permit:
//!
//! * Of what M counts, the claims are in F, as they came before. Of the releases in F, the ends are in E', as they came
//!   before. Hence F is at least M - E'.
//! * A claim in F is in M', or its step was seen to have begun and not to be over, so that it is in W. An end in E has its
//!   release in F, or its step was not over, so that it is in V. Hence F is at most M' - E + V + W.
//!
//! What lies outside of these bounds is apart for good. They meet when nothing moved meanwhile, and then the audit is exact.
//! A server that came after M was read adds claims that M does not have, and one is forgotten only when nobody can claim on
//! it any more, so the list of servers is to be read between the two.

use super::seat::{SEATS, Seat};
use super::sync::{AtomicU64, Ordering};

/// The permits of one pool, counted by `STRIPES` seats.
#[derive(Debug)]
pub(crate) struct Alive<const STRIPES: usize = SEATS> {
    stripes: [Stripe; STRIPES],
}

/// What is counted at one seat, on a line of the cache of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe {
    made: AtomicU64,
    ended: AtomicU64,
}

/// The low bits of a count tell the steps under way: one for each thread that shares the seat, and for each time that an end
/// is met within another. The 48 above them count permits, and wrap round after some years, as their differences may.
const UNDER_WAY_BITS: u32 = 16;

const UNDER_WAY: u64 = 1;
const PERMIT: u64 = 1 << UNDER_WAY_BITS;

/// The permits alive of a pool, or of several, held against what their servers have in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Permits made and not ended. Those that were handed to [`std::mem::forget`] stay alive for ever.
    pub permits_alive: u64,
    /// What all servers have in flight, those that are leaving included.
    pub in_flight: u64,
    /// By how much the two are apart beyond what changed while they were read: 0, unless a slot was lost or given
    /// back twice, which is a bug of this crate.
    pub apart: u64,
}

impl Audit {
    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            permits_alive: self.permits_alive + other.permits_alive,
            in_flight: self.in_flight + other.in_flight,
            apart: self.apart + other.apart,
        }
    }
}

/// A pick or an end under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    count: &'a AtomicU64,
    own: bool,
}

/// Permits, and steps under way, of all seats at about one time.
#[derive(Clone, Copy)]
struct Sum {
    permits: u64,
    under_way: u64,
}

impl<const STRIPES: usize> Alive<STRIPES> {
    pub(crate) fn new() -> Self {
        Self { stripes: std::array::from_fn(|_| Stripe::default()) }
    }

    /// Begins a pick on the thread that has this seat.
    #[inline]
    pub(crate) fn picking(&self, seat: Seat) -> Step<'_> {
        self.begin(seat, |stripe| &stripe.made, UNDER_WAY)
    }

    /// Counts the end of a permit on the thread that has this seat, which releases the slot within this step.
    #[inline]
    pub(crate) fn ending(&self, seat: Seat) -> Step<'_> {
        self.begin(seat, |stripe| &stripe.ended, PERMIT + UNDER_WAY)
    }

    #[inline]
    fn begin(&self, seat: Seat, count: impl Fn(&Stripe) -> &AtomicU64, by: u64) -> Step<'_> {
        let stripe = &self.stripes[seat.number() % STRIPES];
        let step = Step { count: count(stripe), own: seat.is_own() };
        step.add(by);
        step
    }

    /// Permits alive at about this time.
    pub(crate) fn permits(&self) -> u64 {
        let ended = self.sum(|stripe| &stripe.ended);
        difference(self.sum(|stripe| &stripe.made), ended)
    }

    /// Holds the permits against what `in_flight` reads of all servers.
    pub(crate) fn audit(&self, in_flight: impl Fn() -> u64) -> Audit {
        // A pool of a few servers is read in less than a microsecond, in which most often nothing moves.
        const ATTEMPTS: usize = 16;
        let (mut audit, mut least) = self.look(&in_flight);
        for _ in 1..ATTEMPTS {
            if least == 0 {
                break;
            }
            let (other, slack) = self.look(&in_flight);
            if slack < least {
                (audit, least) = (other, slack);
            }
        }
        audit
    }

    /// One audit, and how far its two bounds lie apart.
    pub(crate) fn look(&self, in_flight: &impl Fn() -> u64) -> (Audit, u64) {
        let ended = self.sum(|stripe| &stripe.ended);
        let made = self.sum(|stripe| &stripe.made);
        let in_flight = in_flight();
        let made_then = self.sum(|stripe| &stripe.made);
        let ended_then = self.sum(|stripe| &stripe.ended);
        // Whatever had ended when that was read was made before the other was.
        let permits_alive = difference(made, ended);
        let most = permits_alive + difference(made_then, made) + ended.under_way + made_then.under_way;
        let least = permits_alive.saturating_sub(difference(ended_then, ended));
        let apart = in_flight.saturating_sub(most).max(least.saturating_sub(in_flight));
        (Audit { permits_alive, in_flight, apart }, most - least)
    }

    fn sum(&self, count: impl Fn(&Stripe) -> &AtomicU64) -> Sum {
        self.stripes.iter().fold(Sum { permits: 0, under_way: 0 }, |sum, stripe| {
            let word = count(stripe).load(Ordering::Acquire);
            Sum { permits: sum.permits + (word >> UNDER_WAY_BITS), under_way: sum.under_way + (word & (PERMIT - 1)) }
        })
    }
}

/// Permits counted in `a` more than in `b`, where counts wrap round.
fn difference(a: Sum, b: Sum) -> u64 {
    a.permits.wrapping_sub(b.permits) & (u64::MAX >> UNDER_WAY_BITS)
}

impl Step<'_> {
    /// Ends a pick that claimed a slot: counts the permit.
    #[inline]
    pub(crate) fn made(self) {
        self.add(PERMIT - UNDER_WAY);
        std::mem::forget(self);
    }

    #[inline]
    fn add(&self, by: u64) {
        if self.own {
            self.count.store(self.count.load(Ordering::Relaxed).wrapping_add(by), Ordering::Release);
        } else {
            self.count.fetch_add(by, Ordering::Release);
        }
    }
}

impl Drop for Step<'_> {
    #[inline]
    fn drop(&mut self) {
        self.add(UNDER_WAY.wrapping_neg());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(alive: &Alive, seat: Seat) {
        alive.picking(seat).made();
    }

    #[test]
    fn permits_may_end_elsewhere_than_they_began() {
        let alive = Alive::new();
        for seat in [Seat::own(0), Seat::own(5), Seat::shared(5)] {
            made(&alive, seat);
        }
        drop(alive.ending(Seat::own(55)));
        drop(alive.ending(Seat::shared(0)));
        assert_eq!(alive.audit(|| 1), Audit { permits_alive: 1, in_flight: 1, apart: 0 });
    }

    #[test]
    fn a_slot_without_a_permit_is_found_and_a_permit_without_a_slot_is_too() {
        let alive = Alive::new();
        made(&alive, Seat::own(1));
        assert_eq!(alive.audit(|| 3).apart, 2);
        assert_eq!(alive.audit(|| 0).apart, 1);
    }

    #[test]
    fn what_moves_meanwhile_is_no_leak() {
        let alive: Alive = Alive::new();
        made(&alive, Seat::own(1));
        made(&alive, Seat::own(1));
        let (claimed, released) = (alive.picking(Seat::own(1)), alive.ending(Seat::own(1)));
        assert_eq!([0, 1, 2, 3, 4].map(|in_flight| alive.audit(|| in_flight).apart), [1, 0, 0, 0, 1]);
        claimed.made();
        drop(released);
        assert_eq!([1, 2, 3].map(|in_flight| alive.audit(|| in_flight).apart), [1, 0, 1]);
        let reading = || {
            made(&alive, Seat::own(2));
            drop(alive.ending(Seat::own(3)));
            2
        };
        assert_eq!(alive.audit(reading).apart, 0);
        assert_eq!(alive.audit(|| 2), Audit { permits_alive: 2, in_flight: 2, apart: 0 });
    }
}
