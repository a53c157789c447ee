//! A connection to a server, and why there may be none.

use crate::http2::stream::Stream;
use crate::tls::trouble::TlsTrouble;
use crate::wire::Wire;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct ServerConn {
    pub(crate) wire: Wire,
    /// It has carried a request before, so the server may have closed it in the meantime.
    pub(crate) reused: bool,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    TimedOut,
    Failed,
    /// This machine had no descriptor or memory left for one.
    Shortage,
    /// There is one, but no agreement on TLS.
    Tls(TlsTrouble),
}

impl ServerConn {
    /// One request's part of a connection that was open already.
    pub(crate) fn stream(stream: Stream) -> Self {
        Self { wire: Wire::Http2(Box::new(stream)), reused: true }
    }
}
