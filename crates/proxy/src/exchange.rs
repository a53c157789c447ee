//! One request forwarded and its response brought back, both at once.
//!
//! The loop is a state machine that is polled, not a chain of waits: a response may begin while the request
//! still flows, a client may leave while the server thinks, and whichever socket has something to say is
//! heard first.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use plimsoll_core::Permit;

use crate::buffer::{Buffer, LARGE, Size};
use crate::compress::Press;
use crate::flow::Flow;
use crate::http1::Reject;
use crate::http1::body::Body;
use crate::http1::forwarding::ClientFacts;
use crate::http1::framing::BodyLength;
use crate::http1::scan::Scan;
use crate::patience::{Patience, Waiting, Watched};
use crate::place::Place;
use crate::server_conn::ServerConn;
use crate::timers::Deadline;
use crate::tries::Tries;
use crate::trouble::Trouble;
use crate::wire::Wire;
use crate::worker::{Desk, Worker};

mod answer;
mod ending;
mod pressed;

/// What an exchange works with.
pub(crate) struct Parties<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) place: &'a Place,
    pub(crate) tries: &'a mut Tries,
    pub(crate) deadline: &'a Deadline,
    pub(crate) client: &'a mut Wire,
    /// What is known of the client.
    pub(crate) facts: &'a ClientFacts,
    /// From the client, the head already taken out.
    pub(crate) input: &'a mut Buffer,
    /// The request as parsed and the head for the server as written.
    pub(crate) desk: &'a mut Desk,
}

/// How an exchange ended when nothing went wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client has its response.
    Done {
        /// Its connection may carry the next request.
        keep: bool,
    },
    /// The client has a 101, and both speak something else now.
    Upgraded,
}

/// What an exchange leaves behind that ended in a change of protocols.
pub(crate) struct Upgraded {
    pub(crate) permit: Permit,
    pub(crate) server: ServerConn,
    /// What the server has already sent of the new protocol.
    pub(crate) from_server: Buffer,
    /// From the pick to the server's answer.
    pub(crate) first_byte: Duration,
    /// Bytes of the exchange itself, without what is in `from_server`.
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The head of the response is awaited.
    Head,
    /// An interim response is on its way to the client.
    Interim,
    /// The response is on its way to the client.
    Body,
}

/// One exchange on one connection to a server.
pub(crate) struct Exchange<'a> {
    parties: Parties<'a>,
    permit: Option<Permit>,
    server: Option<ServerConn>,
    from_server: Buffer,
    sending: Flow,
    /// Nothing more is sent: all of the request is, or the server does not take it.
    sent: bool,
    send_broken: bool,
    body_received: u64,
    phase: Phase,
    scan: Scan,
    receiving: Flow,
    /// What the body of the response goes through, where it is compressed.
    press: Option<Box<Press>>,
    interim: u8,
    keep_client: bool,
    /// From the pick to the head of the response.
    first_byte: Option<Duration>,
    received: u64,
    patience: Patience,
}

impl<'a> Exchange<'a> {
    /// An exchange over `server`, for which `permit` was given. `rest` is still to be read of the request's body; what
    /// was read of it before stands behind the head on the desk.
    pub(crate) fn new(parties: Parties<'a>, permit: Permit, server: ServerConn, rest: Body) -> Self {
        let body = parties.desk.request.body;
        let body_received = parties.desk.replay.length();
        if matches!(body, BodyLength::Chunked) || matches!(body, BodyLength::Known(length) if length > LARGE as u64 / 4)
        {
            parties.input.grow();
        }
        let from_server = Buffer::new(&parties.worker.buffers, Size::Large);
        let head = parties.desk.to_server_head;
        let mut sending = Flow::new(rest, body).to(&server.wire, head);
        if parties.desk.request.upgrade {
            sending.leave_open();
        }
        Self {
            parties,
            permit: Some(permit),
            server: Some(server),
            from_server,
            sending,
            sent: false,
            send_broken: false,
            body_received,
            phase: Phase::Head,
            scan: Scan::default(),
            receiving: Flow::new(BodyLength::None, BodyLength::None),
            press: None,
            interim: 0,
            keep_client: false,
            first_byte: None,
            received: 0,
            patience: Patience::new(),
        }
    }

