//! One client connection: requests one after the other, each read, balanced, forwarded and answered.
//!
//! While a client is busy its connection has the state it needs at hand. Once it has been quiet for a while all
//! of that is dropped, and what stays is a small task that waits for the next byte.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use plimsoll_config::BareLf;
use plimsoll_core::{Ask, Outcome, OutcomeKind, Permit, Refused, Time};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::buffer::{Buffer, Size};
use crate::exchange::{End, Exchange, Parties, Trouble, Upgraded, client_left};
use crate::http1::Reject;
use crate::http1::answer::Answer;
use crate::http1::forwarding::ClientFacts;
use crate::http1::framing::BodyLength;
use crate::http1::request::{HeadRules, MethodKind};
use crate::http1::scan::Scan;
use crate::http1::write::{self, RequestRules};
use crate::server_conn::{self, ConnectError, ServerConn};
use crate::service::Service;
use crate::timers::Deadline;
use crate::tunnel;
use crate::worker::{ClientCount, Desk, Worker};

/// How long a quiet connection keeps its state: a client in a loop never waits for it to be built anew, and an
/// idle one soon costs little.
const WARM: Duration = Duration::from_millis(100);

/// How long a graceful stop leaves an idle connection open: the next request may be on its way already, and is
/// then answered with `Connection: close`.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// How long a connection is drained after our last answer, so that the client can read it before the reset that
/// unread bytes would cause (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// Bytes drained so.
const LINGER_BYTES: usize = 1024 * 1024;

/// Room in a request line for all but the target: a method, two spaces, the version, CRLF.
const BESIDE_TARGET: usize = 64;

/// A client connection and what belongs to it as long as it lives.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) address: SocketAddr,
    /// The port it came in on.
    pub(crate) port: u16,
    pub(crate) deadline: Deadline,
    pub(crate) service: Arc<Service>,
    pub(crate) worker: Rc<Worker>,
    pub(crate) count: ClientCount,
    pub(crate) room: OwnedSemaphorePermit,
}

/// Serves a connection to its end.
pub(crate) async fn serve(mut connection: Connection) {
    let head_timeout = connection.service.listener.timeouts.head;
    let mut idle_until = connection.worker.now() + head_timeout;
    loop {
        // Boxed, so that an idle connection does not hold the memory of a busy one.
        match Box::pin(Busy::new(&mut connection).run(idle_until)).await {
            After::Park { until } => idle_until = until,
            After::Close => break,
        }
        if connection.park(idle_until).await.is_break() {
            break;
        }
    }
    drop((connection.count, connection.room));
}

/// What becomes of a connection that is not busy any more.
enum After {
    Park { until: Time },
    Close,
}

type Flow = std::ops::ControlFlow<()>;

impl Connection {
    /// Waits for the next byte; breaks when there will be none.
    async fn park(&mut self, until: Time) -> Flow {
        self.deadline.set(until);
        let mut stopping = false;
        poll_fn(|cx| {
            if self.stream.poll_read_ready(cx).is_ready() {
                return Poll::Ready(Flow::Continue(()));
            }
            self.shorten_for_stop(&mut stopping);
            self.deadline.poll(cx).map(|()| Flow::Break(()))
        })
        .await
    }

    /// Once the worker stops, an idle connection has only the grace left.
    fn shorten_for_stop(&self, noticed: &mut bool) {
        if self.worker.stopping() && !std::mem::replace(noticed, true) {
            self.deadline.set(self.worker.now() + STOP_GRACE);
        }
    }
}

/// A connection with requests on it.
struct Busy<'a> {
    connection: &'a mut Connection,
    input: Buffer,
    client: ClientFacts,
}

/// What reading a head came to.
enum HeadRead {
    /// A head of this many bytes is parsed.
    Head(Box<Desk>, usize),
    /// Nothing has come for a while.
    Quiet,
    /// Nothing will come.
    Closed,
    Wrong(Reject),
}

/// What is to be done after a request, or what was taken for one.
enum Next {
    /// The connection is good for another request.
    Request,
    Close,
    /// The client has yet to read our answer, and may still be sending.
    Linger,
    /// The client gets an answer of our own.
    Answer {
        reject: Reject,
        /// Some of the request is still to come, or it is not known where it ends.
        unread: bool,
    },
}

