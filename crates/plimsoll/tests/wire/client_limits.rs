//! Limits for each client: how many connections and requests it may have and begin, and what becomes of more.

mod connections;
mod keys;
mod proxies;
mod requests;

use crate::kit::{Client, Config, Gate, Program, Server};

/// A server that holds back its answers to `/held` until the gate opens, and a configuration in front of it with this limit,
/// which the listener names.
fn limited(limit: &str) -> (Gate, Server, Config) {
    let gate = Gate::default();
    let server = Server::holding(&gate);
    let config = Config::to(&[server.address()]).limit("each", limit).listen("limit = \"each\"");
    (gate, server, config)
}

/// A client that comes from another address of this machine.
fn stranger(program: &Program) -> Client {
    Client::connect_from([127, 0, 0, 2], program.address())
}
