//! Why the admin API did not give what was asked for, in words that say what to do.

use std::error::Error;
use std::fmt::{self, Write};
use std::io;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use super::text::{visible, visible_lines};
use crate::failure::Failure;

/// What stood in the way.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nothing could be reached at the place: its name, who says that it is there, and why.
    Unreachable { place: String, origin: Origin, why: String },
    /// There is something, but the two cannot agree on TLS.
    Tls { place: String, why: String },
    /// It did not answer in time.
    Slow { place: String, waited: Duration },
    /// A token is wanted: whether one was given.
    Token { place: String, given: bool },
    /// The API said no.
    Refused(Problem),
    /// What answers is no Plimsoll, or one of another version.
    Foreign { place: String, what: String },
}

/// Who says where the API is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The user: by argument or environment.
    User,
    /// The configuration file of the current folder.
    File,
    /// Nobody: it is where it usually is.
    Usual,
}

/// What the API says of a request that it refuses (RFC 9457).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    /// The status code.
    pub(crate) status: u16,
    /// Of what kind it is, in words.
    pub(crate) title: String,
    /// What it is this time.
    pub(crate) detail: Option<String>,
    /// The field of the request it is about.
    pub(crate) pointer: Option<String>,
}

impl Trouble {
    /// What became of a request that got no answer.
    pub(crate) fn from_error(error: &reqwest::Error, place: (&str, Origin), waited: Duration) -> Self {
        let (place, origin) = (place.0.to_owned(), place.1);
        let why = innermost(error);
        if error.is_timeout() {
            return Self::Slow { place, waited };
        }
        if !error.is_connect() {
            // It took the connection, and what came is not the protocol.
            return Self::Foreign { place, what: format!("what it sends is no answer in HTTP ({why})") };
        }
        // What rustls finds wrong comes as data that are not valid; a server that speaks no TLS ends the handshake.
        let of_tls = |kind| matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
        let mut kinds = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        if place.starts_with("https:") && kinds.any(of_tls) {
            return Self::Tls { place, why };
        }
        Self::Unreachable { place, origin, why }
    }

    /// Whether the API says that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.status == StatusCode::NOT_FOUND)
    }

    /// Whether it may be over soon, as when Plimsoll is being restarted.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Slow { .. } | Self::Foreign { .. } => true,
            Self::Refused(problem) => problem.status >= 500,
            Self::Tls { .. } | Self::Token { .. } => false,
        }
    }
}

/// An error and what caused it. What an I/O error wraps counts as its cause; by itself it names the cause of that only.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// The first cause in words: those around it only say that there was one.
fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map(|cause| visible(&cause.to_string())).unwrap_or_default()
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { place, origin, why } => {
                let of = match origin {
                    Origin::User => "",
                    Origin::File => ", where ./plimsoll.toml has its [admin]",
                    Origin::Usual => ", the usual place",
                };
                write!(f, "no Plimsoll answers at {place}{of}: {why}\n{HOW_TO_REACH}")
            }
            Self::Tls { place, why } => write!(
                f,
                "{place} and this command cannot agree on TLS: {why}\nIs its certificate one that this machine does not \
                 know? Give the one that vouches for it: --ca FILE"
            ),
            Self::Slow { place, waited } => {
                write!(f, "{place} took the request and gave no answer in {} s", waited.as_secs())
            }
            Self::Token { place, given: true } => {
                write!(f, "{place} does not take this token; it wants the one that its [admin] names")
            }
            Self::Token { place, given: false } => {
                write!(f, "{place} wants a token: give the file it is in by --token-file, or set PLIMSOLL_TOKEN")
            }
            Self::Refused(problem) => problem.fmt(f),
            Self::Foreign { place, what } => {
                write!(f, "what answers at {place} is no Plimsoll of this version: {what}")
            }
        }
    }
}

const HOW_TO_REACH: &str = "Does it run there? Start it:     plimsoll serve FILE
Does it run elsewhere? Say so:   --admin HOST:PORT or --admin /run/plimsoll.sock, or set PLIMSOLL_ADMIN";

impl Error for Trouble {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = visible_lines(self.detail.as_ref().unwrap_or(&self.title));
        if let Some(pointer) = &self.pointer {
            let _ = write!(text, " (at {})", visible(pointer));
        }
        if text.is_empty() {
            write!(f, "the request was refused with status {}", self.status)
        } else {
            f.write_str(&text)
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Running(trouble.into())
    }
}
