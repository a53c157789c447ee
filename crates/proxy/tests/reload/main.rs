//! The data plane follows a new configuration without loss, and tells what it does.

mod clients;
mod connections;
mod kit;
mod limits;
mod listeners;
mod load;
mod probes;
mod stats;
