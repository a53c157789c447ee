//! Waits until servers have nothing in flight.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use plimsoll_control::api::{Server, State};

use super::client::Client;
use super::names::Named;
use super::table::{USUAL_WIDTH, cut};
use super::text::doing;
use crate::console::say;
use crate::failure::Failure;

/// How often the servers are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How often progress is told where no line can be drawn anew.
const TELL: Duration = Duration::from_secs(5);

/// Waits until none of `servers`, which drain, has anything in flight.
///
/// # Errors
/// `timeout` was not enough, or someone wants something else of them by now.
pub(crate) fn until_idle(client: &Client, servers: &[Named], timeout: Duration) -> Result<(), Failure> {
    let started = Instant::now();
    let mut progress = Progress::new();
    loop {
        let busy = busy(client, servers)?;
        if busy.is_empty() {
            progress.end();
            say("nothing is in flight there");
            return Ok(());
        }
        let passed = started.elapsed();
        let text = busy.join(", ");
        if passed >= timeout {
            progress.end();
            let message = format!("still in flight after {} s: {text}; draining goes on", timeout.as_secs_f64());
            return Err(anyhow!(message).into());
        }
        progress.show(&format!("in flight: {text} ({} s of {} s)", passed.as_secs(), timeout.as_secs_f64()));
        thread::sleep(LOOK.min(timeout.saturating_sub(passed)));
    }
}

/// What is still in flight, of each server that has something.
fn busy(client: &Client, servers: &[Named]) -> Result<Vec<String>, Failure> {
    let mut busy = Vec::new();
    for named in servers {
        let server: Server = match client.get(named.url(client)) {
            Ok(server) => server,
            // One that was removed is forgotten when it has nothing in flight any more.
            Err(trouble) if trouble.is_not_found() => continue,
            Err(trouble) => return Err(trouble.into()),
        };
        if server.listed && server.state == State::Ready {
            return Err(anyhow!("{} is {} again: someone else has set it", named.title(), doing(server.state)).into());
        }
        if server.in_flight > 0 {
            busy.push(format!("{} at {}", server.in_flight, named.title()));
        }
    }
    Ok(busy)
}

/// A line on stderr that says how far it is.
struct Progress {
    terminal: bool,
    /// Characters of the line; one that wraps could not be drawn anew.
    width: usize,
    told: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        let width = crossterm::terminal::size().ok().map(|(width, _)| width).filter(|width| *width > 1);
        // The last column is the cursor's.
        let width = usize::from(width.unwrap_or(USUAL_WIDTH)) - 1;
        Self { terminal: io::stderr().is_terminal(), width, told: None }
    }

    fn show(&mut self, text: &str) {
        if self.terminal {
            // Back to the first column, and nothing left of what stood there (ECMA-48: EL).
            let _ = write!(io::stderr(), "\r{}\u{1b}[K", cut(text, self.width));
            self.told = Some(Instant::now());
        } else if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            say(text);
            self.told = Some(Instant::now());
        }
    }

    fn end(&mut self) {
        if self.terminal && self.told.take().is_some() {
            say("");
        }
    }
}
