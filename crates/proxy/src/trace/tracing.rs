//! Where a request stands in its trace, and the tries in it so far.

use plimsoll_core::{Address, OutcomeKind, Permit, Time};

use super::context;

/// Where a request stands in its trace.
#[derive(Debug)]
pub(crate) struct Tracing {
    pub(crate) sampled: bool,
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    pub(super) parent_id: Option<[u8; 8]>,
    /// The span of the try under way.
    pub(super) try_id: [u8; 8],
    pub(super) state: String,
    pub(super) tries: Vec<Try>,
}

#[derive(Debug)]
pub(super) struct Try {
    pub(super) span_id: [u8; 8],
    pub(super) server: String,
    pub(super) address: Option<Address>,
    pub(super) begun: Time,
    pub(super) ended: Option<(OutcomeKind, Option<u16>, Time)>,
}

impl Tracing {
    /// Another try begins.
    pub(crate) fn begin_try(&mut self, permit: &Permit) {
        self.try_id = new_span();
        if self.sampled {
            let server = permit.server();
            self.tries.push(Try {
                span_id: self.try_id,
                server: server.id().name().to_owned(),
                address: server.addresses().first().cloned(),
                begun: permit.picked_at(),
                ended: None,
            });
        }
    }

    /// The try has ended so.
    pub(crate) fn end_try(&mut self, kind: OutcomeKind, status: Option<u16>, now: Time) {
        if let Some(last) = self.tries.last_mut() {
            last.ended = Some((kind, status, now));
        }
    }

    /// Writes the line that tells a server where it stands.
    pub(crate) fn write_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"traceparent: 00-");
        context::hex(out, &self.trace_id);
        out.push(b'-');
        context::hex(out, &self.try_id);
        out.extend_from_slice(if self.sampled { b"-01\r\n" } else { b"-00\r\n" });
    }

    /// Writes the trace's id.
    pub(crate) fn write_id(&self, out: &mut Vec<u8>) {
        context::hex(out, &self.trace_id);
    }
}

/// A span's id is any number but zero.
pub(super) fn new_span() -> [u8; 8] {
    fastrand::u64(1..).to_be_bytes()
}
