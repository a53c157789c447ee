//! Request targets and authorities (RFC 9112, section 3.2; RFC 3986, section 3.2).

use std::net::Ipv6Addr;

use super::{Reject, Span};

/// What a request target says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Target {
    /// All of it, as it came.
    pub(crate) whole: Span,
    /// What follows the authority: a path with its query, a query alone, `*`, or nothing.
    pub(crate) path: Span,
    /// The authority of a target in absolute form.
    pub(crate) authority: Option<Span>,
    /// It begins with `https`.
    pub(crate) https: bool,
}

impl Target {
    /// Takes a target apart; spans refer to `head`.
    pub(crate) fn parse(head: &[u8], method: &[u8], target: &[u8]) -> Result<Self, Reject> {
        if target.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b'#') {
            return Err(Reject::bad("the target holds a character that must be percent-encoded"));
        }
        if target.starts_with(b"/") || (target == b"*" && method == b"OPTIONS") {
            return Ok(Self { whole: Span::of(head, target), path: Span::of(head, target), ..Self::default() });
        }
        let (rest, https) = after_scheme(target).ok_or(Reject::bad("the target is neither a path nor an http URL"))?;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if !valid_authority(authority) {
            return Err(Reject::bad("the authority of the target is not valid"));
        }
        let whole = Span::of(head, target);
        Ok(Self { whole, path: Span::of(head, path), authority: Some(Span::of(head, authority)), https })
    }
}

/// What follows the scheme, and whether that is `https`.
fn after_scheme(target: &[u8]) -> Option<(&[u8], bool)> {
    [("http://", false), ("https://", true)].into_iter().find_map(|(scheme, https)| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme.as_bytes()).then_some((rest, https))
    })
}

/// A host, perhaps with a port. No user information: it has no business in a request.
pub(crate) fn valid_authority(authority: &[u8]) -> bool {
    let name = authority.iter().position(|byte| !NAME_BYTES[*byte as usize]).unwrap_or(authority.len());
    match &authority[name..] {
        [] => name > 0,
        [b':', port @ ..] => name > 0 && valid_port(port),
        [b'[', ..] if name == 0 => valid_address(authority),
        _ => false,
    }
}

fn valid_address(authority: &[u8]) -> bool {
    let (host, port) = split_port(authority);
    let address = host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    let address = address.and_then(|address| std::str::from_utf8(address).ok());
    address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()) && port.is_none_or(valid_port)
}

fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let after_host = authority.iter().rposition(|byte| *byte == b']').unwrap_or(0);
    match authority[after_host..].iter().position(|byte| *byte == b':') {
        Some(colon) => (&authority[..after_host + colon], Some(&authority[after_host + colon + 1..])),
        None => (authority, None),
    }
}

/// The host of an authority, IPv6 addresses in brackets.
pub(crate) fn host_of(authority: &[u8]) -> &[u8] {
    split_port(authority).0
}

/// The bytes of a registered name (RFC 3986, section 3.2.2), but for the comma: the grammar allows it, yet it lets
/// a joined pair of fields look like one name.
const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~%!$&'()*+;=";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

/// Digits that fit a port; the grammar allows none at all.
fn valid_port(port: &[u8]) -> bool {
    let add = |number: u16, digit: &u8| {
        digit.is_ascii_digit().then(|| number.checked_mul(10)?.checked_add(u16::from(digit - b'0')))?
    };
    port.iter().try_fold(0, add).is_some()
}

/// Two authorities that name the same host and port, of `https` or of plain HTTP where they name none.
pub(crate) fn same_authority(one: &[u8], other: &[u8], https: bool) -> bool {
    let usual: &[u8] = if https { b"443" } else { b"80" };
    let parts = |authority| {
        let (host, port) = split_port(authority);
        (host, port.filter(|port| !port.is_empty()).unwrap_or(usual))
    };
    let ((host, port), (other_host, other_port)) = (parts(one), parts(other));
    host.eq_ignore_ascii_case(other_host) && port == other_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        for right in
            ["a", "a.example:80", "127.0.0.1:8080", "[::1]", "[2001:db8::1]:443", "a:", "xn--bcher-kva.example"]
        {
            assert!(valid_authority(right.as_bytes()), "{right}");
        }
        for wrong in
            ["", ":80", "a:b", "a:65536", "user@a", "a b", "a/b", "[::1", "::1", "[v1.x]", "a,b", "a\\b", "[::1]x"]
        {
            assert!(!valid_authority(wrong.as_bytes()), "{wrong}");
        }
        assert!(same_authority(b"A.example:80", b"a.example", false));
        assert!(same_authority(b"a.example", b"a.example:443", true));
        assert!(!same_authority(b"a.example:81", b"a.example", false));
    }

    #[test]
    fn forms_of_targets() {
        let parse = |method: &str, target: &str| {
            Target::parse(target.as_bytes(), method.as_bytes(), target.as_bytes()).map(|parsed| {
                let text = |span: Span| String::from_utf8(span.slice(target.as_bytes()).to_vec()).unwrap();
                (text(parsed.path), parsed.authority.map(text))
            })
        };
        let absolute = |path: &str| Ok((path.to_owned(), Some("a:8".to_owned())));
        assert_eq!(parse("GET", "/x?y"), Ok(("/x?y".into(), None)));
        assert_eq!(parse("OPTIONS", "*"), Ok(("*".into(), None)));
        assert_eq!(parse("GET", "http://a:8/x"), absolute("/x"));
        assert_eq!(parse("GET", "HTTP://a:8?x"), absolute("?x"));
        assert_eq!(parse("GET", "http://a:8"), absolute(""));
        for wrong in ["*", "x", "ftp://a/", "http:///x", "http://u@a/", "/a#b", "a:80", "/\u{fc}"] {
            assert!(parse("GET", wrong).is_err(), "{wrong}");
        }
    }
}
