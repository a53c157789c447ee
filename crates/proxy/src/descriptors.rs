//! How many descriptors a configuration needs, and for how many clients the limit on them leaves room.

use plimsoll_config::Config;
use rustix::process::{Resource, getrlimit};

/// What a client may need: its own connection, and one to the server that serves it.
const OF_A_CLIENT: u64 = 2;

/// Of a worker's runtime, and for each address its listening socket and a client that waits for room.
const OF_A_WORKER: u64 = 8;
const OF_AN_ADDRESS: u64 = 2;

/// Probes under way at once: enough for 100 probes a second that all run into a timeout of 2 s, few beside the 1024 descriptors
/// that a process is given at the least.
pub(crate) const MOST_PROBES: usize = 256;

/// Standard streams, logs, runtimes of other threads, the resolver, files that are read at a reload, and what is kept back for
/// connections to servers.
const OF_THE_REST: u64 = 64;

/// Connections to one door of the admin API, as control bounds them, and the door itself.
const OF_AN_ADMIN_DOOR: u64 = 129;

/// What a configuration needs of descriptors, and what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// The limit of the process; `None` is no limit.
    pub limit: Option<u64>,
    /// What would be enough for all clients that are allowed for.
    pub needed: u64,
    /// The clients that are allowed for: the `max_connections` of all listeners, or that of the process if it is less.
    pub wanted: usize,
    /// The clients that are let in at once: as many as wanted and no more than there is room for.
    pub clients: usize,
}

impl Descriptors {
    /// What `config` gets with this number of workers under the limit of now.
    pub fn of(config: &Config, workers: usize) -> Self {
        Self::under(getrlimit(Resource::Nofile).current, config, workers)
    }

    /// The same under a limit.
    pub fn under(limit: Option<u64>, config: &Config, workers: usize) -> Self {
        let of_listeners =
            config.listeners.iter().fold(0, |sum: usize, listener| sum.saturating_add(listener.max_connections));
        let wanted = config.process.max_connections.map_or(of_listeners, |most| most.min(of_listeners));
        let fixed = fixed(config, workers as u64);
        let needed = fixed.saturating_add(OF_A_CLIENT.saturating_mul(wanted as u64));
        let clients = room_for_clients(limit, fixed).min(wanted.max(1));
        Self { limit, needed, wanted, clients }
    }
}

/// For how many clients there is room now where so many descriptors are needed whoever comes. The limit may have been lowered
/// since the start.
pub(crate) fn clients_beside(fixed: u64) -> usize {
    room_for_clients(getrlimit(Resource::Nofile).current, fixed)
}

/// For how many clients a limit has room. Under one this low whoever comes meets a shortage now and then, but nobody would be
/// served by none.
fn room_for_clients(limit: Option<u64>, fixed: u64) -> usize {
    let room = limit.map_or(u64::MAX, |limit| limit.saturating_sub(fixed) / OF_A_CLIENT);
    usize::try_from(room).unwrap_or(usize::MAX).max(1)
}

/// What is needed whoever comes. Idle connections to servers are not among it: they are closed when others need room.
pub(crate) fn fixed(config: &Config, workers: u64) -> u64 {
    let addresses: usize = config.listeners.iter().map(|listener| listener.binds.len()).sum();
    let probed = config.pools.iter().filter(|pool| pool.probe.is_some()).map(|pool| pool.servers.len()).sum::<usize>();
    let doors = config.admin.iter().map(|admin| admin.binds.len() + usize::from(admin.socket.is_some())).sum::<usize>();
    workers * (OF_A_WORKER + OF_AN_ADDRESS * addresses as u64)
        + probed.min(MOST_PROBES) as u64
        + OF_AN_ADMIN_DOOR * doors as u64
        + OF_THE_REST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(top: &str) -> Config {
        let text = format!(
            "{top}\n[listen.a]\nbind = '80'\npool = 'app'\nmax_connections = 3000\n\
             [listen.b]\nbind = ['81', '82']\npool = 'app'\nmax_connections = 2000\n\
             [pool.app]\nservers = ['127.0.0.1:1', '127.0.0.1:2']\nprobe = {{ http = '/' }}\n"
        );
        plimsoll_config::parse("test", &text).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    #[test]
    fn clients_get_what_the_limit_leaves_and_no_more_than_is_wanted() {
        // Two workers with three addresses, two servers that are probed, and the rest.
        let fixed = 2 * (8 + 6) + 2 + 64;
        let clients = |top: &str, limit| {
            let Descriptors { needed, wanted, clients, .. } = Descriptors::under(limit, &config(top), 2);
            (needed, wanted, clients)
        };
        assert_eq!(clients("", None), (fixed + 10_000, 5000, 5000));
        assert_eq!(clients("", Some(fixed + 10_000)), (fixed + 10_000, 5000, 5000));
        assert_eq!(clients("", Some(fixed + 1000)), (fixed + 10_000, 5000, 500));
        assert_eq!(clients("max_connections = 100", Some(1024)), (fixed + 200, 100, 100));
        assert_eq!(clients("max_connections = 9999", None), (fixed + 10_000, 5000, 5000));
        assert_eq!(clients("", Some(64)), (fixed + 10_000, 5000, 1));
    }

    #[test]
    fn the_admin_api_has_its_share() {
        let without = Descriptors::under(None, &config(""), 1).needed;
        let with = Descriptors::under(None, &config("[admin]\nbind = ['9900', '9901']\n"), 1).needed;
        assert_eq!(with - without, 2 * OF_AN_ADMIN_DOOR);
    }
}
