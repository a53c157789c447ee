//! Servers that follow a script and remember every byte they were sent.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::{PATIENCE, field, head_end, text, until};

/// A server on a port of its own, a thread for each connection. Its connections end when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What a server does with a connection.
pub(super) type Script = dyn Fn(&mut Talk) + Send + Sync;

#[derive(Default)]
struct Shared {
    records: Mutex<Vec<Arc<Record>>>,
    requests: Mutex<Vec<Request>>,
    open: AtomicUsize,
    stopped: AtomicBool,
}

struct Record {
    /// For the end of the server; gone once the script has ended.
    stream: Mutex<Option<TcpStream>>,
    received: Mutex<Vec<u8>>,
}

/// A request as a server has read it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Trailer lines of a chunked body.
    pub(crate) trailers: String,
}

impl Request {
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        super::fields(&self.head, name)
    }

    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }
}

impl Server {
    /// Runs `script` for each connection.
    pub(crate) fn start(script: impl Fn(&mut Talk) + Send + Sync + 'static) -> Self {
        Self::start_with_window(None, script)
    }

    /// Answers each request with what `answer` says, on connections that stay open.
    pub(crate) fn answering<A: AsRef<[u8]>>(answer: impl Fn(&Request) -> A + Send + Sync + 'static) -> Self {
        Self::start(move |talk| {
            while let Some(request) = talk.request() {
                if !talk.send(answer(&request)) {
                    break;
                }
            }
        })
    }

    /// Answers each request with its target, `/held` once the gate is open.
    pub(crate) fn holding(gate: &Gate) -> Self {
        let gate = gate.clone();
        Self::answering(move |request| {
            if request.target() == "/held" {
                gate.pass();
            }
            super::ok(request.target())
        })
    }

    /// Answers every request with 200 and this body.
    pub(crate) fn saying(body: &'static str) -> Self {
        Self::answering(move |_| super::ok(body))
    }

    /// Reads one request and answers with these bytes, then waits for the end of the connection.
    pub(crate) fn once(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::start(move |talk| {
            if talk.request().is_some() {
                talk.send(&bytes);
            }
        })
    }

    /// Like [`Server::start`], with a receive buffer of `window` bytes.
    pub(crate) fn start_with_window(window: Option<usize>, script: impl Fn(&mut Talk) + Send + Sync + 'static) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if let Some(window) = window {
            socket.set_recv_buffer_size(window).unwrap();
        }
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        Self::listen(socket, Arc::new(script))
    }

    /// Runs `script` for each connection that comes in on a socket that is bound.
    pub(super) fn listen(socket: Socket, script: Arc<Script>) -> Self {
        socket.listen(128).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if theirs.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let (script, shared) = (Arc::clone(&script), Arc::clone(&theirs));
                let Some(mut talk) = Talk::new(stream, shared) else {
                    continue;
                };
                thread::spawn(move || script(&mut talk));
            }
            // Closing alone ends nothing while a program that another test just starts has inherited it.
            let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The whole requests read so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The only request read so far.
    #[track_caller]
    pub(crate) fn request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    pub(crate) fn count(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.records.lock().unwrap().len()
    }

    /// Connections whose script still runs.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Everything received so far, connection by connection.
    pub(crate) fn received(&self) -> String {
        let records = self.shared.records.lock().unwrap();
        records.iter().map(|record| text(&record.received.lock().unwrap())).collect()
    }

    /// Waits for this many whole requests.
    #[track_caller]
    pub(crate) fn await_requests(&self, count: usize) {
        until("the server has its requests", || self.count() >= count);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            // One that panicked has ended too.
            let _ = accepting.join();
        }
        for record in self.shared.records.lock().unwrap().iter() {
            if let Some(stream) = &*record.stream.lock().unwrap() {
                // It may have ended already.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

/// One connection of a server, as its script sees it.
pub(crate) struct Talk {
    stream: TcpStream,
    unread: Vec<u8>,
    resets: bool,
    record: Arc<Record>,
    /// Last, so that whoever sees the count go down finds the connection closed.
    open: Open,
}

/// One of a server's open connections.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Talk {
    fn new(stream: TcpStream, shared: Arc<Shared>) -> Option<Self> {
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        stream.set_nodelay(true).ok()?;
        let record =
            Arc::new(Record { stream: Mutex::new(Some(stream.try_clone().ok()?)), received: Mutex::default() });
        shared.records.lock().unwrap().push(Arc::clone(&record));
        shared.open.fetch_add(1, Ordering::SeqCst);
        Some(Self { stream, unread: Vec::new(), resets: false, record, open: Open(shared) })
    }

    /// Reads a whole request; `None` when the connection ends before that.
    pub(crate) fn request(&mut self) -> Option<Request> {
        let head = self.head()?;
        let mut request = Request { head, ..Request::default() };
        if let Some(length) = request.field("content-length") {
            request.body = self.body(length.parse().expect("a length"))?;
        } else if request.field("transfer-encoding").is_some() {
            (request.body, request.trailers) = self.chunks()?;
        }
        self.open.0.requests.lock().unwrap().push(request.clone());
        Some(request)
    }

    pub(crate) fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = head_end(&self.unread) {
                return Some(text(&self.take(end)));
            }
            self.read_more()?;
        }
    }

    pub(crate) fn body(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            self.read_more()?;
        }
        Some(self.take(length))
    }

    fn chunks(&mut self) -> Option<(Vec<u8>, String)> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(self.line()?.trim_end(), 16).expect("a chunk size");
            if size == 0 {
                break;
            }
            body.extend_from_slice(&self.body(size)?);
            assert_eq!(self.body(2)?, b"\r\n");
        }
        let mut trailers = String::new();
        loop {
            match self.line()?.as_str() {
                "\r\n" => return Some((body, trailers)),
                line => trailers.push_str(line),
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                return Some(text(&self.take(end + 1)));
            }
            self.read_more()?;
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.unread.split_off(count);
        std::mem::replace(&mut self.unread, rest)
    }

    fn read_more(&mut self) -> Option<()> {
        let mut bytes = [0; 16 * 1024];
        let count = self.stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
        self.record.received.lock().unwrap().extend_from_slice(&bytes[..count]);
        self.unread.extend_from_slice(&bytes[..count]);
        Some(())
    }

    /// Reads until the other side ends the connection.
    pub(crate) fn await_end(&mut self) {
        while self.read_more().is_some() {}
    }

    /// Sends; whether that worked.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Makes the end of the connection a reset.
    pub(crate) fn end_with_reset(&mut self) {
        self.resets = true;
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if !self.resets {
            // Closing alone ends nothing while the record has a descriptor, or a program that another test just
            // starts has inherited one. The other side may have ended the connection before.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
        self.record.stream.lock().unwrap().take();
    }
}

/// Something a script waits for until the test opens it.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap();
        assert!(*open, "the gate stayed shut");
    }
}
