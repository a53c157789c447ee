//! The load generator: a closed loop of keep-alive or one-request connections on one epoll loop. Light, so that one
//! core drives a proxy and serves as its origin, and strict, so that only whole, right answers count.

mod response;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fd::OwnedFd;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};

use crate::interrupt;
use response::{Progress, ResponseReader};

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// Requests in flight, each on its own connection.
    pub(crate) connections: usize,
    /// Bytes of body asked for, and expected.
    pub(crate) body: u64,
    /// Whether a connection carries one request after the other, or only one.
    pub(crate) keep_alive: bool,
}

/// What came of a window.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Requests answered 2xx with the right body.
    pub(crate) ok: u64,
    /// Everything else.
    pub(crate) errors: u64,
    /// What the first of the errors was.
    pub(crate) first_error: Option<String>,
    /// From the request's first byte (or the connect, when each request has its own) to the answer's last, in ns.
    pub(crate) latency: Histogram<u64>,
    /// How long the window really was.
    pub(crate) elapsed: Duration,
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            ok: 0,
            errors: 0,
            first_error: None,
            // From a microsecond to a minute, to three digits.
            latency: Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?,
            elapsed: Duration::ZERO,
        })
    }

    fn error(&mut self, what: impl Into<String>) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| what.into());
    }
}

/// A window with more errors than this is over: its row has failed, and going on would only hammer.
const MAX_ERRORS: u64 = 100;

/// How long a connect may take, and how long the last answers may when the clients stop asking.
const PATIENCE: Duration = Duration::from_secs(5);

/// Clients at work against one address.
pub(crate) struct Load {
    epoll: OwnedFd,
    target: SocketAddr,
    workload: Workload,
    request: Vec<u8>,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    tally: Tally,
    /// Set when the clients shall stop after the answer they wait for.
    last_round: bool,
}

struct Client {
    stream: TcpStream,
    reader: ResponseReader,
    asked_at: Instant,
    waiting: bool,
}

impl Load {
    /// Connects all clients and sends their first requests.
    pub(crate) fn start(target: SocketAddr, workload: Workload) -> anyhow::Result<Self> {
        let mut load = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            target,
            workload,
            request: request(&target, workload.body, workload.keep_alive),
            clients: Vec::with_capacity(workload.connections),
            // Large enough that a response of a megabyte is a few reads.
            buffer: vec![0; 256 * 1024],
            tally: Tally::new()?,
            last_round: false,
        };
        for index in 0..workload.connections {
            let client = load.connect(index)?;
            load.clients.push(client);
        }
        Ok(load)
    }

    /// Keeps all clients asking for that long. Requests in flight at the window's edges go on across them.
    pub(crate) fn drive(&mut self, window: Duration) -> anyhow::Result<Tally> {
        self.tally = Tally::new()?;
        let start = Instant::now();
        while start.elapsed() < window && self.tally.errors <= MAX_ERRORS {
            interrupt::check()?;
            self.turn()?;
        }
        self.tally.elapsed = start.elapsed();
        Ok(std::mem::replace(&mut self.tally, Tally::new()?))
    }

    /// Lets the requests in flight end and asks nothing more. Gives what came of them; one that has no answer
    /// in time is an error.
    pub(crate) fn finish(mut self) -> anyhow::Result<Tally> {
        self.last_round = true;
        let start = Instant::now();
        while self.clients.iter().any(|client| client.waiting)
            && start.elapsed() < PATIENCE
            && self.tally.errors <= MAX_ERRORS
        {
            interrupt::check()?;
            self.turn()?;
        }
        let stuck = self.clients.iter().filter(|client| client.waiting).count();
        for _ in 0..stuck {
            self.tally.error("no answer within 5 s");
        }
        self.tally.elapsed = start.elapsed();
        Ok(self.tally)
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        // Short enough that a window ends on time when the proxy has fallen silent.
        const LOOK_UP: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        let mut events = Vec::with_capacity(64);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&LOOK_UP)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for events"),
        }
        for event in events {
            self.hear(event.data.u64() as usize)?;
        }
        Ok(())
    }

    /// Reads once from a client whose connection has something.
    fn hear(&mut self, index: usize) -> anyhow::Result<()> {
        let client = &mut self.clients[index];
        let heard = match client.stream.read(&mut self.buffer) {
            Ok(0) => return self.closed(index),
            Ok(length) => client.reader.take(&self.buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => Err(format!("the connection broke: {error}")),
        };
        match heard {
            Ok(Progress::Partial) => Ok(()),
            // A connection for one request is over when the proxy has closed it, which is part of its cost.
            Ok(Progress::Complete) if !self.workload.keep_alive => Ok(()),
            Ok(Progress::Complete) => {
                self.answered(index);
                if self.last_round {
                    return Ok(());
                }
                self.ask(index)
            }
            Err(flaw) => {
                self.tally.error(flaw);
                self.replace(index)
            }
        }
    }

    fn closed(&mut self, index: usize) -> anyhow::Result<()> {
        if !self.workload.keep_alive && self.clients[index].reader.is_complete() {
            self.answered(index);
        } else {
            self.tally.error("the connection was closed before the answer was whole");
        }
        self.replace(index)
    }

    fn answered(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.waiting = false;
        self.tally.ok += 1;
        let taken = client.asked_at.elapsed().as_nanos();
        let taken = u64::try_from(taken).unwrap_or(u64::MAX);
        self.tally.latency.saturating_record(taken);
    }

    fn ask(&mut self, index: usize) -> anyhow::Result<()> {
        let client = &mut self.clients[index];
        client.reader.restart();
        client.asked_at = Instant::now();
        client.waiting = true;
        match client.stream.write(&self.request) {
            Ok(length) if length == self.request.len() => Ok(()),
            outcome => {
                self.tally.error(format!("a request could not be sent: {outcome:?}"));
                self.replace(index)
            }
        }
    }

    /// A new connection in the place of one that is over, unless the clients shall stop.
    fn replace(&mut self, index: usize) -> anyhow::Result<()> {
        if self.last_round || self.tally.errors > MAX_ERRORS {
            let client = &mut self.clients[index];
            client.waiting = false;
            epoll::delete(&self.epoll, &client.stream)?;
        } else {
            self.clients[index] = self.connect(index)?;
        }
        Ok(())
    }

    /// A new connection with its first request sent, in as few system calls as that takes: a load generator that makes
    /// a connection for each request works harder than the proxy does.
    fn connect(&self, index: usize) -> anyhow::Result<Client> {
        let asked_at = Instant::now();
        let stream = connect_nonblocking(self.target)?;
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?;
        send_first(&stream, &self.request)
            .with_context(|| format!("cannot send on a new connection to {}", self.target))?;
        Ok(Client { stream, reader: ResponseReader::new(self.workload.body), asked_at, waiting: true })
    }
}

