//! Why the program ends without having done what was asked, and the exit code that says so.

use std::fmt;
use std::process::ExitCode;

use plimsoll_config::Diagnostics;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments do not say what to do.
    Arguments(String),
    /// The configuration is wrong.
    Configuration(Diagnostics),
    /// Something failed while running.
    Running(anyhow::Error),
}

impl Failure {
    /// 1 for what failed while running, 2 for what was wrong before.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Running(_) => ExitCode::from(1),
            Self::Arguments(_) | Self::Configuration(_) => ExitCode::from(2),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(message) => write!(f, "error: {message}"),
            Self::Configuration(diagnostics) => diagnostics.fmt(f),
            Self::Running(error) => write!(f, "error: {error:#}"),
        }
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Configuration(diagnostics)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Running(error)
    }
}
