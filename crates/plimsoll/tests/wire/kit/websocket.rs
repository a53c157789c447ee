//! What a server of `WebSocket`s does, by a library of other people.

use std::net::TcpStream;

use tungstenite::WebSocket;
use tungstenite::protocol::Role;

use super::{Request, Talk, ok};

/// Echoes messages where an upgrade is asked for, and answers everything else.
pub(crate) fn echo_messages(talk: &mut Talk) {
    let Some(mut socket) = web_socket(talk) else { return };
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            break;
        }
    }
}

/// Answers requests until an upgrade is asked for; `None` when the connection ends before.
pub(crate) fn web_socket(talk: &mut Talk) -> Option<WebSocket<TcpStream>> {
    while let Some(request) = talk.request() {
        if let Some(socket) = upgrade(talk, &request) {
            return Some(socket);
        }
        talk.send(ok("plain"));
    }
    None
}

/// Answers a request that asks for an upgrade.
pub(crate) fn upgrade(talk: &mut Talk, request: &Request) -> Option<WebSocket<TcpStream>> {
    let key = request.field("sec-websocket-key")?;
    assert!(request.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")), "{request:?}");
    assert_eq!((request.method(), request.field("upgrade")), ("GET", Some("websocket")));
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    talk.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ));
    Some(WebSocket::from_raw_socket(talk.stream().try_clone().unwrap(), Role::Server, None))
}
