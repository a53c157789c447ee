//! Descriptors that are kept back: held for no use, so that closing one makes room where nothing else does.

use std::fs::File;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::lock::lock;

/// So many connections to servers can be made at once when clients have taken all else. With few milliseconds for a request
/// they serve thousands a second, and a limit of 144 has them.
const KEPT: usize = 16;

/// The descriptors, for all workers together.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    kept: Mutex<Vec<File>>,
    /// How many have been given out.
    missing: AtomicUsize,
}

impl Reserve {
    /// As many as there can be, and one more that they are made from: what there never was is not waited for.
    pub(super) fn filled() -> Self {
        let first = File::open("/dev/null").ok();
        let mut kept: Vec<File> = first.into_iter().collect();
        while kept.len() <= KEPT
            && let Some(Ok(another)) = kept.first().map(File::try_clone)
        {
            kept.push(another);
        }
        Self { kept: Mutex::new(kept), missing: AtomicUsize::new(0) }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.missing.load(Relaxed) == 0
    }

    /// Closes one; false when none is left but that which they are made from.
    pub(super) fn give_out(&self) -> bool {
        let mut kept = lock(&self.kept);
        let given = kept.len() > 1;
        if given {
            kept.pop();
            self.missing.fetch_add(1, Relaxed);
        }
        given
    }

    /// Opens again what was given out, as far as the limit allows.
    pub(super) fn refill(&self) {
        let mut kept = lock(&self.kept);
        while !self.is_whole()
            && let Some(Ok(another)) = kept.first().map(File::try_clone)
        {
            kept.push(another);
            self.missing.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_out_is_taken_back() {
        let reserve = Reserve::filled();
        assert!(reserve.is_whole());
        let given = (0..2 * KEPT).filter(|_| reserve.give_out()).count();
        assert_eq!(given, KEPT);
        assert!(!reserve.is_whole());
        reserve.refill();
        assert!(reserve.is_whole());
        assert_eq!(lock(&reserve.kept).len(), KEPT + 1);
    }
}
