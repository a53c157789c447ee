//! The answer of a server to what was sent, in a protocol nobody here knows: it must match a pattern.

use plimsoll_config::Pattern;

use super::failure::{Closed, Failure};

/// Bytes that are searched again and again as more come, so that a match is seen with its last byte. A server that sends
/// single bytes could otherwise have the square of the limit searched; it gets 1400 of them looked at one by one.
const SEARCHED_EAGERLY: usize = 1 << 20;

/// An answer as far as it has come.
pub(super) struct ExchangeAnswer<'a> {
    expect: &'a Pattern,
    limit: usize,
    seen: Vec<u8>,
    /// How much had come at the last search.
    looked_at: usize,
    /// All that was ever searched.
    searched: usize,
}

impl<'a> ExchangeAnswer<'a> {
    /// Nothing so far of an answer whose first `limit` bytes must hold a match of `expect`.
    pub(super) fn new(expect: &'a Pattern, limit: usize) -> Self {
        Self { expect, limit, seen: Vec::new(), looked_at: 0, searched: 0 }
    }

    /// Whether anything has come.
    pub(super) fn began(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Takes in what has come. `true`: it passes and nothing more is needed.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<bool, Failure> {
        let room = self.limit - self.seen.len();
        self.seen.extend_from_slice(&piece[..piece.len().min(room)]);
        let full = self.seen.len() == self.limit;
        // Once the eager searches are used up, one at each doubling: all together they cost twice the limit.
        if !full && self.searched >= SEARCHED_EAGERLY && self.seen.len() < self.looked_at * 2 {
            return Ok(false);
        }
        self.looked_at = self.seen.len();
        self.searched += self.seen.len();
        if self.expect.is_match(&self.seen) {
            return Ok(true);
        }
        if full { Err(Failure::Unexpected) } else { Ok(false) }
    }

    /// The server closes.
    pub(super) fn close(&self) -> Result<(), Failure> {
        if self.looked_at < self.seen.len() && self.expect.is_match(&self.seen) {
            return Ok(());
        }
        Err(if self.began() { Failure::Unexpected } else { Failure::Closed(Closed::BeforeAnswer) })
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_config::Check;

    use super::super::tests::rule;
    use super::*;

    fn with_pattern<T>(expect: &str, test: impl FnOnce(&Pattern) -> T) -> T {
        let Check::Exchange { expect, .. } = rule(&format!("expect = '{expect}'")).check else {
            panic!("not an exchange")
        };
        test(&expect)
    }

    #[test]
    fn single_bytes_do_not_cost_the_square_of_the_limit() {
        const MANY: usize = 1 << 20;
        with_pattern("b", |expect| {
            let mut answer = ExchangeAnswer::new(expect, MANY);
            for _ in 1..MANY {
                assert!(!answer.take(b"a").unwrap());
            }
            assert!(answer.searched <= SEARCHED_EAGERLY + 3 * MANY, "{}", answer.searched);
            assert!(answer.take(b"b").unwrap(), "the last byte that counts is looked at");
        });
    }

    #[test]
    fn what_has_not_been_searched_yet_is_when_the_server_closes() {
        with_pattern("b$", |expect| {
            let mut answer = ExchangeAnswer::new(expect, 1 << 20);
            while answer.searched < SEARCHED_EAGERLY {
                assert!(!answer.take(b"a").unwrap());
            }
            assert!(!answer.take(b"b").unwrap());
            assert!(answer.close().is_ok());
        });
    }

    #[test]
    fn what_is_beyond_the_limit_does_not_count() {
        with_pattern("b", |expect| {
            assert!(ExchangeAnswer::new(expect, 3).take(b"aaab").is_err());
            assert!(ExchangeAnswer::new(expect, 4).take(b"aaab").unwrap());
        });
    }
}
