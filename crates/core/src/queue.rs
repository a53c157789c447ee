//! The queue of a pool whose servers are all full: bounded, first come first served, woken by the release itself.
//!
//! Whoever waits holds a [`Ticket`]. A release that finds somebody waiting picks for the oldest ticket at once, on the
//! releasing caller's thread, and hands the permit over; while anybody waits, newcomers must wait too, so nothing
//! overtakes. A ticket that is dropped gives up its place, and the permit with it if it had one already.
//!
//! No slot is lost between the two: whoever joins first counts himself as waiting and then looks for a free slot once
//! more; whoever releases first frees the slot and then looks whether anybody waits. Both steps of both are sequentially
//! consistent, so at least one sees the other (see `Slots`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use crate::histogram::{Distribution, Times};
use crate::home::Home;
use crate::lock::lock;
use crate::{Ask, Permit, QueueRule, Refused, Server, Time};

/// A pool's queue.
#[derive(Debug)]
pub(crate) struct Queue {
    /// As many as there are places; read by every pick and release.
    waiting: AtomicUsize,
    places: Mutex<Places>,
    left: AtomicU64,
    waits: Times,
}

/// Those who wait, by the order in which they came.
#[derive(Debug, Default)]
struct Places {
    next: u64,
    by_number: BTreeMap<u64, Arc<Place>>,
}

/// What one who waits has left at the queue.
#[derive(Debug)]
struct Place {
    since: Time,
    random: u64,
    tried: Box<[Arc<Server>]>,
    key: Option<u64>,
    stick: Option<Box<str>>,
    hand: Mutex<Hand>,
}

#[derive(Debug, Default)]
struct Hand {
    permit: Option<Permit>,
    waker: Option<Waker>,
}

/// What a queue has done and holds.
#[derive(Clone, Debug)]
pub struct QueueStats {
    /// Who waits now.
    pub waiting: usize,
    /// How many may wait at once; 0 in a pool without a queue.
    pub limit: u32,
    /// Since when the one waits whose turn is next; each [`Ticket`] knows its own position and time.
    pub oldest: Option<Time>,
    /// Left before they had their answer.
    pub left: u64,
    /// How long those waited that got a server.
    pub waits: Distribution,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { waiting: AtomicUsize::new(0), places: Mutex::default(), left: AtomicU64::new(0), waits: Times::new() }
    }

    /// Whether anybody waits.
    #[inline]
    pub(crate) fn is_waited_in(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn stats(&self, rule: Option<&QueueRule>) -> QueueStats {
        let oldest = self.places().by_number.first_key_value().map(|(_, place)| place.since);
        QueueStats {
            waiting: self.waiting.load(Ordering::Relaxed),
            limit: rule.map_or(0, |rule| rule.limit.get()),
            oldest,
            left: self.left.load(Ordering::Relaxed),
            waits: self.waits.total(),
        }
    }

    /// Takes a place at the end.
    fn join(&self, rule: &QueueRule, ask: &Ask<'_>) -> Result<(u64, Arc<Place>), Refused> {
        let mut places = self.places();
        if places.by_number.len() >= rule.limit.get() as usize {
            return Err(Refused::QueueFull);
        }
        let place = Arc::new(Place {
            since: ask.now,
            random: ask.random,
            tried: ask.tried.into(),
            key: ask.key,
            stick: ask.stick.map(Into::into),
            hand: Mutex::default(),
        });
        let number = places.next;
        places.next += 1;
        places.by_number.insert(number, Arc::clone(&place));
        self.waiting.store(places.by_number.len(), Ordering::SeqCst);
        Ok((number, place))
    }

    /// Gives a place up; false when it was served already.
    fn leave(&self, number: u64) -> bool {
        let mut places = self.places();
        let waited = places.by_number.remove(&number).is_some();
        self.waiting.store(places.by_number.len(), Ordering::SeqCst);
        waited
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        lock(&self.places)
    }
}

