//! One client connection: requests one after the other, each read, balanced, forwarded and answered.
//!
//! While a client is busy its connection has the state it needs at hand. Once it has been quiet for a while all
//! of that is dropped, and what stays is a small task that waits for the next byte.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use plimsoll_config::BareLf;
use plimsoll_core::{Refused, Time};

use crate::buffer::Buffer;
use crate::connection::{Connection, facts};
use crate::http1::Reject;
use crate::http1::forwarding::ClientFacts;
use crate::http1::request::HeadRules;
use crate::http1::scan::Scan;
use crate::http2::{self, PREFACE};
use crate::log::entry::Entry;
use crate::served::Served;
use crate::service::Service;
use crate::worker::Desk;

mod ours;

/// How long a quiet connection keeps its state, and its place: a client in a loop never waits for either, and an idle
/// one soon costs little.
pub(crate) const WARM: Duration = Duration::from_millis(50);

/// How long a connection is drained after our last answer, so that the client can read it before the reset that
/// unread bytes would cause (RFC 9112, section 9.6).
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// Bytes drained so.
pub(crate) const LINGER_BYTES: usize = 1024 * 1024;

/// Room in a request line for all but the target: a method, two spaces, the version, CRLF.
const BESIDE_TARGET: usize = 64;

/// Serves a connection to its end.
///
/// No `async fn`, which would keep the connection twice, once as its argument: this is what each costs while it is idle.
#[expect(clippy::manual_async_fn, reason = "it is another future")]
pub(crate) fn serve(mut connection: Connection) -> impl Future<Output = ()> {
    async move {
        let head_timeout = connection.place.service().listener.timeouts.head;
        let mut idle_until = connection.worker.now() + head_timeout;
        let mut between_requests = false;
        loop {
            // Boxed, so that an idle connection does not hold the memory of a busy one.
            match Box::pin(Busy::new(&mut connection).run(idle_until)).await {
                After::Park { until, asked } => {
                    idle_until = until;
                    between_requests |= asked;
                }
                After::Close => break,
                After::Http2(read) => return Box::pin(http2::serve(connection, read)).await,
            }
            if connection.park(idle_until, between_requests).await.is_break() {
                break;
            }
        }
        drop((connection.count, connection.room));
    }
}

/// What becomes of a connection that is not busy any more.
enum After {
    Park {
        until: Time,
        /// It had a request.
        asked: bool,
    },
    Close,
    /// The client speaks HTTP/2, and this is what has been read of it.
    Http2(Vec<u8>),
}

/// Ends a connection on which no request can be made, with this answer if there is one.
pub(crate) async fn refuse(mut connection: Connection, reject: Option<Reject>) {
    let mut busy = Box::new(Busy::new(&mut connection));
    let next = match reject {
        Some(reject) => busy.answer_unparsed(reject).await,
        None => Next::Linger,
    };
    if matches!(next, Next::Linger) {
        busy.linger().await;
    }
}

/// A connection with requests on it.
pub(crate) struct Busy<'a> {
    pub(crate) connection: &'a mut Connection,
    /// From the client, as far as it has not been used up.
    pub(crate) input: Buffer,
    /// What is served since the head that was read last. Not held while the connection is quiet, or it would keep much that
    /// is out of force.
    pub(crate) service: Arc<Service>,
    pub(crate) client: Rc<ClientFacts>,
}

/// What reading a head came to.
enum HeadRead {
    /// A head of this many bytes is parsed.
    Head(Box<Desk>, usize),
    /// Nothing has come for a while.
    Quiet,
    /// Nothing will come.
    Closed,
    /// The preface of HTTP/2.
    Http2,
    Wrong(Reject),
}

/// What is to be done after a request, or what was taken for one.
pub(crate) enum Next {
    /// The connection is good for another request.
    Request,
    Close,
    /// The client has yet to read our answer, and may still be sending.
    Linger,
    /// The client is sent elsewhere.
    Redirect {
        status: u16,
        location: String,
    },
    /// The client gets what its route says.
    Respond,
    /// The client gets an answer of our own.
    Answer {
        reject: Reject,
        /// Why no server took the request, where that is the reason, and the pool that was asked last.
        refused: Option<(Refused, Arc<Served>)>,
        /// Some of the request is still to come, or it is not known where it ends.
        unread: bool,
    },
}

impl<'a> Busy<'a> {
    fn new(connection: &'a mut Connection) -> Self {
        let (service, client) = connection.known.take().unwrap_or_else(|| {
            let service = Arc::clone(&connection.place.service());
            let client = facts(&connection.peer, &service);
            (service, client)
        });
        let input = Buffer::for_client(&connection.worker.buffers);
        Self { connection, input, service, client }
    }

