//! One probe: connect, send, and read until the verdict stands.

use std::borrow::Cow;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use plimsoll_config::{Check, Probe};
use plimsoll_core::Server;
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::exchange::ExchangeAnswer;
use super::failure::Failure;
use super::http::{self, HttpAnswer};
use super::{Finding, Target};
use crate::timers::Deadline;

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
pub(super) async fn ask(target: &Target, deadline: &Deadline, desk: &Desk) -> Option<Finding> {
    let began = Instant::now();
    let failure = match examine(target, deadline, desk).await {
        Ok(()) => None,
        Err(Failure::Broken(error)) if is_own(&error) => return None,
        Err(failure) => Some(failure.to_string()),
    };
    Some(Finding { took: began.elapsed(), failure })
}

async fn examine(target: &Target, deadline: &Deadline, desk: &Desk) -> Result<(), Failure> {
    let timeout = target.probe.timeout;
    let (question, mut answer) = open(target);
    let connected = before(deadline, connect(&target.server, &target.probe, &question)).await;
    let (mut stream, sent) = connected.ok_or(Failure::NoConnection(timeout))??;
    let verdict = before(deadline, converse(&mut stream, &question[sent..], &mut answer, desk)).await;
    verdict
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

/// What to send, and what takes the answer.
fn open(target: &Target) -> (Cow<'_, [u8]>, Answer<'_>) {
    match &target.probe.check {
        Check::Connect => (Cow::Borrowed(&[]), Answer::None),
        Check::Exchange { send, expect, limit } => {
            (Cow::Borrowed(send), Answer::Exchange(ExchangeAnswer::new(expect, *limit)))
        }
        Check::Http(check) => (Cow::Owned(http::request(check, &target.host)), Answer::Http(HttpAnswer::new(check))),
    }
}

/// An answer as far as it has come.
enum Answer<'a> {
    /// A connection says it all.
    None,
    Exchange(ExchangeAnswer<'a>),
    Http(HttpAnswer<'a>),
}

impl Answer<'_> {
    fn take(&mut self, piece: &mut [u8]) -> Result<bool, Failure> {
        match self {
            Self::None => Ok(true),
            Self::Exchange(answer) => answer.take(piece),
            Self::Http(answer) => answer.take(piece),
        }
    }

    fn close(&mut self) -> Result<(), Failure> {
        match self {
            Self::None => Ok(()),
            Self::Exchange(answer) => answer.close(),
            Self::Http(answer) => answer.close(),
        }
    }

    fn began(&self) -> bool {
        match self {
            Self::None => false,
            Self::Exchange(answer) => answer.began(),
            Self::Http(answer) => answer.began(),
        }
    }
}

/// Sends what is left of the question and reads until the verdict stands.
async fn converse(stream: &mut TcpStream, rest: &[u8], answer: &mut Answer<'_>, desk: &Desk) -> Result<(), Failure> {
    if matches!(answer, Answer::None) {
        return Ok(());
    }
    stream.write_all(rest).await?;
    loop {
        stream.readable().await?;
        let piece = &mut **desk.0.borrow_mut();
        match stream.try_read(piece) {
            Ok(0) => return answer.close(),
            Ok(count) if answer.take(&mut piece[..count])? => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Connects to `server` where it is to be probed, trying its addresses in order. Returns how much of `question` has
/// been sent already, too.
async fn connect(server: &Server, probe: &Probe, question: &[u8]) -> io::Result<(TcpStream, usize)> {
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in server.addresses() {
        let ip = probe.address.unwrap_or(address.ip());
        match connect_to(SocketAddr::new(ip, probe.port.unwrap_or(address.port())), question).await {
            Ok(connected) => return Ok(connected),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn connect_to(address: SocketAddr, question: &[u8]) -> io::Result<(TcpStream, usize)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    // A request that does not fill a segment must not wait for the acknowledgement of the one before.
    socket.set_tcp_nodelay(true)?;
    // When the verdict stands nothing of the connection is of use any more, and one that is reset leaves no TIME_WAIT on
    // either side: thousands of probes must not use up the ports that requests need.
    socket.set_linger(Some(Duration::ZERO))?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => return Err(error),
        _ => {}
    }
    // A server on this machine has accepted by now, and to send before the runtime tells so saves a wait: a third of what
    // a probe costs. To any other this fails, and costs a hundredth.
    let sent = if question.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { socket.send(question) };
    let stream = TcpStream::from_std(socket.into())?;
    match sent {
        Ok(sent) => return Ok((stream, sent)),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
        Err(_) => stream.writable().await?,
    }
    match stream.take_error()? {
        None => Ok((stream, 0)),
        Some(error) => Err(error),
    }
}

/// Whether the fault is this machine's, which has run out of something.
fn is_own(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    shortages.iter().any(|shortage| error.raw_os_error() == Some(shortage.raw_os_error()))
}
