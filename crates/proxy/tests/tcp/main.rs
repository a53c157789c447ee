//! Connections that are balanced as a whole: over TCP and Unix sockets, with and without PROXY headers.

mod balance;
mod endings;
mod kit;
mod server_names;