/// A connection that is being made.
pub(crate) fn connect_nonblocking(target: SocketAddr) -> anyhow::Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket =
        net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).context("cannot make a socket")?;
    match net::connect(&socket, &target) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error).with_context(|| format!("cannot connect to {target}")),
    }
}

/// Sends the first request. On loopback a connection stands when `connect` comes back, though it says it is in
/// progress; only a full accept queue makes it wait.
fn send_first(mut stream: &TcpStream, request: &[u8]) -> anyhow::Result<()> {
    let mut sent = stream.write(request);
    if sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
        let patience = Timespec::try_from(PATIENCE)?;
        poll(&mut [PollFd::new(&stream, PollFlags::OUT)], Some(&patience))?;
        sent = stream.write(request);
    }
    // A fresh connection's buffer is larger than any request of ours.
    if sent? < request.len() {
        bail!("only a part of it was taken");
    }
    Ok(())
}

/// A connection, made within the patience of a client.
pub(crate) fn connect(target: SocketAddr) -> anyhow::Result<TcpStream> {
    TcpStream::connect_timeout(&target, PATIENCE).with_context(|| format!("cannot connect to {target}"))
}

/// A request head of the size a plain client's has.
pub(crate) fn request(target: &SocketAddr, body: u64, keep_alive: bool) -> Vec<u8> {
    let connection = if keep_alive { "" } else { "Connection: close\r\n" };
    format!(
        "GET /{body} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: plimsoll-bench/0.1 (loopback)\r\n\
         Accept: text/html,application/json;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.7\r\n\
         {connection}\r\n"
    )
    .into_bytes()
}

/// One request on its own, waiting for its answer.
pub(crate) fn ask_once(target: SocketAddr, body: u64) -> anyhow::Result<()> {
    ask_and_keep(target, body).map(drop)
}

/// One request on a new connection, which then stays open and idle.
pub(crate) fn ask_and_keep(target: SocketAddr, body: u64) -> anyhow::Result<TcpStream> {
    let mut stream = connect(target)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&request(&target, body, true))?;
    let mut reader = ResponseReader::new(body);
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).context("no answer")?;
        if length == 0 {
            bail!("the connection was closed before the answer was whole");
        }
        match reader.take(&buffer[..length]) {
            Ok(Progress::Partial) => {}
            Ok(Progress::Complete) => return Ok(stream),
            Err(flaw) => bail!(flaw),
        }
    }
}

/// How many connections an origin has accepted, the one that asks included.
pub(crate) fn connections_accepted(origin: SocketAddr) -> anyhow::Result<u64> {
    ask_origin(origin, "accepted")?.parse().context("the origin's answer is not a number")
}

/// How many WebSockets are open at each server of an origin.
pub(crate) fn websockets_open(origin: SocketAddr) -> anyhow::Result<Vec<u64>> {
    let counts: Result<Vec<u64>, _> =
        ask_origin(origin, "websockets")?.split_ascii_whitespace().map(str::parse).collect();
    counts.context("the origin's answer is not numbers")
}

fn ask_origin(origin: SocketAddr, what: &str) -> anyhow::Result<String> {
    let mut stream = connect(origin)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /{what} HTTP/1.1\r\nHost: origin\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("no answer from the origin")?;
    let (_, body) = answer.split_once("\r\n\r\n").context("the origin's answer has no end")?;
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests;
