//! Waiting for what must come to hold.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives it up: far beyond what a loaded machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `holds`, looking again and again; fails the test when it does not come to hold.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}
