//! A copy on its way: sent to a server, whose answer is read to its end and thrown away.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_config::ServerProtocol;
use plimsoll_core::{Outcome, OutcomeKind, Permit, Server};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::copied::Mirroring;
use super::under_way::Entered;
use crate::buffer::{Buffer, Size};
use crate::grpc::Answered;
use crate::http1::body::Body;
use crate::http1::response::ResponseHead;
use crate::server_conn::{self, ConnectError, ServerConn};
use crate::wire::Wire;
use crate::worker::Worker;

/// The largest head of an answer, as for those that clients get.
const MAX_HEAD: usize = 64 * 1024;

/// Bytes of an answer that are read for the sake of the connection, which can then be used again. Opening another costs less
/// than reading more.
const MAX_ANSWER: usize = 1024 * 1024;

/// A copy with all that it needs.
pub(super) struct Errand {
    pub(super) worker: Rc<Worker>,
    /// Its place among those under way.
    pub(super) _entered: Entered,
    pub(super) mirroring: Arc<Mirroring>,
    pub(super) message: Vec<u8>,
    /// How much of the message is the head.
    pub(super) head: usize,
    /// How much of it was written.
    pub(super) sent: Cell<usize>,
    /// The answer has no body, whatever its head says.
    pub(super) bodiless: bool,
    pub(super) greeting: Option<Vec<u8>>,
}

/// The answer as far as it matters.
struct Answer {
    head: ResponseHead,
    first_byte: Duration,
    received: usize,
}

impl Errand {
    /// Sends the copy to the server of `permit`, and reads what it answers.
    pub(super) async fn run(self, permit: Permit) {
        let result = self.ask(&permit).await;
        let served = &self.mirroring.served;
        let (kind, answer) = match result {
            Ok(answer) => (served.judge(Answered { http: answer.head.status, call: None }), Some(answer)),
            Err(kind) => (kind, None),
        };
        let answered = Answered { http: answer.as_ref().map_or(0, |answer| answer.head.status), call: None };
        let outcome = Outcome {
            kind,
            first_byte: answer.as_ref().map(|answer| answer.first_byte),
            total: self.worker.now().saturating_since(permit.picked_at()),
            sent: self.sent.get() as u64,
            received: answer.as_ref().map_or(0, |answer| answer.received as u64),
            excused: kind.is_error() && served.excuses(kind, answered),
        };
        permit.finish(outcome);
        self.mirroring.counts.ended(answer.is_some());
    }

    async fn ask(&self, permit: &Permit) -> Result<Answer, OutcomeKind> {
        let (worker, timeouts) = (&self.worker, &self.mirroring.served.rules.timeouts);
        let server = permit.server();
        let mut conn = match self.idle_connection(server) {
            Some(conn) => conn,
            None => self.open(server).await?,
        };
        let mut input = Buffer::new(&worker.buffers, Size::Large);
        let begun = async {
            self.send(&mut conn.wire).await?;
            self.read_head(&mut conn.wire, &mut input).await
        };
        let head = timeout(timeouts.first_byte, begun).await.map_err(|_| OutcomeKind::TimedOut)?;
        let head = head.map_err(|_| OutcomeKind::Failed)?;
        let first_byte = worker.now().saturating_since(permit.picked_at());
        let mut body = match conn.wire.as_stream() {
            Some(stream) if stream.ended() => Body::Ended,
            Some(_) => Body::UntilClose,
            None => Body::from(head.body),
        };
        let rest = read_body(&mut body, &mut conn.wire, &mut input);
        let received = timeout(timeouts.idle, rest).await.map_err(|_| OutcomeKind::TimedOut)?;
        let received = received.map_err(|_| OutcomeKind::Failed)?;
        let reusable = body.ended() && head.persistent && input.is_empty() && !worker.stopping();
        if reusable && !conn.wire.is_stream() {
            let rule = &self.mirroring.served.rules.keep_alive;
            worker.idle.borrow_mut().put(server, conn, worker.recently(), rule);
        }
        Ok(Answer { head, first_byte, received })
    }

    /// A connection to `server` that is open already.
    fn idle_connection(&self, server: &Arc<Server>) -> Option<ServerConn> {
        if self.greeting.is_some() {
            return None;
        }
        let (worker, served) = (&self.worker, &self.mirroring.served);
        let (server, now) = ((&**server, served.tls.as_ref()), worker.recently());
        if served.rules.protocol == ServerProtocol::Http2 {
            return worker.shared.borrow_mut().take(server, now).map(ServerConn::stream);
        }
        // Nothing is sent a second time, so it must be open as far as the system knows.
        worker.idle.borrow_mut().take(server, now, true)
    }

    async fn open(&self, server: &Server) -> Result<ServerConn, OutcomeKind> {
        let (worker, served) = (&self.worker, &self.mirroring.served);
        if !worker.shortage.is_over() {
            // Those whose client waits for an answer come first.
            return Err(OutcomeKind::Aborted);
        }
        let opened = server_conn::open(worker, served, server, self.greeting.as_deref()).await;
        opened.map_err(|error| match error {
            // It is no server's doing.
            ConnectError::Shortage => OutcomeKind::Aborted,
            ConnectError::TimedOut | ConnectError::Failed | ConnectError::Tls(_) => OutcomeKind::ConnectFailed,
        })
    }

    async fn send(&self, wire: &mut Wire) -> io::Result<()> {
        if let Some(stream) = wire.as_stream() {
            stream.send_whole(&self.message, self.head).await?;
            self.sent.set(self.message.len());
            return Ok(());
        }
        while let rest @ [_, ..] = &self.message[self.sent.get()..] {
            match wire.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.sent.set(self.sent.get() + count),
            }
        }
        wire.flush().await
    }

    /// Reads the head of the answer; what comes before it is passed over.
    async fn read_head(&self, wire: &mut Wire, input: &mut Buffer) -> io::Result<ResponseHead> {
        let mut head = ResponseHead::default();
        loop {
            let found = if input.is_empty() { Ok(None) } else { head.parse(input.filled(), self.bodiless) };
            match found.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))? {
                Some(length) => {
                    input.consume(length);
                    if head.status >= 200 {
                        return Ok(head);
                    }
                }
                None if input.filled().len() > MAX_HEAD => return Err(io::ErrorKind::InvalidData.into()),
                None => {
                    if fill(input, wire).await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
    }
}

/// Reads a body to its end, or as far as is worth it. Returns how many bytes came.
async fn read_body(body: &mut Body, wire: &mut Wire, input: &mut Buffer) -> io::Result<usize> {
    let mut received = 0;
    while !body.ended() && received < MAX_ANSWER {
        if input.is_empty() && fill(input, wire).await? == 0 {
            return if body.close() { Ok(received) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let (done, _) = body.decode(input.filled_mut()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        received += done.consumed;
        input.consume(done.consumed);
    }
    Ok(received)
}

async fn fill(input: &mut Buffer, wire: &mut Wire) -> io::Result<usize> {
    poll_fn(|cx| input.poll_fill(wire, cx)).await
}
