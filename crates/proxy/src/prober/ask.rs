//! One probe: connect, send, and read until the verdict stands.

use std::borrow::Cow;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Instant;

use plimsoll_config::{Check, Probe};
use plimsoll_core::{Address, ProbeResult, Server};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, UnixStream};

use super::exchange::ExchangeAnswer;
use super::failure::Failure;
use super::grpc;
use super::http::{self, HttpAnswer};
use super::target::Target;
use crate::http2;
use crate::proxy_header;
use crate::shortage::is_own;
use crate::timers::Deadline;
use crate::wire::Wire;

/// Read at once. The answer to a probe is nearly always one small segment.
const PIECE: usize = 4096;

/// Where what comes is put down until it is judged, one piece at a time for all probes of a thread: memory for each of
/// them would be cold every time.
pub(super) struct Desk(RefCell<Box<[u8]>>);

impl Desk {
    /// An empty one.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self(RefCell::new(vec![0; PIECE].into())))
    }
}

/// Probes `target` once, until `deadline`. `None` says nothing about the server: this machine had no descriptor or
/// memory left to ask.
pub(super) async fn ask(target: &Target, deadline: &Deadline, desk: &Desk) -> Option<ProbeResult> {
    let began = Instant::now();
    let failure = match examine(target, deadline, desk).await {
        Ok(()) => None,
        Err(Failure::Broken(error)) if is_own(&error) => return None,
        Err(failure) => Some(failure.to_string()),
    };
    Some(ProbeResult { took: began.elapsed(), failure })
}

async fn examine(target: &Target, deadline: &Deadline, desk: &Desk) -> Result<(), Failure> {
    let timeout = target.probe.timeout;
    let connected = before(deadline, connect(&target.server, &target.probe)).await;
    let mut stream = connected.ok_or(Failure::NoConnection(timeout))??;
    if let Some(version) = target.greeting {
        // A few bytes fit into the empty send buffer of a new connection.
        stream.write_all(&proxy_header::own_greeting(version)).await?;
    }
    if let Some(tls) = &target.tls {
        let shaken = before(deadline, Box::pin(tls.connect(stream, &target.host))).await;
        stream = shaken.ok_or(Failure::NoHandshake(timeout))?.map_err(Failure::Tls)?;
        // As with every connection of a probe, the close is a reset.
        stream.reset_on_close(true);
    }
    if let Check::Grpc { service, host } = &target.probe.check {
        let host = host.as_ref().unwrap_or(&target.host);
        let verdict = before(deadline, grpc::check(stream, service, host)).await;
        return verdict.unwrap_or(Err(Failure::NoAnswer(timeout)));
    }
    let Some((question, mut answer)) = open(target) else { return Ok(()) };
    let verdict = if target.http2 && matches!(answer, Answer::Http(_)) {
        before(deadline, Box::pin(converse_by_http2(stream, &question, &mut answer, desk))).await
    } else {
        before(deadline, converse(&mut stream, &question, &mut answer, desk)).await
    };
    verdict
        .or_else(|| answer.judge_unfinished())
        .unwrap_or_else(|| Err(if answer.began() { Failure::Unfinished(timeout) } else { Failure::NoAnswer(timeout) }))
}

/// What `work` comes to before `deadline`.
async fn before<T>(deadline: &Deadline, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => deadline.poll(cx).map(|()| None),
    })
    .await
}

/// What to send, and what takes the answer; `None` when a connection says it all.
fn open(target: &Target) -> Option<(Cow<'_, [u8]>, Answer<'_>)> {
    match &target.probe.check {
        Check::Connect | Check::Grpc { .. } => None,
        Check::Exchange { send, expect, limit } => {
            Some((Cow::Borrowed(send), Answer::Exchange(ExchangeAnswer::new(expect, *limit))))
        }
        Check::Http(check) => {
            let question = http::request(check, &target.host);
            Some((Cow::Owned(question), Answer::Http(HttpAnswer::new(check))))
        }
    }
}

