//! Waiting for what must come to hold.

use std::thread;
use std::time::{Duration, Instant};

/// Outer limit of every wait; nothing here takes long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something holds, and fails with `what` when it never does.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}
