//! How the server's part of an exchange ends: the permit with its outcome, the connection for reuse or closed.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_core::{Outcome, OutcomeKind, Permit, Time};

use super::{Exchange, Phase};
use crate::buffer::Buffer;
use crate::http1::framing::BodyLength;
use crate::server_conn::ServerConn;
use crate::trouble::{GivenUp, Trouble};

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

impl Exchange<'_> {
    /// The server's part is over: the permit ends and the connection is free, before the last bytes go to the
    /// client, so that a client that asks again at once meets a settled count.
    pub(super) fn settle(&mut self, now: Time) {
        let response = &self.parties.desk.response;
        let unasked = self.from_server.filled().len() > self.receiving.staged_input();
        let reusable =
            response.persistent && self.sent && !self.send_broken && !unasked && !self.parties.worker.stopping();
        let outcome = self.parties.tries.served().judge(response.status);
        if unasked {
            self.keep_client = false;
        }
        self.sent = true;
        let (server, permit) = (self.server.take(), self.permit.as_ref());
        let server = server.filter(|conn| !conn.wire.is_stream());
        if let (true, Some(conn), Some(permit)) = (reusable, server, permit) {
            let rule = &self.parties.tries.served().rules.keep_alive;
            self.parties.worker.idle.borrow_mut().put(permit.server(), conn, now, rule);
        }
        self.finish(outcome, now);
    }

    pub(super) fn finish(&mut self, kind: OutcomeKind, now: Time) {
        let total = self.since_pick(now);
        let Some(permit) = self.permit.take() else { return };
        let answer = self.first_byte.map(|first_byte| (first_byte, self.parties.desk.response.status));
        self.parties.desk.entry.ended(kind, answer, now);
        let (sent, received, first_byte) = (self.sending.written, self.received, self.first_byte);
        let excused = kind.is_error() && self.parties.tries.served().excuses(kind, self.parties.desk.response.status);
        permit.finish(Outcome { kind, first_byte, total, sent, received, excused });
    }

    pub(super) fn since_pick(&self, now: Time) -> Duration {
        self.permit.as_ref().map_or(Duration::ZERO, |permit| now.saturating_since(permit.picked_at()))
    }

    /// Gives up: the permit ends so, and the server's connection is closed.
    pub(crate) fn give_up(mut self, trouble: &Trouble) -> GivenUp {
        let (told, answering) = (self.told(), self.answering());
        if !answering {
            self.reset_on_close(false);
        } else if let Some(stream) = self.parties.client.as_stream() {
            stream.abort();
        }
        let read = self.request_read() && !matches!(trouble, Trouble::ClientWrong(_));
        let server = self.permit.as_ref().map(|permit| Arc::clone(permit.server()));
        self.finish(trouble.outcome(), self.parties.worker.now());
        // What was to be sent next is among what is kept for another try.
        self.parties.input.consume(self.sending.staged_input());
        GivenUp { server, rest: self.sending.into_body(), read, told, answering }
    }

    /// Hands over what a tunnel needs.
    pub(crate) fn into_tunnel(self) -> Option<Upgraded> {
        let received = self.received - self.from_server.filled().len() as u64;
        let (from_server, sent) = (self.from_server, self.sending.written);
        let first_byte = self.first_byte.unwrap_or_default();
        Some(Upgraded { permit: self.permit?, server: self.server?, from_server, first_byte, sent, received })
    }

    /// Takes the permit back, to try another connection.
    pub(crate) fn into_permit(self) -> Option<Permit> {
        self.permit
    }

    /// Where the client tells the end of the response from the end of the connection only: whether a close is to be a
    /// reset, so that whatever ends us before the response is whole (a broken server, a panic, the end of a stop's
    /// patience), the client never takes the part it has for the whole.
    pub(super) fn reset_on_close(&self, reset: bool) {
        if self.phase == Phase::Body && self.parties.desk.response_framing == BodyLength::UntilClose {
            self.parties.client.reset_on_close(reset);
        }
    }
}