/// An answer as far as it has come.
enum Answer<'a> {
    Exchange(ExchangeAnswer<'a>),
    Http(HttpAnswer<'a>),
}

impl Answer<'_> {
    fn take(&mut self, piece: &mut [u8]) -> Result<bool, Failure> {
        match self {
            Self::Exchange(answer) => answer.take(piece),
            Self::Http(answer) => answer.take(piece),
        }
    }

    fn close(&mut self) -> Result<(), Failure> {
        match self {
            Self::Exchange(answer) => answer.close(),
            Self::Http(answer) => answer.close(),
        }
    }

    fn judge_unfinished(&mut self) -> Option<Result<(), Failure>> {
        match self {
            Self::Exchange(_) => None,
            Self::Http(answer) => answer.judge_unfinished(),
        }
    }

    fn began(&self) -> bool {
        match self {
            Self::Exchange(answer) => answer.began(),
            Self::Http(answer) => answer.began(),
        }
    }
}

/// The same on a stream of HTTP/2, which reads like a connection.
async fn converse_by_http2(wire: Wire, question: &[u8], answer: &mut Answer<'_>, desk: &Desk) -> Result<(), Failure> {
    let (stream, connection) = http2::begin_alone(wire).await.map_err(|_| Failure::NotHttp2)?;
    let mut stream = Wire::Http2(Box::new(stream));
    let (mut connection, mut conversing) = (pin!(connection), pin!(converse(&mut stream, question, answer, desk)));
    let mut over = false;
    poll_fn(|cx| {
        // What has come before the connection ended counts.
        over = over || connection.as_mut().poll(cx).is_ready();
        conversing.as_mut().poll(cx)
    })
    .await
    .map_err(|failure| match failure {
        Failure::Broken(error) if is_other_protocol(&error) => Failure::NotHttp2,
        other => other,
    })
}

/// Whether what came was no HTTP/2.
fn is_other_protocol(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<h2::Error>()).is_some_and(h2::Error::is_library)
}

/// Sends the question and reads until the verdict stands.
async fn converse(wire: &mut Wire, question: &[u8], answer: &mut Answer<'_>, desk: &Desk) -> Result<(), Failure> {
    match wire.as_stream() {
        Some(stream) => stream.send_whole(question, question.len()).await?,
        None => wire.write_all(question).await?,
    }
    wire.flush().await?;
    loop {
        let more = poll_fn(|cx| {
            ready!(wire.poll_read_ready(cx))?;
            // Borrowed for the read alone: one piece is for all probes of the thread.
            let mut piece = desk.0.borrow_mut();
            let mut into = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut *wire).poll_read(cx, &mut into))?;
            Poll::Ready(match into.filled_mut() {
                [] => answer.close().map(|()| false),
                come => answer.take(come).map(|enough| !enough),
            })
        });
        if !more.await? {
            return Ok(());
        }
    }
}

/// Connects to `server` where it is to be probed, trying its addresses in order.
async fn connect(server: &Server, probe: &Probe) -> io::Result<Wire> {
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in server.addresses() {
        let connected = match address {
            Address::Ip(address) => {
                let ip = probe.address.unwrap_or(address.ip());
                connect_to(SocketAddr::new(ip, probe.port.unwrap_or(address.port()))).await
            }
            Address::Unix(path) => UnixStream::connect(path).await.map(Wire::Unix),
        };
        match connected {
            Ok(wire) => return Ok(wire),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn connect_to(address: SocketAddr) -> io::Result<Wire> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A request that does not fill a segment must not wait for the acknowledgement of the one before.
    socket.set_nodelay(true)?;
    // When the verdict stands nothing of the connection is of use any more, and one that is reset leaves no TIME_WAIT on
    // either side: thousands of probes must not use up the ports that requests need.
    socket.set_zero_linger()?;
    Ok(Wire::Tcp(socket.connect(address).await?))
}
