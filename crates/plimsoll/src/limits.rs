//! How many sockets the system lets this process have.

use plimsoll_config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::console::say;

/// Raises the limit on open files as far as the system allows, since the usual 1024 is meant for programs that
/// hold few, and says so when it stays below what the clients alone may take.
pub(crate) fn raise_open_files(config: &Config) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    let clients: usize = config.listeners.iter().map(|listener| listener.max_connections).sum();
    if let Some(limit) = limit.filter(|&limit| limit < clients as u64) {
        say(format_args!(
            "note: up to {clients} clients may connect, but the limit on open files is {limit}; raise it (`ulimit -n`), \
             or lower max_connections"
        ));
    }
}
