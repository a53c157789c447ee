//! Goes on answering: server-sent events (HTML Living Standard, section 9.2) with what is, each second, and what happens,
//! as it does.
//!
//! Nothing waits for a slow reader, and nothing is kept for one: the next message is made when the connection can take
//! it, of what holds then. Only events are told without a gap, as far back as the journal goes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as Sent, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};
use utoipa::IntoParams;

use super::ask::Query;
use super::desk::Desk;
use super::refusals::{Missing, Refusals};
use crate::api::{Message, MessageKind, Problem};
use crate::shared::Shared;
use crate::views::{Detail, Picture};

/// How often is told what is.
const BEAT: Duration = Duration::from_secs(1);

/// Events that are sent in one go.
const EVENTS: usize = 1000;

/// What is and what happens, without an end: server-sent events. Each second `status` (a `Status`) and, when a pool is
/// asked for, `pool` (a `Pool` with its servers); `event` (an `Event`) as they happen, from now on or after the one that
/// `Last-Event-ID` names.
#[utoipa::path(get, path = "/api/v1/stream",
    params(Watched, Seen),
    responses((status = 200, content_type = "text/event-stream", body = Message), Refusals, Missing, Crowded))]
pub(super) async fn stream(
    State(desk): State<Desk>,
    Query(watched): Query<Watched>,
    fields: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, Problem> {
    if let Some(pool) = watched.pool.as_deref().filter(|pool| desk.shared.pools.pool(pool).is_none()) {
        return Err(Problem::no_pool(pool));
    }
    let seen = match fields.get("last-event-id") {
        None => *desk.shared.journal.last().borrow(),
        Some(id) => id
            .to_str()
            .ok()
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "Last-Event-ID must be the number of an event"))?,
    };
    let Ok(room) = Arc::clone(&desk.listeners).try_acquire_owned() else {
        let detail = "too many listen already; ask again later, or ask for the status now and then";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let last = desk.shared.journal.last();
    let teller = Teller {
        shared: desk.shared,
        ended: desk.ended,
        last,
        seen,
        beat,
        pool: watched.pool,
        ready: VecDeque::new(),
        _room: room,
    };
    Ok(Sse::new(unfold(teller, Teller::next)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Watched {
    /// The pool whose servers are told of too.
    #[serde(default)]
    pool: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes; the field is read where a wrong one can be refused")]
pub(super) struct Seen {
    /// The number of the last event that was seen.
    #[param(rename = "Last-Event-ID", required = false, maximum = 9_007_199_254_740_991_i64)]
    last_event_id: u64,
}

/// What a request for a stream may be answered with.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "it describes; the answer is made where what it tells is known")]
enum Crowded {
    /// Too many listen already.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// Tells one listener.
struct Teller {
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
    last: watch::Receiver<u64>,
    /// The number of the last event that was told.
    seen: u64,
    beat: Interval,
    pool: Option<String>,
    /// What is to be told before anything else is looked at.
    ready: VecDeque<Sent>,
    _room: OwnedSemaphorePermit,
}

impl Teller {
    async fn next(mut self) -> Option<(Result<Sent, Infallible>, Self)> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some((Ok(message), self));
            }
            self.tell_events();
            if !self.ready.is_empty() {
                continue;
            }
            let beat = tokio::select! {
                biased;
                _ = self.ended.wait_for(|ended| *ended) => return None,
                changed = self.last.changed() => changed.is_err(),
                _ = self.beat.tick() => true,
            };
            if beat {
                self.tell_what_is();
            }
        }
    }

    fn tell_events(&mut self) {
        self.last.mark_unchanged();
        for event in self.shared.journal.following(self.seen, EVENTS) {
            self.seen = event.number;
            self.ready.extend(message(MessageKind::Event, &event).map(|message| message.id(event.number.to_string())));
        }
    }

    fn tell_what_is(&mut self) {
        let picture = Picture::take(&self.shared);
        self.ready.extend(message(MessageKind::Status, &picture.status()));
        // One that is gone is told of no more; the status says that it is.
        let pool = self.pool.as_ref().and_then(|pool| picture.pool(pool, Detail::Servers));
        self.ready.extend(pool.and_then(|pool| message(MessageKind::Pool, &pool)));
    }
}

/// A message, unless it cannot be written as JSON, which everything here can.
fn message<T: Serialize>(kind: MessageKind, content: &T) -> Option<Sent> {
    let name = match kind {
        MessageKind::Status => "status",
        MessageKind::Pool => "pool",
        MessageKind::Event => "event",
    };
    Sent::default().event(name).json_data(content).ok()
}