impl<'a> Busy<'a> {
    fn new(connection: &'a mut Connection) -> Self {
        let client = ClientFacts::new(connection.address.ip(), connection.port, &connection.service.listener.forward);
        let input = Buffer::new(&connection.worker.buffers, Size::Head);
        Self { connection, input, client }
    }

    async fn run(mut self, mut idle_until: Time) -> After {
        loop {
            let (mut next, desk) = match self.read_head(idle_until).await {
                HeadRead::Head(mut desk, length) => (self.handle(&mut desk, length).await, Some(desk)),
                HeadRead::Quiet => return After::Park { until: idle_until },
                HeadRead::Closed => return After::Close,
                HeadRead::Wrong(reject) => (Next::Answer { reject, unread: true }, None),
            };
            // What is rare is boxed, so that the memory for it is not held by every busy connection.
            if let Next::Answer { reject, unread } = next {
                next = Box::pin(self.answer(reject, desk.as_deref(), unread)).await;
            }
            if let Some(desk) = desk {
                self.connection.worker.clear_desk(desk);
            }
            match next {
                Next::Request => {}
                Next::Linger => {
                    Box::pin(self.linger()).await;
                    return After::Close;
                }
                Next::Close | Next::Answer { .. } => return After::Close,
            }
            idle_until = self.connection.worker.recently() + self.connection.service.listener.timeouts.keep_alive;
        }
    }

    async fn read_head(&mut self, idle_until: Time) -> HeadRead {
        let Connection { worker, deadline, service, .. } = &*self.connection;
        let head_timeout = service.listener.timeouts.head;
        deadline.set(idle_until.min(worker.recently() + WARM));
        let mut in_head = false;
        let mut scan = Scan::default();
        let mut desk = None;
        let mut stopping = false;
        poll_fn(move |cx| {
            loop {
                if let Some(read) = self.take_head(&mut desk, &mut scan) {
                    return Poll::Ready(read);
                }
                match self.input.poll_fill(&mut self.connection.stream, cx) {
                    Poll::Ready(Ok(count)) if count > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(HeadRead::Closed),
                    Poll::Pending => break,
                }
            }
            let Connection { worker, deadline, .. } = &*self.connection;
            if !self.input.is_empty() && !std::mem::replace(&mut in_head, true) {
                deadline.set(worker.now() + head_timeout);
            }
            if !in_head {
                self.connection.shorten_for_stop(&mut stopping);
            }
            ready!(deadline.poll(cx));
            Poll::Ready(self.head_is_late(in_head, idle_until))
        })
        .await
    }

    fn head_is_late(&self, in_head: bool, idle_until: Time) -> HeadRead {
        if in_head {
            return HeadRead::Wrong(Reject { status: 408, reason: "the request head did not arrive in time" });
        }
        let worker = &self.connection.worker;
        if worker.stopping() || worker.now() >= idle_until { HeadRead::Closed } else { HeadRead::Quiet }
    }

    /// Looks for a whole head in what has come so far.
    fn take_head(&mut self, desk: &mut Option<Box<Desk>>, scan: &mut Scan) -> Option<HeadRead> {
        let rules = &self.connection.service.listener;
        let bare_lf = rules.bare_lf == BareLf::Accept;
        if scan.in_first_line() {
            // One empty line before a request is to be overlooked (RFC 9112, section 2.2); it costs no more to
            // overlook any number within the time for a head.
            loop {
                let empty_line = match self.input.filled() {
                    [b'\r', b'\n', ..] => 2,
                    [b'\n', ..] if bare_lf => 1,
                    _ => break,
                };
                self.input.consume(empty_line);
                *scan = Scan::default();
            }
        }
        if self.input.is_empty() {
            return None;
        }
        let bytes = self.input.filled();
        let head_rules = HeadRules { max_target: rules.max_target, bare_lf };
        let too_large = Reject { status: 431, reason: "the request head is too large" };
        let too_long = Reject { status: 414, reason: "the target is too long" };
        let request = &mut desk.get_or_insert_with(|| self.connection.worker.desk()).request;
        Some(match scan.read(bytes, bare_lf, |bytes| request.parse(bytes, head_rules)) {
            Ok(Some(length)) if length <= rules.max_head => HeadRead::Head(desk.take()?, length),
            Ok(None) if scan.in_first_line() && bytes.len() > rules.max_target + BESIDE_TARGET => {
                HeadRead::Wrong(too_long)
            }
            Ok(None) if bytes.len() < rules.max_head => return None,
            Ok(_) => HeadRead::Wrong(too_large),
            Err(reject) => HeadRead::Wrong(reject),
        })
    }

