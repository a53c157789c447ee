//! Wire tests: the real program between real sockets, with servers and clients that say exactly what a test wants.
//!
//! Each theme has a module. `kit` holds what they share: the program under test, scripted servers, a raw client.

mod kit;

mod access_log;
mod balance;
mod bodies;
mod bulk;
mod client_limits;
mod clients;
mod compress;
mod curl;
mod departures;
mod examples;
mod forwarding;
mod health;
mod http2;
mod limits;
mod log_trouble;
mod mirror;
mod passwords;
mod probes;
mod queue;
mod random;
mod rebalance;
mod replay;
mod request_ids;
mod requests_refused;
mod responses_refused;
mod retry;
mod reuse;
mod route_command;
mod route_heads;
mod route_rules;
mod routes;
mod scenarios;
mod sticky;
mod timeouts;
mod traces;
mod unavailable;
mod unrouted;
mod websocket;
