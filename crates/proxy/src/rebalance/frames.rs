//! Where frames begin and end in one direction of a tunnel. Only their heads are looked at; nothing is kept of what is in
//! them.

/// The longest head of a frame: that of a `WebSocket` with a mask and a length of eight bytes.
const LONGEST_HEAD: usize = 14;

/// The head of a frame of HTTP/2 (RFC 9113, section 4.1).
const HTTP2_HEAD: usize = 9;

/// How a client of HTTP/2 begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The frames of one direction, as far as they have gone through.
#[derive(Debug)]
pub(crate) struct Frames {
    kind: Kind,
    head: [u8; LONGEST_HEAD],
    /// How much of a head is there.
    length: usize,
    /// Bytes of the frame that are still to come.
    rest: u64,
    /// The frame belongs together with the next one.
    goes_on: bool,
    /// There was a frame that ends the conversation.
    closed: bool,
    any: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    WebSocket,
    Http2,
}

impl Frames {
    pub(crate) fn web_socket() -> Self {
        Self::new(Kind::WebSocket)
    }

    pub(crate) fn http2() -> Self {
        Self::new(Kind::Http2)
    }

    fn new(kind: Kind) -> Self {
        Self { kind, head: [0; LONGEST_HEAD], length: 0, rest: 0, goes_on: false, closed: false, any: false }
    }

    /// Whether a frame of our own may stand here. Between the fragments of a message one that controls may
    /// (RFC 6455, section 5.4).
    pub(crate) fn between(&self) -> bool {
        self.length == 0 && self.rest == 0
    }

    /// The same where a frame of headers must be followed by the rest of them (RFC 9113, section 6.10), and nothing may come
    /// before the first settings.
    pub(crate) fn between_streams(&self) -> bool {
        self.between() && !self.goes_on && self.any
    }

    /// Whether a close frame of a `WebSocket` has gone through, whole.
    pub(crate) fn closed(&self) -> bool {
        self.closed && self.between()
    }

    /// These bytes went through.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) {
        loop {
            let skipped = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len());
            bytes = &bytes[skipped..];
            self.rest -= skipped as u64;
            if bytes.is_empty() {
                return;
            }
            let taken = (self.needed() - self.length).min(bytes.len());
            self.head[self.length..self.length + taken].copy_from_slice(&bytes[..taken]);
            self.length += taken;
            bytes = &bytes[taken..];
            // What is needed may be more once the first bytes are known.
            if self.length == self.needed() {
                self.begin();
            }
        }
    }

    /// How long the head is, as far as it can be told.
    fn needed(&self) -> usize {
        match self.kind {
            Kind::Http2 => HTTP2_HEAD,
            Kind::WebSocket if self.length < 2 => 2,
            Kind::WebSocket => {
                let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
                mask + match self.head[1] & 0x7F {
                    126 => 4,
                    127 => 10,
                    _ => 2,
                }
            }
        }
    }

    /// A head is whole.
    fn begin(&mut self) {
        const CLOSE: u8 = 8;
        const HEADERS: [u8; 3] = [1, 5, 9];
        const END_HEADERS: u8 = 4;
        let whole = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let head = &self.head;
        match self.kind {
            Kind::Http2 => {
                self.rest = whole(&head[..3]);
                self.goes_on = HEADERS.contains(&head[3]) && head[4] & END_HEADERS == 0;
            }
            Kind::WebSocket => {
                self.rest = match head[1] & 0x7F {
                    126 => whole(&head[2..4]),
                    127 => whole(&head[2..10]),
                    short => short.into(),
                };
                self.closed |= head[0] & 0x0F == CLOSE;
            }
        }
        self.length = 0;
        self.any = true;
    }
}

/// Whether a client began as one of HTTP/2 does.
#[derive(Debug, Default)]
pub(crate) struct Preface {
    matched: usize,
    differs: bool,
}

impl Preface {
    pub(crate) fn follow(&mut self, bytes: &[u8]) {
        let expected = &PREFACE[self.matched..];
        let count = expected.len().min(bytes.len());
        if self.differs || bytes[..count] != expected[..count] {
            self.differs = true;
        } else {
            self.matched += count;
        }
    }

    pub(crate) fn seen(&self) -> bool {
        self.matched == PREFACE.len() && !self.differs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with so much in it.
    fn frame(opcode: u8, masked: bool, length: usize) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![opcode];
        match length {
            0..=125 => bytes.push(mask | length as u8),
            126..=0xFFFF => {
                bytes.push(mask | 0x7e);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 0x7f);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(if masked { &[0x88; 4][..] } else { &[] });
        bytes.resize(bytes.len() + length, 0x88);
        bytes
    }

    #[test]
    fn the_ends_of_web_socket_frames_are_found_however_they_come() {
        let shapes = [(0x81, false, 0), (0x82, true, 5), (0x01, false, 126), (0x80, true, 70_000), (0x89, false, 125)];
        let frames = shapes.map(|(opcode, masked, length)| frame(opcode, masked, length));
        let all = frames.concat();
        let mut ends = vec![0];
        for frame in &frames {
            ends.push(ends[ends.len() - 1] + frame.len());
        }
        for step in [1, 2, 3, 7, 64, 4096] {
            let (mut followed, mut at) = (Frames::web_socket(), 0);
            for piece in all.chunks(step) {
                assert_eq!(followed.between(), ends.contains(&at), "at {at} by {step}");
                followed.follow(piece);
                at += piece.len();
            }
            assert!(followed.between() && !followed.closed());
        }
    }

    #[test]
    fn a_close_frame_is_known_once_it_is_whole() {
        let close = frame(0x88, true, 2);
        let mut followed = Frames::web_socket();
        for byte in &close {
            assert!(!followed.closed());
            followed.follow(&[*byte]);
        }
        assert!(followed.closed());
    }

    #[test]
    fn no_frame_may_stand_within_headers_of_http2_nor_before_all_others() {
        let mut followed = Frames::http2();
        assert!(!followed.between_streams(), "the first is the server's settings");
        followed.follow(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
        assert!(followed.between_streams());
        followed.follow(&[0, 0, 2, 1, 0, 0, 0, 0, 1, 7]);
        assert!(!followed.between());
        followed.follow(&[7]);
        assert!(followed.between() && !followed.between_streams(), "the headers go on");
        followed.follow(&[0, 0, 1, 9, 4, 0, 0, 0, 1, 7]);
        assert!(followed.between_streams());
    }

    #[test]
    fn a_client_of_http2_is_told_by_how_it_begins() {
        let (mut whole, mut other) = (Preface::default(), Preface::default());
        PREFACE.chunks(5).for_each(|piece| whole.follow(piece));
        whole.follow(b"more");
        assert!(whole.seen());
        other.follow(b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n");
        other.follow(PREFACE);
        assert!(!other.seen());
    }
}
