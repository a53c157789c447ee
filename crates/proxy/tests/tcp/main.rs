//! Connections that are balanced as a whole: over TCP and Unix sockets, with and without PROXY headers.

mod balance;
mod endings;
mod kit;
mod peers;
mod proxy_in;
mod proxy_out;
mod server_names;
mod unix;
