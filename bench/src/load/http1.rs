//! HTTP/1.1, plain or over TLS: keep-alive or one-request connections on one epoll loop.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use super::response::{Progress, ResponseReader};
use super::wire::Wire;
use super::{MAX_ERRORS, PATIENCE, Tally, Target, Workload, request};
use crate::interrupt;

/// Clients at work against one address.
pub(crate) struct Clients {
    epoll: OwnedFd,
    target: Target,
    workload: Workload,
    request: Vec<u8>,
    all: Vec<Client>,
    buffer: Vec<u8>,
    tally: Tally,
    /// Set when the clients shall stop after the answer they wait for.
    last_round: bool,
}

struct Client {
    wire: Wire,
    reader: ResponseReader,
    /// Its request, where that has a cookie which was set by an answer.
    request: Option<Vec<u8>>,
    asked_at: Instant,
    waiting: bool,
}

impl Clients {
    /// Connects all clients and sends their first requests.
    pub(super) fn start(target: &Target, workload: Workload) -> anyhow::Result<Self> {
        let mut clients = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            target: target.clone(),
            workload,
            request: request(&target.address, format!("{}{}", workload.body, workload.query), workload.keep_alive),
            all: Vec::with_capacity(workload.connections),
            // Large enough that a response of a megabyte is a few reads.
            buffer: vec![0; 256 * 1024],
            tally: Tally::new()?,
            last_round: false,
        };
        for index in 0..workload.connections {
            let client = clients.connect(index, None)?;
            clients.all.push(client);
        }
        Ok(clients)
    }

    pub(super) fn drive(&mut self, window: Duration) -> anyhow::Result<Tally> {
        self.tally = Tally::new()?;
        let start = Instant::now();
        while start.elapsed() < window && self.tally.errors <= MAX_ERRORS {
            interrupt::check()?;
            self.turn()?;
        }
        self.tally.elapsed = start.elapsed();
        Ok(std::mem::replace(&mut self.tally, Tally::new()?))
    }

    pub(super) fn finish(mut self) -> anyhow::Result<Tally> {
        self.last_round = true;
        let start = Instant::now();
        while self.all.iter().any(|client| client.waiting)
            && start.elapsed() < PATIENCE
            && self.tally.errors <= MAX_ERRORS
        {
            interrupt::check()?;
            self.turn()?;
        }
        let stuck = self.all.iter().filter(|client| client.waiting).count();
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
        let client = &mut self.all[index];
        let heard = match client.wire.read(&mut self.buffer) {
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
        if !self.workload.keep_alive && self.all[index].reader.is_complete() {
            self.answered(index);
        } else {
            self.tally.error("the connection was closed before the answer was whole");
        }
        self.replace(index)
    }

    fn answered(&mut self, index: usize) {
        let client = &mut self.all[index];
        client.waiting = false;
        self.tally.answered(client.asked_at.elapsed());
        if let Some(cookie) = client.reader.take_cookie() {
            client.request = Some(with_cookie(&self.request, &cookie));
        }
    }

    fn ask(&mut self, index: usize) -> anyhow::Result<()> {
        let client = &mut self.all[index];
        client.reader.restart();
        client.asked_at = Instant::now();
        client.waiting = true;
        if let Err(error) = client.wire.send(client.request.as_ref().unwrap_or(&self.request)) {
            self.tally.error(format!("a request could not be sent: {error}"));
            return self.replace(index);
        }
        Ok(())
    }

    /// A new connection in the place of one that is over, unless the clients shall stop.
    fn replace(&mut self, index: usize) -> anyhow::Result<()> {
        if self.last_round || self.tally.errors > MAX_ERRORS {
            let client = &mut self.all[index];
            client.waiting = false;
            epoll::delete(&self.epoll, client.wire.stream())?;
        } else {
            let request = self.all[index].request.take();
            self.all[index] = self.connect(index, request)?;
        }
        Ok(())
    }

    /// A new connection with its first request sent, which may be one of its own.
    fn connect(&self, index: usize, request: Option<Vec<u8>>) -> anyhow::Result<Client> {
        let asked_at = Instant::now();
        let register = |stream: &TcpStream| {
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&self.epoll, stream, data, epoll::EventFlags::IN).context("cannot watch a connection")
        };
        let first = request.as_ref().unwrap_or(&self.request);
        let wire = Wire::open(&self.target, self.workload.protocol, first, register)?;
        let reader = ResponseReader::new(self.workload.body);
        Ok(Client { wire, reader, request, asked_at, waiting: true })
    }
}

/// A request that sends a cookie back.
fn with_cookie(request: &[u8], cookie: &[u8]) -> Vec<u8> {
    const END: &[u8] = b"\r\n";
    let fields = request.strip_suffix(END).unwrap_or(request);
    [fields, b"Cookie: ", cookie, END, END].concat()
}
