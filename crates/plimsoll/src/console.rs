//! Words to people: messages to stderr, results to stdout.

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::Context;

/// Writes a message and a line end to stderr.
///
/// Where nobody listens any more the message is lost, and nothing else: a balancer outlives its log.
pub(crate) fn say(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Writes a result to stdout. A reader that has left, such as `head`, has seen what it wanted.
pub(crate) fn print(result: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(result.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("the result cannot be written"),
        _ => Ok(()),
    }
}
