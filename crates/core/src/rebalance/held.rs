//! The long-lived connections of a pool, by server and age, and the hold that each has on its place.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::lock::lock;
use crate::time::whole_nanos;
use crate::{Permit, Server, ServerId, Time};

/// How many connections of a server are looked at in search of one that is idle, before the search goes on at the next look.
const LOOKED_AT: usize = 1000;

/// A long-lived connection as its pool knows it, for as long as it is kept.
#[derive(Debug)]
pub struct LongLived {
    server: Arc<Server>,
    key: Key,
    known: Arc<Known>,
    /// It was asked and closes.
    closing: bool,
    /// The waker that `known` has.
    waker: Option<Waker>,
}

/// When it began, and a number that no other of the pool has.
type Key = (Time, u64);

/// What is shared between a connection and its pool.
#[derive(Default)]
struct Known {
    /// When it was last other than quiet, in nanoseconds.
    moved: AtomicU64,
    asked: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("moved", &self.moved).field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Permit {
    /// Tells at `now` that what it was given for is a connection that will last, such as a `WebSocket`: how long it does is no
    /// response time, which is what [`spoke`](Permit::spoke) is for. `None` where the pool has no rule for such, which then
    /// leaves it alone for good, and where it was told before.
    pub fn lasts(&mut self, now: Time) -> Option<LongLived> {
        if !self.begins_to_last() {
            return None;
        }
        let server = self.server();
        server.home.current.load().rules.rebalance?;
        let known = Arc::new(Known { moved: AtomicU64::new(now.as_nanos()), ..Known::default() });
        let key = lock(&server.home.rebalancer.state).shelves.add(server.id(), self.picked_at(), Arc::clone(&known));
        Some(LongLived { server: Arc::clone(server), key, known, closing: false, waker: None })
    }
}

impl LongLived {
    /// Something went through it.
    pub fn moved(&self, now: Time) {
        self.known.moved.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// Ready when it is to close, of which the context is told.
    pub fn poll_asked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_asked() {
            return Poll::Ready(());
        }
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        self.waker = Some(cx.waker().clone());
        lock(&self.known.waker).clone_from(&self.waker);
        if self.is_asked() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn is_asked(&self) -> bool {
        self.known.asked.load(Ordering::Acquire)
    }

    /// Answers the question at `now`: true when it closes, false when it stays because it is not `free` to, or was not quiet
    /// for long enough after all.
    pub fn close(&mut self, now: Time, free: bool) -> bool {
        let home = &self.server.home;
        let Some(rule) = home.current.load().rules.rebalance else { return self.answer(false) };
        let quiet = now.as_nanos().saturating_sub(self.known.moved.load(Ordering::Relaxed)) >= whole_nanos(rule.idle);
        if !quiet || !free {
            // It is not asked again at once.
            self.moved(now);
        }
        self.answer(quiet && free)
    }

    fn answer(&mut self, closes: bool) -> bool {
        let mut state = lock(&self.server.home.rebalancer.state);
        if !self.known.asked.swap(false, Ordering::AcqRel) {
            return false;
        }
        if closes {
            state.shelves.close(self.server.id(), self.key);
            self.closing = true;
        } else {
            state.shelves.stay(self.server.id());
        }
        closes
    }
}

impl Drop for LongLived {
    fn drop(&mut self) {
        let asked = &self.known.asked;
        let mut state = lock(&self.server.home.rebalancer.state);
        if self.closing {
            state.shelves.part(self.server.id());
        } else {
            state.shelves.remove(self.server.id(), self.key, asked.load(Ordering::Acquire));
        }
    }
}

/// All long-lived connections of a pool. As many as are open, which the limits of listeners bound.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    servers: BTreeMap<ServerId, Shelf>,
    added: u64,
    closed: u64,
    /// Closed ones, and those that are asked to, as far as no other connection has come since.
    awaited: u64,
    /// Those that have come since the round began to a server that had closed some in it.
    back: u64,
}

#[derive(Debug, Default)]
struct Shelf {
    /// The oldest first.
    all: BTreeMap<Key, Arc<Known>>,
    /// Those of them that are asked to close.
    asked: u32,
    /// Those that do so, and are in flight until both sides have heard of it.
    parting: u32,
    /// How many it has closed since the round began.
    given: u32,
    /// Where the search for one that is idle goes on; those before are busy.
    searched: Option<Key>,
}

impl Shelves {
    fn add(&mut self, server: &ServerId, since: Time, known: Arc<Known>) -> Key {
        self.added += 1;
        let key = (since, self.added);
        let shelf = self.servers.entry(server.clone()).or_default();
        shelf.all.insert(key, known);
        if self.awaited > 0 {
            self.awaited -= 1;
            self.back += u64::from(shelf.given > 0);
        }
        key
    }