    /// Drives both directions as far as they go.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<End, Trouble>> {
        if !self.sent {
            self.sent = self.poll_send(cx)?.is_ready();
            self.mirror();
        }
        if let Poll::Ready(result) = self.poll_receive(cx) {
            return Poll::Ready(result);
        }
        // Until all is sent, what a connection tells is read as a part of the request; a stream tells of its end apart.
        let listens = self.sent || self.parties.client.is_stream();
        if listens && client_left(self.parties.client, self.parties.input, cx) {
            return Poll::Ready(Err(Trouble::ClientLeft));
        }
        self.poll_deadline(cx)
    }

    /// Once all of the request has been read, its copy goes where one is wanted.
    fn mirror(&mut self) {
        if self.parties.desk.copy.is_none() || !self.request_read() {
            return;
        }
        let Parties { desk, worker, .. } = &mut self.parties;
        if let Some(mut copy) = desk.copy.take() {
            copy.go(&desk.to_server[..desk.to_server_head], worker);
        }
    }

    /// A response has begun to reach the client, interim or final; no other can be given now.
    fn answering(&self) -> bool {
        self.phase != Phase::Head && self.receiving.written > 0
    }

    /// The client has been sent a response, interim or final, or part of one. (HTTP/1.0 clients get no interim ones; the
    /// server has begun to act all the same.)
    fn told(&self) -> bool {
        self.interim > 0 || self.phase != Phase::Head
    }

    /// All of the request has been read from the client, and none of it is left in the buffer to be taken for the
    /// next one.
    pub(crate) fn request_read(&self) -> bool {
        self.sending.source_ended() && self.sending.staged_input() == 0
    }

    /// Tells the entry how much went through.
    pub(crate) fn note_bytes(&mut self) {
        let facts = &mut self.parties.desk.entry.facts;
        facts.body_in = self.body_received;
        facts.bytes_out += self.receiving.written;
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        let Parties { client, input, desk, tries, .. } = &mut self.parties;
        let Some(server) = &mut self.server else {
            return Poll::Ready(Ok(()));
        };
        loop {
            if self.sending.flushed() && !self.sending.source_ended() && input.is_empty() {
                match ready!(input.poll_fill(client, cx)) {
                    Ok(0) if self.sending.close_source(client) => {}
                    Ok(0) | Err(_) => return Poll::Ready(Err(Trouble::ClientLeft)),
                    Ok(_) => {}
                }
            }
            if self.sending.staged_input() == 0 {
                let count = self.sending.stage(input).map_err(Trouble::ClientWrong)?;
                desk.keep_body(&input.filled()[..count], !self.sending.has_trailers());
                self.sending.join_small(&mut desk.to_server, input);
                self.body_received += count as u64;
                if tries.route().and_then(|route| route.rules.max_body).is_some_and(|max| self.body_received > max) {
                    return Poll::Ready(Err(Trouble::ClientWrong(TOO_LARGE)));
                }
            }
            if ready!(self.sending.poll_flush(&desk.to_server, input, &mut server.wire, cx)).is_err() {
                // It may have answered before it closed; what it said counts.
                self.send_broken = true;
                return Poll::Ready(Ok(()));
            }
            if self.sending.source_ended() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<End, Trouble>> {
        loop {
            match self.phase {
                Phase::Head => ready!(self.poll_head(cx))?,
                Phase::Interim => {
                    ready!(self.poll_to_client(cx))?;
                    self.parties.desk.entry.facts.bytes_out += self.receiving.written;
                    self.receiving.written = 0;
                    self.phase = Phase::Head;
                }
                Phase::Body => {
                    ready!(self.poll_to_client(cx))?;
                    if self.receiving.source_ended() {
                        return Poll::Ready(Ok(self.end()));
                    }
                    ready!(if self.press.is_some() { self.poll_pressed(cx) } else { self.poll_body(cx) })?;
                }
            }
        }
    }

    fn end(&self) -> End {
        self.reset_on_close(false);
        if self.server.is_some() && self.parties.desk.response.status == 101 {
            return End::Upgraded;
        }
        End::Done { keep: self.keep_client && self.request_read() }
    }

    fn poll_to_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        let Parties { client, desk, worker, .. } = &mut self.parties;
        let before = self.receiving.written;
        let from = self.press.as_mut().map_or(&mut self.from_server, |press| &mut press.output);
        let flushed = self.receiving.poll_flush(&desk.to_client, from, client, cx);
        worker.counts.to_clients.add(self.receiving.written - before);
        flushed.map_err(|_| Trouble::ClientLeft)
    }

    fn poll_from_server(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let Some(server) = &mut self.server else {
            return Poll::Ready(Ok(0));
        };
        let result = ready!(self.from_server.poll_fill(&mut server.wire, cx));
        self.received += result.as_ref().map_or(0, |count| *count as u64);
        Poll::Ready(result)
    }

    /// Reads and stages more of the body. What is staged is written before the next call.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        if self.from_server.is_empty() {
            match ready!(self.poll_from_server(cx)) {
                Ok(0) if self.close_response() => {}
                Ok(0) | Err(_) => return Poll::Ready(Err(self.broken_off())),
                Ok(_) => {}
            }
        }
        let staged = self.receiving.stage(&mut self.from_server).map_err(Trouble::ServerWrong)?;
        if self.receiving.source_ended() {
            self.settle(self.parties.worker.now());
        } else if staged > 0 && self.parties.desk.call.is_some() {
            // The head of an answer to a call promises nothing, a message does.
            self.note_answer(self.parties.worker.recently());
        }
        Poll::Ready(Ok(()))
    }

    /// The server has closed: whether its response may end there.
    fn close_response(&mut self) -> bool {
        let Some(server) = &mut self.server else { return false };
        match &mut self.press {
            Some(press) => press.close_source(&mut server.wire),
            None => self.receiving.close_source(&mut server.wire),
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Result<End, Trouble>> {
        let moved = self.sending.written + self.receiving.written + self.received + self.body_received;
        let seen = (self.waiting_for(), moved);
        let Parties { worker, tries, deadline, client, desk, .. } = &self.parties;
        let watched = Watched { worker, tries, client, permit: self.permit.as_ref(), call: desk.call };
        let lost = ready!(self.patience.poll(seen, deadline, &watched, cx));
        Poll::Ready(Err(lost.into()))
    }

    fn waiting_for(&self) -> Waiting {
        match self.phase {
            Phase::Interim => Waiting::Taking,
            Phase::Body if !self.receiving.flushed() => Waiting::Taking,
            // Whatever the server says meanwhile, it is the client that keeps the request from going on.
            Phase::Head | Phase::Body if !self.sent && self.sending.flushed() => Waiting::Client,
            Phase::Head if self.sent => Waiting::FirstByte,
            Phase::Head | Phase::Body => Waiting::Server,
        }
    }
}

const TOO_LARGE: Reject = Reject { status: 413, reason: "the request body is too large" };

/// Whether a client that is owed an answer has gone. What it sends meanwhile is kept for later, as far as it fits.
pub(crate) fn client_left(client: &mut Wire, input: &mut Buffer, cx: &mut Context<'_>) -> bool {
    // What else a stream brings waits in its window.
    if let Some(stream) = client.as_stream() {
        return stream.poll_gone(cx).is_ready();
    }
    loop {
        if input.is_full() {
            return false;
        }
        match input.poll_fill(client, cx) {
            Poll::Pending => return false,
            Poll::Ready(Ok(count)) if count > 0 => {}
            Poll::Ready(_) => return true,
        }
    }
}
