//! From an accepted connection to one that is served: its PROXY header (`proxied`), the limits of its listener
//! (`limited`), its TLS `handshake`, and which protocol it speaks.

use plimsoll_config::{Listener, ListenerProtocol};

use crate::connection::Connection;
use crate::serve;
use crate::{http2, tcp};
use limited::Entrance;

mod handshake;
mod limited;
mod proxied;

/// Serves a connection that has just been accepted to its end, on a task of its own.
pub(crate) fn spawn(mut connection: Connection) {
    let (proxied, plain, protocol) = {
        let service = connection.place.service();
        let Listener { tls, proxy_protocol, protocol, .. } = &service.listener;
        (proxy_protocol.is_some(), tls.is_none() && proxy_protocol.is_none(), *protocol)
    };
    // Who it is, a PROXY header has yet to tell.
    let entrance = if proxied { Entrance::Open } else { limited::count(&mut connection) };
    // Most that are idle are of the first kind, and hold no memory for what they do not need.
    match (entrance, plain, protocol) {
        (Entrance::Closed, ..) => {}
        (Entrance::Open, true, ListenerProtocol::Http) => drop(tokio::task::spawn_local(serve::serve(connection))),
        (entrance, ..) => drop(tokio::task::spawn_local(arrive_and_serve(connection, entrance, protocol))),
    }
}

/// No `async fn`, which would hold the place of its arguments as long as the connection lives.
fn arrive_and_serve(
    connection: Connection,
    entrance: Entrance,
    protocol: ListenerProtocol,
) -> impl Future<Output = ()> {
    // Boxed, so that what is only needed at first is not held for long.
    let arriving = Box::pin(arrive(connection, entrance));
    async move {
        let Some(connection) = arriving.await else { return };
        match protocol {
            ListenerProtocol::Tcp => Box::pin(tcp::serve(connection)).await,
            ListenerProtocol::Http if connection.peer.speaks_http2() => {
                Box::pin(http2::serve(connection, Vec::new())).await;
            }
            ListenerProtocol::Http => serve::serve(connection).await,
        }
    }
}

/// What comes before the protocol itself. `None` when the connection is over with that.
async fn arrive(mut connection: Connection, mut entrance: Entrance) -> Option<Connection> {
    let (proxied, encrypted) = {
        let service = connection.place.service();
        (service.listener.proxy_protocol.is_some(), service.listener.tls.is_some())
    };
    if proxied {
        connection = proxied::read_header(connection).await?;
        entrance = limited::count(&mut connection);
    }
    match entrance {
        Entrance::Open => {}
        Entrance::Later(until) => {
            if !limited::wait(&connection, until).await {
                return None;
            }
        }
        Entrance::Closed => return None,
    }
    if encrypted { handshake::shake_hands(connection).await } else { Some(connection) }
}
