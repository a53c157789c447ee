//! The lines of one worker on their way to the writer.

use std::sync::Arc;

use plimsoll_core::{Percent, Time};

use super::destination::{Batch, Batches, Destination};
use super::line::{Format, Told};
use super::stamp::Stamps;

/// The access log as a listener writes it.
#[derive(Clone, Debug)]
pub(crate) struct AccessLog {
    pub(super) destination: Arc<Destination>,
    pub(super) format: Arc<Format>,
    pub(super) sample: Percent,
}

/// What a worker has not handed over yet.
pub(crate) struct Lines {
    pub(crate) stamps: Stamps,
    /// One for each destination that it writes to: more than one only while a change of them is taken up.
    open: Vec<Open>,
}

struct Open {
    destination: Arc<Destination>,
    batches: Batches,
    batch: Option<Batch>,
    /// Nothing was written since the last tick.
    quiet: bool,
}

impl Lines {
    /// Those of a worker whose time is `now`.
    pub(crate) fn new(now: Time) -> Self {
        Self { stamps: Stamps::new(now), open: Vec::new() }
    }

    /// Adds the line of a request, or drops it when too much waits already.
    pub(crate) fn write(&mut self, log: &AccessLog, told: &Told<'_>) {
        let known = self.open.iter().position(|open| Arc::ptr_eq(&open.destination, &log.destination));
        let at = known.unwrap_or_else(|| {
            self.open.push(Open::new(&log.destination));
            self.open.len() - 1
        });
        let open = &mut self.open[at];
        open.quiet = false;
        if open.batch.is_none() {
            open.batch = open.batches.take();
        }
        let Some(batch) = &mut open.batch else {
            open.destination.drop_line();
            return;
        };
        log.format.write(&mut batch.bytes, told, &mut self.stamps);
        batch.lines += 1;
        if open.batches.is_full(batch) {
            open.hand_over();
        }
    }

    /// Hands over what waits, and lets go of destinations that are not in the configuration any more, once the last
    /// request that came before the change has been told of.
    pub(crate) fn tick(&mut self, now: Time) {
        self.stamps.set(now);
        self.open.retain_mut(|open| {
            open.hand_over();
            let quiet = std::mem::replace(&mut open.quiet, true);
            !(quiet && open.destination.is_retired())
        });
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.open.iter_mut().for_each(Open::hand_over);
    }
}

impl Open {
    fn new(destination: &Arc<Destination>) -> Self {
        Self { destination: Arc::clone(destination), batches: destination.batches(), batch: None, quiet: false }
    }

    fn hand_over(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.destination.hand_over(batch);
        }
    }
}
