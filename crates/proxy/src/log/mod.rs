//! What is told about requests: the access log, request ids, and traces.
//!
//! While a request is under way an `entry` on its desk collects what happens to it, and costs next to nothing. Once the
//! client has its answer, `line` writes it into a batch of the worker (`lines`), which goes to the thread of a
//! `destination` when it is full or at the next tick, and from there to a `sink`. No worker ever waits for that.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plimsoll_config::{Config, Listener, RequestId};
use plimsoll_core::Time;

use crate::trace::{TracedRequest, Tracer, Traces, covers};
use crate::worker::{Desk, Worker};
use destination::{Counts, Destination};
use entry::Entry;
use line::{Format, Told};
use lines::AccessLog;

mod destination;
pub(crate) mod entry;
pub(crate) mod error;
mod escape;
mod ids;
mod line;
pub(crate) mod lines;
pub(crate) mod marks;
mod sink;
mod stamp;

pub use error::LogError;

/// The access log and the traces of a data plane.
#[derive(Debug)]
pub struct Logs {
    counts: Arc<Counts>,
    current: Mutex<Current>,
    news: Mutex<News>,
    traces: Traces,
}

/// What has become of the lines of the access log and of traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Lines that were written.
    pub written: u64,
    /// Lines that were not, because too much waited already or writing failed.
    pub dropped: u64,
    /// How often writing, or opening a file anew, failed.
    pub errors: u64,
    /// Traced requests that nobody took up in time.
    pub traces_dropped: u64,
}

/// What the last configuration that was put in force asks for.
#[derive(Debug, Default)]
struct Current {
    destination: Option<Arc<Destination>>,
}

/// What has been told of trouble.
#[derive(Debug, Default)]
struct News {
    dropped: u64,
    errors: u64,
    at: Option<Instant>,
}

/// What a configuration asks to be told, opened and not yet in force.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    log: Option<AccessLog>,
    tracer: Option<Arc<Tracer>>,
}

/// What is told about the requests of a listener.
#[derive(Debug)]
pub(crate) struct Observe {
    log: Option<AccessLog>,
    ids: Option<RequestId>,
    tracer: Option<Arc<Tracer>>,
}

/// The longest that a stop waits for lines to be written.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// Trouble with the log is told at most this often: it must not become a second log.
const BETWEEN_NEWS: Duration = Duration::from_secs(10);

impl Logs {
    /// Nothing is logged until a [`Plan`] is put in force.
    pub(crate) fn new() -> Self {
        Self { counts: Arc::default(), current: Mutex::default(), news: Mutex::default(), traces: Traces::new() }
    }

    /// Opens what `config` asks for and is not open yet. Nothing changes for what is under way; dropping the plan closes
    /// what was opened.
    pub(crate) fn prepare(&self, config: &Config, workers: usize) -> Result<Plan, LogError> {
        let tracer = config.trace.as_ref().map(|trace| Arc::new(self.traces.tracer(trace.sample)));
        let Some(wanted) = &config.access_log else { return Ok(Plan { log: None, tracer }) };
        let open = self.current().destination.clone();
        let open = open.filter(|open| open.serves(&wanted.to, wanted.buffer, workers));
        let destination = match open {
            Some(open) => open,
            None => Destination::open(&wanted.to, wanted.buffer, workers, &self.counts)?,
        };
        let log = AccessLog { destination, format: Arc::new(Format::new(&wanted.format)), sample: wanted.sample };
        Ok(Plan { log: Some(log), tracer })
    }

    /// Puts a plan in force. What logged before and is not part of it ends once all who use it have let go.
    pub(crate) fn commit(&self, plan: &Plan) {
        let next = plan.log.as_ref().map(|log| Arc::clone(&log.destination));
        let before = std::mem::replace(&mut self.current().destination, next.clone());
        if let Some(before) = before.filter(|before| next.as_ref().is_none_or(|next| !Arc::ptr_eq(before, next))) {
            before.retire();
        }
    }

    /// Opens the file of the access log anew, for whoever has moved it away.
    pub fn reopen(&self) {
        if let Some(destination) = &self.current().destination {
            destination.reopen();
        }
    }

    /// What has become of lines and traces so far.
    pub fn stats(&self) -> LogStats {
        let (written, dropped, errors) = self.counts.read();
        LogStats { written, dropped, errors, traces_dropped: self.traces.dropped() }
    }

