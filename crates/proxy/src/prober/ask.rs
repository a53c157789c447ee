//! One probe: connect, send, and read until the verdict stands.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use plimsoll_config::{Check, Probe};
use plimsoll_core::Server;
use rustix::io::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::exchange::ExchangeAnswer;
use super::failure::Failure;
use super::http::{self, HttpAnswer};
use super::{Finding, Target};

/// Read at once. The answer to a probe is nearly always one small segment.
const PIECE: usize = 4096;

/// Probes `target` once. `None` says nothing about the server: this machine had no descriptor or memory left to ask.
pub(super) async fn ask(target: &Target) -> Option<Finding> {
    let began = Instant::now();
    let failure = match examine(target, began).await {
        Ok(()) => None,
        Err(Failure::Broken(error)) if is_own(&error) => return None,
        Err(failure) => Some(failure.to_string()),
    };
    Some(Finding { took: began.elapsed(), failure })
}

async fn examine(target: &Target, began: Instant) -> Result<(), Failure> {
    let whole = target.probe.timeout;
    let stream = timeout(whole, connect(&target.server, &target.probe)).await;
    let mut stream = stream.map_err(|_| Failure::NoConnection(whole))??;
    let Some((question, mut answer)) = open(target) else { return Ok(()) };
    let left = whole.saturating_sub(began.elapsed());
    timeout(left, converse(&mut stream, &question, &mut answer))
        .await
        .unwrap_or_else(|_| Err(if answer.began() { Failure::Unfinished(whole) } else { Failure::NoAnswer(whole) }))
}

/// What to send, and what takes the answer; `None` when a connection says it all.
fn open(target: &Target) -> Option<(Vec<u8>, Answer<'_>)> {
    match &target.probe.check {
        Check::Connect => None,
        Check::Exchange { send, expect, limit } => {
            Some((send.clone(), Answer::Exchange(ExchangeAnswer::new(expect, *limit))))
        }
        Check::Http(check) => {
            Some((http::request(check, &target.host), Answer::Http(Box::new(HttpAnswer::new(check)))))
        }
    }
}

/// An answer as far as it has come.
enum Answer<'a> {
    Exchange(ExchangeAnswer<'a>),
    Http(Box<HttpAnswer<'a>>),
}

impl Answer<'_> {
    fn take(&mut self, piece: &mut [u8]) -> Result<bool, Failure> {
        match self {
            Self::Exchange(answer) => answer.take(piece),
            Self::Http(answer) => answer.take(piece),
        }
    }

    fn close(&mut self) -> Result<(), Failure> {
        match self {
            Self::Exchange(answer) => answer.close(),
            Self::Http(answer) => answer.close(),
        }
    }

    fn began(&self) -> bool {
        match self {
            Self::Exchange(answer) => answer.began(),
            Self::Http(answer) => answer.began(),
        }
    }
}

async fn converse(stream: &mut TcpStream, question: &[u8], answer: &mut Answer<'_>) -> Result<(), Failure> {
    stream.write_all(question).await?;
    let mut piece = vec![0; PIECE];
    loop {
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            return answer.close();
        }
        if answer.take(&mut piece[..count])? {
            return Ok(());
        }
    }
}

/// Connects to `server` where it is to be probed, trying its addresses in order.
async fn connect(server: &Server, probe: &Probe) -> io::Result<TcpStream> {
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in server.addresses() {
        let ip = probe.address.unwrap_or(address.ip());
        match connect_to(SocketAddr::new(ip, probe.port.unwrap_or(address.port()))).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A request that does not fill a segment must not wait for the acknowledgement of the one before.
    socket.set_nodelay(true)?;
    // When the verdict stands nothing of the connection is of use any more, and one that is reset leaves no TIME_WAIT on
    // either side: thousands of probes must not use up the ports that requests need.
    socket.set_zero_linger()?;
    socket.connect(address).await
}

/// Whether the fault is this machine's, which has run out of something.
fn is_own(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    shortages.iter().any(|shortage| error.raw_os_error() == Some(shortage.raw_os_error()))
}
