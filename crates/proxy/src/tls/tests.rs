//! TLS with real clients and servers.

mod kit;
mod servers;
