//! Deadlines of a worker's connections, cheap enough to move at every request.
//!
//! A connection has one deadline, and moves it several times a request, nearly always to a later time. So a
//! move only writes the new time; the entry stays in the slot of the wheel it was put in, and when that
//! slot's turn comes it is put where its time now says. This is the lazy variant of the hashed timing wheel
//! of Varghese and Lauck (1987). A deadline fires at most one tick late and never early.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plimsoll_core::Time;

/// How late a deadline may fire. Timeouts are tenths of seconds and more; the wheel turns this often even when idle.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// One turn of the wheel is 25.6 s; what is due later is put at the far end and moved on from there.
const SLOTS: u64 = 512;

/// No entry: the end of a list.
const NONE: u32 = u32::MAX;

/// The due time of a deadline that is not set.
const NEVER: u64 = u64::MAX;

struct Entry {
    due: u64,
    tick: u64,
    linked: bool,
    fired: bool,
    previous: u32,
    next: u32,
    waker: Option<Waker>,
}

struct Wheel {
    entries: Vec<Entry>,
    free: Vec<u32>,
    slots: Vec<u32>,
    tick: u64,
    woken: Vec<Waker>,
}

/// A worker's deadlines.
pub(crate) struct Timers {
    wheel: RefCell<Wheel>,
}

impl Timers {
    pub(crate) fn new(now: Time) -> Rc<Self> {
        let wheel = Wheel {
            entries: Vec::new(),
            free: Vec::new(),
            slots: vec![NONE; SLOTS as usize],
            tick: tick_before(now.as_nanos()),
            woken: Vec::new(),
        };
        Rc::new(Self { wheel: RefCell::new(wheel) })
    }

    /// A deadline, not set yet.
    pub(crate) fn deadline(self: &Rc<Self>) -> Deadline {
        Deadline { key: self.wheel.borrow_mut().insert(), timers: Rc::clone(self) }
    }

    /// Fires all deadlines due at `now`. To be called every [`TICK`].
    pub(crate) fn advance(&self, now: Time) {
        let mut woken = {
            let mut wheel = self.wheel.borrow_mut();
            wheel.advance(tick_before(now.as_nanos()));
            std::mem::take(&mut wheel.woken)
        };
        woken.drain(..).for_each(Waker::wake);
        self.wheel.borrow_mut().woken = woken;
    }

    /// Wakes every task that waits with a deadline, so that it can look at what else has changed.
    pub(crate) fn wake_all(&self) {
        let waiting: Vec<Waker> = self.wheel.borrow().entries.iter().filter_map(|entry| entry.waker.clone()).collect();
        waiting.into_iter().for_each(Waker::wake);
    }
}

fn tick_before(nanos: u64) -> u64 {
    nanos / TICK.as_nanos() as u64
}

fn tick_after(nanos: u64) -> u64 {
    nanos.div_ceil(TICK.as_nanos() as u64)
}

impl Wheel {
    fn insert(&mut self) -> u32 {
        let entry = Entry { due: NEVER, tick: 0, linked: false, fired: false, previous: NONE, next: NONE, waker: None };
        if let Some(key) = self.free.pop() {
            self.entries[key as usize] = entry;
            return key;
        }
        self.entries.push(entry);
        (self.entries.len() - 1) as u32
    }

    fn remove(&mut self, key: u32) {
        self.unlink(key);
        self.entries[key as usize].waker = None;
        self.free.push(key);
    }

    fn set(&mut self, key: u32, due: u64) {
        let entry = &mut self.entries[key as usize];
        entry.due = due;
        entry.fired = false;
        if entry.linked && entry.tick * TICK.as_nanos() as u64 <= due {
            return;
        }
        if due != NEVER {
            self.unlink(key);
            self.link(key);
        }
    }

