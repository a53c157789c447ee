//! Who a client is, as far as its connection tells.

use std::net::{IpAddr, SocketAddr};

/// The client of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its address; `None` is a client on a Unix socket.
    pub(crate) address: Option<SocketAddr>,
    /// Where it came in; `None` is a Unix socket.
    pub(crate) local: Option<SocketAddr>,
}

impl Peer {
    /// Its IP address, an IPv4 one inside an IPv6 one taken for what it is.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip().to_canonical())
    }
}
