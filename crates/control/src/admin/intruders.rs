//! Those who show a wrong token.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};

use crate::api::EventKind;
use crate::journal::{Happened, Journal};

/// Wrong tokens lately.
#[derive(Debug, Default)]
pub(super) struct Intruders(Mutex<Attempts>);

#[derive(Debug, Default)]
struct Attempts {
    untold: u64,
    told: Option<Instant>,
}

/// Wrong tokens are told at most this often.
const BETWEEN_TELLINGS: Duration = Duration::from_secs(10);

impl Intruders {
    /// Tells the journal of one from `peer`, now and then.
    pub(super) fn tell(&self, journal: &Journal, peer: Option<IpAddr>, fields: &HeaderMap) {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who shows nothing at all has only not been told yet.
        if !fields.contains_key(header::AUTHORIZATION) {
            return;
        }
        attempts.untold += 1;
        if attempts.told.is_some_and(|told| told.elapsed() < BETWEEN_TELLINGS) {
            return;
        }
        let untold = std::mem::take(&mut attempts.untold);
        attempts.told = Some(Instant::now());
        drop(attempts);
        let peer = peer.map_or_else(String::new, |peer| format!(", the last from {peer}"));
        let times = if untold == 1 { "once".to_owned() } else { format!("{untold} times") };
        let message = format!("the admin API was asked with a wrong token {times}{peer}");
        journal.add(Happened::new(EventKind::Warning, message));
    }
}
