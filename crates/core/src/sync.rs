//! The atomics of the modules whose interleavings are checked one by one. `tests/interleavings.rs` compiles
//! the same files against a model checker's atomics of the same names.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
