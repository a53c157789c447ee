//! Byte buffers and the free list they come from.
//!
//! A connection holds a buffer only while bytes are in it: it leases one when its socket has something to
//! read and hands it back when the last byte is gone. Each worker has its own list, so a lease takes no lock,
//! and the buffer handed out is the one used last, which is still in the processor's cache.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::counts::Counts;
use crate::wire::Wire;

/// Measured: against 64 KiB, a 1 MiB response costs a third less CPU, as each system call moves more; it still fits a
/// 1 MiB second-level cache together with the kernel's copy.
pub(crate) const LARGE: usize = 256 * 1024;

/// Free buffers kept for reuse, of each size; what comes back beyond that is freed.
const HEADS_KEPT: usize = 128;
const LARGE_KEPT: usize = 32;

/// Which of the two sizes a lease asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// One head fits, no more.
    Head,
    /// For bodies.
    Large,
}

/// A worker's free list.
pub(crate) struct Buffers {
    head_bytes: Cell<usize>,
    heads: RefCell<Vec<Box<[u8]>>>,
    large: RefCell<Vec<Box<[u8]>>>,
    counts: Arc<Counts>,
}

impl Buffers {
    /// A list whose `Size::Head` buffers hold `head_bytes`.
    pub(crate) fn new(head_bytes: usize, counts: Arc<Counts>) -> Rc<Self> {
        Rc::new(Self {
            head_bytes: Cell::new(head_bytes),
            heads: RefCell::new(Vec::with_capacity(HEADS_KEPT)),
            large: RefCell::new(Vec::with_capacity(LARGE_KEPT)),
            counts,
        })
    }

    /// From now on `Size::Head` buffers hold `head_bytes`. Those leased before keep their size until they come back.
    pub(crate) fn resize(&self, head_bytes: usize) {
        self.head_bytes.set(head_bytes);
        for size in [Size::Head, Size::Large] {
            self.list(size).borrow_mut().retain(|bytes| bytes.len() == self.bytes(size));
        }
    }

    fn list(&self, size: Size) -> &RefCell<Vec<Box<[u8]>>> {
        match size {
            Size::Head => &self.heads,
            Size::Large => &self.large,
        }
    }

    fn bytes(&self, size: Size) -> usize {
        match size {
            Size::Head => self.head_bytes.get(),
            Size::Large => LARGE.max(self.head_bytes.get()),
        }
    }

    fn take(&self, size: Size) -> Box<[u8]> {
        let kept = self.list(size).borrow_mut().pop();
        kept.unwrap_or_else(|| vec![0; self.bytes(size)].into_boxed_slice())
    }

    fn give(&self, size: Size, bytes: Box<[u8]>) {
        let mut list = self.list(size).borrow_mut();
        let kept = match size {
            Size::Head => HEADS_KEPT,
            Size::Large => LARGE_KEPT,
        };
        if list.len() < kept && bytes.len() == self.bytes(size) {
            list.push(bytes);
        }
    }
}

/// Bytes read and not yet used: `bytes[start..end]`. Holds no memory while empty.
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    size: Size,
    home: Rc<Buffers>,
    /// Bytes ever read.
    read: u64,
    /// Where `read` stood when [`Buffer::holds_earlier`] was first asked.
    mark: Option<u64>,
    /// What is read is counted as read from clients.
    from_client: bool,
}

impl Buffer {
    /// An empty buffer that will lease its memory from `home`.
    pub(crate) fn new(home: &Rc<Buffers>, size: Size) -> Self {
        let (bytes, home) = (Box::default(), Rc::clone(home));
        Self { bytes, start: 0, end: 0, size, home, read: 0, mark: None, from_client: false }
    }

