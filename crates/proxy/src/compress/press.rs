//! The body of an answer on its way through an encoder: out of the server's buffer, into one of its own.

use std::rc::Rc;

use plimsoll_config::Algorithm;

use super::encoder::{Aim, Encoder};
use super::recoding;
use crate::buffer::{Buffer, Buffers, Size};
use crate::flow::{Flow, end_of};
use crate::http1::Reject;
use crate::http1::body::Body;
use crate::http1::framing::BodyLength;
use crate::wire::Wire;

/// Bytes that are taken in before others have their turn: at most about half a millisecond's work.
const TURN: usize = 32 * 1024;

/// With so much at hand the client gets it, though more could be made at once.
const ENOUGH: usize = 16 * 1024;

const BROKEN: Reject = Reject::bad("the body could not be compressed");

/// A body that is compressed.
pub(crate) struct Press {
    /// What is still to come from the server.
    source: Body,
    /// Bytes at the front of the server's buffer that are body and have not been taken in.
    body: usize,
    /// Bytes there that are used up once those are.
    used: usize,
    trailers: Vec<u8>,
    encoder: Encoder,
    aim: Aim,
    /// Something is in the encoder that did not come out.
    holds: bool,
    /// The last byte has come out.
    done: bool,
    /// Taken in since others had their turn.
    turn: usize,
    /// What is made, for the client.
    pub(crate) output: Buffer,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More of the body is needed.
    Input,
    /// Others have their turn.
    Rest,
    /// What is made is staged for the client.
    Staged,
}

impl Press {
    /// A press for the body that comes as `source`, `length` bytes where that is known.
    pub(crate) fn new(
        source: BodyLength,
        (coding, length): (Algorithm, Option<u64>),
        home: &Rc<Buffers>,
    ) -> Result<Box<Self>, Reject> {
        let encoder = Encoder::new(coding, length).map_err(|_| BROKEN)?;
        Ok(Box::new(Self {
            source: source.into(),
            body: 0,
            used: 0,
            trailers: Vec::new(),
            encoder,
            aim: Aim::Take,
            holds: false,
            done: false,
            turn: 0,
            output: Buffer::new(home, Size::Large),
        }))
    }

    /// Nothing more is to be read from the server.
    pub(crate) fn source_ended(&self) -> bool {
        self.source.ended()
    }

    /// Bytes at the front of the server's buffer that belong to the body.
    pub(crate) fn unread(&self) -> usize {
        self.used
    }

    /// The server, at `from`, has closed: whether the body may end there.
    pub(crate) fn close_source(&mut self, from: &mut Wire) -> bool {
        let Some(trailers) = end_of(from) else { return false };
        self.trailers = recoding::trailers(trailers);
        self.source.close()
    }

    /// Nothing more is at hand: what has been taken in comes out. Tells whether there is anything.
    pub(crate) fn pause(&mut self) -> bool {
        if self.holds {
            self.aim = Aim::Flush;
        }
        self.holds || !self.output.is_empty()
    }

    /// Takes in what `input` holds of the body, and stages in `flow` what comes of it.
    pub(crate) fn run(&mut self, input: &mut Buffer, flow: &mut Flow) -> Result<Step, Reject> {
        loop {
            if self.body == 0 && !self.source.ended() && !input.is_empty() {
                self.decode(input)?;
            }
            let room = self.output.filled().len() < ENOUGH;
            let waits = self.aim == Aim::Take && self.body == 0 && !self.source.ended();
            if self.done || !room || (waits && !self.holds && !self.output.is_empty()) {
                let end = self.done.then(|| std::mem::take(&mut self.trailers));
                flow.stage_made(&self.output, end);
                return Ok(Step::Staged);
            }
            if waits {
                return Ok(Step::Input);
            }
            if self.turn >= TURN {
                self.turn = 0;
                return Ok(Step::Rest);
            }
            self.encode(input)?;
        }
    }

    fn decode(&mut self, input: &mut Buffer) -> Result<(), Reject> {
        let (done, trailers) = self.source.decode(input.filled_mut())?;
        (self.body, self.used) = (done.produced, done.consumed);
        self.trailers = recoding::trailers(trailers);
        self.leave_used(input);
        Ok(())
    }

    /// Once all of the body at hand is taken in, what framed it goes too.
    fn leave_used(&mut self, input: &mut Buffer) {
        if self.body == 0 {
            input.consume(std::mem::take(&mut self.used));
        }
    }

    fn encode(&mut self, input: &mut Buffer) -> Result<(), Reject> {
        if self.aim == Aim::Take && self.body == 0 {
            self.aim = Aim::Finish;
        }
        let part = if self.aim == Aim::Take { &input.filled()[..self.body.min(TURN)] } else { &[] };
        let done = self.output.fill_by(|room| {
            let done = self.encoder.step(part, room, self.aim);
            (done.as_ref().map_or(0, |done| done.written), done)
        });
        let done = done.map_err(|_| BROKEN)?;
        self.turn += done.read;
        (self.body, self.used) = (self.body - done.read, self.used - done.read);
        input.consume(done.read);
        match self.aim {
            Aim::Take => {
                self.holds = true;
                if done.read > 0 {
                    self.leave_used(input);
                }
            }
            Aim::Flush if done.complete => (self.holds, self.aim) = (false, Aim::Take),
            Aim::Flush => {}
            Aim::Finish => self.done = done.complete,
        }
        Ok(())
    }
}
