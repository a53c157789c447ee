//! What keeps the access log from being written.

use std::fmt;
use std::io;

use plimsoll_config::LogTarget;

/// Why the access log cannot be written where it should be.
#[derive(Debug)]
pub struct LogError {
    /// Where it should be.
    pub to: LogTarget,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the access log cannot be written to {}: ", self.to)?;
        match (self.source.kind(), &self.to) {
            (io::ErrorKind::PermissionDenied, _) => f.write_str("permission denied"),
            (io::ErrorKind::NotFound, LogTarget::SyslogSocket(_)) => f.write_str("no syslog daemon listens there"),
            _ if self.source.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                f.write_str("nobody reads this pipe")
            }
            _ => write!(f, "{}", self.source),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