    /// The same for what comes from a client: room for a head, and all that is read is counted.
    pub(crate) fn for_client(home: &Rc<Buffers>) -> Self {
        let mut buffer = Self::new(home, Size::Head);
        buffer.from_client = true;
        buffer
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Drops the first `count` filled bytes; an emptied buffer gives its memory back.
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start, "consumed more than was filled");
        self.start += count;
        if self.start >= self.end {
            self.release();
        }
    }

    /// Forgets what is in it and gives the memory back.
    pub(crate) fn release(&mut self) {
        self.start = 0;
        self.end = 0;
        if !self.bytes.is_empty() {
            self.home.give(self.size, std::mem::take(&mut self.bytes));
        }
    }

    /// From now on, leases of the large size. What is in it moves along.
    pub(crate) fn grow(&mut self) {
        if self.size == Size::Large {
            return;
        }
        if !self.is_empty() {
            self.move_to(Size::Large);
        }
        self.release_if_empty();
        self.size = Size::Large;
    }

    /// Moves what is in it to a new lease of `size`, which holds that much.
    fn move_to(&mut self, size: Size) {
        let mut bytes = self.home.take(size);
        let length = self.end - self.start;
        bytes[..length].copy_from_slice(self.filled());
        self.release();
        self.bytes = bytes;
        self.end = length;
    }

    /// Whether anything is left of what had been read when this was first asked.
    pub(crate) fn holds_earlier(&mut self) -> bool {
        let mark = *self.mark.get_or_insert(self.read);
        self.read - (self.filled().len() as u64) < mark
    }

    fn release_if_empty(&mut self) {
        if self.is_empty() {
            self.release();
        }
    }

    /// No further byte fits.
    pub(crate) fn is_full(&self) -> bool {
        self.end - self.start == self.bytes.len() && !self.bytes.is_empty()
    }

    /// Where buffers have become larger since it was leased, it gets one of the size of now.
    fn renew(&mut self) {
        if self.bytes.len() < self.home.bytes(self.size) {
            self.move_to(self.size);
        }
    }

    /// Has `write` fill what is free in it, of which there must be some; it returns how much that was, and what else it has to
    /// tell.
    pub(crate) fn fill_by<T>(&mut self, write: impl FnOnce(&mut [u8]) -> (usize, T)) -> T {
        if self.bytes.is_empty() {
            self.bytes = self.home.take(self.size);
        }
        let (count, told) = write(&mut self.bytes[self.end..]);
        self.end += count;
        self.release_if_empty();
        told
    }

    /// Reads what `wire` has, once. `Ok(0)` is the end of the stream.
    ///
    /// Waits without holding memory: the lease is taken when there is something to read.
    /// Must not be called on a full buffer, unless heads may have become larger since it was leased.
    pub(crate) fn poll_fill(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.bytes.is_empty() {
            ready!(wire.poll_read_ready(cx))?;
            self.bytes = self.home.take(self.size);
        } else if self.start > 0 && self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        } else if self.end == self.bytes.len() {
            self.renew();
        }
        debug_assert!(!self.is_full(), "a read into a full buffer looks like the end of the stream");
        // `poll_read` rather than `try_read`: after a short read it knows without a further system call
        // that the socket is empty.
        let mut unfilled = ReadBuf::new(&mut self.bytes[self.end..]);
        let result = Pin::new(wire).poll_read(cx, &mut unfilled);
        let count = unfilled.filled().len();
        self.end += count;
        self.read += count as u64;
        if self.from_client {
            self.home.counts.from_clients.add(count as u64);
        }
        self.release_if_empty();
        result.map_ok(|()| count)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(home: &Rc<Buffers>, text: &[u8]) -> Buffer {
        let mut buffer = Buffer::new(home, Size::Head);
        buffer.bytes = home.take(Size::Head);
        buffer.bytes[..text.len()].copy_from_slice(text);
        buffer.end = text.len();
        buffer
    }

    #[test]
    fn an_emptied_buffer_gives_its_memory_back() {
        let home = Buffers::new(64, Arc::default());
        let mut buffer = filled(&home, b"abc");
        buffer.consume(2);
        assert_eq!(buffer.filled(), b"c");
        assert_eq!(home.heads.borrow().len(), 0);
        buffer.consume(1);
        assert!(buffer.is_empty() && buffer.bytes.is_empty());
        assert_eq!(home.heads.borrow().len(), 1);
    }

    #[test]
    fn growing_keeps_what_is_in_it() {
        let home = Buffers::new(64, Arc::default());
        let mut buffer = filled(&home, b"abcdef");
        buffer.consume(2);
        buffer.grow();
        assert_eq!(buffer.filled(), b"cdef");
        assert_eq!(buffer.bytes.len(), LARGE);
        drop(buffer);
        assert_eq!((home.heads.borrow().len(), home.large.borrow().len()), (1, 1));
    }

    #[test]
    fn the_free_list_is_bounded() {
        let home = Buffers::new(64, Arc::default());
        for _ in 0..2 * HEADS_KEPT {
            home.give(Size::Head, vec![0; 64].into_boxed_slice());
        }
        assert_eq!(home.heads.borrow().len(), HEADS_KEPT);
    }

    #[test]
    fn buffers_of_another_size_are_not_kept_and_what_they_hold_moves_when_more_is_to_fit() {
        let home = Buffers::new(4, Arc::default());
        let (mut buffer, other) = (filled(&home, b"abcd"), filled(&home, b"efgh"));
        home.give(Size::Head, home.take(Size::Head));
        home.resize(8);
        assert_eq!(home.heads.borrow().len(), 0);
        drop(other);
        assert_eq!(home.heads.borrow().len(), 0);
        buffer.renew();
        assert_eq!((buffer.filled(), buffer.bytes.len()), (&b"abcd"[..], 8));
        home.resize(4);
        buffer.renew();
        assert_eq!((buffer.filled(), buffer.bytes.len()), (&b"abcd"[..], 8));
        drop(buffer);
        assert_eq!(home.heads.borrow().len(), 0);
        assert_eq!(home.take(Size::Head).len(), 4);
    }
}
