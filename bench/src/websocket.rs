//! Just enough of WebSocket (RFC 6455) for both ends of one: the handshake, and binary messages of one length. Proxies
//! pass messages on as they come, so nothing else is needed.

use std::net::SocketAddr;

/// The bytes of a message that a client sends: two that say what it is, four of the mask, and the number.
pub(crate) const ASKED: usize = 14;

/// The bytes of its echo, which has no mask.
pub(crate) const ECHOED: usize = 10;

/// A final frame of binary data.
const FINAL_BINARY: u8 = 0x82;

/// The payload is a number of this many bytes.
const LENGTH: u8 = 8;

/// Says that a mask follows, which clients must use.
const MASKED: u8 = 0x80;

/// The key of the RFC's own example (section 1.3), so that the answer to it is known without a hash.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a server that switches says, in answer to that key.
pub(crate) const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// What a client asks for.
pub(crate) fn request(target: SocketAddr) -> Vec<u8> {
    format!(
        "GET /websocket HTTP/1.1\r\nHost: {target}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
    .into_bytes()
}

/// Whether a request head asks to switch. The names of fields may have been rewritten on the way.
pub(crate) fn is_asked_for(head: &[u8]) -> bool {
    let lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.map(<[u8]>::to_ascii_lowercase).any(|line| line == b"upgrade: websocket")
}

/// Whether a whole answer is that of a server which switches.
pub(crate) fn is_switched(head: &[u8]) -> bool {
    head.starts_with(b"HTTP/1.1 101 ") && memchr::memmem::find(head, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").is_some()
}

/// A client's message.
pub(crate) fn message(number: u64) -> [u8; ASKED] {
    let mask = (number as u32 ^ 0x5A5A_A5A5).to_be_bytes();
    let mut bytes = [0; ASKED];
    bytes[0] = FINAL_BINARY;
    bytes[1] = MASKED | LENGTH;
    bytes[2..6].copy_from_slice(&mask);
    bytes[6..].copy_from_slice(&masked(number.to_be_bytes(), mask));
    bytes
}

/// What a server sends back; `None` for anything but a client's message.
pub(crate) fn echo(message: &[u8]) -> Option<[u8; ECHOED]> {
    let [FINAL_BINARY, second, rest @ ..] = message else {
        return None;
    };
    let (mask, payload) = rest.split_first_chunk::<4>()?;
    let payload = <[u8; 8]>::try_from(payload).ok().filter(|_| *second == MASKED | LENGTH)?;
    let mut bytes = [0; ECHOED];
    bytes[0] = FINAL_BINARY;
    bytes[1] = LENGTH;
    bytes[2..].copy_from_slice(&masked(payload, *mask));
    Some(bytes)
}

/// The number that an echo brings back; `None` for anything else.
pub(crate) fn number(echo: &[u8]) -> Option<u64> {
    let [FINAL_BINARY, LENGTH, payload @ ..] = echo else {
        return None;
    };
    payload.try_into().ok().map(u64::from_be_bytes)
}

fn masked(mut payload: [u8; 8], mask: [u8; 4]) -> [u8; 8] {
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_as_the_number_it_was() {
        for sent in [0, 1, 0xFFFF_FFFF, u64::MAX] {
            let asked = message(sent);
            assert_ne!(asked[6..], sent.to_be_bytes(), "it is masked");
            assert_eq!(echo(&asked).as_ref().and_then(|echo| number(echo)), Some(sent));
        }
    }

    #[test]
    fn what_is_no_such_message_is_none() {
        let asked = message(7);
        assert_eq!(echo(&asked[..13]), None);
        let mut other = asked;
        other[0] = 0x88;
        assert_eq!(echo(&other), None, "the end of a WebSocket");
        assert_eq!(number(&asked[..ECHOED]), None, "one with a mask");
    }

    #[test]
    fn the_handshake_is_known_by_its_fields_however_they_are_written() {
        let asked = request(SocketAddr::from(([127, 0, 0, 1], 80)));
        assert!(is_asked_for(&asked) && is_asked_for(&asked.to_ascii_lowercase()));
        assert!(!is_asked_for(b"GET / HTTP/1.1\r\nHost: upgrade\r\n\r\n"));
        assert!(is_switched(SWITCHED) && !is_switched(b"HTTP/1.1 200 OK\r\n\r\n"));
    }
}
