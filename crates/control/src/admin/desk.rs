//! What lies ready where answers are made.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use super::intruders::Intruders;
use crate::shared::Shared;

/// What answers need.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    pub(super) ended: watch::Receiver<bool>,
    pub(super) intruders: Arc<Intruders>,
    /// Room for those who listen to a stream.
    pub(super) listeners: Arc<Semaphore>,
    /// Room for those who read metrics.
    pub(super) scrapes: Arc<Semaphore>,
    /// Room for those who change something; they would wait for each other anyway.
    pub(super) changes: Arc<Semaphore>,
}

/// Streams at once. Each costs a look at the pools a second.
const STREAMS: usize = 32;

/// Pages of metrics that are written at once, each some megabytes with thousands of servers. Others wait.
const SCRAPES: usize = 2;

/// Changes at once, each with a body of megabytes at most.
const CHANGES: usize = 4;

impl Desk {
    pub(super) fn new(shared: Arc<Shared>, ended: watch::Receiver<bool>) -> Self {
        let room = |count| Arc::new(Semaphore::new(count));
        let (listeners, scrapes, changes) = (room(STREAMS), room(SCRAPES), room(CHANGES));
        Self { shared, ended, intruders: Arc::default(), listeners, scrapes, changes }
    }
}