    /// Begins to count anew how many a round closes and who comes back for nothing.
    pub(super) fn begin_round(&mut self) {
        self.back = 0;
        self.servers.values_mut().for_each(|shelf| shelf.given = 0);
        self.servers.retain(|_, shelf| !shelf.is_empty());
    }

    /// It ends by its own will.
    fn remove(&mut self, server: &ServerId, key: Key, asked: bool) {
        let Some(shelf) = self.servers.get_mut(server) else { return };
        if shelf.all.remove(&key).is_some() && asked {
            shelf.asked -= 1;
            self.awaited = self.awaited.saturating_sub(1);
        }
        self.clear(server);
    }

    /// One that was asked closes.
    fn close(&mut self, server: &ServerId, key: Key) {
        let Some(shelf) = self.servers.get_mut(server) else { return };
        if shelf.all.remove(&key).is_some() {
            shelf.asked -= 1;
            shelf.parting += 1;
            shelf.given += 1;
            self.closed += 1;
        }
    }

    /// One that closes has done so.
    fn part(&mut self, server: &ServerId) {
        if let Some(shelf) = self.servers.get_mut(server) {
            shelf.parting -= 1;
        }
        self.clear(server);
    }

    /// Forgets a server without any.
    fn clear(&mut self, server: &ServerId) {
        if self.servers.get(server).is_some_and(Shelf::is_empty) {
            self.servers.remove(server);
        }
    }

    /// One that was asked does not close.
    fn stay(&mut self, server: &ServerId) {
        if let Some(shelf) = self.servers.get_mut(server) {
            shelf.asked -= 1;
            self.awaited = self.awaited.saturating_sub(1);
        }
    }

    /// Asks the oldest connection of a server to close that has been quiet since then. False when there is none.
    pub(super) fn ask_oldest(&mut self, server: &ServerId, quiet_since: Time) -> bool {
        let Some(shelf) = self.servers.get_mut(server) else { return false };
        let from = shelf.searched.take().map_or(Bound::Unbounded, Bound::Excluded);
        let quiet = |known: &Known| {
            !known.asked.load(Ordering::Acquire) && known.moved.load(Ordering::Relaxed) <= quiet_since.as_nanos()
        };
        let mut last = None;
        for (key, known) in shelf.all.range((from, Bound::Unbounded)).take(LOOKED_AT) {
            last = Some(*key);
            if quiet(known) {
                known.asked.store(true, Ordering::Release);
                shelf.asked += 1;
                self.awaited += 1;
                let waker = lock(&known.waker).clone();
                if let Some(waker) = waker {
                    waker.wake();
                }
                return true;
            }
        }
        // At the end it begins anew.
        let ended = shelf.all.last_key_value().map(|(key, _)| *key) == last;
        shelf.searched = last.filter(|_| !ended);
        false
    }

    /// Those on a server that are not asked to close.
    pub(super) fn open_on(&self, server: &ServerId) -> u32 {
        self.servers.get(server).map_or(0, |shelf| shelf.all.len() as u32 - shelf.asked)
    }

    /// Those on a server that are in flight and about to end, since they are asked to.
    pub(super) fn leaving_from(&self, server: &ServerId) -> u32 {
        self.servers.get(server).map_or(0, |shelf| shelf.asked + shelf.parting)
    }

    /// All on a server that began under a rule.
    pub(super) fn known_on(&self, server: &ServerId) -> u64 {
        self.servers.get(server).map_or(0, |shelf| shelf.all.len() as u64 + u64::from(shelf.parting))
    }

    pub(super) fn all(&self) -> u64 {
        self.servers.values().map(|shelf| shelf.all.len() as u64).sum()
    }

    /// Those that are asked to close.
    pub(super) fn leaving(&self) -> u64 {
        self.servers.values().map(|shelf| u64::from(shelf.asked)).sum()
    }

    pub(super) fn awaited(&self) -> u64 {
        self.awaited
    }

    pub(super) fn closed(&self) -> u64 {
        self.closed
    }

    pub(super) fn back(&self) -> u64 {
        self.back
    }
}

impl Shelf {
    /// Whether there is nothing to remember of it.
    fn is_empty(&self) -> bool {
        self.all.is_empty() && self.parting == 0 && self.given == 0
    }
}
