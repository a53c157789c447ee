//! HTTP/2 by hand: frames as bytes, so that a test can send what no library would (RFC 9113, section 4; RFC 7541).

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::kit::PATIENCE;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Of DATA and HEADERS.
pub(super) const END_STREAM: u8 = 1;
/// Of SETTINGS and PING.
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;

pub(super) const HEADER_TABLE_SIZE: u16 = 1;
pub(super) const ENABLE_PUSH: u16 = 2;
pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(super) const MAX_FRAME_SIZE: u16 = 5;
pub(super) const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// What errors are called (RFC 9113, section 7).
pub(super) mod code {
    pub(in super::super) const NO_ERROR: u32 = 0;
    pub(in super::super) const PROTOCOL_ERROR: u32 = 1;
    pub(in super::super) const FLOW_CONTROL_ERROR: u32 = 3;
    pub(in super::super) const STREAM_CLOSED: u32 = 5;
    pub(in super::super) const FRAME_SIZE_ERROR: u32 = 6;
    pub(in super::super) const REFUSED_STREAM: u32 = 7;
    pub(in super::super) const CANCEL: u32 = 8;
    pub(in super::super) const ENHANCE_YOUR_CALM: u32 = 11;
}

/// The length of a frame's header.
const FRAME_HEADER: usize = 9;

pub(super) type Fields<'a> = [(&'a str, &'a str)];

/// A frame as bytes.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block whose fields stand there by the letter (RFC 7541, section 6.2.2).
pub(super) fn block<'a>(fields: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        put_field(&mut bytes, name.as_bytes(), value.as_bytes());
    }
    bytes
}

pub(super) fn put_field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    for text in [name, value] {
        let mut length = text.len();
        if length < 127 {
            block.push(length as u8);
        } else {
            block.push(127);
            length -= 127;
            while length >= 128 {
                block.push((length % 128 + 128) as u8);
                length /= 128;
            }
            block.push(length as u8);
        }
        block.extend_from_slice(text);
    }
}

/// HEADERS with a whole block; `flags` beside that it is whole.
pub(super) fn headers(stream: u32, flags: u8, fields: &Fields<'_>) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, block(fields))
}

/// A whole GET.
pub(super) fn get(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM, &request("GET", "/"))
}

/// The head of a POST whose body is to follow.
pub(super) fn post(stream: u32) -> Vec<u8> {
    headers(stream, 0, &request("POST", "/"))
}

pub(super) fn request<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path)]
}

pub(super) fn data(stream: u32, flags: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    frame(DATA, flags, stream, bytes)
}

pub(super) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, code.to_be_bytes())
}

pub(super) fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, by.to_be_bytes())
}

pub(super) fn settings(all: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        all.iter().flat_map(|(key, value)| [&key.to_be_bytes()[..], &value.to_be_bytes()[..]].concat()).collect();
    frame(SETTINGS, 0, 0, payload)
}

pub(super) fn ping(opaque: u64) -> Vec<u8> {
    frame(PING, 0, 0, opaque.to_be_bytes())
}

pub(super) fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, [last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// A frame as it was read.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) fn is(&self, kind: u8, flags: u8) -> bool {
        self.kind == kind && self.flags & flags == flags
    }

    /// The error that a stream is reset with, or the connection ended.
    pub(super) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        number(&self.payload[at..at + 4])
    }

    /// It ends its stream's message.
    pub(super) fn ends(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// The status in a HEADERS frame, which stands first; `None` for trailers. The other side has been told to keep no table.
    pub(super) fn status(&self) -> Option<u16> {
        const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        let block = self.payload.iter().skip_while(|byte| **byte & 0xE0 == 0x20).copied().collect::<Vec<u8>>();
        match block.as_slice() {
            [first @ 0x88..=0x8E, ..] => Some(INDEXED[usize::from(first - 0x88)]),
            [0x48 | 0x18 | 0x08, 3, digits @ ..] => std::str::from_utf8(&digits[..3]).ok()?.parse().ok(),
            [0x48 | 0x18 | 0x08, length @ 0x82..=0x83, coded @ ..] => {
                Some(coded_status(&coded[..usize::from(length - 0x80)]))
            }
            _ => None,
        }
    }
}

/// Three digits in the Huffman code (RFC 7541, appendix B): 0, 1 and 2 have five bits, the others six.
fn coded_status(coded: &[u8]) -> u16 {
    let mut bits = coded.iter().flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)));
    let mut status = 0;
    for _ in 0..3 {
        let five = bits.by_ref().take(5).fold(0, |all, bit| all * 2 + bit);
        let digit = if five < 3 { five } else { five * 2 + bits.next().unwrap() - 0b01_1001 + 3 };
        status = status * 10 + digit;
    }
    status
}

pub(super) fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |all, byte| all << 8 | u32::from(*byte))
}

/// What became of a request, or of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Status(u16),
    Reset(u32),
    GoAway(u32),
    /// The connection ended without a word.
    Closed,
}

/// One side of a connection. Every read is bounded by [`PATIENCE`].
pub(super) struct Conn {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Whether pings are answered.
    pub(super) answers_pings: bool,
}

