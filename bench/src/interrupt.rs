//! Ctrl-C and TERM become a flag that every loop of the program looks at, so that an interrupted run
//! still unwinds and takes its children and its files with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on INT and TERM set the flag; a second one ends the process at once.
pub(crate) fn watch() -> anyhow::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // Registered before the flag is set by the same signal: the first arrival finds it unset.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(flag()))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(flag())))
            .context("cannot watch for signals")?;
    }
    Ok(())
}

/// The flag itself, for loops that are told what to watch.
pub(crate) fn flag() -> &'static Arc<AtomicBool> {
    FLAG.get_or_init(|| Arc::new(AtomicBool::new(false)))
}

/// An error once the user has asked to stop.
pub(crate) fn check() -> anyhow::Result<()> {
    if flag().load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}
