//! One server of the pool: a process of its own, so that it can be killed. It takes requests over keep-alive
//! connections, has twenty workers and one line before them, and obeys faults that come as lines on a control
//! channel. A client that has gone away is noticed only when its answer is due: the work is done all the same, as
//! most servers do it.

mod connection;
mod pace;
mod workers;

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::time::{ClockId, clock_gettime};

use crate::open_loop::wait;
use connection::{Asked, Connection, Heard};
use pace::Pace;
pub(crate) use pace::{Fault, WARMING};
use workers::Workers;

/// Requests one server works on at a time.
pub(crate) const WORKERS: usize = 20;

/// The mean of the exponentially distributed time a request takes.
pub(crate) const MEAN: Duration = Duration::from_millis(20);

/// More requests than this at a server are refused by closing their connection: at 50 ms a request they would wait for
/// seconds, longer than any proxy here waits.
const MAX_HELD: usize = 4096;

/// How often the loop looks at its stop flag when nothing happens.
const LOOK_UP: Duration = Duration::from_millis(100);

/// The event numbers of the two that are no connections.
const LISTENER: u64 = u64::MAX;
const CONTROL: u64 = u64::MAX - 1;

/// A connection's place and which of its tenants is meant, so that the answer for one that left finds nobody.
type Ticket = (usize, u64);

/// A server that listens.
pub(crate) struct Server {
    epoll: OwnedFd,
    listener: TcpListener,
    places: Vec<(u64, Option<Connection>)>,
    free: Vec<usize>,
    began: Instant,
    fault: Fault,
    pace: Pace,
    workers: Workers<Ticket>,
    sums: Sums,
    /// When its first request came.
    first: Option<Duration>,
    ok: Vec<u8>,
    error: Vec<u8>,
}

/// What a server tells when it is asked to count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    /// Requests answered, probes not among them.
    pub(crate) answered: u64,
    /// Since when it has had requests, by its age at the time of asking.
    pub(crate) working_for: Option<Duration>,
    /// CPU time used.
    pub(crate) cpu: Duration,
    /// By how much its answers left later than they were due, all together.
    pub(crate) late: Duration,
}

impl Sums {
    /// One line.
    fn line(&self) -> String {
        let since = self.working_for.map_or_else(|| "-".to_owned(), |age| age.as_micros().to_string());
        format!("{} {since} {} {}", self.answered, self.cpu.as_micros(), self.late.as_micros())
    }

    /// Reads such a line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let mut number = || words.next().map(|word| (word, word.parse::<u64>().ok()));
        let answered = number()?.1?;
        let working_for = match number()? {
            ("-", _) => None,
            (_, age) => Some(Duration::from_micros(age?)),
        };
        let cpu = Duration::from_micros(number()?.1?);
        let late = Duration::from_micros(number()?.1?);
        Some(Self { answered, working_for, cpu, late })
    }
}

impl Server {
    /// Serves on that listener. The seed decides how long its requests take.
    pub(crate) fn new(listener: TcpListener, seed: u64, fault: Fault) -> anyhow::Result<Self> {
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        let mut pace = Pace::new();
        pace.set(fault, Duration::ZERO);
        Ok(Self {
            epoll,
            listener,
            places: Vec::new(),
            free: Vec::new(),
            began: Instant::now(),
            fault,
            pace,
            workers: Workers::new(WORKERS, MEAN, seed),
            sums: Sums::default(),
            first: None,
            ok: connection::answer("200 OK"),
            error: connection::answer("500 Internal Server Error"),
        })
    }

