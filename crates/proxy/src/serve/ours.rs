//! Answers of our own: to requests that no server answers, and to what is no request.
//!
//! They have the pages and the edits of their route; where none is known, those of the listener.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_core::Refused;
use tokio::io::AsyncWriteExt;

use super::{Busy, Connection, LINGER, LINGER_BYTES, Next, facts};
use crate::auth;
use crate::grpc::{OVERDUE, Status};
use crate::http1::Reject;
use crate::http1::answer::Answer;
use crate::http1::framing::BodyLength;
use crate::http1::request::{MethodKind, RequestHead};
use crate::http1::variables::Values;
use crate::log::entry::{Entry, Facts};
use crate::route::{Goal, Route, error_page};
use crate::served::Served;
use crate::service::Manner;
use crate::shortage;
use crate::wire::Wire;
use crate::worker::Desk;

impl Busy<'_> {
    /// Gives an answer of our own to the request on `desk`, or to whatever it was that could not be parsed.
    pub(super) async fn answer(
        &mut self,
        (reject, refused): (Reject, Option<(Refused, Arc<Served>)>),
        desk: Option<&mut Desk>,
        unread: bool,
    ) -> Next {
        let Some(desk) = desk else { return self.answer_unparsed(reject).await };
        let service = Arc::clone(&self.service);
        let realm = desk.route.and_then(|id| service.route(id)?.auth.as_ref()).map(|auth| &*auth.realm);
        let overdue = desk.call.is_some_and(|call| call.is_over(self.connection.worker.now()));
        // Whatever it is that kept us, a client whose deadline has come is told of that.
        let (reject, refused) = if overdue { (OVERDUE, None) } else { (reject, refused) };
        let limited = desk.limited.again_after().filter(|_| !overdue);
        let answer = match &refused {
            Some((refused, served)) => Answer::unavailable(&served.rules.unavailable, *refused, reject.reason),
            None if reject == shortage::REJECT => {
                Answer::plain(reject.status, reject.reason).again_after(shortage::PASSES)
            }
            None if reject == auth::BUSY => Answer::plain(reject.status, reject.reason).again_after(auth::BUSY_PASSES),
            None if reject == auth::UNKNOWN => Answer::plain(reject.status, reject.reason).asking(realm),
            None => {
                let answer = Answer::plain(reject.status, reject.reason);
                limited.map_or(answer, |time| answer.again_after(time))
            }
        };
        let reason = refused.as_ref().map_or(reject.reason, |(refused, _)| refused.name());
        let status = desk.call.map(|call| match (overdue, call.status) {
            (true, _) => Status::DEADLINE_EXCEEDED,
            (false, Some(status)) => status,
            (false, None) if refused.is_some() => Status::UNAVAILABLE,
            (false, None) if limited.is_some() => Status::RESOURCE_EXHAUSTED,
            (false, None) => Status::of_ours(reject.status),
        });
        desk.entry.facts.grpc_status = status.map(Status::number);
        self.give_to(answer.of_call(status), desk, (reason, unread)).await
    }

    /// Tells the client where what it asked for is.
    pub(super) async fn redirect(&mut self, status: u16, location: &str, desk: &mut Desk) -> Next {
        let reason = "what was asked for is there";
        let unread = desk.request.body != BodyLength::None;
        self.give_to(Answer::plain(status, reason).at(location), desk, (reason, unread)).await
    }

    /// Tells the client what its route says.
    pub(super) async fn respond(&mut self, desk: &mut Desk) -> Next {
        let service = Arc::clone(&self.service);
        let route = desk.route.and_then(|id| service.route(id));
        let Some(Route { goal: Goal::Respond(rule), .. }) = route else { return Next::Close };
        let unread = desk.request.body != BodyLength::None;
        self.give_to(Answer::respond(rule), desk, ("its route says so", unread)).await
    }

    /// Gives `answer` to the request on `desk`, some of which may still be to come.
    async fn give_to(&mut self, answer: Answer<'_>, desk: &mut Desk, (reason, unread): (&'static str, bool)) -> Next {
        let Self { connection, input, service, client } = self;
        let Connection { wire, worker, place, .. } = &mut **connection;
        let Desk { request, entry: Entry { id, facts, .. }, marks, head, route, .. } = desk;
        let persistent = request.persistent && request.minor_version >= 1;
        let close = unread || !persistent || (place.closing() && !input.holds_earlier());
        let bodiless = request.method_kind == MethodKind::Head;
        let Manner { route, edits, pages } = service.manner(*route);
        let values = || Values { head, request, target: &[], client, id, route, pool: "", server: "" };
        let answer = answer.framed(close, bodiless).secured(&service.hsts).marked(&marks.to_client);
        let answer = answer.edited(edits.telling(values)).illustrated(error_page(pages, answer.status));
        facts.reason = Some(reason);
        let next = give(wire, &answer, facts, service.listener.timeouts.body).await;
        worker.counts.to_clients.add(facts.bytes_out);
        next
    }

    /// The same for what was no request.
    pub(super) async fn answer_unparsed(&mut self, reject: Reject) -> Next {
        let Self { connection, input, service, .. } = self;
        let Connection { wire, worker, peer, .. } = &mut **connection;
        // Who speaks plain HTTP where TLS is spoken is answered in plain, where it means nothing (RFC 6797, section 7.2).
        let hsts = if peer.tls.is_some() { &*service.hsts } else { "" };
        let mut entry = Entry::default();
        service.observe.begin_unparsed(&mut entry, input.filled(), worker);
        let Manner { route, edits, pages } = service.manner(None);
        // Nothing is known but who has sent it, be it behind requests that were somebody else's.
        let (request, client) = (RequestHead::default(), facts(peer, service));
        let values = || Values {
            head: b"",
            request: &request,
            target: &[],
            client: &client,
            id: b"",
            route,
            pool: "",
            server: "",
        };
        let answer = Answer::plain(reject.status, reject.reason).framed(true, false).secured(hsts);
        let answer = answer.edited(edits.telling(values)).illustrated(error_page(pages, answer.status));
        let next = give(wire, &answer, entry.answered(reject.reason), service.listener.timeouts.body).await;
        worker.counts.to_clients.add(entry.facts.bytes_out);
        self.tell(&mut entry, self.connection.peer.address);
        next
    }

    /// Tells the client that no more comes, and reads on for a while so that it gets to see the answer.
    pub(super) async fn linger(&mut self) {
        let Self { connection, input, .. } = self;
        let Connection { wire, .. } = &mut **connection;
        if wire.shutdown().await.is_err() {
            return;
        }
        let drain = async {
            let mut drained = 0;
            while drained < LINGER_BYTES {
                input.release();
                match poll_fn(|cx| input.poll_fill(wire, cx)).await {
                    Ok(count) if count > 0 => drained += count,
                    _ => break,
                }
            }
        };
        // Whether the client or our patience ends it makes no difference.
        let _ = tokio::time::timeout(LINGER, drain).await;
    }
}

/// Writes an answer of our own, within the time a client has to take it.
async fn give(wire: &mut Wire, answer: &Answer<'_>, facts: &mut Facts, patience: Duration) -> Next {
    let mut bytes = Vec::new();
    let head = answer.write(&mut bytes);
    facts.status = answer.status;
    let give = async {
        if let Some(stream) = wire.as_stream() {
            return stream.send_whole(&bytes, head).await;
        }
        wire.write_all(&bytes).await?;
        wire.flush().await
    };
    match tokio::time::timeout(patience, give).await {
        Ok(Ok(())) => {
            facts.bytes_out += bytes.len() as u64;
            facts.head_out = head as u64;
            if answer.close { Next::Linger } else { Next::Request }
        }
        _ => Next::Close,
    }
}
