//! This machine has no descriptor or memory left for another connection: our trouble, and no server's.
//!
//! Whoever meets it waits its turn: first come, first served, of all workers together. What is idle is closed for it, by every
//! worker: those who have connections to spare need not be those who lack one. And some descriptors are kept back, so that
//! clients cannot take the last ones and then wait for servers that nobody can connect to: as long as those are given out,
//! nobody else is let in, unless there is room for him by the limit.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use plimsoll_config::Config;
use rustix::io::Errno;
use tokio::sync::{Mutex as Queue, MutexGuard as First};

use crate::descriptors;
use crate::http1::Reject;
use crate::lock::lock;
use reserve::Reserve;

mod reserve;

/// How often it is told of: an overload must not flood the journal.
const BETWEEN_NEWS: Duration = Duration::from_secs(10);

/// What a client is told whose request could not be sent on because of it.
pub(crate) const REJECT: Reject =
    Reject { status: 503, reason: "this balancer has no descriptor left for a connection to the server" };

/// How long it takes until who is first of those who lack a descriptor tries again. The others wait behind it.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

/// When such a client may well find one: requests end, and their descriptors with them.
pub(crate) const PASSES: Duration = Duration::from_secs(1);

/// The most that wait for a descriptor. At a few hundred requests a second, which is little for this machine, the last of them
/// has it within the seconds that it may wait.
const MOST_WAITING: usize = 1024;

/// How often there was too little of something, all workers together, and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    times: AtomicU64,
    told: Mutex<Told>,
    /// How often others were asked to close what is idle.
    calls: AtomicU64,
    /// Held by who is first of those who wait; the others are behind it in the order they came.
    queue: Queue<()>,
    waiting: AtomicUsize,
    reserve: Reserve,
    /// Descriptors that are needed whoever comes, by the configuration in force.
    fixed: AtomicU64,
}

/// Whose turn it is to have the next descriptor.
pub(crate) struct Turn<'a> {
    _first: First<'a, ()>,
    _waiting: Waiting<'a>,
}

/// One in the count of those who wait.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[derive(Debug, Default)]
struct Told {
    times: u64,
    at: Option<Instant>,
}

/// Whether the fault is this machine's, which has run out of something.
pub(crate) fn is_own(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    shortages.iter().any(|shortage| error.raw_os_error() == Some(shortage.raw_os_error()))
}

impl Shortage {
    /// None yet, with something kept back for the first.
    pub(crate) fn prepared() -> Self {
        Self { reserve: Reserve::filled(), ..Self::default() }
    }

    /// Follows a change of the configuration.
    pub(crate) fn follow(&self, config: &Config, workers: usize) {
        self.fixed.store(descriptors::fixed(config, workers as u64), Relaxed);
    }

    /// Nobody lacks a descriptor, and what is kept back is whole.
    pub(crate) fn is_over(&self) -> bool {
        self.reserve.is_whole() && !self.has_waiting()
    }

    /// Whether the limit leaves room for one more client beside so many, and for its server.
    pub(crate) fn has_room_beside(&self, clients: usize) -> bool {
        clients < descriptors::clients_beside(self.fixed.load(Relaxed))
    }

    /// Somebody waits for a descriptor.
    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    /// More wait than may.
    pub(crate) fn is_crowded(&self) -> bool {
        self.waiting.load(Relaxed) >= MOST_WAITING
    }

    /// Waits until nobody who came before waits for a descriptor.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        self.waiting.fetch_add(1, Relaxed);
        let waiting = Waiting(&self.waiting);
        Turn { _first: self.queue.lock().await, _waiting: waiting }
    }

    /// Gives a descriptor that was kept back to the one whose turn it is; false when none is left.
    pub(crate) fn give_out(&self, _turn: &Turn<'_>) -> bool {
        self.reserve.give_out()
    }

    /// Keeps back again what was given out, as far as there is any and nobody waits for it.
    pub(crate) fn recover(&self) {
        if !self.reserve.is_whole() && !self.has_waiting() {
            self.reserve.refill();
        }
    }

    /// Asks all workers to close what is idle.
    pub(crate) fn call(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    /// How often that was asked.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// Counts one more time.
    pub(crate) fn note(&self) {
        self.times.fetch_add(1, Relaxed);
    }

    /// How often until now.
    pub(crate) fn times(&self) -> u64 {
        self.times.load(Relaxed)
    }

    /// What an operator should know at `now` and has not been told, unless that was told just before.
    pub(crate) fn news(&self, now: Instant) -> Option<String> {
        let mut told = lock(&self.told);
        let newly = self.times() - told.times;
        let just_now = told.at.is_some_and(|at| now.saturating_duration_since(at) < BETWEEN_NEWS);
        if newly == 0 || just_now {
            return None;
        }
        *told = Told { times: told.times + newly, at: Some(now) };
        Some(format!(
            "the process ran out of descriptors or memory for connections, {newly} times: new ones wait, and idle ones to \
             servers are closed; raise the limit on open files (LimitNOFILE=, `ulimit -n`) or lower max_connections"
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn it_is_told_with_its_count_and_not_too_often() {
        let (shortage, start) = (Shortage::default(), Instant::now());
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(shortage.news(start), None);
        shortage.note();
        assert!(shortage.news(start).is_some_and(|news| news.contains(" 1 times")));
        (0..7).for_each(|_| shortage.note());
        assert_eq!(shortage.news(after(9)), None);
        assert!(shortage.news(after(10)).is_some_and(|news| news.contains(" 7 times")));
        assert_eq!(shortage.news(after(60)), None);
    }

    #[test]
    fn it_is_over_once_nobody_waits_and_what_was_kept_back_is_there_again() {
        let shortage = Shortage::prepared();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(shortage.is_over() && !shortage.has_waiting());
        let first = runtime.block_on(shortage.turn());
        let mut second = std::pin::pin!(shortage.turn());
        assert!(shortage.has_waiting());
        assert!(shortage.give_out(&first));
        let mut look = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut look).is_pending(), "somebody is before it");
        shortage.recover();
        drop(first);
        let second = runtime.block_on(second);
        assert!(!shortage.is_over() && shortage.has_waiting());
        drop(second);
        assert!(!shortage.is_over() && !shortage.has_waiting());
        shortage.recover();
        assert!(shortage.is_over());
    }
}
