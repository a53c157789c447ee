//! What strangers sent, written so that it can neither end a line nor a text in it.
//!
//! All that comes out is printable ASCII without a bare quote or backslash, so no byte of a client reaches a terminal
//! or a parser of lines as anything but a letter.

use std::io::Write as _;

/// How what cannot stand as it is is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// As in JSON (RFC 8259, section 7); a byte that is no UTF-8 becomes U+FFFD.
    Json,
    /// Each byte as `\xHH`, the way of Apache and nginx.
    Hex,
}

/// Bytes looked at at once: a vector register of any machine there is.
const LANE: usize = 16;

impl Escape {
    /// Appends `bytes` to `out`.
    pub(super) fn write(self, out: &mut Vec<u8>, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let plain = plain_length(rest);
            out.extend_from_slice(&rest[..plain]);
            rest = &rest[plain..];
            let strange = rest.iter().position(|byte| is_plain(*byte)).unwrap_or(rest.len());
            let (now, then) = rest.split_at(strange);
            match self {
                Self::Json => json(out, now),
                Self::Hex => now.iter().for_each(|byte| hex(out, *byte)),
            }
            rest = then;
        }
    }
}

fn is_plain(byte: u8) -> bool {
    (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\'
}

/// How many bytes at the front can stand as they are.
fn plain_length(bytes: &[u8]) -> usize {
    // No early end within a lane, so that the compiler looks at all of it at once.
    let all_plain = |lane: &[u8]| lane.iter().fold(true, |plain, byte| plain & is_plain(*byte));
    let lanes = bytes.chunks_exact(LANE).take_while(|lane| all_plain(lane)).count() * LANE;
    let rest = &bytes[lanes..];
    let plain = if all_plain(rest) { rest.len() } else { rest.iter().take_while(|byte| is_plain(**byte)).count() };
    lanes + plain
}

fn hex(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
}

fn digit(value: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(value)]
}

fn json(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        // Writing to a Vec cannot fail.
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
            }
        }
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(escape: Escape, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape.write(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_ends_a_line_or_a_text() {
        let hostile = b"a\"b\\c\r\nd\x00\x1b[2J\x7f\xc3\xa9\xff\xf0\x9f\x98\x80";
        assert_eq!(escaped(Escape::Hex, hostile), r"a\x22b\x5Cc\x0D\x0Ad\x00\x1B[2J\x7F\xC3\xA9\xFF\xF0\x9F\x98\x80");
        let json = r#"a\"b\\c\r\nd\u0000\u001b[2J\u007f\u00e9\ufffd\ud83d\ude00"#;
        assert_eq!(escaped(Escape::Json, hostile), json);
    }

    #[test]
    fn every_byte_at_every_place_of_a_lane_comes_out_printable() {
        for byte in 0..=255_u8 {
            for at in 0..=2 * LANE {
                let mut bytes = vec![b'x'; 2 * LANE + 1];
                bytes[at] = byte;
                for escape in [Escape::Json, Escape::Hex] {
                    let out = escaped(escape, &bytes);
                    assert!(out.bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{byte} at {at}: {out}");
                    assert_eq!(out == String::from_utf8_lossy(&bytes), is_plain(byte), "{byte} at {at}: {out}");
                }
            }
        }
    }
}
