//! This machine has no descriptor or memory left for another connection: our trouble, and no server's.
//!
//! Whoever meets it waits a moment and tries again. What is idle is closed for it, by every worker: those who have
//! connections to spare need not be those who lack one.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::http1::Reject;
use crate::lock::lock;

/// How often it is told of: an overload must not flood the journal.
const BETWEEN_NEWS: Duration = Duration::from_secs(10);

/// What a client is told whose request could not be sent on because of it.
pub(crate) const REJECT: Reject =
    Reject { status: 503, reason: "this balancer has no descriptor left for a connection to the server" };

/// When such a client may well find one: requests end, and their descriptors with them.
pub(crate) const PASSES: Duration = Duration::from_secs(1);

/// How often there was too little of something, all workers together.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    times: AtomicU64,
    told: Mutex<Told>,
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
}
