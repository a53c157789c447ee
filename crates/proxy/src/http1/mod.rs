//! HTTP/1.1 on the wire: heads, framing, bodies. Nothing here waits or owns a socket.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod chunked;
pub(crate) mod cookies;
pub(crate) mod edits;
pub(crate) mod encoding;
pub(crate) mod fields;
pub(crate) mod forwarding;
pub(crate) mod framing;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod scan;
pub(crate) mod target;
pub(crate) mod trailers;
pub(crate) mod variables;
pub(crate) mod write;

/// Why a message is refused: the status for the client when the fault is the client's, and one sentence for
/// whoever reads the answer. When the message came from a server, the client gets 502 instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
}

impl Reject {
    /// 400 with this reason.
    pub(crate) const fn bad(reason: &'static str) -> Self {
        Self { status: 400, reason }
    }
}

/// A part of a head: offsets into its bytes, so that a head can be kept without borrowing them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The span of `part`, which lies inside `whole`.
    pub(crate) fn of(whole: &[u8], part: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        debug_assert!(start + part.len() <= whole.len(), "the part lies outside of the whole");
        Self { start: start as u32, end: (start + part.len()) as u32 }
    }

    pub(crate) fn start(self) -> usize {
        self.start as usize
    }

    pub(crate) fn end(self) -> usize {
        self.end as usize
    }

    /// The bytes it covers; empty when `whole` is not what it was taken from.
    pub(crate) fn slice(self, whole: &[u8]) -> &[u8] {
        whole.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;

/// Appends `number` in decimal digits to `out`. It stands in every line of a log, and the formatting machinery takes
/// several times as long.
pub(crate) fn decimal(out: &mut Vec<u8>, number: u64) {
    /// As many digits as any number of 64 bits has.
    const MOST: usize = 20;
    let (mut digits, mut start, mut rest) = ([0; MOST], MOST, number);
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends `parts` to `out`.
fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}
