//! The admin API over real sockets: a control plane over real pools, with a data plane that does nothing.

mod changes;
mod doors;
mod guard;
mod kit;
mod metrics;
mod page;
mod reads;
mod stream;
mod tls;
mod webhook;
