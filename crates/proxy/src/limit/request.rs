//! A request, as far as its listener and its route limit those of its client.

use plimsoll_config::Over;
use plimsoll_core::ClientLimit;

use super::Denial;
use super::key::Asker;
use crate::http1::Reject;
use crate::http1::framing::BodyLength;
use crate::route::RouteId;
use crate::serve::{Busy, Next};
use crate::worker::Desk;

impl Busy<'_> {
    /// Counts the request on the desk, whose head is the first `head_length` bytes read, in the limits of its route; or tells
    /// what it comes to where it is one too many.
    pub(crate) fn limit(&mut self, route: Option<RouteId>, desk: &mut Desk, head_length: usize) -> Option<Next> {
        let counted = self.service.limits.of_route(route);
        if counted.is_empty() {
            return None;
        }
        let asker = Asker {
            address: self.client_ip(),
            head: &self.input.filled()[..head_length],
            fields: &desk.request.fields,
        };
        let (limit, rule) = match desk.limited.admit(counted, &asker, self.connection.worker.recently()) {
            Ok(()) => return None,
            Err(Denial::Over { limit, rule }) => (limit, rule),
            Err(Denial::Ambiguous(reject)) => return Some(self.decline(reject, desk, head_length)),
        };
        desk.entry.limited(&limit.name);
        let reason = match rule {
            ClientLimit::Requests | ClientLimit::Connections => "too many requests at once",
            ClientLimit::RequestRate | ClientLimit::ConnectionRate => "too many requests within a short time",
        };
        let (over, status) = (limit.over, limit.status);
        self.input.consume(head_length);
        Some(match over {
            Over::Close => Next::Close,
            Over::Reject | Over::Delay(_) => {
                let unread = desk.request.body != BodyLength::None;
                Next::Answer { reject: Reject { status, reason }, refused: None, unread }
            }
        })
    }
}
