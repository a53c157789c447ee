//! What is watched on a connection of HTTP/2: streams that are opened only to be reset, and whether anybody is still there.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong};
use plimsoll_core::Time;

use crate::clock::Clock;

/// The time over which resets are counted: a client that gives up now and then never meets the limit, a flood at once.
const WINDOW: Duration = Duration::from_secs(10);

/// The resets of a connection's streams by its client. The streams share it with the connection.
#[derive(Clone, Debug)]
pub(crate) struct Tally(Rc<Resets>);

#[derive(Debug)]
struct Resets {
    clock: Clock,
    most: usize,
    /// When the last of them came, oldest first; never more than `most`.
    lately: RefCell<VecDeque<Time>>,
    over: Cell<bool>,
}

impl Tally {
    /// None so far; more than `most` within the window are too many.
    pub(super) fn new(clock: Clock, most: u32) -> Self {
        Self(Rc::new(Resets { clock, most: most as usize, lately: RefCell::default(), over: Cell::new(false) }))
    }

    /// A stream was reset by the client.
    pub(super) fn reset(&self) {
        let now = self.0.clock.now();
        let mut lately = self.0.lately.borrow_mut();
        while lately.front().is_some_and(|first| now.saturating_since(*first) > WINDOW) {
            lately.pop_front();
        }
        if lately.len() == self.0.most {
            self.0.over.set(true);
        } else {
            lately.push_back(now);
        }
    }

    /// There were too many.
    pub(super) fn over(&self) -> bool {
        self.0.over.get()
    }
}

/// Asks a quiet other side whether it is still there.
pub(super) struct Pulse {
    pings: PingPong,
    every: Duration,
    /// Bytes that had come at the last look.
    seen: u64,
    next: Time,
    /// A ping is out and unanswered.
    asked: bool,
}

impl Pulse {
    pub(super) fn new(pings: PingPong, every: Duration, now: Time) -> Self {
        Self { pings, every, seen: 0, next: now + every, asked: false }
    }

    /// When it wants to look next.
    pub(super) fn next(&self) -> Time {
        self.next
    }

    /// Looks, if it is time, at how many bytes have `come` so far; false when nobody is there any more.
    pub(super) fn look(&mut self, come: u64, now: Time, cx: &mut Context<'_>) -> bool {
        if self.asked {
            match self.pings.poll_pong(cx) {
                Poll::Ready(Ok(_)) => self.asked = false,
                Poll::Ready(Err(_)) => return false,
                Poll::Pending => {}
            }
        }
        if now < self.next {
            return true;
        }
        self.next = now + self.every;
        let quiet = std::mem::replace(&mut self.seen, come) == come;
        if !quiet {
            return true;
        }
        !std::mem::replace(&mut self.asked, true) && self.pings.send_ping(Ping::opaque()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_resets_within_the_window_are_noticed() {
        let tally = Tally::new(Clock::start(), 3);
        for _ in 0..3 {
            tally.reset();
            assert!(!tally.over());
        }
        tally.reset();
        assert!(tally.over());
    }
}
