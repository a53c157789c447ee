//! What became of the ties of a pool's requests.

use crate::counts::Counter;
use crate::stats::StickyStats;

/// What the client showed of the server it had before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shown {
    #[default]
    Nothing,
    /// What names a server of the pool; a cookie that is old is to be renewed.
    Known { old: bool },
    /// A cookie of ours by its name, and by nothing else.
    Refused,
}

/// The counts, a column for each worker.
#[derive(Debug)]
pub(super) struct Counts(Box<[Column]>);

/// With one writer, in cache lines of its own, which are fetched in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Column {
    kept: Counter,
    moved: Counter,
    fresh: Counter,
    refused: Counter,
}

impl Counts {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Column::default()).collect())
    }

    /// Counts an answer of the server that was `shown`, or of another.
    pub(super) fn add(&self, worker: usize, shown: Shown, same: bool) {
        let Some(column) = self.0.get(worker) else { return };
        let counter = match shown {
            Shown::Known { .. } if same => &column.kept,
            Shown::Known { .. } => &column.moved,
            Shown::Nothing => &column.fresh,
            Shown::Refused => &column.refused,
        };
        counter.add(1);
    }

    pub(super) fn read(&self) -> StickyStats {
        let sum = |of: fn(&Column) -> &Counter| self.0.iter().map(|column| of(column).read()).sum();
        StickyStats {
            kept: sum(|column| &column.kept),
            moved: sum(|column| &column.moved),
            fresh: sum(|column| &column.fresh),
            refused: sum(|column| &column.refused),
            ..StickyStats::default()
        }
    }
}
