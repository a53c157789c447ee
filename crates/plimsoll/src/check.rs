//! `plimsoll check`: is this configuration right, and what would it do?

use std::fmt::Write;

use plimsoll_config::{Config, Listener, Pool};
use plimsoll_control::{Control, Names};
use plimsoll_core::AdminState;

use crate::arguments::Check;
use crate::failure::Failure;
use crate::plane::{self, servers};
use crate::{console, source};

/// Checks the configuration and prints what it would do. Nothing is bound, and no name is looked up unless asked for.
pub(crate) fn run(arguments: &Check) -> Result<(), Failure> {
    let without_file = "there is no plimsoll.toml here; name a file: plimsoll check FILE";
    let config = source::from_file(arguments.file.as_deref(), without_file)?;
    Control::check(&config).map_err(Failure::Arguments)?;
    plimsoll_proxy::check_tls(&config).map_err(|error| Failure::Arguments(error.to_string()))?;
    let of_file = config.exposed().into_iter().chain(config.credulous()).chain(config.forgetful());
    for warning in of_file.chain(plane::warnings(&config)) {
        console::say(format_args!("warning: {warning}"));
    }
    if arguments.look_up {
        Names::default().pool_specs(&config, true).map_err(anyhow::Error::from)?;
    }
    Ok(console::print(&summary(&config))?)
}

/// A line for each listener and each pool, and the verdict.
fn summary(config: &Config) -> String {
    let mut text = String::new();
    for line in config.listeners.iter().map(listener_line) {
        let _ = writeln!(text, "{line}");
    }
    for line in config.pools.iter().map(pool_line) {
        let _ = writeln!(text, "{line}");
    }
    text.push_str("the configuration is good\n");
    text
}

fn listener_line(listener: &Listener) -> String {
    let binds: Vec<String> = listener.binds.iter().map(|bind| format!("{}://{bind}", listener.scheme())).collect();
    format!("listener {}: {} -> {}", listener.name, binds.join(", "), listener.target)
}

fn pool_line(pool: &Pool) -> String {
    let mut line = format!("pool {}: {}, {}", pool.name, servers(pool.servers.len()), pool.policy);
    let of_state = |state| pool.servers.iter().filter(|server| server.state == state).count();
    let backups = pool.servers.iter().filter(|server| server.backup).count();
    let idle = pool.servers.iter().filter(|server| server.weight == 0).count();
    for (count, what) in [
        (backups, "as backup"),
        (idle, "of weight 0"),
        (of_state(AdminState::Drain), "draining"),
        (of_state(AdminState::Down), "down"),
    ] {
        if count > 0 {
            let _ = write!(line, ", {count} {what}");
        }
    }
    if let Some(sticky) = &pool.sticky {
        let _ = write!(line, ", sticky: {sticky}");
    }
    line
}
