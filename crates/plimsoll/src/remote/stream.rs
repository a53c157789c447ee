//! Server-sent events (WHATWG HTML, section 9.2), as the admin API streams them.

use std::mem;

use reqwest::Response;

use super::client::Client;
use super::trouble::Trouble;

/// A stream of messages.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    client: &'a Client,
    response: Response,
    reader: Reader,
}

/// One message of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// What it is.
    pub(crate) event: String,
    /// What it says.
    pub(crate) data: String,
}

impl<'a> Stream<'a> {
    /// Follows the events from after number `after`; without it, from now on.
    pub(crate) fn follow(client: &'a Client, after: Option<u64>) -> Result<Self, Trouble> {
        Ok(Self { client, response: client.open_stream(after)?, reader: Reader::default() })
    }

    /// Waits for the next message; `None` when the stream has ended.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, Trouble> {
        loop {
            if let Some(message) = self.reader.next() {
                return Ok(Some(message));
            }
            match self.client.next_piece(&mut self.response)? {
                Some(piece) if self.reader.unread.len() + piece.len() <= LARGEST_MESSAGE => {
                    self.reader.unread.extend_from_slice(&piece);
                }
                _ => return Ok(None),
            }
        }
    }
}

/// The most that is kept of a message that does not end, in bytes.
const LARGEST_MESSAGE: usize = 256 << 20;

/// Takes bytes apart into messages.
#[derive(Debug, Default)]
struct Reader {
    unread: Vec<u8>,
    message: Message,
}

impl Reader {
    /// The next message that is there whole.
    fn next(&mut self) -> Option<Message> {
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                let message = mem::take(&mut self.message);
                if !message.data.is_empty() {
                    return Some(message);
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.message.event),
                "data" if self.message.data.is_empty() => value.clone_into(&mut self.message.data),
                "data" => {
                    self.message.data.push('\n');
                    self.message.data.push_str(value);
                }
                // Comments keep the connection alive; ids stand in the events themselves.
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_whole_however_they_are_cut() {
        let text =
            ": hello\r\n\nevent: event\nid: 7\ndata: {\"a\":\ndata: 1}\n\ndata:x\r\n\r\nevent: none\n\ndata: cut off";
        let message = |event: &str, data: &str| Message { event: event.to_owned(), data: data.to_owned() };
        for size in 1..=text.len() {
            let mut reader = Reader::default();
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                reader.unread.extend_from_slice(piece);
                while let Some(message) = reader.next() {
                    found.push(message);
                }
            }
            assert_eq!(found, [message("event", "{\"a\":\n1}"), message("", "x")], "in pieces of {size}");
        }
    }
}
