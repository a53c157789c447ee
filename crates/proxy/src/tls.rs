//! TLS with clients and servers.
//!
//! What a configuration needs of it is built before anything changes, as a [`TlsPlan`]: a `ClientSide` for each listener, a
//! `ServerSide` for each pool, out of the files that `pem` reads. [`shake_hands`] and [`ServerSide::connect`] shake hands; what
//! comes out is a `TlsWire`, which `wire` treats like any other. `certificate` knows what certificates say, `trouble` and
//! `handshakes` what goes wrong.

mod accept;
mod certificate;
mod connect;
pub(crate) mod handshakes;
pub(crate) mod pem;
mod plan;
mod protocols;
#[cfg(test)]
mod tests;
mod to_clients;
pub(crate) mod to_servers;
pub(crate) mod trouble;
mod warnings;
pub(crate) mod wire;

pub(crate) use accept::{Failed, UNRECOGNIZED_NAME, shake_hands};
pub(crate) use handshakes::Handshakes;
pub use handshakes::{HandshakeFailure, HandshakeStats};
pub use pem::UnfitFile;
pub(crate) use plan::TlsPlan;
pub use plan::check_tls;
pub(crate) use to_clients::ClientSide;
pub(crate) use to_servers::ServerSide;
pub(crate) use trouble::TlsTrouble;
pub use warnings::tls_warnings;

use rustls::crypto::aws_lc_rs;

/// Has this thread gather the randomness that its first handshake needs, which takes tens of milliseconds once: nobody should
/// have to wait for it.
pub(crate) fn warm_up() {
    // Where there is none handshakes fail, and say so.
    let _ = aws_lc_rs::default_provider().secure_random.fill(&mut [0; 32]);
}
