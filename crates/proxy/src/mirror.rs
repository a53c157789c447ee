//! Copies of requests to a second pool, whose answers nobody gets.
//!
//! A copy never delays the request that it is of: it is kept while that passes, and goes off in a task of its own once all
//! of the request has been read. Where one cannot be made at once none is, and that is counted.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use plimsoll_config::{Mirror, ServerProtocol};
use plimsoll_core::Ask;

use crate::http1::framing::BodyLength;
use crate::http1::request::{MethodKind, RequestHead};
use crate::proxy_header::{self, Greeted};
use crate::replay::Replay;
use crate::served::Served;
use crate::worker::Worker;
use errand::Errand;

mod errand;

/// Where the copies of a route go.
pub(crate) struct Mirroring {
    pub(crate) served: Arc<Served>,
    rule: Mirror,
    counts: Arc<MirrorCounts>,
}

/// What became of the copies to one pool. It goes on from one configuration to the next.
#[derive(Debug, Default)]
pub(crate) struct MirrorCounts {
    sent: AtomicU64,
    skipped: AtomicU64,
    failed: AtomicU64,
}

/// How many copies a worker has under way, by the name of their pool.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(RefCell<HashMap<String, usize>>);

/// The copy of a request that is being read. One that goes nowhere is counted as skipped.
pub(crate) struct Copied {
    mirroring: Arc<Mirroring>,
    body: Replay,
    framing: BodyLength,
    bodiless: bool,
    /// The PROXY header, where the pool is to get one.
    greeting: Option<Vec<u8>>,
    /// Its place among those under way, until it goes.
    entered: Option<Entered>,
}

impl Mirroring {
    pub(crate) fn new(served: Arc<Served>, rule: Mirror, counts: Arc<MirrorCounts>) -> Arc<Self> {
        Arc::new(Self { served, rule, counts })
    }

    /// Begins the copy of a request of the client that is `greeted`, unless none is to be made. What speaks another protocol afterwards is no
    /// request.
    pub(crate) fn begin(
        self: &Arc<Self>,
        request: &RequestHead,
        greeted: Greeted<'_>,
        worker: &Rc<Worker>,
    ) -> Option<Box<Copied>> {
        if request.upgrade || !self.is_drawn(worker.random()) {
            return None;
        }
        let large = matches!(request.body, BodyLength::Known(length) if length > self.rule.max_body as u64);
        if large || worker.copies.is_full(&self.rule) {
            self.counts.skipped.fetch_add(1, Relaxed);
            return None;
        }
        let mut body = Replay::default();
        body.begin(request.body, self.rule.max_body);
        Some(Box::new(Copied {
            mirroring: Arc::clone(self),
            body,
            framing: request.body,
            bodiless: request.method_kind == MethodKind::Head,
            greeting: self.served.rules.send_proxy.map(|version| proxy_header::greeting(version, greeted)),
            // From now on, so that what is kept of bodies has the same bound.
            entered: Some(worker.copies.enter(worker, &self.rule)),
        }))
    }

    /// Whether a request with this `random` number is among the share that is copied.
    fn is_drawn(&self, random: u64) -> bool {
        // The upper half of the product is evenly spread over the hundred.
        ((u128::from(random) * 100) >> u64::BITS) < u128::from(self.rule.sample.as_u8())
    }
}

impl fmt::Debug for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copied").field("pool", &self.mirroring.rule.pool).finish_non_exhaustive()
    }
}

impl Copied {
    /// Keeps what was read next of the body; `whole` says that nothing was left out.
    pub(crate) fn keep(&mut self, read: &[u8], whole: bool) {
        self.body.keep(read, whole);
    }

    /// Sends it off, with the `head` that the server of the request got: all of that has been read.
    pub(crate) fn go(&mut self, head: &[u8], worker: &Rc<Worker>) {
        let served = &self.mirroring.served;
        if !self.body.complete() || worker.stopping() {
            return;
        }
        let ask = Ask { now: worker.now(), random: worker.random(), ..Ask::default() };
        let Ok(permit) = served.pool.pick(&ask) else { return };
        let mut message = head.to_vec();
        // As frames a body needs no framing of its own.
        let framed = served.rules.protocol == ServerProtocol::Http1;
        self.body.write(&mut message, if framed { self.framing } else { BodyLength::None }, true);
        let Some(entered) = self.entered.take() else { return };
        let errand = Errand {
            entered,
            mirroring: Arc::clone(&self.mirroring),
            message,
            head: head.len(),
            sent: Cell::new(0),
            bodiless: self.bodiless,
            greeting: self.greeting.take(),
        };
        tokio::task::spawn_local(errand.run(permit));
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if self.entered.is_some() {
            self.mirroring.counts.skipped.fetch_add(1, Relaxed);
        }
    }
}

impl MirrorCounts {
    /// Copies that were answered, that were not made, and that failed.
    pub(crate) fn read(&self) -> [u64; 3] {
        [&self.sent, &self.skipped, &self.failed].map(|count| count.load(Relaxed))
    }

    fn ended(&self, well: bool) {
        if well { &self.sent } else { &self.failed }.fetch_add(1, Relaxed);
    }
}

impl UnderWay {
    fn is_full(&self, rule: &Mirror) -> bool {
        self.0.borrow().get(&rule.pool).is_some_and(|count| *count >= rule.limit)
    }

    /// Counts one more for as long as the result lives.
    fn enter(&self, worker: &Rc<Worker>, rule: &Mirror) -> Entered {
        *self.0.borrow_mut().entry(rule.pool.clone()).or_default() += 1;
        Entered { worker: Rc::clone(worker), pool: rule.pool.clone() }
    }
}

/// One copy in the count of a worker.
struct Entered {
    worker: Rc<Worker>,
    pool: String,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut all = self.worker.copies.0.borrow_mut();
        if let Some(count) = all.get_mut(&self.pool) {
            *count -= 1;
            if *count == 0 {
                // So what is kept has the bound of what is under way, whatever pools come and go.
                all.remove(&self.pool);
            }
        }
    }
}