    /// Balances and forwards the request whose head is on the desk.
    async fn handle(&mut self, desk: &mut Desk, head_length: usize) -> Next {
        let Connection { worker, service, .. } = &*self.connection;
        let (worker, service) = (Rc::clone(worker), Arc::clone(service));
        if let BodyLength::Known(length) = desk.request.body
            && service.listener.max_body.is_some_and(|max| length > max)
        {
            let reject = Reject { status: 413, reason: "the request body is too large" };
            return Next::Answer { reject, unread: true };
        }
        let now = worker.now();
        let permit = match service.pool.pick(&Ask { now, random: worker.random(), tried: &[] }) {
            Ok(permit) => permit,
            Err(refused) => return self.refuse(refused, desk, head_length),
        };
        let server = service.host_for(permit.server(), desk.request.host.is_some());
        let rules = RequestRules { forward: &service.listener.forward, client: &self.client, server };
        desk.to_server.clear();
        write::request(&mut desk.to_server, &self.input.filled()[..head_length], &desk.request, &rules);
        self.input.consume(head_length);
        let certain = !desk.request.method_kind.idempotent();
        let idle = worker.idle.borrow_mut().take(permit.server(), now, certain);
        self.exchange(desk, permit, idle, &service, &worker).await
    }

    async fn exchange(
        &mut self,
        desk: &mut Desk,
        mut permit: Permit,
        mut idle: Option<ServerConn>,
        service: &Service,
        worker: &Worker,
    ) -> Next {
        loop {
            let server = match idle.take() {
                Some(server) => server,
                None => match Box::pin(self.connect(&permit, service)).await {
                    Ok(server) => server,
                    Err(failure) => return self.connect_failed(failure.as_ref(), permit, desk),
                },
            };
            let Connection { stream, deadline, .. } = &mut *self.connection;
            let parties = Parties { worker, service, deadline, client: stream, input: &mut self.input, desk };
            let mut exchange = Exchange::new(parties, permit, server);
            match poll_fn(|cx| exchange.poll(cx)).await {
                Ok(End::Done { keep: true }) => return Next::Request,
                Ok(End::Done { keep: false }) => {
                    let read = exchange.request_read();
                    drop(exchange);
                    return if read && self.all_read() { Next::Close } else { Next::Linger };
                }
                Ok(End::Upgraded) => {
                    if let Some(upgraded) = exchange.into_tunnel() {
                        Box::pin(self.tunnel(upgraded, service)).await;
                    }
                    return Next::Close;
                }
                Err(Trouble::ServerStale) => match exchange.into_permit() {
                    Some(taken_back) => permit = taken_back,
                    None => return Next::Close,
                },
                Err(trouble) => {
                    let answered = exchange.answering();
                    let read = exchange.request_read() && !matches!(trouble, Trouble::ClientWrong(_));
                    exchange.give_up(&trouble);
                    return match trouble.answer() {
                        Some(reject) if !answered => Next::Answer { reject, unread: !read },
                        _ => Next::Close,
                    };
                }
            }
        }
    }

    /// The client has sent nothing that is not read: closing will not reset the connection and so cut off what is
    /// still on its way to the client.
    fn all_read(&self) -> bool {
        // Not `poll_read_ready`: to a task that has used up its turn that says "pending" whatever was heard.
        let more = self.connection.stream.try_read(&mut [0]);
        self.input.is_empty() && more.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Opens a connection to the server of `permit`; `None` in the error when the client has left meanwhile.
    async fn connect(&mut self, permit: &Permit, service: &Service) -> Result<ServerConn, Option<ConnectError>> {
        let connecting = server_conn::connect(permit.server(), service.pool_rules.timeouts.connect);
        tokio::pin!(connecting);
        poll_fn(|cx: &mut Context<'_>| {
            if let Poll::Ready(result) = connecting.as_mut().poll(cx) {
                // What is waited for now begins now, however long this took.
                self.connection.worker.now();
                return Poll::Ready(result.map_err(Some));
            }
            if client_left(&mut self.connection.stream, &mut self.input, cx) {
                return Poll::Ready(Err(None));
            }
            Poll::Pending
        })
        .await
    }

