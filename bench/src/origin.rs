//! The origin: the servers behind the proxies. One thread, one epoll loop, as many ports as the pool has
//! servers. `GET /<n>` is answered with `n` bytes of body; `GET /accepted` with the number of connections
//! accepted so far, which shows whether a proxy kept its connections alive; `GET /websockets` with the number of WebSockets
//! open on each port, for which any other path is open when it is asked to switch. It speaks just enough HTTP/1.1 for
//! measuring a proxy and is no example of a server.

mod response;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::websocket;
use response::Responses;

/// A request head longer than this is not one of ours.
const MAX_HEAD: usize = 16 * 1024;

/// How often the loop looks at its stop flag when nothing happens.
const LOOK_UP: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// All servers of the pool.
pub(crate) struct Origin {
    epoll: OwnedFd,
    listeners: Vec<TcpListener>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    responses: Responses,
    accepted: u64,
    /// WebSockets open, by listener.
    websockets: Vec<u64>,
}

struct Connection {
    stream: TcpStream,
    listener: usize,
    /// Whether it has switched.
    is_websocket: bool,
    /// The beginning of a request head whose end has not come yet.
    partial: Vec<u8>,
    /// The response being written and how much of it is out.
    writing: Option<(Answer, usize)>,
}

/// One response: a body of `size` bytes, or one made for the occasion.
enum Answer {
    Sized { size: usize, close: bool },
    Made { bytes: Vec<u8>, close: bool },
}

/// What can be asked of the origin itself.
struct Counts<'a> {
    accepted: u64,
    websockets: &'a [u64],
}

/// What became of a connection after an event.
#[derive(PartialEq, Eq)]
enum After {
    Keep,
    AwaitWritable,
    Close,
}