    /// Serves until the flag is set or the control channel ends. Each line on it is a fault by its name, or `count`,
    /// which is answered with a line on `report`.
    pub(crate) fn run(
        mut self,
        mut control: impl Read + AsFd,
        mut report: impl Write,
        stop: &AtomicBool,
    ) -> anyhow::Result<()> {
        epoll::add(&self.epoll, &control, epoll::EventData::new_u64(CONTROL), epoll::EventFlags::IN)?;
        let mut orders = Vec::new();
        let mut events = Vec::with_capacity(256);
        let mut buffer = vec![0; 16 * 1024];
        while !stop.load(Ordering::Relaxed) {
            let held = self.pace.held_until(self.began.elapsed());
            let ordered = if let Some(until) = held {
                // Nothing is read, accepted or answered: only orders are heard.
                events.clear();
                wait::for_one(&control, until.saturating_sub(self.began.elapsed()).min(LOOK_UP))?
            } else {
                self.answer_done();
                self.wait(&mut events)?;
                events.iter().any(|event: &epoll::Event| event.data.u64() == CONTROL)
            };
            if ordered && !self.obey(&mut control, &mut orders, &mut report)? {
                return Ok(());
            }
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    CONTROL => {}
                    place => self.hear(place as usize, &mut buffer),
                }
            }
        }
        Ok(())
    }

    /// Until something comes or a worker is done.
    fn wait(&self, events: &mut Vec<epoll::Event>) -> anyhow::Result<()> {
        let next = self.workers.next().map(|work| self.pace.when(work));
        let timeout = next.map_or(LOOK_UP, |at| at.saturating_sub(self.began.elapsed())).min(LOOK_UP);
        wait::for_events(&self.epoll, events, timeout)
    }

    /// Reads the orders that have come; gives whether there may be more.
    fn obey(&mut self, control: &mut impl Read, orders: &mut Vec<u8>, report: &mut impl Write) -> anyhow::Result<bool> {
        let mut piece = [0; 256];
        let length = match control.read(&mut piece) {
            Ok(0) => return Ok(false),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error).context("cannot read orders"),
        };
        orders.extend_from_slice(&piece[..length]);
        while let Some(end) = memchr::memchr(b'\n', orders) {
            let line: Vec<u8> = orders.drain(..=end).collect();
            let order = str::from_utf8(&line).unwrap_or_default().trim_ascii();
            if order == "count" {
                writeln!(report, "{}", self.count().line())?;
                report.flush()?;
            } else {
                let Ok(fault) = Fault::from_str(order, false) else { bail!("an unknown order: {order}") };
                self.fault = fault;
                self.pace.set(fault, self.began.elapsed());
            }
        }
        Ok(true)
    }

    fn count(&self) -> Sums {
        let working_for = self.first.map(|first| self.began.elapsed().saturating_sub(first));
        Sums { working_for, cpu: cpu_used(), ..self.sums }
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        let connection = match self.listener.accept().and_then(|(stream, _)| Connection::new(stream)) {
            Ok(connection) => connection,
            Err(error) if is_passing(&error) => return Ok(()),
            Err(error) => return Err(error).context("cannot accept a connection"),
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            self.places.len() - 1
        });
        let data = epoll::EventData::new_u64(place as u64);
        epoll::add(&self.epoll, connection.stream(), data, epoll::EventFlags::IN)?;
        self.places[place].1 = Some(connection);
        Ok(())
    }

    fn hear(&mut self, place: usize, buffer: &mut [u8]) {
        let (tenant, connection) = &mut self.places[place];
        let Some(connection) = connection else {
            return;
        };
        let lives = match connection.hear(buffer) {
            Heard::Nothing => true,
            Heard::End => false,
            Heard::Request(Asked::Probe) => connection.answer(&self.ok),
            Heard::Request(Asked::Work) if self.fault == Fault::Error500 => {
                self.sums.answered += 1;
                connection.answer(&self.error)
            }
            Heard::Request(Asked::Work) => {
                let ticket = (place, *tenant);
                self.take_in(ticket)
            }
        };
        if !lives {
            self.close(place);
        }
    }

    fn take_in(&mut self, ticket: Ticket) -> bool {
        let now = self.began.elapsed();
        if self.first.is_none() {
            self.first = Some(now);
            if self.fault == Fault::Cold {
                self.pace.begin_warming(now);
            }
        }
        let room = self.workers.held() < MAX_HELD;
        if room {
            self.workers.admit(ticket, self.pace.work(now));
        }
        room
    }

    fn answer_done(&mut self) {
        let now = self.began.elapsed();
        while let Some(((place, tenant), due)) = self.workers.done(self.pace.work(now)) {
            self.sums.late += now.saturating_sub(self.pace.when(due));
            self.sums.answered += 1;
            let lives = match &mut self.places[place] {
                (present, Some(connection)) if *present == tenant => connection.answer(&self.ok),
                _ => continue,
            };
            if !lives {
                self.close(place);
            }
        }
    }

    fn close(&mut self, place: usize) {
        let (tenant, connection) = &mut self.places[place];
        *tenant += 1;
        *connection = None;
        self.free.push(place);
    }
}

/// CPU time this process has used.
pub(crate) fn cpu_used() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Whether the same call may work at the next event.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}

#[cfg(test)]
mod tests;
