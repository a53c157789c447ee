//! A client that connects, as far as its listener limits that. This comes before TLS, so that it costs little to be one too
//! many.

use std::net::IpAddr;

use plimsoll_config::{Listener, ListenerProtocol};
use plimsoll_core::{Admission, Time};

use crate::connection::Connection;
use crate::log::entry::Entry;
use crate::patience::LOOK;
use crate::service::Service;

/// What becomes of a client that connects.
pub(super) enum Entrance {
    /// It is served.
    Open,
    /// It is served then.
    Later(Time),
    /// It is one too many, and closed.
    Closed,
}

/// Counts a connection in the limits of its listener. It holds them for as long as it has its place in the room.
pub(super) fn count(connection: &mut Connection) -> Entrance {
    let service = connection.place.service().clone();
    if service.limits.of_connections().is_empty() {
        return Entrance::Open;
    }
    // A client on a Unix socket has none.
    let Some(address) = connection.peer.ip() else { return Entrance::Open };
    if speaks_for_others(address, &service.listener) {
        return Entrance::Open;
    }
    let (now, mut until, mut holds) = (connection.worker.now(), None, Vec::new());
    for limit in service.limits.of_connections() {
        match limit.connect(address, now) {
            Admission::In(hold) => holds.push(hold),
            Admission::Later { hold, wait } => {
                holds.push(hold);
                until = until.max(Some(now + wait));
            }
            Admission::Over(_) => {
                refuse(connection, &service, limit.name());
                return Entrance::Closed;
            }
        }
    }
    if let Some(room) = &mut connection.room {
        room.keep(holds);
    }
    until.map_or(Entrance::Open, Entrance::Later)
}

/// Whether it is a proxy that is believed about whom it serves. Its clients are known only by their requests, and to count all
/// of them as one would cut them off together.
fn speaks_for_others(address: IpAddr, listener: &Listener) -> bool {
    listener.trusted_proxies.as_ref().is_some_and(|proxies| proxies.from.contains(Some(address)))
}

/// Closes it by a reset, so that nothing of it is left with us. Where connections are what is served, the log tells of it.
fn refuse(connection: &Connection, service: &Service, limit: &str) {
    connection.wire.reset_on_close(true);
    if service.listener.protocol == ListenerProtocol::Tcp {
        let (worker, mut entry) = (&*connection.worker, Entry::default());
        service.observe.begin_connection(&mut entry, worker);
        entry.limited(limit);
        service.observe.tell((&mut entry, worker), &service.listener, connection.peer.address);
    }
}

/// Waits for the place in time of a connection; false when its client has left before.
pub(super) async fn wait(connection: &Connection, until: Time) -> bool {
    // One that may stop sending and listen on looks the same as one that leaves.
    let may_listen = connection.place.service().listener.protocol == ListenerProtocol::Tcp;
    loop {
        let now = connection.worker.now();
        if now >= until {
            return true;
        }
        tokio::time::sleep(until.saturating_since(now).min(LOOK)).await;
        if connection.wire.has_closed() && !may_listen {
            return false;
        }
    }
}
