//! From an accepted connection to one that is served: its PROXY header, its TLS handshake, and which protocol it speaks.

use plimsoll_config::ListenerProtocol;

use crate::serve::{self, Connection};
use crate::{http2, proxy_header, tcp, tls};

/// Serves a connection that has just been accepted to its end, on a task of its own.
pub(crate) fn spawn(connection: Connection) {
    let (plain, protocol) = {
        let service = connection.place.service();
        let listener = &service.listener;
        (listener.tls.is_none() && listener.proxy_protocol.is_none(), listener.protocol)
    };
    // Most that are idle are of the first kind, and hold no memory for what they do not need.
    match (plain, protocol) {
        (true, ListenerProtocol::Http) => drop(tokio::task::spawn_local(serve::serve(connection))),
        _ => drop(tokio::task::spawn_local(arrive_and_serve(connection, protocol))),
    }
}

async fn arrive_and_serve(connection: Connection, protocol: ListenerProtocol) {
    // Boxed, so that what is only needed at first is not held for long.
    let Some(connection) = Box::pin(arrive(connection)).await else { return };
    match protocol {
        ListenerProtocol::Tcp => Box::pin(tcp::serve(connection)).await,
        ListenerProtocol::Http if connection.peer.speaks_http2() => {
            Box::pin(http2::serve(connection, Vec::new())).await;
        }
        ListenerProtocol::Http => serve::serve(connection).await,
    }
}

/// What comes before the protocol itself. `None` when the connection is over with that.
async fn arrive(connection: Connection) -> Option<Connection> {
    let (proxied, encrypted) = {
        let service = connection.place.service();
        (service.listener.proxy_protocol.is_some(), service.listener.tls.is_some())
    };
    let connection = if proxied { proxy_header::read(connection).await? } else { connection };
    if encrypted { tls::accept(connection).await } else { Some(connection) }
}