    /// From now on what is in force now is served.
    fn follow(&mut self) {
        if let Some(service) = self.connection.place.service_after(&self.service) {
            self.client = facts(&self.connection.peer, &service);
            self.service = service;
        }
    }

    async fn run(mut self, mut idle_until: Time) -> After {
        let mut asked = false;
        loop {
            let (mut next, mut desk) = match self.read_head(idle_until).await {
                HeadRead::Head(mut desk, length) => {
                    self.connection.worker.counts.requests.add(1);
                    asked = true;
                    (self.handle(&mut desk, length).await, Some(desk))
                }
                HeadRead::Quiet => return After::Park { until: idle_until, asked },
                HeadRead::Closed => return After::Close,
                HeadRead::Http2 => return After::Http2(self.input.filled().to_vec()),
                HeadRead::Wrong(reject) => (Next::Answer { reject, refused: None, unread: true }, None),
            };
            // What is rare is boxed, so that the memory for it is not held by every busy connection.
            match (next, desk.as_deref_mut()) {
                (Next::Answer { reject, refused, unread }, desk) => {
                    next = Box::pin(self.answer((reject, refused), desk, unread)).await;
                }
                (Next::Redirect { status, location }, Some(desk)) => {
                    next = Box::pin(self.redirect(status, &location, desk)).await;
                }
                (Next::Respond, Some(desk)) => next = Box::pin(self.respond(desk)).await,
                (other, _) => next = other,
            }
            if let Some(mut desk) = desk {
                desk.limited.clear();
                self.tell(&mut desk.entry, self.client.source());
                self.connection.worker.clear_desk(desk);
            }
            match next {
                // A stream carries one.
                Next::Request if self.connection.wire.is_stream() => return After::Close,
                Next::Request => {}
                Next::Linger => {
                    Box::pin(self.linger()).await;
                    return After::Close;
                }
                Next::Close | Next::Answer { .. } | Next::Redirect { .. } | Next::Respond => return After::Close,
            }
            idle_until = self.connection.worker.recently() + self.service.listener.timeouts.keep_alive;
        }
    }

    async fn read_head(&mut self, idle_until: Time) -> HeadRead {
        let Connection { worker, deadline, .. } = &*self.connection;
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
                match self.input.poll_fill(&mut self.connection.wire, cx) {
                    Poll::Ready(Ok(count)) if count > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(HeadRead::Closed),
                    Poll::Pending => break,
                }
            }
            let Connection { worker, deadline, .. } = &*self.connection;
            if !self.input.is_empty() && !std::mem::replace(&mut in_head, true) {
                deadline.set(worker.now() + self.service.listener.timeouts.head);
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
        let Connection { worker, place, .. } = &*self.connection;
        if place.closing() || worker.now() >= idle_until { HeadRead::Closed } else { HeadRead::Quiet }
    }

    /// Looks for a whole head in what has come so far.
    fn take_head(&mut self, desk: &mut Option<Box<Desk>>, scan: &mut Scan) -> Option<HeadRead> {
        if desk.is_none() && !self.input.is_empty() {
            self.follow();
        }
        let rules = &self.service.listener;
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
        if self.speaks_http2(bytes) {
            // Nothing else begins so.
            return (bytes.len() >= PREFACE.len()).then_some(HeadRead::Http2);
        }
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

    /// What has come is the preface of HTTP/2, or begins like it and like no request of HTTP/1.
    fn speaks_http2(&self, bytes: &[u8]) -> bool {
        const TELLING: usize = b"PRI ".len();
        bytes.starts_with(&PREFACE[..TELLING])
            && bytes.iter().zip(PREFACE).all(|(byte, wanted)| byte == wanted)
            && self.service.listener.http2.enabled
            && !self.connection.wire.is_stream()
    }

    /// The client has sent nothing that is not read: closing will not reset the connection and so cut off what is
    /// still on its way to the client.
    pub(crate) fn all_read(&mut self) -> bool {
        self.input.is_empty() && self.connection.wire.is_quiet()
    }

    /// The request of `client` is over, and that has what it gets.
    fn tell(&self, entry: &mut Entry, client: Option<SocketAddr>) {
        self.service.observe.tell((entry, &self.connection.worker), &self.service.listener, client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_not_kept_twice() {
        fn size<F>(_: impl FnOnce(Connection) -> F) -> usize {
            size_of::<F>()
        }
        assert!(size(serve) < 2 * size_of::<Connection>());
    }
}