    fn connect_failed(&self, failure: Option<&ConnectError>, permit: Permit, desk: &Desk) -> Next {
        let total = self.connection.worker.now().saturating_since(permit.picked_at());
        let (kind, status, reason) = match failure {
            None => {
                permit.finish(Outcome::of(OutcomeKind::Aborted, total));
                return Next::Close;
            }
            Some(ConnectError::TimedOut) => (OutcomeKind::ConnectFailed, 504, "connecting to the server took too long"),
            Some(ConnectError::Failed) => (OutcomeKind::ConnectFailed, 502, "the server could not be connected to"),
        };
        permit.finish(Outcome::of(kind, total));
        let unread = desk.request.body != BodyLength::None;
        Next::Answer { reject: Reject { status, reason }, unread }
    }

    fn refuse(&mut self, refused: Refused, desk: &Desk, head_length: usize) -> Next {
        let reason = match refused {
            Refused::NoServer => "no server is configured",
            Refused::AllFull => "all servers are at their limit",
            _ => "no server is available",
        };
        self.input.consume(head_length);
        let unread = desk.request.body != BodyLength::None;
        Next::Answer { reject: Reject { status: 503, reason }, unread }
    }

    /// Gives an answer of our own to the request on `desk`, or to whatever it was that could not be parsed.
    async fn answer(&mut self, reject: Reject, desk: Option<&Desk>, unread: bool) -> Next {
        let Self { connection, input, .. } = self;
        let Connection { stream, worker, service, .. } = &mut **connection;
        let persistent = desk.is_some_and(|desk| desk.request.persistent && desk.request.minor_version >= 1);
        let close = unread || !persistent || (worker.stopping() && !input.holds_earlier());
        let answer = Answer {
            status: reject.status,
            reason: reject.reason,
            retry_after: (reject.status == 503).then_some(service.pool_rules.unavailable.retry_after),
            close,
            bodiless: desk.is_some_and(|desk| desk.request.method_kind == MethodKind::Head),
        };
        let mut bytes = Vec::new();
        answer.write(&mut bytes);
        let patience = service.listener.timeouts.body;
        match tokio::time::timeout(patience, stream.write_all(&bytes)).await {
            Ok(Ok(())) if close => Next::Linger,
            Ok(Ok(())) => Next::Request,
            _ => Next::Close,
        }
    }

    async fn tunnel(&mut self, upgraded: Upgraded, service: &Service) {
        let Upgraded { permit, mut server, mut from_server, first_byte, sent, received } = upgraded;
        let Connection { stream, deadline, worker, .. } = &mut *self.connection;
        let idle = service.pool_rules.timeouts.tunnel;
        let ends = tunnel::Ends { stream, from: &mut self.input };
        let server_ends = tunnel::Ends { stream: &mut server.stream, from: &mut from_server };
        let moved = tunnel::Tunnel::new(ends, server_ends).run(deadline, worker, idle).await;
        let total = worker.now().saturating_since(permit.picked_at());
        permit
            .finish(Outcome::success(first_byte, total).with_bytes(sent + moved.to_server, received + moved.to_client));
    }

    /// Tells the client that no more comes, and reads on for a while so that it gets to see the answer.
    async fn linger(&mut self) {
        let Self { connection, input, .. } = self;
        let Connection { stream, .. } = &mut **connection;
        if stream.shutdown().await.is_err() {
            return;
        }
        let drain = async {
            let mut drained = 0;
            while drained < LINGER_BYTES {
                input.release();
                match poll_fn(|cx| input.poll_fill(stream, cx)).await {
                    Ok(count) if count > 0 => drained += count,
                    _ => break,
                }
            }
        };
        // Whether the client or our patience ends it makes no difference.
        let _ = tokio::time::timeout(LINGER, drain).await;
    }
}
