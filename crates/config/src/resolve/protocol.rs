//! What is spoken with clients and servers.

use std::time::Duration;

use crate::{ClientHttp2, ServerHttp2};

/// HTTP/2 with clients.
pub(super) fn client_http2() -> ClientHttp2 {
    ClientHttp2 {
        enabled: true,
        max_streams: 128,
        max_resets: 200,
        stream_window: 256 * 1024,
        connection_window: 1024 * 1024,
        ping: Some(Duration::from_secs(30)),
        max_age: None,
    }
}

/// HTTP/2 with servers.
pub(super) fn server_http2() -> ServerHttp2 {
    ServerHttp2 { max_streams: 128, ping: Some(Duration::from_secs(30)), max_age: None }
}
