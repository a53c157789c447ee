//! The body of a response that is compressed: from the server into the press, and from there to the client.

use std::task::{Context, Poll, ready};

use super::Exchange;
use super::answer::values;
use crate::compress::{Press, Recoding, Step};
use crate::http1::framing::BodyLength;
use crate::http1::request::MethodKind;
use crate::trouble::Trouble;

impl Exchange<'_> {
    /// What becomes of the response whose head is the first `length` bytes from the server, if it is one that is compressed
    /// or could be.
    pub(super) fn recoding(&self, length: usize) -> Option<Recoding> {
        let desk = &*self.parties.desk;
        let route = self.parties.tries.route()?;
        // Messages of gRPC are compressed one by one, by who sends them.
        let rule = route.rules.compress.as_ref().filter(|_| desk.call.is_none())?;
        let head = &self.from_server.filled()[..length];
        let edits = &route.response_edits;
        let say = |out: &mut Vec<u8>| {
            let server = self.permit.as_ref().map(|permit| permit.server().id());
            let values = values((&desk.head, &desk.request), self.parties.facts, &desk.entry.id, route, server);
            edits.write(out, &values, |_| false);
        };
        let bodiless = desk.request.method_kind == MethodKind::Head;
        Recoding::of((head, &desk.response), (rule, desk.wish), bodiless, (edits, say))
    }

    /// From now on the body, which comes as `source`, is compressed as `recoding` says. What has come of it is taken in, so
    /// that a short one leaves with the head.
    pub(super) fn begin_press(&mut self, source: BodyLength, recoding: &Recoding) -> Result<(), Trouble> {
        let Some(coding) = recoding.coding else { return Ok(()) };
        let press = Press::new(source, (coding, recoding.length), &self.parties.worker.buffers);
        let press = self.press.insert(press.map_err(Trouble::ServerWrong)?);
        press.run(&mut self.from_server, &mut self.receiving).map_err(Trouble::ServerWrong)?;
        self.settle_pressed();
        if let Some(press) = &mut self.press {
            self.receiving.join_small(&mut self.parties.desk.to_client, &mut press.output);
        }
        Ok(())
    }

    /// Ends the server's part once the last byte of the body has been read, however much of it is still to be compressed.
    fn settle_pressed(&mut self) {
        if self.server.is_some() && self.press.as_ref().is_some_and(|press| press.source_ended()) {
            self.settle(self.parties.worker.now());
        }
    }

    /// Reads and stages more of a body that is compressed. What is staged is written before the next call.
    pub(super) fn poll_pressed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        loop {
            let Some(press) = &mut self.press else { return Poll::Ready(Ok(())) };
            let step = press.run(&mut self.from_server, &mut self.receiving).map_err(Trouble::ServerWrong)?;
            self.settle_pressed();
            match step {
                Step::Staged => return Poll::Ready(Ok(())),
                Step::Rest => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Step::Input => ready!(self.poll_press_input(cx))?,
            }
        }
    }

    /// Reads more for the press. When the server has nothing more to say for now, the client gets all that it has said.
    fn poll_press_input(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        match self.poll_from_server(cx) {
            Poll::Pending if self.press.as_mut().is_some_and(|press| press.pause()) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0)) if self.close_response() => Poll::Ready(Ok(())),
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(self.broken_off())),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
        }
    }
}
