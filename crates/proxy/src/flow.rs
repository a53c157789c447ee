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
use crate::http1::trailers;
use crate::http2::stream::Stream;
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
    framing: Framing,
    staged: Staged,
    /// The receiver's connection is closed right after the last byte.
    closing: bool,
    /// Bytes written to the receiver.
    pub(crate) written: u64,
}

/// How the receiver gets the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// As it is: its length or the end of the connection tells its end.
    Plain,
    Chunks,
    /// Frames of a stream of HTTP/2.
    Frames {
        /// Bytes of what is given as head that are the head; behind them stands the beginning of the body.
        head: usize,
        /// The stream goes on behind the message.
        open: bool,
    },
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
            framing: if to == BodyLength::Chunked { Framing::Chunks } else { Framing::Plain },
            staged: Staged { head: true, ..Staged::default() },
            closing: false,
            written: 0,
        }
    }

    /// The same towards `wire`, where the head has `head` bytes.
    pub(crate) fn to(mut self, wire: &Wire, head: usize) -> Self {
        if wire.is_stream() {
            self.framing = Framing::Frames { head, open: false };
        }
        self
    }

    /// The end of the message is not the end of what the receiver gets.
    pub(crate) fn leave_open(&mut self) {
        if let Framing::Frames { open, .. } = &mut self.framing {
            *open = true;
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

    /// The trailers that are staged, which end in an empty line; empty where there are none.
    pub(crate) fn trailers(&self) -> &[u8] {
        &self.staged.trailers
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
        self.frame(done.ended, trailers);
        if done.produced == 0 {
            input.consume(std::mem::take(&mut self.staged.consumed));
        }
        Ok(done.produced)
    }

    /// Stages all that is in `input`, which is body as it is; where nothing follows it, `end` are the trailers. Only to be
    /// called when nothing but a head is staged.
    pub(crate) fn stage_made(&mut self, input: &Buffer, end: Option<Vec<u8>>) {
        let count = input.filled().len();
        (self.staged.data, self.staged.consumed) = (count, count);
        if end.is_some() {
            self.body = Body::Ended;
        }
        self.frame(end.is_some(), end.unwrap_or_default());
    }

    /// The sender, at `from`, has closed: whether the body may end there. What the receiver still needs is staged.
    pub(crate) fn close_source(&mut self, from: &mut Wire) -> bool {
        let Some(trailers) = end_of(from) else { return false };
        let complete = self.body.close();
        if complete {
            self.frame(true, trailers);
        }
        complete
    }

    fn frame(&mut self, ended: bool, trailers: Vec<u8>) {
        let staged = &mut self.staged;
        match self.framing {
            Framing::Plain => return,
            Framing::Frames { .. } => {
                staged.trailers = if trailers.len() > b"\r\n".len() { trailers } else { Vec::new() };
                return;
            }
            Framing::Chunks => {}
        }
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
        if let Framing::Frames { .. } = self.framing {
            // Trailers stay where they are: they are no part of the body.
            head.extend_from_slice(&input.filled()[..std::mem::take(&mut staged.data)]);
            input.consume(std::mem::take(&mut staged.consumed));
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
        if let (Framing::Frames { head: length, open }, Some(stream)) = (self.framing, to.as_stream()) {
            ready!(self.poll_flush_frames((head, length), input, (stream, !open), cx))?;
            input.consume(self.staged.consumed);
            self.staged = Staged::default();
            return Poll::Ready(Ok(()));
        }
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

    /// Sends all that is staged as frames: the first `length` bytes of `head` as a head, what stands behind them and the
    /// staged data as data, then the end if it has come and `ends` the stream.
    fn poll_flush_frames(
        &mut self,
        (head, length): (&[u8], usize),
        input: &Buffer,
        (stream, ends): (&mut Stream, bool),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Staged { head: with_head, data, trailers, done, .. } = &mut self.staged;
        let (head, begun) = if *with_head { head.split_at(length.min(head.len())) } else { (&head[..0], &head[..0]) };
        let data = &input.filled()[..*data];
        let ends = ends && self.body.ended();
        let ends_with_data = ends && trailers.is_empty();
        if *with_head && *done < head.len() {
            stream.send_head(head, ends_with_data && begun.is_empty() && data.is_empty())?;
            *done = head.len();
            self.written += head.len() as u64;
        }
        loop {
            let sent = *done - head.len();
            let (part, last) = match sent.checked_sub(begun.len()) {
                None => (&begun[sent..], data.is_empty()),
                Some(sent) => (&data[sent..], true),
            };
            if part.is_empty() {
                break;
            }
            let count = ready!(stream.poll_send(part, ends_with_data && last, cx))?;
            *done += count;
            self.written += count as u64;
        }
        if ends {
            stream.send_end(trailers)?;
        }
        Poll::Ready(Ok(()))
    }
}

/// The trailers that came with the end of what `from` sent, written anew; empty where there are none, `None` where they are
/// not valid.
pub(crate) fn end_of(from: &mut Wire) -> Option<Vec<u8>> {
    let section = from.as_stream().and_then(Stream::take_trailers);
    section.map_or(Some(Vec::new()), |section| trailers::rewrite(&section).ok())
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
