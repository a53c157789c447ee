//! Large bodies: every byte arrives, and the program holds no more than its buffers.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;

use crate::kit::{Config, Gate, PATIENCE, Program, Server, Talk, field};

const SIZE: usize = 100_000_000;

/// What the program's memory may grow by while that goes through: its buffers are a few hundred KiB.
const GROWTH_KIB: u64 = 16 * 1024;

/// Bytes of one write.
const PIECE: usize = 256 * 1024;

/// What is sent: a block that is no multiple of any buffer, again and again, so that no two buffers' worth are alike
/// and a piece that is lost, doubled or moved shows at once.
#[derive(Clone)]
struct Content(Arc<Vec<u8>>);

impl Content {
    fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(2);
        Self(Arc::new((0..1_000_003).map(|_| random.u8(..)).collect()))
    }

    /// What stands at `position`, as far as it goes in one piece and at most `most` bytes.
    fn at(&self, position: usize, most: usize) -> &[u8] {
        let from = position % self.0.len();
        &self.0[from..(from + most).min(self.0.len())]
    }

    /// Sends a body, the last piece once `may_end` has returned.
    fn send(&self, to: &mut impl Write, chunked: bool, may_end: impl FnOnce()) -> std::io::Result<()> {
        let (mut position, mut may_end) = (0, Some(may_end));
        while position < SIZE {
            if SIZE - position <= PIECE {
                may_end.take().into_iter().for_each(|may_end| may_end());
            }
            let piece = self.at(position, PIECE.min(SIZE - position));
            if chunked {
                write!(to, "{:x}\r\n", piece.len())?;
            }
            to.write_all(piece)?;
            if chunked {
                to.write_all(b"\r\n")?;
            }
            position += piece.len();
        }
        if chunked { to.write_all(b"0\r\n\r\n") } else { Ok(()) }
    }

    /// Reads a body, comparing every byte; returns its length.
    fn receive(&self, from: &mut impl BufRead, head: &str) -> usize {
        let mut position = 0;
        if let Some(length) = field(head, "content-length") {
            self.compare(from, &mut position, length.parse().unwrap());
            return position;
        }
        loop {
            let mut line = String::new();
            from.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
            self.compare(from, &mut position, size);
            let mut end = [0; 2];
            from.read_exact(&mut end).unwrap();
            assert_eq!(end, *b"\r\n");
            if size == 0 {
                return position;
            }
        }
    }

    fn compare(&self, from: &mut impl BufRead, position: &mut usize, count: usize) {
        let end = *position + count;
        while *position < end {
            let available = from.fill_buf().unwrap();
            assert!(!available.is_empty(), "the body ends after {position} bytes");
            let expected = self.at(*position, available.len().min(end - *position));
            let count = expected.len();
            assert!(available[..count] == *expected, "another byte somewhere behind {position}");
            from.consume(count);
            *position += count;
        }
    }
}

fn framing(chunked: bool) -> String {
    if chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {SIZE}") }
}

fn read_head(from: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// Takes bodies in, sends bodies, or both at once, as the target says.
fn serve(content: &Content, talk: &mut Talk) {
    let mut to = talk.stream();
    let mut from = BufReader::with_capacity(PIECE, talk.stream());
    while let Some(head) = read_head(&mut from) {
        let (chunked, up) = (head.contains("chunked"), head.starts_with("POST"));
        let received = Gate::default();
        let body = std::thread::scope(|scope| {
            let down = head.contains("down").then(|| {
                let received = received.clone();
                scope.spawn(move || {
                    write!(to, "HTTP/1.1 200 OK\r\n{}\r\n\r\n", framing(chunked)).unwrap();
                    // An answer that is whole before the request is ends the exchange.
                    content.send(&mut to, chunked, || received.pass()).unwrap();
                })
            });
            let body = if up { content.receive(&mut from, &head) } else { 0 };
            received.open();
            (body, down.is_some())
        });
        if let (received, false) = body {
            assert_eq!(received, SIZE);
            to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    }
}

/// One request of a client, with a body up, a body down, or both.
fn move_bodies(program: &Program, content: &Content, target: &str, chunked: bool) {
    let stream = TcpStream::connect(program.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let up = target.contains("up");
    let wanted = if chunked { "?chunked" } else { "" };
    std::thread::scope(|scope| {
        let mut to = &stream;
        scope.spawn(move || {
            let (method, fields) = if up { ("POST", framing(chunked)) } else { ("GET", "X: y".into()) };
            write!(to, "{method} {target}{wanted} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n").unwrap();
            if up {
                content.send(&mut to, chunked, || {}).unwrap();
            }
        });
        let mut from = BufReader::with_capacity(PIECE, &stream);
        let head = read_head(&mut from).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let received = content.receive(&mut from, &head);
        assert_eq!(received, if target.contains("down") { SIZE } else { 0 });
    });
}

#[test]
fn a_hundred_megabytes_each_way_arrive_whole_in_little_memory() {
    let content = Content::new();
    let theirs = content.clone();
    let server = Server::start(move |talk| serve(&theirs, talk));
    let program = Config::to(&[server.address()]).start();
    let before = program.peak_memory();
    for chunked in [false, true] {
        for target in ["/up", "/down", "/up-and-down"] {
            move_bodies(&program, &content, target, chunked);
        }
    }
    std::thread::scope(|scope| {
        for target in ["/up", "/down"] {
            let (program, content) = (&program, &content);
            scope.spawn(move || move_bodies(program, content, target, true));
        }
    });
    let growth = program.peak_memory() - before;
    assert!(growth < GROWTH_KIB, "memory grew by {growth} KiB");
}
