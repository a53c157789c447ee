//! Plimsoll's configuration: text to raw to resolved, with diagnostics.

mod resolved;

pub use resolved::{
    BareLf, ClientTimeouts, Config, FieldMode, Forward, Host, HostMode, KeepAlive, Listener, Pool,
    Server, ServerTimeouts,
};
