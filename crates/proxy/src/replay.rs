//! What of a request's body has been read, kept so that it can be sent again.

use std::io::Write as _;

use crate::http1::framing::BodyLength;

/// A bounded copy of a body.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    bytes: Vec<u8>,
    limit: usize,
    /// Something of the body was not kept, so it cannot be sent again.
    lost: bool,
}

impl Replay {
    /// Begins with a new request whose body is `body` long, of which up to `limit` bytes are kept.
    pub(crate) fn begin(&mut self, body: BodyLength, limit: usize) {
        self.bytes.clear();
        self.lost = false;
        // Not a byte of one that is too long is copied in vain.
        let too_long = matches!(body, BodyLength::Known(length) if length > limit as u64);
        self.limit = if too_long { 0 } else { limit };
    }

    /// Keeps what was read next; `whole` says that nothing was left out.
    pub(crate) fn keep(&mut self, read: &[u8], whole: bool) {
        if self.lost || (whole && read.is_empty()) {
            return;
        }
        if !whole || read.len() > self.limit - self.bytes.len() {
            self.lost = true;
            self.bytes.clear();
            return;
        }
        self.bytes.extend_from_slice(read);
    }

    /// Whether all that has been read is here.
    pub(crate) fn complete(&self) -> bool {
        !self.lost
    }

    /// How much has been read, if all of it is here.
    pub(crate) fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// What this holds in memory.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Writes what has been read to `out`, framed as `body` asks; `ended` says that nothing more comes.
    pub(crate) fn write(&self, out: &mut Vec<u8>, body: BodyLength, ended: bool) {
        let chunked = body == BodyLength::Chunked;
        if chunked && !self.bytes.is_empty() {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{:x}\r\n", self.bytes.len());
        }
        out.extend_from_slice(&self.bytes);
        if chunked && !self.bytes.is_empty() {
            out.extend_from_slice(b"\r\n");
        }
        if chunked && ended {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(replay: &Replay, body: BodyLength, ended: bool) -> String {
        let mut out = Vec::new();
        replay.write(&mut out, body, ended);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_read_is_written_in_the_framing_of_the_body() {
        let mut replay = Replay::default();
        replay.begin(BodyLength::Chunked, 20);
        assert_eq!(written(&replay, BodyLength::Chunked, false), "");
        replay.keep(b"hello ", true);
        replay.keep(b"world", true);
        assert_eq!(written(&replay, BodyLength::Chunked, false), "b\r\nhello world\r\n");
        assert_eq!(written(&replay, BodyLength::Chunked, true), "b\r\nhello world\r\n0\r\n\r\n");
        assert_eq!(written(&replay, BodyLength::Known(11), true), "hello world");
    }

    #[test]
    fn a_body_past_the_limit_is_not_kept_at_all() {
        let mut replay = Replay::default();
        replay.begin(BodyLength::Known(11), 10);
        assert!(replay.complete(), "nothing of it has been read");
        replay.keep(b"h", true);
        assert!(!replay.complete());
        replay.begin(BodyLength::Chunked, 10);
        replay.keep(b"hello ", true);
        assert!(replay.complete());
        replay.keep(b"world", true);
        assert!(!replay.complete() && replay.length() == 0);
        replay.begin(BodyLength::Chunked, 10);
        assert!(replay.complete(), "the next request starts anew");
        replay.keep(b"x", false);
        assert!(!replay.complete(), "trailers are not kept");
    }
}
