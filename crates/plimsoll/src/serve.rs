//! `plimsoll serve`: balance until told to stop.
//!
//! The start has an order. What was handed over is taken before anything else opens a descriptor; then all is bound that may
//! need root; then the rights of root are given up, while there is one thread; then logs are opened, names are looked up and
//! threads are started, all by the account that a reload has to do with; and last somebody is told that it is ready.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use plimsoll_config::Config;
use plimsoll_control::{Control, ControlError, Journal};

use crate::account::Account;
use crate::arguments::Serve;
use crate::console::say;
use crate::failure::Failure;
use crate::pid_file::PidFile;
use crate::plane::{self, Ground, Plane};
use crate::signals::{self, Asked, Asks, Hangup};
use crate::systemd::{self, Notifier};
use crate::{limits, source};

/// Serves what the arguments ask for until TERM or INT, then finishes what is under way.
pub(crate) fn run(arguments: &Serve) -> Result<(), Failure> {
    let inherited = systemd::inherited()?;
    let notifier = Arc::new(Notifier::from_env()?);
    let (config, source) = source::for_serve(arguments)?;
    let account = account(&config)?;
    limits::raise_open_files(&config, plane::workers(&config));
    let Ground { doors, admin } = Ground::bind(&config, inherited)?;
    let _pid_file = config.process.pid_file.as_deref().map(PidFile::claim).transpose()?;
    if let Some(account) = &account {
        give_up_root(account, &config)?;
    }
    // Before anybody is served: from the first request on, a stop must be a graceful one.
    let asks = signals::watch(Hangup::Reload)?;
    let (plane, names) = Plane::start(&config, doors, account)?;
    let plane = Arc::new(plane);
    plane.announce(&config);
    let patience = config.shutdown_timeout;
    let status = status(&config);
    let control = plane.control(admin, (config, names), source, Journal::new(|line| say(line)))?;
    for address in control.admin_addresses() {
        say(format_args!("admin API and dashboard on {address}"));
    }
    watch_workers(&plane, &notifier)?;
    notifier.ready(&status);
    obey(&asks, &control, &notifier);
    notifier.stopping(patience);
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

/// Whom to become, where that is possible.
fn account(config: &Config) -> anyhow::Result<Option<Account>> {
    let account = Account::of(&config.process).map_err(|unmet| anyhow::anyhow!("{}", unmet.message))?;
    account.as_ref().map_or(Ok(()), Account::check_reach)?;
    Ok(account)
}

/// Becomes `account`, to which goes what only its user may open.
fn give_up_root(account: &Account, config: &Config) -> anyhow::Result<()> {
    let socket = config.admin.as_ref().and_then(|admin| admin.socket.as_deref());
    if let Some(socket) = socket.filter(|_| !account.is_own()) {
        account.give(socket).context("the socket of the admin API")?;
    }
    account.assume()
}

/// Lets systemd know that the workers live, if it wants to.
fn watch_workers(plane: &Arc<Plane>, notifier: &Arc<Notifier>) -> anyhow::Result<()> {
    let (plane, mut seen) = (Arc::clone(plane), Vec::new());
    notifier.watch(move || plane.look_at_workers(&mut seen))
}

/// Does what signals ask for, until one asks for a stop.
fn obey(asks: &Asks, control: &Control, notifier: &Notifier) {
    loop {
        match asks.next() {
            Asked::Stop => return,
            Asked::Reload => {
                notifier.reloading();
                // What came of it is in the journal.
                notifier.ready(&control.reload().map_or_else(|error| not_reloaded(&error), |_| "reloaded".to_owned()));
            }
            Asked::ReopenLogs => control.reopen_logs(),
        }
    }
}

/// What a service manager shows of a reload that was refused. It has one line for that.
fn not_reloaded(error: &ControlError) -> String {
    match error {
        ControlError::Configuration(_) => "not reloaded: the file has mistakes".to_owned(),
        other => {
            let why = other.to_string();
            format!("not reloaded: {}", why.lines().next().unwrap_or_default())
        }
    }
}

/// What a service manager shows.
fn status(config: &Config) -> String {
    let (listeners, pools, workers) = (config.listeners.len(), config.pools.len(), plane::workers(config));
    format!("serving: listeners {listeners}, pools {pools}, workers {workers}")
}

/// A duration as the configuration writes it, in seconds unless those would hide something.
fn whole(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}
