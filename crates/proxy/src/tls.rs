//! TLS with clients and servers.
//!
//! What a configuration needs of it is built before anything changes, as a [`TlsPlan`]: a `ClientSide` for each listener, a
//! `ServerSide` for each pool, out of the files that `pem` reads. [`accept`] and [`ServerSide::connect`] shake hands; what
//! comes out is a [`TlsWire`], which `wire` treats like any other. `certificate` knows what certificates say, `trouble` and
//! `handshakes` what goes wrong.

mod accept;
mod certificate;
pub(crate) mod handshakes;
pub(crate) mod pem;
mod plan;
#[cfg(test)]
mod tests;
mod to_clients;
mod to_servers;
mod trouble;
mod warnings;
mod wire;

pub(crate) use accept::accept;
pub(crate) use handshakes::Handshakes;
pub use handshakes::{HandshakeFailure, HandshakeStats};
pub use pem::UnfitFile;
pub(crate) use plan::TlsPlan;
pub use plan::check_tls;
pub(crate) use to_clients::ClientSide;
pub(crate) use to_servers::ServerSide;
pub(crate) use trouble::TlsTrouble;
pub use warnings::tls_warnings;
pub(crate) use wire::TlsWire;

use rustls::crypto::aws_lc_rs;

/// Has this thread gather the randomness that its first handshake needs, which takes tens of milliseconds once: nobody should
/// have to wait for it.
pub(crate) fn warm_up() {
    // Where there is none handshakes fail, and say so.
    let _ = aws_lc_rs::default_provider().secure_random.fill(&mut [0; 32]);
}

/// The record for the fatal alert `unrecognized_name` (RFC 6066, section 3), in the clear like every alert before the keys.
pub(crate) const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// The names of HTTP/1.1 and HTTP/2 in a handshake (RFC 7301, section 6).
const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";
