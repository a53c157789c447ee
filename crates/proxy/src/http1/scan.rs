//! Finding the end of a head that comes in pieces, each byte looked at once.
//!
//! Most heads come whole, and for them the parser finds the end itself. Asking it again at every piece would let
//! a client that sends single bytes cost the square of what it sends.

use super::Reject;
use super::fields::BARE_LF;

/// Where the search for the empty line stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    line_start: usize,
    scanned: usize,
}

impl Scan {
    /// Has `parse` read the head at the front of `bytes` when it may be whole. Returns its length once it is.
    ///
    /// `bytes` must begin with what was given the last time.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        bare_lf: bool,
        parse: impl FnOnce(&[u8]) -> Result<Option<usize>, Reject>,
    ) -> Result<Option<usize>, Reject> {
        let in_pieces = self.scanned > 0;
        if in_pieces && self.head_length(bytes, bare_lf)?.is_none() {
            return Ok(None);
        }
        match parse(bytes)? {
            None if in_pieces || self.head_length(bytes, bare_lf)?.is_some() => {
                Err(Reject::bad("the head is not complete where it ends"))
            }
            length => Ok(length),
        }
    }

    /// The length of the head at the front of `bytes`, with its empty line, once that is there.
    ///
    /// Empty lines in front of a request are the caller's to skip. A line end is CRLF (RFC 9112, section 2.2); a bare LF only with `bare_lf`.
    fn head_length(&mut self, bytes: &[u8], bare_lf: bool) -> Result<Option<usize>, Reject> {
        let scanned = std::mem::replace(&mut self.scanned, bytes.len());
        for found in memchr::memchr_iter(b'\n', &bytes[scanned..]) {
            let end = scanned + found;
            let line = &bytes[self.line_start..end];
            let empty = match line.split_last() {
                Some((b'\r', before)) => before.is_empty(),
                _ if bare_lf => line.is_empty(),
                _ => return Err(BARE_LF),
            };
            if empty {
                return Ok(Some(end + 1));
            }
            self.line_start = end + 1;
        }
        Ok(None)
    }

    /// The first line is not complete yet.
    pub(crate) fn in_first_line(&self) -> bool {
        self.line_start == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_empty_line_however_the_bytes_are_cut() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let bytes = [head.as_slice(), b"body\r\n\r\n"].concat();
        for cut in 0..bytes.len() {
            let mut scan = Scan::default();
            let early = scan.head_length(&bytes[..cut], false).unwrap();
            assert_eq!(early, (cut >= head.len()).then_some(head.len()));
            if early.is_none() {
                assert_eq!(scan.head_length(&bytes, false).unwrap(), Some(head.len()), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_bare_lf_ends_a_line_only_where_accepted() {
        assert!(Scan::default().head_length(b"GET / HTTP/1.1\nHost: a\n\n", false).is_err());
        assert_eq!(Scan::default().head_length(b"GET / HTTP/1.1\nHost: a\n\n", true).unwrap(), Some(24));
    }
}
