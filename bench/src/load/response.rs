//! Reading one response and judging it: 2xx, with exactly the body that was asked for, framed by its length.

/// How far a response has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to come.
    Partial,
    /// The last byte has been read.
    Complete,
}

/// A head longer than this is an error.
const MAX_HEAD: usize = 8 * 1024;

/// Fed with what the socket gives, in whatever pieces.
#[derive(Debug)]
pub(super) struct ResponseReader {
    expected: u64,
    state: State,
    /// The beginning of a head that came in pieces.
    partial: Vec<u8>,
    /// The cookie that the last head set.
    cookie: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body { left: u64 },
    Complete,
}

impl ResponseReader {
    /// Expects a body of that many bytes.
    pub(super) fn new(expected: u64) -> Self {
        Self { expected, state: State::Head, partial: Vec::new(), cookie: None }
    }

    /// Expects another such response.
    pub(super) fn restart(&mut self) {
        self.state = State::Head;
        self.partial.clear();
    }

    /// The cookie that was set since this was last asked, as it is sent back.
    pub(super) fn take_cookie(&mut self) -> Option<Vec<u8>> {
        self.cookie.take()
    }

    /// Whether the last byte has been read.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Takes the next piece. An error says what is wrong with the response.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Progress, String> {
        match self.state {
            State::Head if self.partial.is_empty() => {
                if let Some(head) = self.parse_head(piece)? {
                    return self.take_body(piece.len() - head);
                }
                self.partial.extend_from_slice(piece);
                Ok(Progress::Partial)
            }
            State::Head => {
                self.partial.extend_from_slice(piece);
                let partial = std::mem::take(&mut self.partial);
                if let Some(head) = self.parse_head(&partial)? {
                    return self.take_body(partial.len() - head);
                }
                self.partial = partial;
                Ok(Progress::Partial)
            }
            State::Body { .. } => self.take_body(piece.len()),
            State::Complete => Err(format!("{} bytes after the end of the answer", piece.len())),
        }
    }

    /// The length of the head if it is whole; the state is then at the body.
    fn parse_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(bytes).map_err(|error| format!("a malformed head: {error}"))?;
        let httparse::Status::Complete(head) = parsed else {
            if bytes.len() > MAX_HEAD {
                return Err(format!("a head of more than {MAX_HEAD} bytes"));
            }
            return Ok(None);
        };
        let status = response.code.unwrap_or_default();
        if !(200..300).contains(&status) {
            return Err(format!("status {status}"));
        }
        let length = response
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case("content-length"))
            .ok_or("an answer without Content-Length")?;
        let length = std::str::from_utf8(length.value).ok().and_then(|value| value.parse().ok());
        if length != Some(self.expected) {
            return Err(format!("Content-Length {length:?} instead of {}", self.expected));
        }
        let set = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("set-cookie"));
        if let Some(pair) = set.and_then(|field| field.value.split(|byte| *byte == b';').next()) {
            self.cookie = Some(pair.to_vec());
        }
        self.state = State::Body { left: self.expected };
        Ok(Some(head))
    }

    fn take_body(&mut self, length: usize) -> Result<Progress, String> {
        let State::Body { left } = self.state else {
            return Err("a body where none is expected".to_owned());
        };
        let Some(left) = left.checked_sub(length as u64) else {
            return Err(format!("a body longer than its {} bytes", self.expected));
        };
        if left == 0 {
            self.state = State::Complete;
            return Ok(Progress::Complete);
        }
        self.state = State::Body { left };
        Ok(Progress::Partial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(expected: u64, pieces: &[&[u8]]) -> Result<Vec<Progress>, String> {
        let mut reader = ResponseReader::new(expected);
        pieces.iter().map(|piece| reader.take(piece)).collect()
    }

    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello";

    #[test]
    fn every_split_into_two_or_into_bytes_completes_once_at_the_end() {
        for cut in 1..WHOLE.len() {
            let (first, second) = WHOLE.split_at(cut);
            let progress = read(5, &[first, second]).expect("a right response");
            assert_eq!(progress, [Progress::Partial, Progress::Complete], "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = WHOLE.chunks(1).collect();
        let progress = read(5, &bytes).expect("a right response");
        let (last, before) = progress.split_last().expect("not empty");
        assert_eq!(*last, Progress::Complete);
        assert!(before.iter().all(|step| *step == Progress::Partial));
    }

    #[test]
    fn an_empty_body_completes_with_its_head() {
        let progress = read(0, &[b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"]);
        assert_eq!(progress, Ok(vec![Progress::Complete]));
    }

    #[test]
    fn a_short_body_never_completes() {
        let short = &WHOLE[..WHOLE.len() - 1];
        assert_eq!(read(5, &[short]), Ok(vec![Progress::Partial]));
    }

    #[test]
    fn other_statuses_and_lengths_are_errors() {
        let flaw = |bytes: &[u8]| read(5, &[bytes]).expect_err("a wrong response");
        let unavailable = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(flaw(unavailable), "status 503");
        assert!(flaw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhell").contains("instead of 5"));
        assert!(flaw(b"HTTP/1.1 200 OK\r\n\r\nhello").contains("without Content-Length"));
        assert!(flaw(b"SSH-2.0-x\r\n").contains("malformed"));
        assert!(flaw(&[WHOLE, b"!"].concat()).contains("longer"));
    }

    #[test]
    fn bytes_after_the_end_are_an_error() {
        let flaw = read(5, &[WHOLE, b"H"]).expect_err("too much");
        assert!(flaw.contains("after the end"), "{flaw}");
    }

    #[test]
    fn a_second_response_is_read_after_a_restart() {
        let mut reader = ResponseReader::new(5);
        assert_eq!(reader.take(WHOLE), Ok(Progress::Complete));
        reader.restart();
        assert!(!reader.is_complete());
        assert_eq!(reader.take(WHOLE), Ok(Progress::Complete));
    }

    #[test]
    fn a_cookie_is_kept_as_it_is_sent_back() {
        let mut reader = ResponseReader::new(0);
        let head = b"HTTP/1.1 200 OK\r\nSet-Cookie: srv=a.b; Path=/; HttpOnly\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(reader.take(head), Ok(Progress::Complete));
        assert_eq!(reader.take_cookie().as_deref(), Some(&b"srv=a.b"[..]));
        reader.restart();
        assert_eq!(reader.take(b"HTTP/1.1 204 So\r\nContent-Length: 0\r\n\r\n"), Ok(Progress::Complete));
        assert_eq!(reader.take_cookie(), None);
    }

    #[test]
    fn an_endless_head_is_refused() {
        let mut reader = ResponseReader::new(5);
        let mut outcome = reader.take(b"HTTP/1.1 200 OK\r\nX: ");
        for _ in 0..=MAX_HEAD / 64 {
            if outcome.is_err() {
                break;
            }
            outcome = reader.take(&[b'x'; 64]);
        }
        assert!(outcome.expect_err("no end").contains("more than"));
    }
}