impl Origin {
    /// Listens on that many free loopback ports.
    pub(crate) fn bind(servers: usize) -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut listeners = Vec::with_capacity(servers);
        for index in 0..servers {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .with_context(|| format!("cannot open port {index} of {servers}"))?;
            listener.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &listener, data, epoll::EventFlags::IN)?;
            listeners.push(listener);
        }
        Ok(Self {
            epoll,
            listeners,
            connections: Vec::new(),
            free: Vec::new(),
            responses: Responses::default(),
            accepted: 0,
            websockets: vec![0; servers],
        })
    }

    /// The ports, one a server.
    pub(crate) fn ports(&self) -> anyhow::Result<Vec<u16>> {
        self.listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
    }

    /// Serves until the flag is set.
    pub(crate) fn run(mut self, stop: &AtomicBool) -> anyhow::Result<()> {
        let mut events = Vec::with_capacity(256);
        let mut buffer = vec![0; MAX_HEAD];
        while !stop.load(Ordering::Relaxed) {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&LOOK_UP)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot wait for events"),
            }
            self.responses.refresh_date();
            for event in events.drain(..) {
                let token = event.data.u64() as usize;
                match token.checked_sub(self.listeners.len()) {
                    None => self.accept(token)?,
                    Some(index) => self.serve(index, event.flags, &mut buffer)?,
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> anyhow::Result<()> {
        let stream = match self.listeners[listener].accept() {
            Ok((stream, _)) => stream,
            // Gone again already, or a spurious wake: the next event tells.
            Err(error) if is_passing(&error) => return Ok(()),
            Err(error) => return Err(error).context("cannot accept a connection"),
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        self.accepted += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let data = self.token(index);
        epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?;
        self.connections[index] =
            Some(Connection { stream, listener, is_websocket: false, partial: Vec::new(), writing: None });
        Ok(())
    }

    fn serve(&mut self, index: usize, flags: epoll::EventFlags, buffer: &mut [u8]) -> anyhow::Result<()> {
        let data = self.token(index);
        let Some(connection) = self.connections[index].as_mut() else {
            return Ok(());
        };
        let (was_writing, was_websocket) = (connection.writing.is_some(), connection.is_websocket);
        let after = if was_writing {
            connection.write_on(&mut self.responses)
        } else if flags.contains(epoll::EventFlags::IN) {
            let counts = Counts { accepted: self.accepted, websockets: &self.websockets };
            connection.read_on(buffer, &mut self.responses, &counts)
        } else {
            After::Close
        };
        let open = &mut self.websockets[connection.listener];
        *open += u64::from(connection.is_websocket && !was_websocket);
        let interest = match after {
            After::Close => {
                *open -= u64::from(connection.is_websocket);
                self.connections[index] = None;
                self.free.push(index);
                return Ok(());
            }
            After::Keep => epoll::EventFlags::IN,
            After::AwaitWritable => epoll::EventFlags::OUT,
        };
        if was_writing != (after == After::AwaitWritable) {
            epoll::modify(&self.epoll, &connection.stream, data, interest)?;
        }
        Ok(())
    }

    /// Listeners have the first event numbers, connections those after.
    fn token(&self, index: usize) -> epoll::EventData {
        epoll::EventData::new_u64((self.listeners.len() + index) as u64)
    }
}

impl Connection {
    /// Reads once and answers the request if it is whole. A client that sends its next request before it has the
    /// answer to this one is not a proxy we measure, and is cut off.
    fn read_on(&mut self, buffer: &mut [u8], responses: &mut Responses, counts: &Counts<'_>) -> After {
        let length = match self.stream.read(buffer) {
            Ok(0) => return After::Close,
            Ok(length) => length,
            Err(error) if is_passing(&error) => return After::Keep,
            Err(_) => return After::Close,
        };
        if self.is_websocket {
            return self.echo(&buffer[..length], responses);
        }
        let answer = if self.partial.is_empty() && buffer[..length].ends_with(b"\r\n\r\n") {
            answer_to(&buffer[..length], counts)
        } else {
            self.partial.extend_from_slice(&buffer[..length]);
            if self.partial.len() > MAX_HEAD {
                return After::Close;
            }
            if !self.partial.ends_with(b"\r\n\r\n") {
                return After::Keep;
            }
            answer_to(&std::mem::take(&mut self.partial), counts)
        };
        let answer = match answer {
            Some(Reply::Answer(answer)) => answer,
            Some(Reply::Switch) => {
                self.is_websocket = true;
                Answer::Made { bytes: websocket::SWITCHED.to_vec(), close: false }
            }
            None => return After::Close,
        };
        self.writing = Some((answer, 0));
        self.write_on(responses)
    }

    /// Sends back the messages that are whole.
    fn echo(&mut self, received: &[u8], responses: &mut Responses) -> After {
        self.partial.extend_from_slice(received);
        let mut echoes = Vec::new();
        let whole = self.partial.len() / websocket::ASKED * websocket::ASKED;
        for message in self.partial.drain(..whole).as_slice().chunks_exact(websocket::ASKED) {
            match websocket::echo(message) {
                Some(echo) => echoes.extend(echo),
                None => return After::Close,
            }
        }
        if echoes.is_empty() {
            return After::Keep;
        }
        self.writing = Some((Answer::Made { bytes: echoes, close: false }, 0));
        self.write_on(responses)
    }

    fn write_on(&mut self, responses: &mut Responses) -> After {
        let Some((answer, written)) = &mut self.writing else {
            return After::Keep;
        };
        let (bytes, close) = match answer {
            Answer::Sized { size, close } => (responses.of_size(*size), *close),
            Answer::Made { bytes, close } => (bytes.as_slice(), *close),
        };
        match self.stream.write(&bytes[*written..]) {
            Ok(length) => *written += length,
            Err(error) if is_passing(&error) => return After::AwaitWritable,
            Err(_) => return After::Close,
        }
        if *written < bytes.len() {
            return After::AwaitWritable;
        }
        self.writing = None;
        if close { After::Close } else { After::Keep }
    }
}

/// What a request head leads to.
enum Reply {
    Answer(Answer),
    /// The connection becomes a WebSocket.
    Switch,
}

/// The answer to a whole request head, `None` for one that is not ours.
fn answer_to(head: &[u8], counts: &Counts<'_>) -> Option<Reply> {
    let target = head.strip_prefix(b"GET /")?;
    let end = memchr::memchr(b' ', target)?;
    let target = std::str::from_utf8(&target[..end]).ok()?;
    let told = match target {
        "accepted" => Some(counts.accepted.to_string()),
        "websockets" => Some(counts.websockets.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")),
        _ => None,
    };
    if let Some(body) = told {
        return Some(Reply::Answer(Answer::Made { bytes: response::whole(body.as_bytes(), true), close: true }));
    }
    if websocket::is_asked_for(head) {
        return Some(Reply::Switch);
    }
    let size = target.split('?').next()?.parse().ok().filter(|&size| size <= response::MAX_BODY)?;
    let close = memchr::memmem::find(head, b"\r\nConnection: close\r\n").is_some();
    Some(Reply::Answer(Answer::Sized { size, close }))
}

/// Whether the same call may work at the next event.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}