impl Home {
    /// Picks for those who wait, the oldest first, as long as there are slots.
    #[cold]
    pub(crate) fn serve_queue(&self, now: Time) {
        loop {
            let mut places = self.queue.places();
            let Some((&number, place)) = places.by_number.first_key_value() else { return };
            let ask = place.ask(now);
            // The permit may be dropped by one who just left, but never under this lock: it is in the hand by then.
            let Ok(permit) = self.pick(&ask) else { return };
            let place = Arc::clone(place);
            places.by_number.remove(&number);
            self.queue.waiting.store(places.by_number.len(), Ordering::SeqCst);
            let waker = {
                let mut hand = place.hand();
                hand.permit = Some(permit);
                hand.waker.take()
            };
            drop(places);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// A pick while others wait: they come first.
    #[cold]
    pub(crate) fn pick_after_queue(&self, ask: &Ask<'_>) -> Result<Permit, Refused> {
        // Time alone makes room when a trial falls due, and no release tells of it.
        if self.is_trial_due(ask.now) {
            self.serve_queue(ask.now);
            if !self.queue.is_waited_in() {
                return self.pick(ask);
            }
        }
        Err(self.current.load().why_none())
    }

    /// A place in the queue.
    pub(crate) fn wait(self: &Arc<Self>, rule: &QueueRule, ask: &Ask<'_>) -> Result<Ticket, Refused> {
        let (number, place) = self.queue.join(rule, ask).inspect_err(|refused| self.refusals.add(*refused))?;
        let deadline = ask.now + rule.timeout;
        let ticket = Ticket { home: Arc::clone(self), place, number, since: ask.now, deadline, over: false };
        // A slot may have come free before we counted as waiting.
        self.serve_queue(ask.now);
        Ok(ticket)
    }
}

impl Place {
    /// What it asks for at `now`.
    fn ask(&self, now: Time) -> Ask<'_> {
        Ask { now, random: self.random, tried: &self.tried, key: self.key, stick: self.stick.as_deref() }
    }

    fn hand(&self) -> MutexGuard<'_, Hand> {
        lock(&self.hand)
    }
}

/// A place in the queue of a pool, from [`Pool::wait`](crate::Pool::wait). Dropping it gives the place up.
#[must_use = "the place is given up when the ticket is dropped"]
#[derive(Debug)]
pub struct Ticket {
    home: Arc<Home>,
    place: Arc<Place>,
    number: u64,
    since: Time,
    deadline: Time,
    /// Served, or out of time.
    over: bool,
}

impl Ticket {
    /// The permit, once this ticket's turn has come; the task of `cx` is woken when it does.
    ///
    /// It does not wake at the deadline: whoever waits keeps a timer of his own for that.
    ///
    /// # Errors
    /// [`Refused::WaitedTooLong`] from the deadline on.
    ///
    /// # Panics
    /// When it is polled again after it was ready.
    pub fn poll(&mut self, now: Time, cx: &mut Context<'_>) -> Poll<Result<Permit, Refused>> {
        assert!(!self.over, "a ticket is good for one answer");
        if let Some(permit) = self.take_or(cx.waker()) {
            return Poll::Ready(Ok(self.served(permit, now)));
        }
        if now < self.deadline {
            return Poll::Pending;
        }
        self.over = true;
        if self.home.queue.leave(self.number) {
            self.home.refusals.add(Refused::WaitedTooLong);
            return Poll::Ready(Err(Refused::WaitedTooLong));
        }
        // Served between the two looks.
        let permit = self.place.hand().permit.take();
        Poll::Ready(permit.map(|permit| self.served(permit, now)).ok_or(Refused::WaitedTooLong))
    }

    /// Since when it waits.
    pub fn since(&self) -> Time {
        self.since
    }

    /// When it gives up.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// How many are served before it.
    pub fn position(&self) -> usize {
        self.home.queue.places().by_number.range(..self.number).count()
    }

    fn take_or(&self, waker: &Waker) -> Option<Permit> {
        let mut hand = self.place.hand();
        let permit = hand.permit.take();
        let known = hand.waker.as_ref().is_some_and(|known| known.will_wake(waker));
        let before = if permit.is_none() && !known { hand.waker.replace(waker.clone()) } else { None };
        drop(hand);
        // Outside of the lock, since the end of a task may be the end of other tickets too.
        drop(before);
        permit
    }

    /// The slot is taken since it came free; the request begins now.
    fn served(&mut self, permit: Permit, now: Time) -> Permit {
        self.over = true;
        self.home.queue.waits.record(None, now.saturating_since(self.since));
        permit.handed_over(now)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.home.queue.left.fetch_add(1, Ordering::Relaxed);
        if !self.home.queue.leave(self.number) {
            // Outside of every lock, since the release may serve the next one.
            let permit = self.place.hand().permit.take();
            drop(permit);
        }
    }
}
