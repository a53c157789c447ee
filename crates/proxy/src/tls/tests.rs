//! TLS with real clients and servers.

mod bodies;
mod certificates;
mod clients;
mod handshakes;
pub(super) mod kit;
mod reload;
mod servers;
