//! Says what happens to the pools: a line for each change of a server's health, and now and then how many requests found
//! no server and why.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use plimsoll_core::{Event, Pool, Pools, Refused};
use plimsoll_proxy::Logs;

use crate::console::say;

/// How often pools are looked at. A pool remembers its last thousand events, so none is missed below 10,000 a second.
const LOOK: Duration = Duration::from_millis(100);

/// Refusals of a pool are told at most this often: an overload must not flood the log.
const BETWEEN_REFUSALS: Duration = Duration::from_secs(10);

/// A thread that watches. It ends when this is dropped, after a last look.
pub(crate) struct Watch {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to watch all pools, and how the access log fares.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub(crate) fn start(pools: Arc<Pools>, logs: Arc<Logs>) -> anyhow::Result<Self> {
        let (end, ended) = mpsc::channel();
        let run = move || {
            let mut watched = Vec::new();
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                look(&pools, &mut watched, Some(Instant::now()));
                logs.news().into_iter().for_each(say);
            }
            look(&pools, &mut watched, None);
        };
        let thread = thread::Builder::new().name("watch".to_owned()).spawn(run);
        let thread = thread.context("the thread that watches the pools cannot be started")?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing left to say.
            let _ = thread.join();
        }
    }
}

/// A pool, and how much of what happened to it has been told.
struct Watched {
    pool: Arc<Pool>,
    seen: u64,
    refused: Vec<(Refused, u64)>,
    told_refusals: Option<Instant>,
}

/// Tells what is new. Without a time it is the last look, and all is told.
fn look(pools: &Pools, watched: &mut Vec<Watched>, now: Option<Instant>) {
    for pool in pools.all() {
        if !watched.iter().any(|known| Arc::ptr_eq(&known.pool, &pool)) {
            watched.push(Watched { pool, seen: 0, refused: Vec::new(), told_refusals: None });
        }
    }
    for pool in watched {
        for event in pool.pool.events(pool.seen) {
            pool.seen = event.number;
            say(line(&event));
        }
        if let Some(line) = pool.refusals(now) {
            say(line);
        }
    }
}

fn line(event: &Event) -> String {
    let Event { server, from, to, reason, .. } = event;
    format!("pool {}: server {} is {to} (was {from}): {reason}", server.pool(), server.name())
}

impl Watched {
    /// How many requests found no server since that was last told, unless that was just now.
    fn refusals(&mut self, now: Option<Instant>) -> Option<String> {
        let just_now = |(told, now): (Instant, Instant)| now.duration_since(told) < BETWEEN_REFUSALS;
        if self.told_refusals.zip(now).is_some_and(just_now) {
            return None;
        }
        let refused = self.pool.refused();
        let before = |reason| self.refused.iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| *count);
        let newly = refused.iter().map(|(reason, count)| (reason, count - before(*reason)));
        let reasons: Vec<String> =
            newly.filter(|(_, count)| *count > 0).map(|(reason, count)| format!("{count} {}", reason.name())).collect();
        if reasons.is_empty() {
            return None;
        }
        self.refused = refused;
        self.told_refusals = now;
        Some(format!("pool {}: requests that found no server: {}", self.pool.name(), reasons.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_core::{Ask, PoolSpec, Time};

    use super::*;

    #[test]
    fn refusals_are_told_once_and_not_too_often() {
        let pool = Arc::new(Pool::new("app", PoolSpec::default(), Time::ZERO));
        let mut watched = Watched { pool: Arc::clone(&pool), seen: 0, refused: Vec::new(), told_refusals: None };
        let start = Instant::now();
        let after = |looks: u32| Some(start + BETWEEN_REFUSALS / 2 * looks);
        assert_eq!(watched.refusals(after(0)), None);
        let refuse = || assert!(pool.pick(&Ask::default()).is_err());
        refuse();
        let told = Some("pool app: requests that found no server: 1 no-server".to_owned());
        assert_eq!(watched.refusals(after(0)), told);
        refuse();
        assert_eq!(watched.refusals(after(1)), None);
        assert_eq!(watched.refusals(after(2)), told);
        assert_eq!(watched.refusals(after(6)), None);
        refuse();
        assert_eq!(watched.refusals(after(7)), told);
        refuse();
        assert_eq!(watched.refusals(None), told, "the last look leaves nothing untold");
    }
}