    /// Trouble with the access log that has not been told yet, as a line for people; at most one in ten seconds.
    pub fn news(&self) -> Option<String> {
        let mut told = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if told.at.is_some_and(|at| at.elapsed() < BETWEEN_NEWS) {
            return None;
        }
        let (_, dropped, errors) = self.counts.read();
        let (more_dropped, more_errors) = (dropped - told.dropped, errors - told.errors);
        if more_dropped == 0 && more_errors == 0 {
            return None;
        }
        *told = News { dropped, errors, at: Some(Instant::now()) };
        let to = self.current().destination.as_ref().map_or(String::new(), |open| format!(" ({})", open.target()));
        let why = self.counts.take_error().unwrap_or_else(|| "it does not take lines as fast as they come".to_owned());
        Some(format!("access log{to}: {more_dropped} lines were dropped: {why}"))
    }

    /// The traced requests, in the order of their ends; `None` when somebody has them already. They wait in a bounded
    /// queue: who falls behind loses some.
    pub fn traces(&self) -> Option<Receiver<TracedRequest>> {
        self.traces.take()
    }

    /// Writes what waits, within a bounded time. To be called when no worker writes any more.
    pub(crate) fn finish(&self) {
        let destination = self.current().destination.take();
        if let Some(destination) = destination {
            destination.finish(LAST_PATIENCE);
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    /// What is told about the requests of `listener`.
    pub(crate) fn observe(&self, listener: &Listener) -> Observe {
        let log = self.log.clone().filter(|_| listener.access_log);
        Observe { log, ids: listener.request_id.clone(), tracer: self.tracer.clone() }
    }
}

impl Observe {
    /// A request begins whose head is `head` and, parsed, on the desk.
    pub(crate) fn begin(&self, desk: &mut Desk, head: &[u8], worker: &Worker) {
        let Desk { request, entry, marks, .. } = desk;
        let wanted = self.log.is_some() || self.ids.is_some() || self.tracer.is_some();
        if !wanted && !entry.wanted {
            return;
        }
        entry.clear(worker.recently());
        entry.wanted = wanted;
        marks.clear();
        if !wanted {
            return;
        }
        entry.take(head, request);
        if let Some(rule) = &self.ids {
            ids::settle(rule, (head, &mut request.fields), &mut entry.id, marks);
        }
        marks.fixed = marks.to_server.len();
        entry.tracing = self.tracer.as_ref().map(|tracer| tracer.begin(head, &mut request.fields, worker.random()));
    }

    /// What begins with `input` is no request.
    pub(crate) fn begin_unparsed(&self, entry: &mut Entry, input: &[u8], worker: &Worker) {
        entry.clear(worker.recently());
        entry.wanted = self.log.is_some();
        if entry.wanted {
            entry.take_unparsed(input);
        }
    }

    /// A connection begins that is balanced as a whole.
    pub(crate) fn begin_connection(&self, entry: &mut Entry, worker: &Worker) {
        entry.clear(worker.now());
        entry.wanted = self.log.is_some();
        entry.take_connection();
    }

    /// The name of the field that tells the client the request's id, if it is told.
    pub(crate) fn id_field(&self) -> Option<&str> {
        self.ids.as_ref().filter(|rule| rule.to_client).map(|rule| rule.header.as_str())
    }

    /// Tells of a request that is over.
    pub(crate) fn tell(
        &self,
        (entry, worker): (&mut Entry, &Worker),
        listener: &Listener,
        client: Option<std::net::SocketAddr>,
    ) {
        if !entry.wanted {
            return;
        }
        let now = worker.now();
        let told = Told { entry, listener: &listener.name, client, now };
        if let Some(log) = &self.log
            && (log.sample.as_u8() >= 100 || told.entry.failed() || covers(log.sample, worker.random()))
        {
            worker.lines.borrow_mut().write(log, &told);
        }
        if let Some(tracer) = &self.tracer
            && entry.tracing.as_ref().is_some_and(|tracing| tracing.sampled)
        {
            tracer.send(entry, (listener, client), |at: Time| worker.lines.borrow().stamps.since_epoch(at), now);
        }
    }
}

#[cfg(test)]
mod tests;
