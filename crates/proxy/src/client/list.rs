//! What proxies write of whom they serve, read from its end: what a stranger wrote in front of it, such as a quote that is
//! never closed, changes nothing of how the rest is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The parts of `text` between separators that are in no quoted string, the last first; without white space, and without
/// those that are empty.
pub(super) fn backwards(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    let parts = std::iter::from_fn(move || {
        let text = rest.take()?;
        match last_separator(text, separator) {
            Some(at) => {
                rest = Some(&text[..at]);
                Some(&text[at + 1..])
            }
            None => Some(text),
        }
    });
    parts.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// Where the last part of `text` begins, but for the separator.
fn last_separator(text: &[u8], separator: u8) -> Option<usize> {
    let mut quoted = false;
    for at in (0..text.len()).rev() {
        match text[at] {
            b'"' if !quoted => quoted = true,
            // Behind an odd number of backslashes it is a character of the string.
            b'"' => quoted = text[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1,
            byte if byte == separator && !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// An element of `Forwarded`, as far as it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Who was served, where it is an address.
    pub(super) node: Option<IpAddr>,
    /// Whether that was by TLS, where it is told.
    pub(super) https: Option<bool>,
}

impl Element {
    /// Reads one. What is said twice is not said (RFC 7239, section 4).
    pub(super) fn read(text: &[u8]) -> Self {
        let value = |wanted: &str| {
            let mut values = backwards(text, b';').filter_map(|pair| {
                let equals = pair.iter().position(|byte| *byte == b'=')?;
                pair[..equals].eq_ignore_ascii_case(wanted.as_bytes()).then(|| &pair[equals + 1..])
            });
            let value = values.next().filter(|_| values.next().is_none())?;
            // No address and no scheme needs an escape.
            Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
        };
        Self { node: value("for").and_then(node), https: value("proto").and_then(is_https) }
    }
}

/// Whether a scheme is `https`; `None` where it is neither that nor `http`.
pub(super) fn is_https(scheme: &[u8]) -> Option<bool> {
    let https = scheme.eq_ignore_ascii_case(b"https");
    (https || scheme.eq_ignore_ascii_case(b"http")).then_some(https)
}

/// The address that a node is told by: one alone, or with a port, an IPv6 address perhaps in brackets. `None` where it is
/// told by another name, or by none.
pub(super) fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().ok().filter(|_| fits).map(|address| address.to_canonical());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = text.split_once(':')?;
    address.parse::<Ipv4Addr>().ok().filter(|_| is_port(port)).map(IpAddr::V4)
}

/// A number, or a word that stands for one (RFC 7239, section 6).
fn is_port(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match text.strip_prefix('_') {
        Some(hidden) => !hidden.is_empty() && hidden.bytes().all(word),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}
