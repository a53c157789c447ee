//! Looks at the frames of a client before the library does, for what that overlooks or calls by another name: settings come
//! first (RFC 9113, section 3.4), and a frame of a wrong length is an error of that name (sections 4.2 and 6).

use h2::Reason;

/// What a client that speaks HTTP/2 by prior knowledge sends first (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER: usize = 9;

const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 0x1;
const PADDED: u8 = 0x8;
const WITH_PRIORITY: u8 = 0x20;

/// Where in its frames a connection is.
#[derive(Debug)]
pub(super) struct Guard {
    /// As much as has come of the next frame's header.
    header: [u8; HEADER],
    come: usize,
    /// Bytes to come before that: what is left of a frame, or of the preface.
    before: usize,
    begun: bool,
}

impl Guard {
    pub(super) fn new() -> Self {
        Self { header: [0; HEADER], come: 0, before: PREFACE.len(), begun: false }
    }

    /// Looks at what has come next. The error tells how many bytes of it stand before the frame that is wrong, and why it is.
    pub(super) fn look(&mut self, bytes: &[u8]) -> Result<(), (usize, Reason)> {
        let mut at = 0;
        loop {
            let passed = self.before.min(bytes.len() - at);
            at += passed;
            self.before -= passed;
            let begin = at;
            let count = (HEADER - self.come).min(bytes.len() - at);
            self.header[self.come..self.come + count].copy_from_slice(&bytes[at..at + count]);
            self.come += count;
            at += count;
            if self.come < HEADER {
                return Ok(());
            }
            self.come = 0;
            self.before = self.judge().map_err(|reason| (begin, reason))?;
        }
    }

    /// Judges a frame by its header, and tells how long what follows is.
    fn judge(&mut self) -> Result<usize, Reason> {
        let [high, middle, low, kind, flags, ..] = self.header;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if !std::mem::replace(&mut self.begun, true) && (kind != SETTINGS || flags & ACK != 0) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let right = match kind {
            HEADERS => length >= usize::from(flags & PADDED != 0) + if flags & WITH_PRIORITY != 0 { 5 } else { 0 },
            PRIORITY => length == 5,
            RST_STREAM | WINDOW_UPDATE => length == 4,
            SETTINGS if flags & ACK != 0 => length == 0,
            SETTINGS => length.is_multiple_of(6),
            PING => length == 8,
            GOAWAY => length >= 8,
            _ => true,
        };
        if right { Ok(length) } else { Err(Reason::FRAME_SIZE_ERROR) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS_FRAME: &[u8] = &[0, 0, 6, SETTINGS, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9];
    const PING_FRAME: &[u8] = &[0, 0, 8, PING, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const SHORT_PING: &[u8] = &[0, 0, 7, PING, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7];

    #[test]
    fn however_the_bytes_come_the_frame_that_is_wrong_is_found() {
        let right = [PREFACE, SETTINGS_FRAME, PING_FRAME].concat();
        let all = [&right, SHORT_PING].concat();
        assert_eq!(Guard::new().look(&right), Ok(()));
        assert_eq!(Guard::new().look(&all), Err((right.len(), Reason::FRAME_SIZE_ERROR)));
        for cut in 1..right.len() {
            let mut guard = Guard::new();
            assert_eq!(guard.look(&all[..cut]), Ok(()));
            assert_eq!(guard.look(&all[cut..]), Err((right.len() - cut, Reason::FRAME_SIZE_ERROR)), "{cut}");
        }
        let mut guard = Guard::new();
        let found = all.iter().position(|byte| guard.look(&[*byte]).is_err());
        assert_eq!(found, Some(right.len() + HEADER - 1));
    }

    #[test]
    fn settings_come_first() {
        assert_eq!(Guard::new().look(&[PREFACE, PING_FRAME].concat()), Err((PREFACE.len(), Reason::PROTOCOL_ERROR)));
    }
}
