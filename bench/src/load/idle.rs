//! Connections that had a request each and then stay open, doing nothing.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::runtime::Runtime;

use super::http2::{self, Session};
use super::single::{self, Asked};
use super::{Protocol, Target};

/// Long enough to hear of every end that has come.
const HEARING: Duration = Duration::from_millis(100);

/// All of them.
pub(crate) struct IdleConnections {
    target: Target,
    protocol: Protocol,
    http1: Vec<Asked>,
    http2: Vec<Session>,
    /// Where those of HTTP/2 live. It only moves while more are opened and while they are checked.
    runtime: Runtime,
}

impl IdleConnections {
    /// None yet.
    pub(crate) fn new(target: Target, protocol: Protocol) -> anyhow::Result<Self> {
        Ok(Self { target, protocol, http1: Vec::new(), http2: Vec::new(), runtime: http2::runtime()? })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.http1.len() + self.http2.len()
    }

    /// Opens one more, with a request for a body of that size, and waits for the answer.
    pub(crate) fn open(&mut self, body: u64) -> anyhow::Result<()> {
        if matches!(self.protocol, Protocol::Http2 { .. }) {
            let mut session = self.runtime.block_on(Session::open(&self.target))?;
            let request = http2::request(&self.target, body)?;
            self.runtime.block_on(session.ask_in_time(request, body))?;
            self.http2.push(session);
        } else {
            self.http1.push(single::ask_and_keep(&self.target, body)?);
        }
        Ok(())
    }

    /// An error if the proxy has closed any of them, which would make the rest look cheap.
    pub(crate) fn check_open(&mut self) -> anyhow::Result<()> {
        for (index, connection) in self.http1.iter_mut().enumerate() {
            connection.check_open().with_context(|| format!("idle connection {index} did not stay open"))?;
        }
        self.runtime.block_on(async { tokio::time::sleep(HEARING).await });
        if let Some(index) = self.http2.iter().position(Session::has_ended) {
            bail!("idle connection {index} did not stay open");
        }
        Ok(())
    }
}

impl Asked {
    fn check_open(&mut self) -> anyhow::Result<()> {
        let heard = match self {
            Self::Plain(stream) => {
                stream.set_nonblocking(true)?;
                stream.peek(&mut [0])
            }
            Self::Tls(stream) => {
                stream.sock.set_nonblocking(true)?;
                // Reads what is no data, such as a ticket that nobody asked for.
                stream.read(&mut [0])
            }
        };
        match heard {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error).context("it broke"),
            Ok(0) => bail!("it was closed"),
            Ok(_) => bail!("something came that was not asked for"),
        }
    }
}
