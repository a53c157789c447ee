//! What happened to the servers of a pool, for logs and dashboards: the last changes of their health.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::health::{HealthState, Reason, Transition};
use crate::lock::lock;
use crate::{ServerId, Time};

/// A change of what is believed of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Counts the events of the pool, from 1.
    pub number: u64,
    /// When it happened.
    pub at: Time,
    /// Whom it concerns.
    pub server: ServerId,
    /// What was believed before.
    pub from: HealthState,
    /// What is believed now.
    pub to: HealthState,
    /// Why.
    pub reason: Reason,
}

/// Events kept for those who have not read them: a reader that looks every tenth of a second misses none of the first
/// ten thousand a second.
const KEPT: usize = 1024;

/// The last events of a pool.
#[derive(Debug, Default)]
pub(crate) struct Events(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    last: u64,
    kept: VecDeque<Event>,
}

impl Events {
    pub(crate) fn add(&self, server: &ServerId, Transition { from, to, reason }: Transition, at: Time) {
        let mut log = lock(&self.0);
        if log.kept.len() == KEPT {
            log.kept.pop_front();
        }
        log.last += 1;
        let number = log.last;
        log.kept.push_back(Event { number, at, server: server.clone(), from, to, reason });
    }

    /// Those after number `seen`, as far as they are kept.
    pub(crate) fn since(&self, seen: u64) -> Vec<Event> {
        let log = lock(&self.0);
        if log.last == seen {
            return Vec::new();
        }
        log.kept.iter().filter(|event| event.number > seen).cloned().collect()
    }
}
