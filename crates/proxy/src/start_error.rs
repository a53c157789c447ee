//! Why the data plane cannot do what a configuration says.

use std::fmt;
use std::io;

use plimsoll_config::Bind;

use crate::log::error::LogError;
use crate::tls::pem::UnfitFile;

/// Why a configuration could not be put in force.
#[derive(Debug)]
pub enum StartError {
    /// An address of a listener could not be bound.
    Bind {
        /// The listener's name.
        listener: String,
        /// The address.
        address: Bind,
        /// What the system said.
        source: io::Error,
    },
    /// A socket that the process was started with is that of no listener.
    Inherited {
        /// Its address.
        address: Bind,
    },
    /// A listener names a pool that is not among the pools.
    NoPool {
        /// The listener's name.
        listener: String,
        /// The pool's name.
        pool: String,
    },
    /// What TLS needs is not right.
    Tls {
        /// The listener or pool that wants it, `` listener `web` ``.
        owner: String,
        /// What is wrong.
        source: UnfitFile,
    },
    /// The access log cannot be written where it should be.
    Log(LogError),
    /// A thread could not be started.
    Worker(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { listener, address, source } => {
                write!(f, "listener `{listener}` cannot listen on {address}: ")?;
                match source.kind() {
                    kind if matches!(address, Bind::Unix(_)) => match kind {
                        io::ErrorKind::AddrInUse => {
                            f.write_str("somebody listens there already; stop them, or choose another path")
                        }
                        io::ErrorKind::AlreadyExists => {
                            f.write_str("something that is no socket is there; remove it, or choose another path")
                        }
                        io::ErrorKind::NotFound => f.write_str("its folder is not there; make it first"),
                        io::ErrorKind::PermissionDenied => f.write_str(
                            "permission denied; the user that runs this must be able to write to its folder",
                        ),
                        _ => write!(f, "{source}"),
                    },
                    io::ErrorKind::AddrInUse => {
                        f.write_str("the port is in use; stop what listens there, or choose another port")
                    }
                    io::ErrorKind::PermissionDenied => f.write_str(
                        "permission denied; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE",
                    ),
                    io::ErrorKind::AddrNotAvailable => f.write_str("this machine has no such address"),
                    _ => write!(f, "{source}"),
                }
            }
            Self::Inherited { address } => write!(
                f,
                "no listener has `bind = \"{address}\"`, on which a socket was handed over at the start (systemd's socket \
                 unit); write that address in a listener, or take it out of the unit"
            ),
            Self::NoPool { listener, pool } => {
                write!(f, "listener `{listener}` wants pool `{pool}`, which is not there")
            }
            Self::Tls { owner, source } => write!(f, "the TLS of {owner} cannot be used: {source}"),
            Self::Log(error) => error.fmt(f),
            Self::Worker(source) => write!(f, "a worker thread cannot be started: {source}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Worker(source) => Some(source),
            Self::Log(error) => Some(&error.source),
            Self::Inherited { .. } | Self::NoPool { .. } | Self::Tls { .. } => None,
        }
    }
}
