//! How the server's part of an exchange ends: the permit with its outcome, the connection for reuse or closed.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_core::{Outcome, OutcomeKind, Permit, Time};

use super::{Exchange, Parties, Phase, Upgraded};
use crate::grpc::Status;
use crate::http1::framing::BodyLength;
use crate::trouble::{GivenUp, Trouble};

impl Exchange<'_> {
    /// The server's part is over: the permit ends and the connection is free, before the last bytes go to the
    /// client, so that a client that asks again at once meets a settled count.
    pub(super) fn settle(&mut self, now: Time) {
        let kind = self.judge_whole(now);
        let response = &self.parties.desk.response;
        let of_body = self.press.as_ref().map_or(self.receiving.staged_input(), |press| press.unread());
        let unasked = self.from_server.filled().len() > of_body;
        let reusable =
            response.persistent && self.sent && !self.send_broken && !unasked && !self.parties.worker.stopping();
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
        self.finish(kind, now);
    }

    /// How the request ends now that its answer is here whole, a call by what its trailers say.
    fn judge_whole(&mut self, now: Time) -> OutcomeKind {
        let Parties { desk, tries, .. } = &mut self.parties;
        let overdue = desk.call.as_mut().is_some_and(|call| {
            call.read_trailers(self.receiving.trailers());
            // So do clients call an end that tells of no status.
            let status = *call.status.get_or_insert(Status::UNKNOWN);
            status == Status::DEADLINE_EXCEEDED && call.is_over(now)
        });
        let served = tries.served();
        if overdue { served.judge_overdue() } else { served.judge(desk.answered()) }
    }

    pub(super) fn finish(&mut self, kind: OutcomeKind, now: Time) {
        let total = self.since_pick(now);
        let Some(permit) = self.permit.take() else { return };
        let answer = self.first_byte.map(|first_byte| (first_byte, self.parties.desk.response.status));
        self.parties.desk.entry.ended(kind, answer, now);
        let (sent, received, first_byte) = (self.sending.written, self.received, self.first_byte);
        let answered = self.parties.desk.answered();
        self.parties.desk.entry.facts.grpc_status = answered.call.map(Status::number);
        let excused = kind.is_error() && self.parties.tries.served().excuses(kind, answered);
        permit.finish(Outcome { kind, first_byte, total, sent, received, excused });
    }

    pub(super) fn since_pick(&self, now: Time) -> Duration {
        self.permit.as_ref().map_or(Duration::ZERO, |permit| now.saturating_since(permit.picked_at()))
    }

    /// Gives up: the permit ends so, and the server's connection is closed.
    pub(crate) fn give_up(mut self, trouble: &Trouble) -> GivenUp {
        let (told, answering) = (self.told(), self.answering());
        if let Some(call) = &mut self.parties.desk.call {
            call.status = match trouble {
                // What was set aside has told it already.
                Trouble::AnotherTry => call.status,
                Trouble::ClientLeft => None,
                _ => Some(trouble.status_of_call()),
            };
        }
        if !answering {
            self.reset_on_close(false);
        } else if !self.end_call(trouble)
            && let Some(stream) = self.parties.client.as_stream()
        {
            stream.abort();
        }
        let read = self.request_read() && !matches!(trouble, Trouble::ClientWrong(_));
        let server = self.permit.as_ref().map(|permit| Arc::clone(permit.server()));
        self.finish(trouble.outcome(self.parties.tries.served()), self.parties.worker.now());
        // What was to be sent next is among what is kept for another try.
        self.parties.input.consume(self.sending.staged_input());
        GivenUp { server, rest: self.sending.into_body(), read, told, answering }
    }

    /// Tells the client of a call that has begun to get its answer how it ends, if it can still be told.
    fn end_call(&mut self, trouble: &Trouble) -> bool {
        let Parties { desk, client, .. } = &mut self.parties;
        let status = desk.call.as_ref().filter(|_| desk.response.status == 200).and_then(|call| call.status);
        let (Some(status), Some(reject), Some(stream)) = (status, trouble.answer(), client.as_stream()) else {
            return false;
        };
        // One that does not take what is there for it would not take this either.
        if matches!(trouble, Trouble::ClientSlow) || self.phase != Phase::Body {
            return false;
        }
        let reason = match trouble {
            Trouble::ServerLost => "the server closed the connection before its answer was whole",
            _ => reject.reason,
        };
        let mut trailers = Vec::new();
        status.write(&mut trailers, reason);
        trailers.extend_from_slice(b"\r\n");
        stream.send_end(&trailers).is_ok()
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
