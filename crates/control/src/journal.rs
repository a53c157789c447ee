//! What happened, for logs, dashboards and whoever asks: one list of events with one count.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::api::{Event, EventKind};
use crate::wall;

/// Events that are remembered. Some megabytes at most, and hours of a fleet that is not on fire.
const KEPT: usize = 10_000;

/// The events of this process. Adding and reading never wait for long.
pub struct Journal {
    log: Mutex<Log>,
    last: watch::Sender<u64>,
    tell: Box<dyn Fn(&str) + Send + Sync>,
}

#[derive(Default)]
struct Log {
    last: u64,
    kept: VecDeque<Event>,
    tally: Tally,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// By kind, in the order of `EventKind::ALL`.
    pub(crate) counts: [u64; EventKind::ALL.len()],
    /// When a reload was last tried, and whether it was put in force.
    pub(crate) last_reload: Option<(Timestamp, bool)>,
}

/// What is known of an event before it has its number.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) kind: EventKind,
    /// RFC 3339; now where it is `None`.
    pub(crate) at: Option<String>,
    pub(crate) pool: Option<String>,
    pub(crate) server: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) message: String,
}

impl Happened {
    /// Something that concerns the process.
    pub(crate) fn new(kind: EventKind, message: impl Into<String>) -> Self {
        Self { kind, at: None, pool: None, server: None, from: None, to: None, message: message.into() }
    }
}

impl Journal {
    /// An empty journal. Every event is also told to `tell` in a line or more of text, at once; it should not wait.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { log: Mutex::default(), last: watch::Sender::new(0), tell: Box::new(tell) }
    }

    /// Writes down what happened, and gives its number.
    pub(crate) fn add(&self, happened: Happened) -> u64 {
        let Happened { kind, at, pool, server, from, to, message } = happened;
        (self.tell)(&message);
        let now = Timestamp::now();
        let at = at.unwrap_or_else(|| wall::text(now));
        let mut log = self.log();
        log.tally.counts[kind as usize] += 1;
        if let EventKind::Reload | EventKind::ReloadRefused = kind {
            log.tally.last_reload = Some((now, kind == EventKind::Reload));
        }
        if log.kept.len() == KEPT {
            log.kept.pop_front();
        }
        log.last += 1;
        let number = log.last;
        log.kept.push_back(Event { number, at, kind, pool, server, from, to, message });
        drop(log);
        self.last.send_replace(number);
        number
    }

    /// Events after number `seen`, the oldest first, at most `most` of them and those the latest.
    pub fn since(&self, seen: u64, most: usize) -> Vec<Event> {
        let log = self.log();
        let newer = log.kept.partition_point(|event| event.number <= seen);
        let from = newer.max(log.kept.len().saturating_sub(most));
        log.kept.range(from..).cloned().collect()
    }

    /// The events after number `seen`, the oldest first, at most `most` of them and those the earliest that are remembered.
    pub(crate) fn following(&self, seen: u64, most: usize) -> Vec<Event> {
        let log = self.log();
        let newer = log.kept.partition_point(|event| event.number <= seen);
        log.kept.range(newer..).take(most).cloned().collect()
    }

    /// How often what happened since the process started.
    pub(crate) fn tally(&self) -> Tally {
        self.log().tally
    }

    /// The number of the last event, to wait for the next.
    pub fn last(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("last", &*self.last.borrow()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_last_events_are_kept_and_told() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let journal = Journal::new(move |line| tell.lock().unwrap().push(line.to_owned()));
        let last = journal.last();
        for number in 1..=KEPT + 5 {
            journal.add(Happened::new(EventKind::Warning, format!("event {number}")));
        }
        assert_eq!(told.lock().unwrap().len(), KEPT + 5);
        assert_eq!(*last.borrow(), KEPT as u64 + 5);
        let kept = journal.since(0, usize::MAX);
        assert_eq!((kept.len(), kept[0].number), (KEPT, 6));
        let numbers: Vec<u64> = journal.since(KEPT as u64, 3).iter().map(|event| event.number).collect();
        assert_eq!(numbers, [KEPT as u64 + 3, KEPT as u64 + 4, KEPT as u64 + 5]);
        assert!(journal.since(KEPT as u64 + 5, 10).is_empty());
    }
}