impl Conn {
    /// A client's, of which nothing has been sent.
    pub(super) fn silent(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, unread: Vec::new(), answers_pings: true }
    }

    /// Another handle on a connection that goes on, to read from it while the first one sends.
    pub(super) fn of(stream: &TcpStream) -> Self {
        Self { stream: stream.try_clone().unwrap(), unread: Vec::new(), answers_pings: true }
    }

    pub(super) fn connect(to: SocketAddr) -> Self {
        Self::connect_with(to, &[])
    }

    /// A client's that asks for these settings.
    pub(super) fn connect_with(to: SocketAddr, more: &[(u16, u32)]) -> Self {
        let mut conn = Self::silent(to);
        conn.send([PREFACE, &settings(&[&[(HEADER_TABLE_SIZE, 0)], more].concat())].concat());
        conn
    }

    /// A server's that asks for these settings; `None` when the client leaves at once.
    pub(super) fn accept(stream: &TcpStream, all: &[(u16, u32)]) -> Option<Self> {
        let mut conn = Self { stream: stream.try_clone().unwrap(), unread: Vec::new(), answers_pings: true };
        while conn.unread.len() < PREFACE.len() {
            conn.read_more()?;
        }
        let rest = conn.unread.split_off(PREFACE.len());
        assert_eq!(std::mem::replace(&mut conn.unread, rest), PREFACE);
        conn.try_send(settings(all)).then_some(conn)
    }

    #[track_caller]
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what the other side takes; whether it took all.
    pub(super) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The next frame, `None` at the end of the connection. Settings are acknowledged and pings answered on the way.
    pub(super) fn next(&mut self) -> Option<Frame> {
        while self.unread.len() < FRAME_HEADER {
            self.read_more()?;
        }
        let length = FRAME_HEADER + number(&self.unread[..3]) as usize;
        while self.unread.len() < length {
            self.read_more()?;
        }
        let rest = self.unread.split_off(length);
        let bytes = std::mem::replace(&mut self.unread, rest);
        let stream = number(&bytes[5..9]);
        let frame = Frame { kind: bytes[3], flags: bytes[4], stream, payload: bytes[FRAME_HEADER..].to_vec() };
        if frame.kind == SETTINGS && frame.flags & ACK == 0 {
            self.try_send(self::frame(SETTINGS, ACK, 0, []));
        } else if frame.kind == PING && frame.flags & ACK == 0 && self.answers_pings {
            self.try_send(self::frame(PING, ACK, 0, &frame.payload));
        }
        Some(frame)
    }

    /// The next frame that `wanted` says yes to; `None` at the end of the connection.
    pub(super) fn find(&mut self, mut wanted: impl FnMut(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    /// What becomes of the request on `stream`: its final status, or how it failed.
    pub(super) fn fate(&mut self, stream: u32) -> Fate {
        let found = self.find(|frame| match frame.kind {
            GOAWAY => frame.code() != code::NO_ERROR,
            RST_STREAM => frame.stream == stream,
            HEADERS => frame.stream == stream && frame.status().is_some_and(|status| status >= 200),
            _ => false,
        });
        match found {
            None => Fate::Closed,
            Some(frame) if frame.kind == GOAWAY => Fate::GoAway(frame.code()),
            Some(frame) if frame.kind == RST_STREAM => Fate::Reset(frame.code()),
            Some(frame) => Fate::Status(frame.status().unwrap()),
        }
    }

    /// The body on `stream`, and whether its end came; each byte read is made good in both windows.
    pub(super) fn body(&mut self, stream: u32) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        while let Some(frame) =
            self.find(|frame| frame.stream == stream && matches!(frame.kind, DATA | HEADERS | RST_STREAM))
        {
            if frame.kind == RST_STREAM {
                return (body, false);
            }
            if frame.kind == DATA {
                body.extend_from_slice(&frame.payload);
                if !frame.payload.is_empty() {
                    let by = frame.payload.len() as u32;
                    self.try_send([window_update(0, by), window_update(stream, by)].concat());
                }
            }
            if frame.ends() {
                return (body, true);
            }
        }
        (body, false)
    }

    /// Whether the connection is as it was: a ping is answered.
    pub(super) fn is_well(&mut self) -> bool {
        self.try_send(ping(0x00C0_FFEE))
            && self.find(|frame| frame.is(PING, ACK) || frame.kind == GOAWAY).is_some_and(|frame| frame.kind == PING)
    }

    /// Reads on, whatever comes, to the end of the connection.
    pub(super) fn await_end(&mut self) {
        while self.next().is_some() {}
    }

    /// Reads raw bytes to the end of the connection.
    pub(super) fn rest(&mut self) -> String {
        while self.read_more().is_some() {}
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    /// From now on what is not taken for so long is not sent.
    pub(super) fn give_up_after(&self, time: Duration) {
        self.stream.set_write_timeout(Some(time)).unwrap();
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn read_more(&mut self) -> Option<()> {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => None,
            Ok(count) => {
                self.unread.extend_from_slice(&bytes[..count]);
                Some(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing more comes; so far: {:?}", self.unread)
            }
            Err(_) => None,
        }
    }
}
