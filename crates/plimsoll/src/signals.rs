//! TERM and INT ask for a graceful stop; a second one ends the process at once.

use std::process;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::console::say;

/// What HUP, the end of the terminal, is to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// A service outlives the terminal it was started from.
    Ignore,
    /// A show ends with its audience.
    Stop,
}

/// Waits for the user to ask for a stop.
pub(crate) struct Stop(Receiver<()>);

/// From here on signals are answered as this module says.
pub(crate) fn watch(hangup: Hangup) -> anyhow::Result<Stop> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("signals cannot be watched")?;
    let (ask, asked) = channel();
    let answer = move || {
        let mut stopping = false;
        for signal in signals.forever() {
            if signal == SIGHUP && hangup == Hangup::Ignore {
                say("SIGHUP is ignored: the configuration is read once, at the start; restart to change it");
            } else if stopping {
                say("stopping at once");
                process::exit(1);
            } else {
                stopping = true;
                // Whoever has stopped listening is on the way out already.
                let _ = ask.send(());
            }
        }
    };
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(answer).context("a thread cannot be started")?;
    Ok(Stop(asked))
}

impl Stop {
    /// Waits until a stop is asked for.
    pub(crate) fn wait(&self) {
        // An error means that nobody is left who could ask.
        let _ = self.0.recv();
    }

    /// Waits for at most `patience`; whether a stop was asked for.
    pub(crate) fn wait_for(&self, patience: Duration) -> bool {
        self.0.recv_timeout(patience) != Err(RecvTimeoutError::Timeout)
    }
}
