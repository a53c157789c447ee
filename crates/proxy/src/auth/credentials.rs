//! What a client shows: a name, a colon and a password, in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The longest name and password together, in bytes: more than anybody types, and little enough to be looked at on a stack.
const LONGEST: usize = 1024;

/// A name and a password as they were shown. Never written anywhere.
pub(super) struct Credentials {
    bytes: [u8; LONGEST],
    length: usize,
    colon: usize,
}

impl Credentials {
    /// Reads them from the value of `Authorization`.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        const SCHEME: usize = b"basic".len();
        let (scheme, rest) = value.split_at_checked(SCHEME)?;
        let encoded = rest.strip_prefix(b" ")?.trim_ascii_start();
        // Three bytes are four letters.
        if !scheme.eq_ignore_ascii_case(b"basic") || encoded.len() > LONGEST / 3 * 4 {
            return None;
        }
        let mut bytes = [0; LONGEST];
        let length = STANDARD.decode_slice(encoded, &mut bytes).ok()?;
        let text = std::str::from_utf8(&bytes[..length]).ok()?;
        // Neither has control characters in it (RFC 7617, section 2).
        let colon = text.find(':').filter(|colon| *colon > 0 && !text.chars().any(char::is_control))?;
        Some(Self { bytes, length, colon })
    }

    /// Both, with the colon between them.
    pub(super) fn whole(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The name, and the password.
    pub(super) fn parts(&self) -> (&str, &[u8]) {
        // It was read as UTF-8.
        let name = std::str::from_utf8(&self.bytes[..self.colon]).unwrap_or_default();
        (name, &self.bytes[self.colon + 1..self.length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<(String, String)> {
        let credentials = Credentials::read(value.as_bytes())?;
        let (name, password) = credentials.parts();
        Some((name.to_owned(), String::from_utf8(password.to_vec()).unwrap()))
    }

    fn basic(text: &[u8]) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn a_name_ends_at_the_first_colon() {
        let of = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        // The example of RFC 7617, section 2.
        assert_eq!(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), of("Aladdin", "open sesame"));
        assert_eq!(read("bAsIc   dGVzdDoxMjPCow=="), of("test", "123£"));
        assert_eq!(read(&basic(b"a:b:c")), of("a", "b:c"));
        assert_eq!(read(&basic(b"a:")), of("a", ""));
        let longest = format!("a:{}", "x".repeat(LONGEST / 3 * 3 - 2));
        assert!(read(&basic(longest.as_bytes())).is_some());
    }

    #[test]
    fn what_is_no_name_and_password_is_nothing() {
        let huge = basic("a:b".repeat(100_000).as_bytes());
        let long = basic(format!("a:{}", "x".repeat(LONGEST)).as_bytes());
        let odd =
            [basic(b"no colon"), basic(b":password"), basic(b"a:\0"), basic(b"a\n:b"), basic(b"\xff:b"), basic(b"")];
        let wrong = [
            "",
            "Basic",
            "Basic ",
            "Basic !!!!",
            "Basic YTpi=",
            "Basic YTp",
            "BasicYTpi",
            "Bearer YTpi",
            "Basic YTpi x",
        ];
        for value in odd.iter().map(String::as_str).chain(wrong).chain([&*huge, &*long]) {
            assert_eq!(read(value), None, "{value:.40}");
        }
    }
}
