//! `plimsoll serve`: balance until told to stop.

use std::time::Duration;

use plimsoll_control::Journal;

use crate::arguments::Serve;
use crate::console::say;
use crate::failure::Failure;
use crate::plane::Plane;
use crate::signals::{self, Asked, Hangup};
use crate::{limits, source};

/// Serves what the arguments ask for until TERM or INT, then finishes what is under way.
pub(crate) fn run(arguments: &Serve) -> Result<(), Failure> {
    let (config, source) = source::for_serve(arguments)?;
    // Before the sockets: from the first request on, a stop must be a graceful one.
    let asks = signals::watch(Hangup::Reload)?;
    limits::raise_open_files(&config);
    let (plane, names) = Plane::start(&config)?;
    plane.announce(&config);
    let patience = config.shutdown_timeout;
    let control = plane.control((config, names), source, Journal::new(|line| say(line)))?;
    for address in control.admin_addresses() {
        say(format_args!("admin API and dashboard on {address}"));
    }
    loop {
        match asks.next() {
            Asked::Stop => break,
            // What came of it is in the journal.
            Asked::Reload => drop(control.reload()),
            Asked::ReopenLogs => control.reopen_logs(),
        }
    }
    say(format_args!(
        "stopping: taking no new connections, finishing requests for up to {}; once more to stop at once",
        whole(patience)
    ));
    let cut_off = plane.stop();
    control.stop();
    match cut_off {
        0 => say("stopped: every request was finished"),
        1 => say("stopped: 1 connection was still busy and was cut off"),
        cut_off => say(format_args!("stopped: {cut_off} connections were still busy and were cut off")),
    }
    Ok(())
}

/// A duration as the configuration writes it, in seconds unless those would hide something.
fn whole(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}
