//! Where a thread counts, so that no two write to one line of the cache.
//!
//! Fifty-six threads at a time have a seat of their own and write there alone, by a plain load and store. The others
//! share eight, by additions that any number of threads may make.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// All seats. A power of two, so that no number needs to be checked, and 4 KiB a pool at a line of the cache each.
pub(crate) const SEATS: usize = 64;

/// The first ones are for one thread each: more than a proxy has workers, on nearly any machine.
const OWN: u8 = 56;

/// A thread's seat, as long as it is on the thread's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat(u8);

/// Of a thread that never counted anything.
const NONE: Seat = Seat(u8::MAX);

thread_local! {
    /// Has no destructor, so that to read it is to read memory and it outlives every other thread-local.
    static MINE: Cell<Seat> = const { Cell::new(NONE) };
    /// Gives the seat back when the thread ends.
    static LEASE: Lease = const { Lease(Cell::new(None)) };
}

/// The seats that a thread has to itself, one bit each.
static TAKEN: AtomicU64 = AtomicU64::new(0);

impl Seat {
    /// The seat of the calling thread.
    #[inline]
    pub(crate) fn mine() -> Self {
        let seat = MINE.get();
        if seat == NONE { sit_down() } else { seat }
    }

    /// A seat that is the caller's alone.
    pub(crate) const fn own(number: u8) -> Self {
        Self(number % OWN)
    }

    /// A seat that others may have too.
    pub(crate) const fn shared(number: u8) -> Self {
        Self(OWN + number % (SEATS as u8 - OWN))
    }

    /// Whether no other thread has it.
    #[inline]
    pub(crate) fn is_own(self) -> bool {
        self.0 < OWN
    }

    /// Its number, below [`SEATS`].
    #[inline]
    pub(crate) fn number(self) -> usize {
        usize::from(self.0) % SEATS
    }
}

/// A seat to oneself, if one is free.
#[cold]
fn sit_down() -> Seat {
    static SHARING: AtomicU8 = AtomicU8::new(0);
    let free = |taken: u64| (taken.trailing_ones() < u32::from(OWN)).then_some(taken | (taken + 1));
    // Acquired from whoever had the seat before: what it wrote there is seen here.
    let own = TAKEN.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).ok().map(|taken| {
        let number = taken.trailing_ones() as u8;
        let leased = LEASE.try_with(|lease| lease.0.set(Some(number))).is_ok();
        if leased { Seat::own(number) } else { leave(number) }
    });
    let seat = own.unwrap_or_else(|| Seat::shared(SHARING.fetch_add(1, Ordering::Relaxed)));
    MINE.set(seat);
    seat
}

/// Gives a seat back; the caller may still share it.
fn leave(number: u8) -> Seat {
    TAKEN.fetch_and(!(1 << number), Ordering::Release);
    Seat::shared(number)
}

struct Lease(Cell<Option<u8>>);

impl Drop for Lease {
    /// What other thread-locals still do when they end after this one is counted among those who share.
    fn drop(&mut self) {
        if let Some(number) = self.0.take() {
            MINE.set(Seat::shared(number));
            leave(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn seats_are_for_one_thread_at_a_time_and_given_back() {
        no_two_threads_have_one_seat_to_themselves();
        a_thread_that_ends_gives_its_seat_back_and_still_has_one();
    }

    fn no_two_threads_have_one_seat_to_themselves() {
        const THREADS: usize = SEATS + 20;
        let all_sit = Barrier::new(THREADS);
        let seats: Vec<Seat> = std::thread::scope(|scope| {
            let sit = || {
                let seat = Seat::mine();
                all_sit.wait();
                assert_eq!(seat, Seat::mine());
                seat
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(sit)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut own: Vec<usize> = seats.iter().filter(|seat| seat.is_own()).map(|seat| seat.number()).collect();
        let count = own.len();
        own.sort_unstable();
        own.dedup();
        assert_eq!(own.len(), count);
        assert!(seats.iter().any(|seat| !seat.is_own()) && seats.iter().all(|seat| seat.number() < SEATS));
    }

    /// Counts when it ends, which may be before the seat is given back or after.
    struct Late(fn(Seat));

    impl Drop for Late {
        fn drop(&mut self) {
            (self.0)(Seat::mine());
        }
    }

    fn a_thread_that_ends_gives_its_seat_back_and_still_has_one() {
        thread_local! {
            static BEFORE: Cell<Option<Late>> = const { Cell::new(None) };
            static AFTER: Cell<Option<Late>> = const { Cell::new(None) };
        }
        static COUNTED: AtomicU32 = AtomicU32::new(0);
        let count = || {
            let late = |seat: Seat| {
                assert!(seat.number() < SEATS);
                COUNTED.fetch_add(1, Ordering::Relaxed);
            };
            Some(Late(late))
        };
        let mut own = 0;
        for _ in 0..3 * SEATS {
            own += std::thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    BEFORE.set(count());
                    let seat = Seat::mine();
                    AFTER.set(count());
                    usize::from(seat.is_own())
                });
                // Unlike the end of the scope, this waits for its thread-locals too.
                thread.join().unwrap()
            });
        }
        assert!(own > SEATS, "{own} had seats to themselves, which are fewer");
        assert_eq!(COUNTED.load(Ordering::Relaxed), 6 * SEATS as u32);
    }
}
