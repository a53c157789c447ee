//! One direction of an exchange: body bytes from one connection to another, re-framed on the way.
//!
//! A flow takes turns: it stages what is in the buffer, writes all of it, then reads again. So at most one
//! buffer is held, and a receiver that does not read stops the sender.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::buffer::Buffer;
use crate::http1::Reject;
use crate::http1::body::Body;
use crate::http1::framing::BodyLength;
use crate::wire::Wire;

/// Room for the size line of a chunk: a buffer's length in hexadecimal and CRLF.
const SIZE_LINE: usize = 18;

/// A body up to this many bytes is copied behind its head.
const SMALL: usize = 2048;

/// One direction of an exchange.
#[derive(Debug)]
pub(crate) struct Flow {
    /// What is still to come from the sender.
    body: Body,
    /// The receiver gets chunks.
    chunks: bool,
    staged: Staged,
    /// The receiver's connection is closed right after the last byte.
    closing: bool,
    /// Bytes written to the receiver.
    pub(crate) written: u64,
}

/// What is to be written next: head, size line, data, suffix, trailers, in this order.
#[derive(Debug, Default)]
struct Staged {
    /// The head has not been written whole yet.
    head: bool,
    size_line: [u8; SIZE_LINE],
    size_line_length: usize,
    /// Bytes at the front of the buffer.
    data: usize,
    /// Bytes of the buffer that are used up once the data is written.
    consumed: usize,
    suffix: &'static [u8],
    trailers: Vec<u8>,
    /// Bytes of all these that are written.
    done: usize,
}

impl Flow {
    /// A flow that begins with a head and goes on with a body that comes as `from` and leaves as `to`.
    pub(crate) fn new(from: impl Into<Body>, to: BodyLength) -> Self {
        Self {
            body: from.into(),
            chunks: to == BodyLength::Chunked,
            staged: Staged { head: true, ..Staged::default() },
            closing: false,
            written: 0,
        }
    }

    /// The receiver's connection will be closed right after the last byte, so that may wait for the close.
    pub(crate) fn close_after(&mut self) {
        self.closing = true;
    }

    /// What is still to come from the sender.
    pub(crate) fn into_body(self) -> Body {
        self.body
    }

    /// Trailers are staged.
    pub(crate) fn has_trailers(&self) -> bool {
        !self.staged.trailers.is_empty()
    }

    /// The sender's part is over: nothing more is to be read.
    pub(crate) fn source_ended(&self) -> bool {
        self.body.ended()
    }

    /// Everything staged is written.
    pub(crate) fn flushed(&self) -> bool {
        let Staged { head, size_line_length, data, suffix, trailers, .. } = &self.staged;
        !head && *size_line_length == 0 && *data == 0 && suffix.is_empty() && trailers.is_empty()
    }

    /// Bytes of the buffer that belong to this flow and are not written yet.
    pub(crate) fn staged_input(&self) -> usize {
        self.staged.consumed
    }

    /// Stages what `input` holds of the body. Only to be called when nothing but a head is staged.
    ///
    /// Returns how many bytes of body that were.
    pub(crate) fn stage(&mut self, input: &mut Buffer) -> Result<usize, Reject> {
        if self.body.ended() || input.is_empty() {
            return Ok(0);
        }
        let (done, trailers) = self.body.decode(input.filled_mut())?;
        self.staged.data = done.produced;
        self.staged.consumed = done.consumed;
        if self.chunks {
            self.frame(done.ended, trailers);
        }
        if done.produced == 0 {
            input.consume(std::mem::take(&mut self.staged.consumed));
        }
        Ok(done.produced)
    }

    /// The sender has closed: whether the body may end there. What the receiver still needs is staged.
    pub(crate) fn close_source(&mut self) -> bool {
        let complete = self.body.close();
        if complete && self.chunks {
            self.frame(true, Vec::new());
        }
        complete
    }

    fn frame(&mut self, ended: bool, trailers: Vec<u8>) {
        let staged = &mut self.staged;
        if staged.data > 0 {
            let mut free: &mut [u8] = &mut staged.size_line;
            // A buffer's length always fits the size line.
            let _ = io::Write::write_fmt(&mut free, format_args!("{:x}\r\n", staged.data));
            staged.size_line_length = SIZE_LINE - free.len();
        }
        let plain_end = trailers.len() <= b"\r\n".len();
        staged.suffix = match (staged.data > 0, ended, plain_end) {
            (true, false, _) => b"\r\n",
            (true, true, true) => b"\r\n0\r\n\r\n",
            (true, true, false) => b"\r\n0\r\n",
            (false, true, true) => b"0\r\n\r\n",
            (false, true, false) => b"0\r\n",
            (false, false, _) => b"",
        };
        if !plain_end {
            staged.trailers = trailers;
        }
    }

    /// Moves a small staged body behind the head it belongs to, so that both leave in one plain write: copying a
    /// few cache lines costs less than a vectored system call.
    pub(crate) fn join_small(&mut self, head: &mut Vec<u8>, input: &mut Buffer) {
        let staged = &mut self.staged;
        if !staged.head || staged.done > 0 || staged.data > SMALL {
            return;
        }
        head.extend_from_slice(&staged.size_line[..staged.size_line_length]);
        head.extend_from_slice(&input.filled()[..staged.data]);
        head.extend_from_slice(staged.suffix);
        head.append(&mut staged.trailers);
        input.consume(staged.consumed);
        *staged = Staged { head: true, ..Staged::default() };
    }

    /// Writes all that is staged. `head` must be the same bytes until they are written.
    pub(crate) fn poll_flush(
        &mut self,
        head: &[u8],
        input: &mut Buffer,
        to: &mut Wire,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let staged = &mut self.staged;
        let last = self.closing && self.body.ended();
        loop {
            let written = {
                let mut parts = [IoSlice::new(&[]); 5];
                let count = staged.unwritten(head, input.filled(), &mut parts);
                match &parts[..count] {
                    [] => break,
                    [part] if last => ready!(to.poll_write_last(part, cx))?,
                    [part] => ready!(Pin::new(&mut *to).poll_write(cx, part))?,
                    parts => ready!(Pin::new(&mut *to).poll_write_vectored(cx, parts))?,
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            staged.done += written;
            self.written += written as u64;
        }
        ready!(Pin::new(to).poll_flush(cx))?;
        input.consume(staged.consumed);
        *staged = Staged::default();
        Poll::Ready(Ok(()))
    }
}

impl Staged {
    /// Puts what is left to write into `parts`, without empty ones; returns how many there are.
    fn unwritten<'a>(&'a self, head: &'a [u8], input: &'a [u8], parts: &mut [IoSlice<'a>; 5]) -> usize {
        let head = if self.head { head } else { &[] };
        let all = [head, &self.size_line[..self.size_line_length], &input[..self.data], self.suffix, &self.trailers];
        let (mut skip, mut count) = (self.done, 0);
        for part in all {
            let skipped = skip.min(part.len());
            skip -= skipped;
            if skipped < part.len() {
                parts[count] = IoSlice::new(&part[skipped..]);
                count += 1;
            }
        }
        count
    }
}
