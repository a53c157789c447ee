//! One connection of a server: requests one after the other, each with an empty body.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::open_loop::BODY;

/// A request head longer than this is not one of ours.
const MAX_HEAD: usize = 16 * 1024;

/// What a connection is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// `GET /health`.
    Probe,
    /// Any other GET: work.
    Work,
}

/// What one read gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing that is whole.
    Nothing,
    Request(Asked),
    /// The end, or something this server does not speak.
    End,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    partial: Vec<u8>,
    /// Whether an answer is owed. A client that sends more before it has it is not one we measure, and is cut off.
    owing: bool,
}

impl Connection {
    /// One just accepted, made nonblocking.
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, partial: Vec::new(), owing: false })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads once.
    pub(super) fn hear(&mut self, buffer: &mut [u8]) -> Heard {
        let length = match self.stream.read(buffer) {
            Ok(0) => return Heard::End,
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Heard::Nothing;
            }
            Err(_) => return Heard::End,
        };
        if self.owing {
            return Heard::End;
        }
        let piece = &buffer[..length];
        if self.partial.is_empty() && piece.ends_with(b"\r\n\r\n") {
            return self.asked(request(piece));
        }
        self.partial.extend_from_slice(piece);
        if !self.partial.ends_with(b"\r\n\r\n") {
            return if self.partial.len() > MAX_HEAD { Heard::End } else { Heard::Nothing };
        }
        let head = std::mem::take(&mut self.partial);
        self.asked(request(&head))
    }

    fn asked(&mut self, request: Option<Asked>) -> Heard {
        self.owing = request.is_some();
        request.map_or(Heard::End, Heard::Request)
    }

    /// Sends an answer; gives whether the connection lives on. An answer is a few hundred bytes and the client
    /// has read the one before, so that it fits.
    pub(super) fn answer(&mut self, answer: &[u8]) -> bool {
        self.owing = false;
        self.stream.write(answer).is_ok_and(|length| length == answer.len())
    }
}

fn request(head: &[u8]) -> Option<Asked> {
    let target = head.strip_prefix(b"GET /")?;
    Some(if target.starts_with(b"health ") { Asked::Probe } else { Asked::Work })
}

/// A whole answer with the fields an application's server usually sends.
pub(super) fn answer(status: &str) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-cache\r\n\
         Content-Length: {BODY}\r\n\r\n"
    )
    .into_bytes();
    bytes.extend_from_slice(&[b'x'; BODY]);
    bytes
}
