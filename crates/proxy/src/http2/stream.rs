//! A stream of HTTP/2 as one end of a conversation.
//!
//! It reads like a connection of HTTP/1 that carries one message: first the head as text, then the bytes of the body, then
//! the end; trailers are asked for behind that. What is written are heads, data and trailers, each as what it is.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::share::Share;
use super::text::{self, Malformed, Question};
use super::watch::Tally;
use crate::http1::Reject;

/// A stream from a client or to a server.
pub(crate) struct Stream {
    incoming: Incoming,
    /// What has been taken in and not been read yet: text of a head, or data.
    ready: Bytes,
    /// `ready` is data, for which the sender gets room again once it is read.
    data: bool,
    trailers: Option<Vec<u8>>,
    outgoing: Outgoing,
    side: Side,
}

/// What is still to come in.
enum Incoming {
    Response(ResponseFuture),
    Body(RecvStream),
    Ended,
}

/// What is to go out next.
enum Outgoing {
    /// The head of the response.
    Response(SendResponse<Bytes>),
    /// The head of the request.
    Request,
    Body(SendStream<Bytes>),
    /// Nothing more; kept to hear when the other side gives up.
    Ended(SendStream<Bytes>),
}

/// Which side of us the stream is on.
enum Side {
    /// `websocket` says that a 2xx would tell the client that it is connected to one.
    Client {
        /// Told once when the client gives the stream up.
        tally: Option<Tally>,
        websocket: bool,
    },
    Server {
        share: Share,
        nonce: Option<String>,
        failure: Failure,
    },
}

