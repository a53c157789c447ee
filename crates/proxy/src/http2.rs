//! HTTP/2: with clients (`clients`), with servers (`servers`), and a stream of either as one end of a conversation (`stream`),
//! over the `h2` crate. Each request is a stream and each stream a permit, so that many on one connection hide no load:
//! those to servers are `shared` by the requests of a worker.

mod clients;
mod guard;
mod line;
mod servers;
mod share;
pub(crate) mod shared;
pub(crate) mod stream;
mod text;
mod watch;
mod websocket;

pub(crate) use clients::serve;
pub(crate) use guard::PREFACE;
pub(crate) use servers::{begin, begin_alone, wait_or_open};
pub(crate) use stream::Failure;
