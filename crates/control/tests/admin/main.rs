//! The admin API over real sockets: a control plane over real pools, with a data plane that does nothing.

mod kit;
mod reads;