/// What is known of how a server failed a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failure {
    /// It has told that it did not act on the request (RFC 9113, section 8.7).
    pub(crate) refused: bool,
    /// Its connection is gone, and not this request's stream alone.
    pub(crate) gone: bool,
    /// Why it has reset the stream.
    pub(crate) reset: Option<Reason>,
    /// Nothing was sent, since HTTP/2 or the server has no way to say it.
    pub(crate) unsaid: Option<Reject>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl Stream {
    /// The stream of a request that came in, whose head is `head`.
    pub(super) fn from_client(
        (head, body): (Vec<u8>, RecvStream),
        respond: SendResponse<Bytes>,
        tally: Tally,
        websocket: bool,
    ) -> Self {
        Self {
            incoming: Incoming::Body(body),
            ready: head.into(),
            data: false,
            trailers: None,
            outgoing: Outgoing::Response(respond),
            side: Side::Client { tally: Some(tally), websocket },
        }
    }

    /// A stream to a server, on which nothing has been sent yet.
    pub(super) fn to_server(share: Share) -> Self {
        Self {
            incoming: Incoming::Ended,
            ready: Bytes::new(),
            data: false,
            trailers: None,
            outgoing: Outgoing::Request,
            side: Side::Server { share, nonce: None, failure: Failure::default() },
        }
    }

    /// The other side has sent its message whole, as far as that has been read.
    pub(crate) fn ended(&self) -> bool {
        match &self.incoming {
            Incoming::Body(body) => self.ready.is_empty() && body.is_end_stream(),
            Incoming::Ended => self.ready.is_empty(),
            Incoming::Response(_) => false,
        }
    }

    /// The trailers that came behind the body, once its end was read. They end in an empty line.
    pub(crate) fn take_trailers(&mut self) -> Option<Vec<u8>> {
        self.trailers.take()
    }

    /// As a connection does.
    pub(crate) fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_more(cx).map_ok(drop)
    }

    /// How the server failed the request, if it did.
    pub(crate) fn failure(&self) -> Failure {
        match self.side {
            Side::Server { failure, .. } => failure,
            Side::Client { .. } => Failure::default(),
        }
    }

    /// Ready when the other side has given the stream up, or its connection is gone.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.outgoing {
            Outgoing::Response(respond) => ready!(respond.poll_reset(cx)),
            Outgoing::Body(body) | Outgoing::Ended(body) => ready!(body.poll_reset(cx)),
            Outgoing::Request => return Poll::Pending,
        };
        if reset.is_ok() {
            self.given_up();
        }
        Poll::Ready(())
    }

    /// The client has reset the stream.
    fn given_up(&mut self) {
        if let Side::Client { tally, .. } = &mut self.side
            && let Some(tally) = tally.take()
        {
            tally.reset();
        }
    }

    /// Tells the other side that this message will not be whole.
    pub(crate) fn abort(&mut self) {
        match &mut self.outgoing {
            Outgoing::Response(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            Outgoing::Body(body) => body.send_reset(Reason::INTERNAL_ERROR),
            Outgoing::Request | Outgoing::Ended(_) => {}
        }
    }

    /// Sends a head, given as text; `end` says that nothing follows it. An interim response never ends a stream.
    pub(crate) fn send_head(&mut self, head: &[u8], end: bool) -> io::Result<()> {
        match &mut self.outgoing {
            Outgoing::Response(respond) => {
                let (mut response, switches) = text::to_response(head)?;
                let connects = matches!(self.side, Side::Client { websocket: true, .. });
                if connects && !switches && response.status().is_success() {
                    // The server has answered the request and switched to nothing.
                    *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
                }
                if response.status().is_informational() {
                    return respond.send_informational(response).map_err(broken);
                }
                let body = respond.send_response(response, end).map_err(broken)?;
                self.outgoing = if end { Outgoing::Ended(body) } else { Outgoing::Body(body) };
            }
            Outgoing::Request => self.send_request(head, end)?,
            Outgoing::Body(_) | Outgoing::Ended(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(())
    }

    fn send_request(&mut self, head: &[u8], end: bool) -> io::Result<()> {
        let Side::Server { share, nonce, failure } = &mut self.side else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut unsaid = |status, reason| {
            failure.unsaid = Some(Reject { status, reason });
            io::Error::new(io::ErrorKind::Unsupported, reason)
        };
        let Ok(question) = Question::read(head, share.scheme()) else {
            return Err(unsaid(400, "HTTP/2, as the server speaks it, has no way to say what the request says"));
        };
        if question.nonce.is_some() && !share.send().is_extended_connect_protocol_enabled() {
            return Err(unsaid(501, "the server takes no WebSockets over HTTP/2"));
        }
        let end = end || question.declined;
        let (response, body) = match share.send().send_request(question.request, end) {
            Ok(sent) => sent,
            Err(error) if error.is_go_away() || error.is_io() => {
                // A connection that takes no more requests has not seen this one.
                *failure = Failure { refused: true, gone: true, ..Failure::default() };
                return Err(broken(error));
            }
            Err(_) => {
                return Err(unsaid(400, "HTTP/2, as the server speaks it, has no way to say what the request says"));
            }
        };
        *nonce = question.nonce;
        self.incoming = Incoming::Response(response);
        self.outgoing = if end { Outgoing::Ended(body) } else { Outgoing::Body(body) };
        Ok(())
    }

    /// Sends of `bytes` what there is room for, and tells how much that was; with `end` nothing follows the last of them.
    pub(crate) fn poll_send(&mut self, bytes: &[u8], end: bool, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Outgoing::Body(body) = &mut self.outgoing else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        body.reserve_capacity(bytes.len());
        let room = loop {
            match body.capacity() {
                0 => match ready!(body.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                    None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                },
                room => break room,
            }
        };
        let count = room.min(bytes.len());
        let last = end && count == bytes.len();
        body.send_data(Bytes::copy_from_slice(&bytes[..count]), last).map_err(broken)?;
        if last {
            self.end_outgoing();
        }
        Poll::Ready(Ok(count))
    }

    /// Sends a message of which the first `head` bytes are the head.
    pub(crate) async fn send_whole(&mut self, message: &[u8], head: usize) -> io::Result<()> {
        let (head, mut body) = message.split_at(head.min(message.len()));
        self.send_head(head, body.is_empty())?;
        while !body.is_empty() {
            let count = poll_fn(|cx| self.poll_send(body, true, cx)).await?;
            body = &body[count..];
        }
        Ok(())
    }

    /// Nothing follows, but these trailers if there are any; they end in an empty line.
    pub(crate) fn send_end(&mut self, trailers: &[u8]) -> io::Result<()> {
        let Outgoing::Body(body) = &mut self.outgoing else { return Ok(()) };
        if trailers.is_empty() {
            body.send_data(Bytes::new(), true).map_err(broken)?;
        } else {
            body.send_trailers(text::to_trailers(trailers)?).map_err(broken)?;
        }
        self.end_outgoing();
        Ok(())
    }

    fn end_outgoing(&mut self) {
        let outgoing = std::mem::replace(&mut self.outgoing, Outgoing::Request);
        self.outgoing = match outgoing {
            Outgoing::Body(body) => Outgoing::Ended(body),
            other => other,
        };
    }

    /// Takes in what comes next, unless something is there already. `false` is the end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if !self.ready.is_empty() {
                return Poll::Ready(Ok(true));
            }
            match &mut self.incoming {
                Incoming::Ended => return Poll::Ready(Ok(false)),
                Incoming::Response(response) => {
                    if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
                        self.take_response(interim.map(|()| None))?;
                        continue;
                    }
                    let polled = ready!(Pin::new(response).poll(cx));
                    let response = polled.map_err(|error| self.failed(error))?;
                    self.take_response(response.map(Some))?;
                }
                Incoming::Body(body) => match ready!(body.poll_data(cx)) {
                    Some(Ok(data)) => (self.ready, self.data) = (data, true),
                    Some(Err(error)) => return Poll::Ready(Err(self.failed(error))),
                    None => {
                        let trailers = ready!(body.poll_trailers(cx)).map_err(|error| self.failed(error))?;
                        let trailers = trailers.map(|all| text::of_trailers(&all)).transpose();
                        self.trailers = trailers.map_err(|error| self.malformed(error))?;
                        self.incoming = Incoming::Ended;
                    }
                },
            }
        }
    }

    /// Takes the head of a response in, and its body unless it is an interim one.
    fn take_response(&mut self, response: Response<Option<RecvStream>>) -> io::Result<()> {
        let (parts, body) = response.into_parts();
        let Side::Server { nonce, .. } = &self.side else { return Ok(()) };
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            // HTTP/2 knows no such thing (RFC 9113, section 8.6).
            return Err(self.malformed(Malformed));
        }
        let head = text::of_response(&parts, nonce.as_deref()).map_err(|error| self.malformed(error))?;
        (self.ready, self.data) = (head.into(), false);
        if let Some(body) = body {
            self.incoming = Incoming::Body(body);
        }
        Ok(())
    }

    fn failed(&mut self, error: h2::Error) -> io::Error {
        match &mut self.side {
            Side::Client { .. } if error.is_reset() && error.is_remote() => self.given_up(),
            Side::Server { failure, .. } => {
                // A farewell fails the streams behind the last that the server has taken up; what those before it meet is the
                // end of the connection.
                let refused = error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM);
                failure.refused |= error.is_remote() && refused;
                failure.gone |= error.is_go_away() || error.is_io();
                failure.reset = error.reason().filter(|_| error.is_reset() && error.is_remote());
            }
            Side::Client { .. } => {}
        }
        broken(error)
    }

    /// What came is an error of the stream (RFC 9113, section 8.1.1).
    fn malformed(&mut self, _: Malformed) -> io::Error {
        match &mut self.outgoing {
            Outgoing::Response(respond) => respond.send_reset(Reason::PROTOCOL_ERROR),
            Outgoing::Body(body) | Outgoing::Ended(body) => body.send_reset(Reason::PROTOCOL_ERROR),
            Outgoing::Request => {}
        }
        io::Error::new(io::ErrorKind::InvalidData, "a field that HTTP/1 cannot carry")
    }
}

fn broken(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !ready!(this.poll_more(cx))? {
            return Poll::Ready(Ok(()));
        }
        let count = this.ready.len().min(into.remaining());
        into.put_slice(&this.ready[..count]);
        this.ready.advance(count);
        if let (true, Incoming::Body(body)) = (this.data, &mut this.incoming) {
            // It fails only for more than was received.
            let _ = body.flow_control().release_capacity(count);
        }
        Poll::Ready(Ok(()))
    }
}

/// For what comes behind the heads when protocols were switched.
impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(bytes, false, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_mut().send_end(b""))
    }
}
