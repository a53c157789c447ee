//! Chunked bodies (RFC 9112, section 7.1), decoded in place.

use super::Reject;

/// Bytes of chunk extensions allowed in a whole body. They carry nothing that anyone uses, and each byte of
/// them costs work that no body limit counts.
const MAX_EXTENSIONS: usize = 4096;

/// Bytes of the trailer section.
const MAX_TRAILERS: usize = 8192;

/// Digits of a chunk size: 16 hold every size of 64 bits, leading zeros beyond that have no honest use.
const MAX_SIZE_DIGITS: u8 = 16;

/// A decoder for one body.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    size: u64,
    digits: u8,
    extensions: usize,
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Ended,
}

/// What a call has done to its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Bytes of the input that are used up.
    pub(crate) consumed: usize,
    /// Bytes of body, now at the front of the input.
    pub(crate) produced: usize,
    /// The body ended with the last byte consumed.
    pub(crate) ended: bool,
}

impl Chunked {
    /// Decodes what is in `input`, moving the data of all its chunks together at the front.
    pub(crate) fn decode(&mut self, input: &mut [u8]) -> Result<Decoded, Reject> {
        let mut done = Decoded::default();
        while done.consumed < input.len() && self.state != State::Ended {
            if self.state == State::Data {
                self.take_data(input, &mut done);
            } else {
                self.take_byte(input[done.consumed])?;
                done.consumed += 1;
            }
        }
        done.ended = self.state == State::Ended;
        Ok(done)
    }

    /// The trailer section, line ends included; to be taken when the body has ended.
    pub(crate) fn take_trailers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.trailers)
    }

    fn take_data(&mut self, input: &mut [u8], done: &mut Decoded) {
        let available = input.len() - done.consumed;
        let count = usize::try_from(self.size).map_or(available, |size| size.min(available));
        input.copy_within(done.consumed..done.consumed + count, done.produced);
        done.consumed += count;
        done.produced += count;
        self.size -= count as u64;
        if self.size == 0 {
            self.state = State::DataCr;
        }
    }

    fn take_byte(&mut self, byte: u8) -> Result<(), Reject> {
        self.state = match (self.state, byte) {
            (State::Size, byte) if byte.is_ascii_hexdigit() => self.take_digit(byte)?,
            (State::Size, b';') if self.digits > 0 => State::Extension,
            (State::Size, b'\r') if self.digits > 0 => State::SizeLf,
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, byte) if byte == b'\t' || (byte >= b' ' && byte != 0x7f) => self.count_extension()?,
            (State::SizeLf, b'\n') => self.end_of_size(),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::Trailers, byte) => self.take_trailer(byte)?,
            (State::DataCr | State::DataLf, _) => return Err(Reject::bad("a chunk is longer than its size says")),
            _ => return Err(Reject::bad("a chunk size is not valid")),
        };
        Ok(())
    }

    fn take_digit(&mut self, byte: u8) -> Result<State, Reject> {
        self.digits += 1;
        if self.digits > MAX_SIZE_DIGITS {
            return Err(Reject::bad("a chunk size is too long"));
        }
        let digit = (byte as char).to_digit(16).map_or(0, u64::from);
        self.size = (self.size << 4) | digit;
        Ok(State::Size)
    }

    fn count_extension(&mut self) -> Result<State, Reject> {
        self.extensions += 1;
        if self.extensions > MAX_EXTENSIONS {
            return Err(Reject::bad("the chunk extensions are too long"));
        }
        Ok(State::Extension)
    }

    fn end_of_size(&mut self) -> State {
        self.digits = 0;
        if self.size == 0 { State::Trailers } else { State::Data }
    }

    fn take_trailer(&mut self, byte: u8) -> Result<State, Reject> {
        self.trailers.push(byte);
        if self.trailers.len() > MAX_TRAILERS {
            return Err(Reject { status: 431, reason: "the trailers are too long" });
        }
        if byte != b'\n' {
            return Ok(State::Trailers);
        }
        if !self.trailers.ends_with(b"\r\n") {
            return Err(Reject::bad("a line of the trailers ends in LF without CR"));
        }
        let ended = self.trailers == b"\r\n" || self.trailers.ends_with(b"\r\n\r\n");
        Ok(if ended { State::Ended } else { State::Trailers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_in_steps(body: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>, usize), Reject> {
        let mut decoder = Chunked::default();
        let (mut data, mut used) = (Vec::new(), 0);
        for piece in body.chunks(step) {
            let mut piece = piece.to_vec();
            let done = decoder.decode(&mut piece)?;
            data.extend_from_slice(&piece[..done.produced]);
            used += done.consumed;
            if done.ended {
                return Ok((data, decoder.take_trailers(), used));
            }
        }
        Err(Reject::bad("incomplete"))
    }

    #[test]
    fn decodes_however_the_bytes_are_cut() {
        let body = b"4;x=y\r\nWiki\r\n00A\r\npedia in c\r\n0\r\nX-Sum: 1\r\n\r\nnext";
        for step in 1..body.len() {
            let (data, trailers, used) = decode_in_steps(body, step).unwrap();
            assert_eq!((data.as_slice(), trailers.as_slice()), (&b"Wikipedia in c"[..], &b"X-Sum: 1\r\n\r\n"[..]));
            assert_eq!(used, body.len() - 4, "step {step}");
        }
    }

    #[test]
    fn whatever_is_not_a_chunk_is_refused() {
        for wrong in [
            "\r\n",
            ";x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\n",
            "g\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1;a\nb\r\n",
            "1;a\rb\r\n",
            "1;a\0\r\n",
            "10000000000000000\r\n",
            "00000000000000001\r\n",
            "0\r\nA: b\n\r\n",
            "1\ra\r\n",
        ] {
            let result = decode_in_steps(wrong.as_bytes(), wrong.len());
            assert!(result.is_err_and(|reject| reject.reason != "incomplete"), "{wrong:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let long = |unit: &str, count: usize| unit.repeat(count).into_bytes();
        assert!(decode_in_steps(&long("1;abcdefgh\r\nx\r\n", 600), 1000).unwrap_err().reason.contains("extensions"));
        let trailers = [b"0\r\n".to_vec(), long("A: b\r\n", 2000)].concat();
        assert_eq!(decode_in_steps(&trailers, 1000).unwrap_err().status, 431);
    }
}
