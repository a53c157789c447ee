//! `plimsoll serve`: balance until told to stop.

use std::sync::Arc;
use std::time::Duration;

use crate::arguments::Serve;
use crate::console::say;
use crate::failure::Failure;
use crate::plane::Plane;
use crate::signals::{self, Hangup};
use crate::watch::Watch;
use crate::{limits, names, source};

/// Serves what the arguments ask for until TERM or INT, then finishes what is under way.
pub(crate) fn run(arguments: &Serve) -> Result<(), Failure> {
    let config = source::for_serve(arguments)?;
    let specs = names::pool_specs(&config)?;
    // Before the sockets: from the first request on, a stop must be a graceful one.
    let stop = signals::watch(Hangup::Ignore)?;
    limits::raise_open_files(&config);
    let plane = Plane::start(&config, specs)?;
    plane.announce(&config);
    let watch = Watch::start(Arc::clone(&plane.pools), plane.logs())?;
    stop.wait();
    say(format_args!(
        "stopping: taking no new connections, finishing requests for up to {}; once more to stop at once",
        whole(config.shutdown_timeout)
    ));
    let cut_off = plane.stop();
    drop(watch);
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
