//! From an accepted connection to one that is served: its PROXY header, its TLS handshake, and which protocol it speaks.

use plimsoll_config::ListenerProtocol;

use crate::serve::{self, Connection};
use crate::{http2, proxy_header, tcp, tls};

/// Serves a connection that has just been accepted to its end.
pub(crate) async fn serve(mut connection: Connection) {
    let (plain, protocol) = {
        let service = connection.place.service();
        let listener = &service.listener;
        (listener.tls.is_none() && listener.proxy_protocol.is_none(), listener.protocol)
    };
    // Boxed, so that connections that need none of it do not hold the memory for it.
    if !plain {
        match Box::pin(arrive(connection)).await {
            Some(arrived) => connection = arrived,
            None => return,
        }
    }
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
