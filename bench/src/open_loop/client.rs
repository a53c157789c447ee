//! The clients: an open loop. Requests start when they are due, whatever became of those before; each takes an idle
//! connection or opens one. One thread, one epoll loop.

mod answer;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::fd::OwnedFd;

use super::BODY;
use super::arrivals::Arrivals;
use super::tally::{Ending, Tally};
use super::wait;
use crate::load;
use answer::{Answer, AnswerReader};

/// A client has waited long enough.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the loop sleeps at most, so that an interruption is seen.
const LOOK_UP: Duration = Duration::from_millis(50);

/// More connections than this are not opened; the request that wants one has failed. A second of the highest rate
/// here, and within the open files most systems grant.
const MAX_CONNECTIONS: usize = 12_000;

/// Clients of one address.
pub(crate) struct Clients {
    epoll: OwnedFd,
    target: SocketAddr,
    request: Vec<u8>,
    began: Instant,
    arrivals: Arrivals,
    next: Option<Duration>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Used last in, first out, so that a burst's connections are not kept busy for ever. Some may be closed by now.
    idle: Vec<(usize, u64)>,
    /// Requests sent, oldest first, with their numbers. Some may have ended by now.
    deadlines: VecDeque<(Duration, usize, u64)>,
    sent: u64,
    in_flight: usize,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    tallies: Vec<Tally>,
    first_error: Option<String>,
}

struct Connection {
    stream: TcpStream,
    reader: AnswerReader,
    /// The number of its last request, by which stale entries in the lists are told.
    number: u64,
    /// When that was meant to start; `None` when it has ended.
    intended: Option<Duration>,
    /// Whether that has still to be sent, the connection being made.
    unsent: bool,
}

