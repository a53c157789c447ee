//! One limit: its rules, and the table in which clients count.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_config::Over;
use plimsoll_core::{Admission, ClientKey, ClientStats, ClientTable, Time};

/// One limit.
pub(crate) struct Limit {
    pub(super) rules: plimsoll_config::Limit,
    pub(super) table: Arc<ClientTable>,
    /// By which values become keys; nobody else knows it.
    pub(super) seed: u64,
    /// The routes that count by themselves here, as people call them.
    pub(super) routes: Vec<(ClientKey, String)>,
}

impl Limit {
    /// The busiest clients, as people call them.
    pub(crate) fn top(&self, most: usize, now: Time) -> Vec<(String, ClientStats)> {
        let called = |stats: ClientStats| {
            let route = self.routes.iter().find(|(key, _)| *key == stats.key);
            (route.map_or_else(|| stats.key.shown().to_string(), |(_, name)| name.clone()), stats)
        };
        self.table.top(most, now).into_iter().map(called).collect()
    }

    /// A connection of the client at `address`, let in or not.
    pub(crate) fn connect(&self, address: IpAddr, now: Time) -> Admission {
        self.table.connect_or_wait(self.address_key(address), now, self.longest_wait())
    }

    /// A request of a client, let in or not.
    pub(super) fn request(&self, key: ClientKey, now: Time) -> Admission {
        self.table.request_or_wait(key, now, self.longest_wait())
    }

    /// How long it may keep waiting whom it does not let in at once.
    fn longest_wait(&self) -> Duration {
        if let Over::Delay(most) = self.rules.over { most } else { Duration::ZERO }
    }

    /// The client at an address.
    pub(super) fn address_key(&self, address: IpAddr) -> ClientKey {
        ClientKey::address(address, self.rules.ipv6_prefix)
    }

    pub(crate) fn name(&self) -> &str {
        &self.rules.name
    }
}
