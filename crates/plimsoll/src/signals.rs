//! What signals ask for: TERM and INT a graceful stop, and a second one the end at once; HUP a reload, USR1 that logs
//! are opened anew.

use std::process;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::console::say;

/// What HUP, the end of the terminal, is to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// A service outlives the terminal it was started from, and reads its configuration anew.
    Reload,
    /// A show ends with its audience.
    Stop,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Stop,
    Reload,
    ReopenLogs,
}

/// What signals have asked for and has not been done yet.
pub(crate) struct Asks(Receiver<Asked>);

/// From here on signals are answered as this module says.
pub(crate) fn watch(hangup: Hangup) -> anyhow::Result<Asks> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]).context("signals cannot be watched")?;
    let (ask, asks) = channel();
    let answer = move || {
        let mut stopping = false;
        for signal in signals.forever() {
            let asked = match signal {
                SIGHUP if hangup == Hangup::Reload => Asked::Reload,
                SIGUSR1 => Asked::ReopenLogs,
                _ => Asked::Stop,
            };
            if asked == Asked::Stop && std::mem::replace(&mut stopping, true) {
                say("stopping at once");
                process::exit(1);
            }
            // Whoever has stopped listening is on the way out already.
            let _ = ask.send(asked);
        }
    };
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(answer).context("a thread cannot be started")?;
    Ok(Asks(asks))
}

impl Asks {
    /// Waits for the next. When nobody is left who could ask, that is a stop.
    pub(crate) fn next(&self) -> Asked {
        self.0.recv().unwrap_or(Asked::Stop)
    }

    /// Waits for at most `patience`; whether a stop was asked for.
    pub(crate) fn stop_within(&self, patience: Duration) -> bool {
        match self.0.recv_timeout(patience) {
            Ok(asked) => asked == Asked::Stop,
            Err(error) => error == RecvTimeoutError::Disconnected,
        }
    }
}
