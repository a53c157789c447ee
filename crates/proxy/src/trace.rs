//! Traces: where a request stands in one (W3C Trace Context), and what of it was traced.
//!
//! Plain data leaves through a bounded queue; whoever takes it turns it into spans for a collector.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll_config::Listener;
use plimsoll_core::{Address, OutcomeKind, Percent, Time};

use crate::http1::fields::{Field, Kind};
use crate::log::entry::Entry;

mod context;
pub(crate) mod tracing;

use context::TraceParent;
use tracing::{Tracing, new_span};

/// Traced requests that wait to be taken up. Each holds some KiB; a collector that is gone for longer than these
/// last is not helped by more of them.
const WAITING: usize = 2048;

/// A request that was traced: the span of what we did for the client, and in it one for each try on a server. Times are
/// since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedRequest {
    /// The trace.
    pub trace_id: [u8; 16],
    /// Our span in it.
    pub span_id: [u8; 8],
    /// The client's span, if the trace began there.
    pub parent_id: Option<[u8; 8]>,
    /// `tracestate`, as it came.
    pub state: String,
    /// When the request came.
    pub start: Duration,
    /// When the client had its answer.
    pub end: Duration,
    /// The listener's name.
    pub listener: String,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The client's address; `None` is a client on a Unix socket.
    pub client: Option<SocketAddr>,
    /// The method; empty where what came was no request.
    pub method: String,
    /// The target as the client sent it.
    pub target: String,
    /// `1.1` or `1.0`.
    pub version: &'static str,
    /// The host that was asked for; empty where none was named.
    pub host: String,
    /// `User-Agent`; empty where there was none.
    pub user_agent: String,
    /// What the client was told; 0 when it left before that.
    pub status: u16,
    /// The pool that was asked last; empty when it came to none.
    pub pool: String,
    /// The server that was tried last; empty when it came to none.
    pub server: String,
    /// Why the answer is one of ours.
    pub reason: Option<&'static str>,
    /// How long it waited for a server.
    pub queued: Duration,
    /// The request's id; empty where there is none.
    pub request_id: String,
    /// The tries, in order.
    pub tries: Vec<TracedTry>,
}

/// One try on one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedTry {
    /// Its span, which the server was told as the one it belongs to.
    pub span_id: [u8; 8],
    /// The server's name.
    pub server: String,
    /// The server's first address.
    pub address: Option<Address>,
    /// When it was picked.
    pub start: Duration,
    /// When its part was over.
    pub end: Duration,
    /// How that went; `None` when nothing was learnt of it.
    pub outcome: Option<OutcomeKind>,
    /// The status of its answer, if there was one.
    pub status: Option<u16>,
}

/// The queue of traced requests.
#[derive(Debug)]
pub(crate) struct Traces {
    queue: SyncSender<TracedRequest>,
    queued: Mutex<Option<Receiver<TracedRequest>>>,
    dropped: Arc<AtomicU64>,
}

impl Traces {
    pub(crate) fn new() -> Self {
        let (queue, queued) = sync_channel(WAITING);
        Self { queue, queued: Mutex::new(Some(queued)), dropped: Arc::default() }
    }

    /// The end where they come out, once.
    pub(crate) fn take(&self) -> Option<Receiver<TracedRequest>> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// One that traces this share of the requests that leave it open.
    pub(crate) fn tracer(&self, share: Percent) -> Tracer {
        Tracer { share, queue: self.queue.clone(), dropped: Arc::clone(&self.dropped) }
    }
}

/// Decides what is traced, and sends it out.
#[derive(Debug)]
pub(crate) struct Tracer {
    share: Percent,
    queue: SyncSender<TracedRequest>,
    dropped: Arc<AtomicU64>,
}

impl Tracer {
    /// The place of a request with these fields. A `traceparent` that is not one counts as none, and then a `tracestate` has
    /// no meaning either (W3C Trace Context, section 3.3). The client's `traceparent` is taken out of `fields`.
    pub(crate) fn begin(&self, head: &[u8], fields: &mut Vec<Field>, random: u64) -> Tracing {
        let of_kind =
            |kind: Kind| fields.iter().filter(move |field| field.kind == kind).map(|field| field.value.slice(head));
        let mut sent = of_kind(Kind::TraceParent);
        let parent = match (sent.next(), sent.next()) {
            (Some(only), None) => TraceParent::parse(only),
            _ => None,
        };
        drop(sent);
        let sampled = parent.as_ref().map_or_else(|| covers(self.share, random), |parent| parent.sampled);
        let mut state = String::new();
        if sampled && parent.is_some() {
            for part in of_kind(Kind::TraceState) {
                let comma = if state.is_empty() { "" } else { "," };
                state.push_str(comma);
                state.push_str(&String::from_utf8_lossy(part));
            }
        }
        fields.retain(|field| field.kind != Kind::TraceParent && (parent.is_some() || field.kind != Kind::TraceState));
        let trace_id = parent.as_ref().map_or_else(|| fastrand::u128(1..).to_be_bytes(), |parent| parent.trace_id);
        let (span_id, parent_id) = (new_span(), parent.map(|parent| parent.parent_id));
        Tracing { sampled, trace_id, span_id, parent_id, try_id: span_id, state, tries: Vec::new() }
    }

    /// Sends out the request of `entry`, which was sampled and is over; `since_epoch` tells what time of day a time is.
    pub(crate) fn send(
        &self,
        entry: &mut Entry,
        (listener, client): (&Listener, Option<SocketAddr>),
        since_epoch: impl Fn(Time) -> Duration,
        now: Time,
    ) {
        let Some(tracing) = entry.tracing.take() else { return };
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let tries = tracing.tries.into_iter().map(|one| {
            let (ended, outcome) = (one.ended.map_or(now, |(.., at)| at), one.ended.map(|(kind, ..)| kind));
            TracedTry {
                span_id: one.span_id,
                server: one.server,
                address: one.address.clone(),
                start: since_epoch(one.begun),
                end: since_epoch(ended),
                outcome,
                status: one.ended.and_then(|(_, status, _)| status),
            }
        });
        let traced = TracedRequest {
            trace_id: tracing.trace_id,
            span_id: tracing.span_id,
            parent_id: tracing.parent_id,
            state: tracing.state,
            start: since_epoch(entry.facts.begun),
            end: since_epoch(now),
            listener: listener.name.clone(),
            scheme: listener.scheme(),
            client,
            method: text(entry.method()),
            target: text(entry.target()),
            version: entry.protocol().map_or("1.1", |protocol| &protocol[5..]),
            host: text(entry.host()),
            user_agent: text(entry.user_agent()),
            status: entry.facts.status,
            pool: entry.pool.clone(),
            server: entry.server.clone(),
            reason: entry.facts.reason,
            queued: entry.facts.queued,
            request_id: text(Some(&entry.id)),
            tries: tries.collect(),
        };
        if self.queue.try_send(traced).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether a random number falls into a share of all.
pub(crate) fn covers(share: Percent, random: u64) -> bool {
    random % 100 < u64::from(share.as_u8())
}