    fn link(&mut self, key: u32) {
        let earliest = self.tick + 1;
        let entry = &mut self.entries[key as usize];
        entry.tick = tick_after(entry.due).clamp(earliest, self.tick + SLOTS);
        entry.linked = true;
        let slot = (entry.tick % SLOTS) as usize;
        entry.previous = NONE;
        entry.next = self.slots[slot];
        if entry.next != NONE {
            let next = entry.next as usize;
            self.entries[next].previous = key;
        }
        self.slots[slot] = key;
    }

    fn unlink(&mut self, key: u32) {
        let entry = &mut self.entries[key as usize];
        if !entry.linked {
            return;
        }
        entry.linked = false;
        let (previous, next, slot) = (entry.previous, entry.next, (entry.tick % SLOTS) as usize);
        if previous == NONE {
            self.slots[slot] = next;
        } else {
            self.entries[previous as usize].next = next;
        }
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
    }

    fn advance(&mut self, to: u64) {
        while self.tick < to {
            self.tick += 1;
            let mut key = std::mem::replace(&mut self.slots[(self.tick % SLOTS) as usize], NONE);
            while key != NONE {
                let entry = &mut self.entries[key as usize];
                let next = entry.next;
                entry.linked = false;
                if tick_after(entry.due) <= self.tick {
                    entry.fired = true;
                    self.woken.extend(entry.waker.take());
                } else if entry.due != NEVER {
                    self.link(key);
                }
                key = next;
            }
        }
    }
}

/// One connection's deadline.
pub(crate) struct Deadline {
    key: u32,
    timers: Rc<Timers>,
}

impl Deadline {
    /// Fires at `due` and not at the time set before.
    pub(crate) fn set(&self, due: Time) {
        self.timers.wheel.borrow_mut().set(self.key, due.as_nanos());
    }

    /// Ready once the deadline has fired; otherwise the task is woken when it does, or by [`Timers::wake_all`].
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut wheel = self.timers.wheel.borrow_mut();
        let entry = &mut wheel.entries[self.key as usize];
        if entry.fired {
            return Poll::Ready(());
        }
        if !entry.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            entry.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.timers.wheel.borrow_mut().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn fired(deadline: &Deadline) -> bool {
        deadline.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn fires_at_most_a_tick_late_and_never_early() {
        for due in [1, 49, 50, 51, 1234, 25_599, 25_600, 25_650, 60_000, 100_001] {
            let timers = Timers::new(at(0));
            let deadline = timers.deadline();
            deadline.set(at(due));
            for now in (0..=due + 50).step_by(10) {
                timers.advance(at(now));
                assert!(!fired(&deadline) || now >= due, "due {due} fired at {now}");
            }
            timers.advance(at(due + 50));
            assert!(fired(&deadline), "due {due} did not fire");
        }
    }

    #[test]
    fn a_moved_deadline_fires_at_its_new_time() {
        let timers = Timers::new(at(0));
        let (later, earlier, unset) = (timers.deadline(), timers.deadline(), timers.deadline());
        later.set(at(100));
        earlier.set(at(10_000));
        later.set(at(5_000));
        earlier.set(at(200));
        timers.advance(at(1_000));
        assert!(!fired(&later) && fired(&earlier) && !fired(&unset));
        timers.advance(at(5_050));
        assert!(fired(&later) && !fired(&unset));
        unset.set(at(6_000));
        timers.advance(at(6_050));
        assert!(fired(&unset));
    }

    #[test]
    fn dropped_deadlines_leave_the_wheel_whole() {
        let timers = Timers::new(at(0));
        let mut all: Vec<Deadline> = (0..100).map(|_| timers.deadline()).collect();
        for deadline in &all {
            deadline.set(at(500));
        }
        let mut keep = false;
        all.retain(|_| {
            keep = !keep;
            keep
        });
        let reused = timers.deadline();
        assert!(!fired(&reused));
        timers.advance(at(600));
        assert!(all.iter().all(fired));
        assert!(!fired(&reused));
        assert_eq!(timers.wheel.borrow().entries.len(), 100);
    }
}
