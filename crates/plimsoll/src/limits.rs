//! How many descriptors the system lets this process have.

use plimsoll_config::Config;
use plimsoll_proxy::Descriptors;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::console::say;

/// Raises the limit on open files as far as the system allows, since the usual 1024 is meant for programs that hold few. Root
/// may go beyond what it was given, as far as is needed.
pub(crate) fn raise_open_files(config: &Config, workers: usize) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let needed = Descriptors::of(config, workers).needed;
    let beyond = maximum.filter(|&maximum| maximum < needed).map(|_| needed);
    for limit in beyond.into_iter().map(Some).chain([maximum]) {
        if setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).is_ok() {
            break;
        }
    }
    // Where it could be raised by nobody, fewer clients are let in, and that is told.
    tell_shortage(config, workers);
}

/// Says so where fewer clients can be let in than the file asks for, or than any program with this limit could serve. What is
/// left to its default is what fits.
fn tell_shortage(config: &Config, workers: usize) {
    let Descriptors { limit, needed, wanted, clients } = Descriptors::of(config, workers);
    let asked_for = config.process.max_connections.is_some();
    let short = |limit: u64| if asked_for { clients < wanted } else { limit < wanted as u64 };
    if let Some(limit) = limit.filter(|limit| short(*limit)) {
        let (wanted, clients) = (are(wanted), are(clients));
        say(format_args!(
            "note: {wanted} allowed for, which needs up to {needed} open files, but the limit is {limit}: at most {clients} let \
             in at once, others wait; raise it (LimitNOFILE= in the unit, `ulimit -n`), or lower max_connections"
        ));
    }
}

/// `1 client is`, `2 clients are`.
fn are(clients: usize) -> String {
    if clients == 1 { "1 client is".to_owned() } else { format!("{clients} clients are") }
}
