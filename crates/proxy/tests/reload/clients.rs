//! Clients: of requests, and of tunnels.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::kit::{PATIENCE, read_head};

/// A keep-alive connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

/// What a client got.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Who answered, or what we say instead.
    pub(crate) body: String,
    /// The connection ends with it.
    pub(crate) last: bool,
}

/// A good answer of this server.
pub(crate) fn from(name: &str) -> Answer {
    Answer { status: 200, body: name.to_owned(), last: false }
}

/// The same as the last one of its connection.
pub(crate) fn last_from(name: &str) -> Answer {
    Answer { last: true, ..from(name) }
}

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Sends requests for these paths, one behind the other.
    pub(crate) fn request(&mut self, paths: &[&str]) {
        let requests: Vec<_> = paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        self.send(&requests.concat());
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let head = read_head(&mut self.stream).expect("the connection ended without an answer");
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length = field("Content-Length:").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        Answer {
            status: head[9..12].parse().unwrap(),
            body: String::from_utf8(body).unwrap(),
            last: field("Connection:") == Some("close"),
        }
    }

    pub(crate) fn ask(&mut self, path: &str) -> Answer {
        self.request(&[path]);
        self.answer()
    }

    /// Waits for the end of the connection; nothing may come before.
    pub(crate) fn ended(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0))
    }

    /// Whether nothing has come, nor the end.
    pub(crate) fn is_quiet(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let read = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// A connection that has switched to another protocol.
pub(crate) struct Tunnel(Client);

impl Tunnel {
    pub(crate) fn open(to: SocketAddr) -> Self {
        let mut client = Client::connect(to);
        client.send("GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        let head = read_head(&mut client.stream).expect("no tunnel");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self(client)
    }

    /// Sends a message and waits for its echo.
    pub(crate) fn works(&mut self) {
        let mut echo = [0; 4];
        self.0.send("ping");
        self.0.stream.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"ping");
    }
}

/// The only answer to a request on a connection of its own.
pub(crate) fn ask(to: SocketAddr) -> Answer {
    Client::connect(to).ask("/")
}

/// Whether nobody listens there.
pub(crate) fn is_refused(to: SocketAddr) -> bool {
    TcpStream::connect(to).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}