impl Clients {
    /// Time runs from now.
    pub(crate) fn start(target: SocketAddr, mut arrivals: Arrivals, tallies: Vec<Tally>) -> anyhow::Result<Self> {
        let next = arrivals.next();
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            target,
            request: load::request(&target, BODY as u64, true),
            began: Instant::now(),
            arrivals,
            next,
            connections: Vec::new(),
            free: Vec::new(),
            idle: Vec::new(),
            deadlines: VecDeque::new(),
            sent: 0,
            in_flight: 0,
            // Few enough that what is due meanwhile waits no longer than some hundred microseconds.
            events: Vec::with_capacity(64),
            buffer: vec![0; 16 * 1024],
            tallies,
            first_error: None,
        })
    }

    /// When time began to run.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether all requests have started and ended.
    pub(crate) fn is_done(&self) -> bool {
        self.next.is_none() && self.in_flight == 0
    }

    /// What came of it, and the first thing that went wrong.
    pub(crate) fn finish(self) -> (Vec<Tally>, Option<String>) {
        (self.tallies, self.first_error)
    }

    /// Starts what is due, waits until something happens or `until` at the latest, and hears what did.
    pub(crate) fn turn(&mut self, until: Duration) -> anyhow::Result<()> {
        while let Some(intended) = self.next.filter(|at| *at <= self.now()) {
            self.next = self.arrivals.next();
            self.begin(intended)?;
        }
        self.expire();
        let wake = self.next.unwrap_or(Duration::MAX).min(until);
        let mut events = std::mem::take(&mut self.events);
        wait::for_events(&self.epoll, &mut events, wake.saturating_sub(self.now()).min(LOOK_UP))?;
        for event in &events {
            let place = event.data.u64() as usize;
            if self.connections[place].as_ref().is_some_and(|connection| connection.unsent) {
                self.send(place)?;
            } else {
                self.hear(place);
            }
        }
        self.events = events;
        Ok(())
    }

    fn begin(&mut self, intended: Duration) -> anyhow::Result<()> {
        self.in_flight += 1;
        self.sent += 1;
        let now = self.now();
        self.tallies.iter_mut().for_each(|tally| tally.begun(intended, now));
        let Some(place) = self.idle_place().map_or_else(|| self.open(intended), |place| Ok(Some(place)))? else {
            return Ok(());
        };
        let number = self.sent;
        let Some(connection) = &mut self.connections[place] else {
            return Ok(());
        };
        connection.number = number;
        connection.intended = Some(intended);
        self.deadlines.push_back((intended + PATIENCE, place, number));
        self.send(place)
    }

    fn idle_place(&mut self) -> Option<usize> {
        while let Some((place, number)) = self.idle.pop() {
            if self.connections[place].as_ref().is_some_and(|connection| connection.number == number) {
                return Some(place);
            }
        }
        None
    }

    /// A connection in the making; `None` when there is none to be had, which ends the request.
    fn open(&mut self, intended: Duration) -> anyhow::Result<Option<usize>> {
        if self.connections.len() - self.free.len() >= MAX_CONNECTIONS {
            self.ended(intended, Ending::NotConnected, "too many connections");
            return Ok(None);
        }
        let stream = match load::connect_nonblocking(self.target) {
            Ok(stream) => stream,
            Err(error) => {
                self.ended(intended, Ending::NotConnected, &format!("{error:#}"));
                return Ok(None);
            }
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        epoll::add(&self.epoll, &stream, data(place), epoll::EventFlags::IN)?;
        let reader = AnswerReader::default();
        self.connections[place] = Some(Connection { stream, reader, number: 0, intended: None, unsent: false });
        Ok(Some(place))
    }

    fn send(&mut self, place: usize) -> anyhow::Result<()> {
        let Some(connection) = &mut self.connections[place] else {
            return Ok(());
        };
        match connection.stream.write(&self.request) {
            Ok(length) if length == self.request.len() => {
                if std::mem::take(&mut connection.unsent) {
                    epoll::modify(&self.epoll, &connection.stream, data(place), epoll::EventFlags::IN)?;
                }
            }
            // The proxy's accept queue is full: the connection stands later, or fails to, and an event tells.
            Err(error) if error.kind() == ErrorKind::WouldBlock && !connection.unsent => {
                connection.unsent = true;
                epoll::modify(&self.epoll, &connection.stream, data(place), epoll::EventFlags::OUT)?;
            }
            outcome => {
                self.drop_with(place, Ending::NotConnected, &format!("a request could not be sent: {outcome:?}"));
            }
        }
        Ok(())
    }

    fn hear(&mut self, place: usize) {
        let Some(connection) = &mut self.connections[place] else {
            return;
        };
        let heard = match connection.stream.read(&mut self.buffer) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Ok(0) => Err((Ending::Closed, "the connection was closed before the answer was whole".to_owned())),
            Err(error) => Err((Ending::Closed, format!("the connection broke: {error}"))),
            Ok(length) => connection.reader.take(&self.buffer[..length]).map_err(|flaw| (Ending::Malformed, flaw)),
        };
        match heard {
            Ok(None) => {}
            Ok(Some(answer)) => self.answered(place, answer),
            Err((ending, flaw)) => self.drop_with(place, ending, &flaw),
        }
    }

    fn answered(&mut self, place: usize, answer: Answer) {
        let ending = match answer.status {
            200..=299 if answer.length == BODY as u64 => Ending::Served,
            200..=299 => Ending::Malformed,
            503 if answer.retry_after => Ending::Refused,
            status => Ending::Status(status),
        };
        if let Some(connection) = &mut self.connections[place]
            && answer.keep_alive
            && let Some(intended) = connection.intended.take()
        {
            self.idle.push((place, connection.number));
            self.ended(intended, ending, "");
        } else {
            // Over, or an answer that nobody asked for.
            self.drop_with(place, ending, "");
        }
    }

    /// Ends a connection, and the request on it if there is one.
    fn drop_with(&mut self, place: usize, ending: Ending, flaw: &str) {
        let connection = self.connections[place].take();
        self.free.push(place);
        if let Some(intended) = connection.and_then(|connection| connection.intended) {
            self.ended(intended, ending, flaw);
        }
    }

    fn expire(&mut self) {
        let now = self.now();
        while let Some((deadline, place, number)) = self.deadlines.front().copied() {
            let waits = |connection: &Connection| connection.number == number && connection.intended.is_some();
            let waiting = self.connections[place].as_ref().is_some_and(waits);
            if waiting && deadline > now {
                break;
            }
            self.deadlines.pop_front();
            if waiting {
                self.drop_with(place, Ending::TimedOut, "no answer within 10 s");
            }
        }
    }

    fn ended(&mut self, intended: Duration, ending: Ending, flaw: &str) {
        let now = self.now();
        self.in_flight -= 1;
        for tally in &mut self.tallies {
            tally.ended(intended, now, ending);
        }
        if !flaw.is_empty() {
            self.first_error.get_or_insert_with(|| flaw.to_owned());
        }
    }
}

fn data(place: usize) -> epoll::EventData {
    epoll::EventData::new_u64(place as u64)
}

#[cfg(test)]
mod tests;
