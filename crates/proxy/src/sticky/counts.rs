//! What became of the ties of a pool's requests.

use super::Shown;
use crate::counts::Counter;

/// How the clients of one pool have stuck so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StickyStats {
    /// The name of the pool.
    pub pool: String,
    /// Answers of the server that the client had before.
    pub kept: u64,
    /// Answers of another one, which the client has from now on.
    pub moved: u64,
    /// Answers to clients that had none before.
    pub fresh: u64,
    /// Answers to clients whose cookie was not one that we would have made, or too old.
    pub refused: u64,
    /// Values remembered now, where values are learnt.
    pub learnt: Option<usize>,
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
