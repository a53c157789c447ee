//! A client that sends the bytes it is told to, and reads responses by the letter.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use socket2::{Domain, SockRef, Socket, Type};

use super::{PATIENCE, field, fields, head_end, text};

/// A raw client connection. Every read is bounded by [`PATIENCE`].
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
}

/// A response that is not whole.
#[derive(Debug)]
pub(crate) struct Broken {
    /// The head, where that came.
    pub(crate) head: String,
    /// What came of the body, or of the head.
    pub(crate) received: Vec<u8>,
    pub(crate) end: End,
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// From the status line to the empty line.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Trailer lines of a chunked body.
    pub(crate) trailers: String,
    /// It ended with the connection, for want of another end.
    pub(crate) until_close: bool,
}

impl Response {
    /// The value of a field that is there at most once.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        fields(&self.head, name)
    }

    pub(crate) fn text(&self) -> String {
        text(&self.body)
    }
}

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::on(TcpStream::connect(to).unwrap())
    }

    /// A client at another address of this machine, such as 127.0.0.2.
    pub(crate) fn connect_from(from: [u8; 4], to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        Self::on(socket.into())
    }

    fn on(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what the other side takes; whether it took all.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends, and reads the whole response.
    #[track_caller]
    pub(crate) fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        self.send(bytes);
        self.response()
    }

    #[track_caller]
    pub(crate) fn response(&mut self) -> Response {
        match self.try_response(false) {
            Ok(response) => response,
            Err(Broken { head, received, end }) => {
                let shown = &received[..received.len().min(1000)];
                panic!("a broken response: {end:?} after {} bytes: {head:?} {:?}", received.len(), text(shown))
            }
        }
    }

    /// The response to HEAD, which has no body.
    #[track_caller]
    pub(crate) fn response_to_head(&mut self) -> Response {
        self.try_response(true).unwrap()
    }

    pub(crate) fn try_response(&mut self, to_head: bool) -> Result<Response, Broken> {
        let mut head = String::new();
        self.read_response(to_head, &mut head).map_err(|end| Broken {
            head,
            received: std::mem::take(&mut self.unread),
            end,
        })
    }

    fn read_response(&mut self, to_head: bool, head: &mut String) -> Result<Response, End> {
        *head = self.read_head()?;
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).expect("a status line");
        let mut response =
            Response { status, head: head.clone(), body: Vec::new(), trailers: String::new(), until_close: false };
        let length = field(head, "content-length").map(|value| value.parse().expect("a length"));
        let chunked = field(head, "transfer-encoding") == Some("chunked");
        assert!(!(chunked && length.is_some()), "framed twice: {head}");
        if to_head || status < 200 || status == 204 || status == 304 {
        } else if chunked {
            (response.body, response.trailers) = self.read_chunks()?;
        } else if let Some(length) = length {
            while self.unread.len() < length {
                self.read_more()?;
            }
            response.body = self.take(length);
        } else {
            response.until_close = true;
            let (body, end) = self.rest();
            response.body = body;
            if end == End::Reset {
                self.unread = std::mem::take(&mut response.body);
                return Err(end);
            }
        }
        Ok(response)
    }

    fn read_head(&mut self) -> Result<String, End> {
        loop {
            if let Some(end) = head_end(&self.unread) {
                return Ok(text(&self.take(end)));
            }
            self.read_more()?;
        }
    }

    fn read_chunks(&mut self) -> Result<(Vec<u8>, String), End> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk size");
            if size == 0 {
                break;
            }
            while self.unread.len() < size + 2 {
                self.read_more()?;
            }
            body.extend_from_slice(&self.take(size));
            assert_eq!(self.take(2), b"\r\n");
        }
        let mut trailers = String::new();
        loop {
            match self.read_line()?.as_str() {
                "\r\n" => return Ok((body, trailers)),
                line => trailers.push_str(line),
            }
        }
    }

    fn read_line(&mut self) -> Result<String, End> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                return Ok(text(&self.take(end + 1)));
            }
            self.read_more()?;
        }
    }

    /// Everything up to the end of the connection, and what kind of end that was.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, End) {
        loop {
            if let Err(end) = self.read_more() {
                return (std::mem::take(&mut self.unread), end);
            }
        }
    }

    /// Reads on, whatever comes; whether the connection ends before `deadline`.
    pub(crate) fn ends_before(&mut self, deadline: Instant) -> bool {
        while Instant::now() < deadline {
            if self.read_more().is_err() {
                return true;
            }
        }
        false
    }

    /// Fails unless the connection ends here, without another byte.
    #[track_caller]
    pub(crate) fn assert_closed(&mut self) {
        let (rest, _) = self.rest();
        assert_eq!(text(&rest), "", "the connection should have ended");
    }

    /// Waits for at least `count` bytes and takes these, without looking at what they are.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            self.read_more().unwrap();
        }
        self.take(count)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.unread.split_off(count);
        std::mem::replace(&mut self.unread, rest)
    }

    fn read_more(&mut self) -> Result<(), End> {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(End::Closed),
            Ok(count) => {
                self.unread.extend_from_slice(&bytes[..count]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing more comes; so far: {:?}", text(&self.unread))
            }
            Err(_) => Err(End::Reset),
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish_sending(&self) {
        // The other side may have ended the connection before.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Leaves with a reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }
}
