//! HTTP/2 over TLS: a few connections with many requests in flight on each, as tasks of one thread that only runs
//! while it is driven.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::Request;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::{FIELDS, MAX_ERRORS, PATIENCE, Tally, Target, Workload, wire};
use crate::interrupt;

/// Clients at work against one address.
pub(crate) struct Clients {
    runtime: Runtime,
    tasks: LocalSet,
    asking: Rc<Asking>,
    /// Kept open until the end.
    _sessions: Vec<Session>,
}

/// What all clients share.
struct Asking {
    request: Request<()>,
    body: u64,
    tally: RefCell<Tally>,
    /// Requests without an answer.
    waiting: Cell<u64>,
    /// Set when the clients shall stop after the answer they wait for.
    last_round: Cell<bool>,
}

/// How often a wait looks whether it is over.
const LOOK_UP: Duration = Duration::from_millis(10);

impl Clients {
    /// Connects all clients; their first requests leave when they are driven.
    pub(super) fn start(target: &Target, workload: Workload, streams: usize) -> anyhow::Result<Self> {
        let (runtime, tasks) = (runtime()?, LocalSet::new());
        let asking = Rc::new(Asking {
            request: request(target, workload.body)?,
            body: workload.body,
            tally: RefCell::new(Tally::new()?),
            waiting: Cell::new(0),
            last_round: Cell::new(false),
        });
        let mut sessions = Vec::with_capacity(workload.connections);
        for _ in 0..workload.connections {
            let session = runtime.block_on(Session::open(target))?;
            for _ in 0..streams {
                tasks.spawn_local(Rc::clone(&asking).keep_asking(session.requests.clone()));
            }
            sessions.push(session);
        }
        Ok(Self { runtime, tasks, asking, _sessions: sessions })
    }

    pub(super) fn drive(&mut self, window: Duration) -> anyhow::Result<Tally> {
        self.asking.tally.replace(Tally::new()?);
        let start = Instant::now();
        self.run_while(|asking| {
            start.elapsed() < window && asking.tally.borrow().errors <= MAX_ERRORS && asking.waiting.get() > 0
        })?;
        self.told(start)
    }

    pub(super) fn finish(self) -> anyhow::Result<Tally> {
        self.asking.last_round.set(true);
        let start = Instant::now();
        self.run_while(|asking| asking.waiting.get() > 0 && start.elapsed() < PATIENCE)?;
        for _ in 0..self.asking.waiting.get() {
            self.asking.tally.borrow_mut().error("no answer within 5 s");
        }
        self.told(start)
    }

    /// Lets the clients work until the condition no longer holds.
    fn run_while(&self, condition: impl Fn(&Asking) -> bool) -> anyhow::Result<()> {
        let condition = async {
            loop {
                interrupt::check()?;
                sleep(LOOK_UP).await;
                if !condition(&self.asking) {
                    return anyhow::Ok(());
                }
            }
        };
        self.runtime.block_on(self.tasks.run_until(condition))
    }

    fn told(&self, start: Instant) -> anyhow::Result<Tally> {
        let mut tally = self.asking.tally.replace(Tally::new()?);
        tally.elapsed = start.elapsed();
        Ok(tally)
    }
}

impl Asking {
    /// One request after the other. The first that goes wrong is the last: its row has failed with it.
    async fn keep_asking(self: Rc<Self>, mut requests: SendRequest<Bytes>) {
        while !self.last_round.get() {
            let asked_at = Instant::now();
            self.waiting.update(|waiting| waiting + 1);
            let outcome = ask(&mut requests, self.request.clone(), self.body).await;
            self.waiting.update(|waiting| waiting - 1);
            let mut tally = self.tally.borrow_mut();
            if let Err(flaw) = outcome {
                tally.error(format!("{flaw:#}"));
                return;
            }
            tally.answered(asked_at.elapsed());
        }
    }
}

/// One connection. Its requests may be cloned.
pub(super) struct Session {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// The windows of a client that is not in its proxy's way.
const WINDOW: u32 = 1024 * 1024;

impl Session {
    /// Connects within the patience of a client.
    pub(super) async fn open(target: &Target) -> anyhow::Result<Self> {
        timeout(PATIENCE, Self::connect(target)).await.context("no connection within 5 s")?
    }

    async fn connect(target: &Target) -> anyhow::Result<Self> {
        let trust = wire::trust(target)?;
        let stream = TcpStream::connect(target.address)
            .await
            .with_context(|| format!("cannot connect to {}", target.address))?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(std::sync::Arc::clone(&trust.http2));
        let stream = connector.connect(wire::server_name()?, stream).await.context("the TLS handshake failed")?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            bail!("HTTP/2 was not agreed upon");
        }
        let (requests, connection) = client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .enable_push(false)
            .handshake(stream)
            .await
            .context("the HTTP/2 handshake failed")?;
        Ok(Self { requests, connection: tokio::spawn(connection) })
    }

    /// One request, answered within the patience of a client.
    pub(super) async fn ask_in_time(&mut self, request: Request<()>, body: u64) -> anyhow::Result<()> {
        timeout(PATIENCE, ask(&mut self.requests, request, body)).await.context("no answer within 5 s")?
    }

    /// Whether the connection is over.
    pub(super) fn has_ended(&self) -> bool {
        self.connection.is_finished()
    }
}

/// Asks and judges the answer: 2xx, with exactly the body that was asked for, and a length that says so.
async fn ask(requests: &mut SendRequest<Bytes>, request: Request<()>, expected: u64) -> anyhow::Result<()> {
    std::future::poll_fn(|context| requests.poll_ready(context)).await.context("the connection broke")?;
    let (answer, _) = requests.send_request(request, true).context("a request could not be sent")?;
    let (head, mut body) = answer.await.context("no answer")?.into_parts();
    if !head.status.is_success() {
        bail!("status {}", head.status.as_u16());
    }
    let length = head.headers.get(http::header::CONTENT_LENGTH).context("an answer without Content-Length")?;
    let length: Option<u64> = length.to_str().ok().and_then(|length| length.parse().ok());
    if length != Some(expected) {
        bail!("Content-Length {length:?} instead of {expected}");
    }
    let mut received = 0;
    while let Some(piece) = body.data().await {
        let length = piece.context("the body broke off")?.len();
        received += length as u64;
        body.flow_control().release_capacity(length).context("the window cannot be opened again")?;
    }
    if received != expected {
        bail!("a body of {received} instead of {expected} bytes");
    }
    Ok(())
}

/// The same request as one of HTTP/1.1.
pub(super) fn request(target: &Target, body: u64) -> anyhow::Result<Request<()>> {
    let request = Request::get(format!("https://{}/{body}", target.address)).version(http::Version::HTTP_2);
    let request = FIELDS.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).context("a request that is none")
}

/// Where the clients live.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot start a runtime")
}
