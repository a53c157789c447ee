//! Reading one answer of whatever status, framed by its length.

/// What an answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The length of its body.
    pub(super) length: u64,
    /// Whether it says when to come again.
    pub(super) retry_after: bool,
    /// Whether the connection can carry another request.
    pub(super) keep_alive: bool,
}

/// A head longer than this is an error.
const MAX_HEAD: usize = 8 * 1024;

/// Fed with what the socket gives, in whatever pieces.
#[derive(Debug, Default)]
pub(super) struct AnswerReader {
    /// The head once it is whole, and what is left of the body.
    head: Option<(Answer, u64)>,
    partial: Vec<u8>,
}

impl AnswerReader {
    /// Takes the next piece. Gives the answer when its last byte is in, and is then ready for another one; an error
    /// says what is wrong with it.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Option<Answer>, String> {
        if let Some((answer, left)) = self.head {
            return self.take_body(answer, left, piece.len() as u64);
        }
        if self.partial.is_empty()
            && let Some((answer, head)) = parse(piece)?
        {
            return self.take_body(answer, answer.length, (piece.len() - head) as u64);
        }
        self.partial.extend_from_slice(piece);
        let whole = std::mem::take(&mut self.partial);
        if let Some((answer, head)) = parse(&whole)? {
            return self.take_body(answer, answer.length, (whole.len() - head) as u64);
        }
        self.partial = whole;
        Ok(None)
    }

    fn take_body(&mut self, answer: Answer, left: u64, length: u64) -> Result<Option<Answer>, String> {
        let left = left.checked_sub(length).ok_or("bytes after the end of the answer")?;
        self.head = (left > 0).then_some((answer, left));
        Ok(self.head.is_none().then_some(answer))
    }
}

/// The answer and the length of its head, if that is whole.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, String> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(bytes).map_err(|error| format!("a malformed head: {error}"))?;
    let httparse::Status::Complete(head) = parsed else {
        return if bytes.len() > MAX_HEAD { Err("a head without end".to_owned()) } else { Ok(None) };
    };
    let field = |name: &str| response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    let length = field("content-length").ok_or("an answer without Content-Length")?;
    let length = str::from_utf8(length.value).ok().and_then(|value| value.parse().ok());
    let closes = field("connection").is_some_and(|field| field.value.eq_ignore_ascii_case(b"close"));
    let answer = Answer {
        status: response.code.unwrap_or_default(),
        length: length.ok_or("a Content-Length that is no number")?,
        retry_after: field("retry-after").is_some(),
        keep_alive: !closes && response.version == Some(1),
    };
    Ok(Some((answer, head)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const BUSY: &[u8] = b"HTTP/1.1 503 Busy\r\nConnection: Close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn every_split_gives_the_answer_once_at_the_end() {
        for cut in 1..OK.len() {
            let mut reader = AnswerReader::default();
            let (first, second) = OK.split_at(cut);
            assert_eq!(reader.take(first), Ok(None), "cut at {cut}");
            let answer = Answer { status: 200, length: 5, retry_after: false, keep_alive: true };
            assert_eq!(reader.take(second), Ok(Some(answer)), "cut at {cut}");
            let refusal = Answer { status: 503, length: 0, retry_after: true, keep_alive: false };
            assert_eq!(reader.take(BUSY), Ok(Some(refusal)), "on the same connection");
        }
    }

    #[test]
    fn what_is_not_one_framed_answer_is_an_error() {
        let flaw = |bytes: &[u8]| AnswerReader::default().take(bytes).expect_err("a flaw");
        assert!(flaw(&[OK, b"x"].concat()).contains("after the end"));
        assert!(flaw(b"HTTP/1.1 200 OK\r\n\r\nhello").contains("without"));
        assert!(flaw(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").contains("no number"));
        assert!(flaw(b"SSH-2.0-x\r\n").contains("malformed"));
        assert!(flaw(&[b"HTTP/1.1 200 OK\r\nX: ", [b'x'; MAX_HEAD].as_slice()].concat()).contains("without end"));
    }
}
