//! Copies of requests to a second pool, whose answers nobody gets.
//!
//! A copy never delays the request that it is of: it is kept while that passes, and goes off in a task of its own once all
//! of the request has been read. Where one cannot be made at once none is, and that is counted. `copied` is what a copy is until
//! it goes, `errand` its way from then on; `under_way` bounds how many there are.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_config::ServerProtocol;
use plimsoll_core::Ask;

use crate::http1::framing::BodyLength;
use crate::http1::request::{MethodKind, RequestHead};
use crate::proxy_header::{self, Greeted};
use crate::replay::Replay;
use crate::worker::Worker;
use copied::{Copied, Mirroring};
use errand::Errand;

pub(crate) mod copied;
mod errand;
pub(crate) mod under_way;

impl Mirroring {
    /// Begins the copy of a request of the client that is `greeted`, unless none is to be made. What speaks another protocol
    /// afterwards is no request.
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
            self.counts.skipped();
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
            entered: Some(worker.copies.enter(&self.rule)),
        }))
    }
}

impl Copied {
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
            worker: Rc::clone(worker),
            _entered: entered,
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
