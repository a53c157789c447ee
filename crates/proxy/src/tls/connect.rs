//! Shaking hands with a server.

use std::sync::Arc;

use plimsoll_config::ServerProtocol;
use rustls::pki_types::ServerName;

use super::to_servers::ServerSide;
use super::trouble::TlsTrouble;
use super::wire::TlsWire;
use crate::wire::Wire;

impl ServerSide {
    /// Shakes hands over `socket` with the server that is configured at `authority`, its host and port.
    pub(crate) async fn connect(self: &Arc<Self>, socket: Wire, authority: &str) -> Result<Wire, TlsTrouble> {
        let name = self.settings.server_name.as_deref().unwrap_or_else(|| host(authority));
        let expected = ServerName::try_from(name.to_owned()).map_err(|_| TlsTrouble::no_name(name))?;
        let shaken = self.connector.connect(expected, socket).await;
        let wire = TlsWire::with_server(shaken.map_err(|error| TlsTrouble::new(&error, name))?, Arc::clone(self));
        if self.protocol == ServerProtocol::Http2 && !wire.speaks_http2() {
            return Err(TlsTrouble::no_http2());
        }
        Ok(Wire::Tls(Box::new(wire)))
    }
}

/// The host of `host:port`, IPv6 addresses without brackets.
fn host(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_authority_is_what_stands_before_its_port() {
        for (authority, expected) in [
            ("app.internal:443", "app.internal"),
            ("10.0.0.1:8443", "10.0.0.1"),
            ("[::1]:443", "::1"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(host(authority), expected);
        }
    }
}
