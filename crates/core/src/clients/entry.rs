//! What a table knows of one client.

use std::time::Duration;

use super::rules::{Bounds, Kind, Limits};
use super::window::{Place, Window};
use super::{ClientKey, ClientStats, Over};
use crate::Time;

/// One client: 144 bytes, in this order so that a request touches two lines of the cache, seldom three.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Entry {
    /// `None` where nobody is.
    pub(super) key: Option<ClientKey>,
    /// The part of its hash that the index knows.
    pub(super) tag: u32,
    connections: u32,
    requests: u32,
    refused: u32,
    /// When it last wanted something, in nanoseconds.
    seen: u64,
    total_requests: u64,
    request_window: Window,
    connection_window: Window,
}

/// What the limits say to one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It begins in this place.
    Fits(Place),
    /// It is over.
    Over(Over),
}

/// When to come again after a limit at once.
const SOON: Duration = Duration::from_secs(1);

impl Entry {
    /// A place where nobody is.
    pub(super) const VACANT: Self = Self {
        key: None,
        tag: 0,
        connections: 0,
        requests: 0,
        refused: 0,
        seen: 0,
        total_requests: 0,
        request_window: Window::NEW,
        connection_window: Window::NEW,
    };

    /// A client that did nothing yet.
    pub(super) fn new(key: ClientKey, tag: u32) -> Self {
        Self { key: Some(key), tag, ..Self::VACANT }
    }

    /// What the limits say to one more that comes `now` and would wait for `most`.
    pub(super) fn judge(&self, kind: Kind, bounds: &Bounds, now: Time, most: Duration) -> Judged {
        let (held, window) = match kind {
            Kind::Connection => (self.connections, &self.connection_window),
            Kind::Request => (self.requests, &self.request_window),
        };
        let (at_once, in_time) = kind.limits();
        if bounds.at_once.is_some_and(|limit| held >= limit.get()) {
            return Judged::Over(Over { limit: at_once, retry_after: SOON });
        }
        match window.place(&bounds.pace, now) {
            Place::Later(at) if at.saturating_since(now) > most => {
                Judged::Over(Over { limit: in_time, retry_after: at.saturating_since(now) })
            }
            place => Judged::Fits(place),
        }
    }

    /// Counts one at once.
    pub(super) fn hold(&mut self, kind: Kind) {
        let held = self.held(kind);
        *held = held.saturating_add(1);
        if kind == Kind::Request {
            self.total_requests += 1;
        }
    }

    /// Takes one off.
    pub(super) fn release(&mut self, kind: Kind) {
        let held = self.held(kind);
        debug_assert!(*held > 0, "a hold ends once");
        *held = held.saturating_sub(1);
    }

    fn held(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::Connection => &mut self.connections,
            Kind::Request => &mut self.requests,
        }
    }

    /// Counts one in time.
    pub(super) fn begin(&mut self, kind: Kind, bounds: &Bounds, place: Place) {
        let window = match kind {
            Kind::Connection => &mut self.connection_window,
            Kind::Request => &mut self.request_window,
        };
        window.begin(&bounds.pace, place);
    }

    /// Counts one that was over.
    pub(super) fn refuse(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    /// Remembers that it wanted something `now`.
    pub(super) fn see(&mut self, now: Time) {
        self.seen = self.seen.max(now.as_nanos());
    }

    /// When it last wanted something.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether it has anything at once, so that it must stay.
    pub(super) fn is_held(&self) -> bool {
        self.connections > 0 || self.requests > 0
    }

    /// Whether nothing of it counts any more.
    pub(super) fn is_over(&self, limits: &Limits, now: Time) -> bool {
        !self.is_held()
            && self.request_window.is_over(&limits.requests.pace, now)
            && self.connection_window.is_over(&limits.connections.pace, now)
    }

    /// Follows a change of the rules.
    pub(super) fn follow_change(&mut self, before: &Limits, after: &Limits) {
        if !after.requests.pace.counts_like(&before.requests.pace) {
            self.request_window.follow_change();
        }
        if !after.connections.pace.counts_like(&before.connections.pace) {
            self.connection_window.follow_change();
        }
    }

    /// What is told of it, and how many requests it began of late.
    pub(super) fn stats(&self, limits: &Limits, now: Time) -> Option<(u64, ClientStats)> {
        let pace = &limits.requests.pace;
        let stats = ClientStats {
            key: self.key?,
            connections: self.connections,
            requests: self.requests,
            request_rate: self.request_window.rate(pace, now),
            refused: u64::from(self.refused),
            total_requests: self.total_requests,
        };
        Some((self.request_window.recent(pace, now), stats))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stays_small() {
        assert!(size_of::<Entry>() <= 144, "{}", size_of::<Entry>());
    }
}
