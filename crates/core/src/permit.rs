//! The proof of one pick.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::alive::Step;
use crate::seat::Seat;
use crate::server::Kind;
use crate::{Outcome, OutcomeKind, Server, Time};

/// One request in flight on one server: it counts from the pick until it is dropped.
///
/// Dropping it is what takes it off the count, also when a panic unwinds or a future is cancelled.
/// [`finish`](Permit::finish) is a drop that knows how the request went.
#[must_use = "the server counts as busy only while the permit is kept"]
#[derive(Debug)]
pub struct Permit {
    server: Arc<Server>,
    picked_at: Time,
    /// Its end decides whether an ejected server comes back.
    trial: bool,
    /// It was finished, so that its drop has nothing left to do. An outcome kept for the drop would more than double what
    /// every request carries about.
    finished: bool,
    /// What it was given for lasts, so that its life is no response time.
    lasting: bool,
}

/// What a permit that is dropped without a word reports.
const ABORTED: Outcome = Outcome::of(OutcomeKind::Aborted, Duration::ZERO);

impl Permit {
    /// For a slot of `server` that was claimed in this step; it is released when the permit is dropped.
    #[inline]
    pub(crate) fn new(server: Arc<Server>, picked_at: Time, step: Step<'_>) -> Self {
        step.made();
        Self { server, picked_at, trial: false, finished: false, lasting: false }
    }

    /// The same, for a server on trial.
    pub(crate) fn on_trial(self) -> Self {
        let mut permit = self;
        permit.trial = true;
        permit
    }

    /// The same, for one who waited for it until `now`. Who freed the slot may have been unable to tell the time.
    pub(crate) fn handed_over(self, now: Time) -> Self {
        let mut permit = self;
        permit.picked_at = permit.picked_at.max(now);
        permit
    }

    /// The server that was picked.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// When it was picked; for one that was waited for, when it was handed over.
    pub fn picked_at(&self) -> Time {
        self.picked_at
    }

    /// Tells at `now` that the server answers: a trial has passed then, and the server is up, however long the rest takes.
    /// Without it a download or a tunnel that is a trial would keep its server out until it ends. How the request went is
    /// still told by [`finish`](Permit::finish).
    pub fn answered(&mut self, now: Time) {
        if std::mem::take(&mut self.trial) {
            self.server.home.pass_trial(&self.server, now);
        }
    }

    /// The same of what lasts, with the time that the server took to its first byte. It is learnt now and not at the end,
    /// which may be hours away.
    pub fn spoke(&mut self, first_byte: Duration, now: Time) {
        self.server.spoke(first_byte, now);
        self.answered(now);
    }

    /// Notes that what it was given for is a connection that will last. False if that is known.
    pub(crate) fn begins_to_last(&mut self) -> bool {
        let begins = !std::mem::replace(&mut self.lasting, true);
        if begins {
            self.server.live.tally.long_lived.fetch_add(1, Ordering::Relaxed);
        }
        begins
    }

    /// Ends the request and tells how it went.
    pub fn finish(mut self, outcome: Outcome) {
        self.end(&outcome);
    }

    /// Inlined, so that the drop that follows [`finish`](Permit::finish) costs nothing.
    #[inline]
    fn end(&mut self, outcome: &Outcome) {
        if !std::mem::replace(&mut self.finished, true) {
            self.settle(outcome);
        }
    }

    fn settle(&self, outcome: &Outcome) {
        let _ending = self.server.home.alive.ending(Seat::mine());
        self.server.release(outcome, self.picked_at, Kind { trial: self.trial, lasting: self.lasting });
    }
}

impl Drop for Permit {
    /// Takes the request off the server's count. Without [`finish`](Permit::finish) it counts as aborted.
    fn drop(&mut self) {
        self.end(&ABORTED);
    }
}
