//! A PROXY header from the bytes that a connection begins with. Strict: what is not exactly a header is none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::crc::crc32c;

/// What version 2 begins with.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";

/// The longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;

/// The part of version 2 whose length is fixed: signature, command, family, length.
pub(super) const FIXED: usize = 16;

/// The most bytes behind that. The addresses need up to 216; what else a proxy has to tell is short.
const MOST: usize = 4096;

/// The type of the field that holds a checksum of the whole header.
const CRC32C: u8 = 0x03;

/// Whom a header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// Nobody: the sender speaks for itself, or does not know.
    Nobody,
    Ip {
        source: SocketAddr,
        destination: SocketAddr,
    },
    /// A client on a Unix socket.
    Unix,
}

/// It is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong;

/// Whom the header that `bytes` begin with names, and its length; `None` while it may still become one.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Named, usize)>, Wrong> {
    if begins_alike(bytes, &SIGNATURE) {
        binary(bytes)
    } else if begins_alike(bytes, WORD) {
        text(bytes)
    } else {
        Err(Wrong)
    }
}

/// Whether one begins with the other.
fn begins_alike(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.iter().zip(wanted).all(|(byte, wanted)| byte == wanted)
}

/// Version 1.
fn text(bytes: &[u8]) -> Result<Option<(Named, usize)>, Wrong> {
    let Some(end) = bytes.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n') else {
        return if bytes.len() < LONGEST_LINE { Ok(None) } else { Err(Wrong) };
    };
    let line = bytes[..end].strip_suffix(b"\r").and_then(|line| line.strip_prefix(WORD)).ok_or(Wrong)?;
    let line = std::str::from_utf8(line).map_err(|_| Wrong)?;
    let mut words = line.split(' ');
    let family = words.next().ok_or(Wrong)?;
    if family == "UNKNOWN" {
        // Whatever follows is to be overlooked.
        return Ok(Some((Named::Nobody, end + 1)));
    }
    let mut word = || words.next().ok_or(Wrong);
    let (source, destination) = (ip(family, word()?)?, ip(family, word()?)?);
    let (source_port, destination_port) = (port(word()?)?, port(word()?)?);
    if words.next().is_some() {
        return Err(Wrong);
    }
    let source = SocketAddr::new(source, source_port);
    Ok(Some((Named::Ip { source, destination: SocketAddr::new(destination, destination_port) }, end + 1)))
}

fn ip(family: &str, word: &str) -> Result<IpAddr, Wrong> {
    match family {
        "TCP4" => word.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| Wrong),
        "TCP6" => word.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| Wrong),
        _ => Err(Wrong),
    }
}

/// Without a sign or leading zeros.
fn port(word: &str) -> Result<u16, Wrong> {
    let port: u16 = word.parse().map_err(|_| Wrong)?;
    let plain = word.len() == port.checked_ilog10().unwrap_or(0) as usize + 1;
    if plain { Ok(port) } else { Err(Wrong) }
}

/// Version 2.
fn binary(bytes: &[u8]) -> Result<Option<(Named, usize)>, Wrong> {
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > MOST || !matches!(fixed[12], 0x20 | 0x21) {
        return Err(Wrong);
    }
    let Some(rest) = rest.get(..length) else { return Ok(None) };
    let whole = &bytes[..FIXED + length];
    let local = fixed[12] == 0x20;
    if local {
        // What follows is to be overlooked, whatever family it says it is of.
        return Ok(Some((Named::Nobody, whole.len())));
    }
    // Families of streams only: whoever sends datagrams is not connected to us.
    let (named, fields) = match fixed[13] {
        0x00 => (Named::Nobody, rest),
        0x11 => addresses::<4>(rest)?,
        0x21 => addresses::<16>(rest)?,
        0x31 => (Named::Unix, rest.get(2 * 108..).ok_or(Wrong)?),
        _ => return Err(Wrong),
    };
    check(fields, whole)?;
    Ok(Some((named, whole.len())))
}

/// Two addresses of `N` bytes and two ports, and what is behind them.
fn addresses<const N: usize>(rest: &[u8]) -> Result<(Named, &[u8]), Wrong>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = rest.split_first_chunk::<N>().ok_or(Wrong)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(Wrong)?;
    let (ports, rest) = rest.split_first_chunk::<4>().ok_or(Wrong)?;
    let at = |ip: [u8; N], port: [u8; 2]| SocketAddr::new(IpAddr::from(ip), u16::from_be_bytes(port));
    let [a, b, c, d] = *ports;
    Ok((Named::Ip { source: at(*source, [a, b]), destination: at(*destination, [c, d]) }, rest))
}

/// Whether `fields` at the end of a header fill it exactly, and its checksum holds if it has one.
fn check(mut fields: &[u8], whole: &[u8]) -> Result<(), Wrong> {
    let mut seen = false;
    while let Some(([kind, high, low], rest)) = fields.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, behind) = rest.split_at_checked(length).ok_or(Wrong)?;
        if *kind == CRC32C {
            let told: [u8; 4] = value.try_into().map_err(|_| Wrong)?;
            let at = whole.len() - rest.len();
            // It was computed with zeros in its own place.
            let bytes =
                whole.iter().enumerate().map(|(place, byte)| if place.wrapping_sub(at) < 4 { 0 } else { *byte });
            if std::mem::replace(&mut seen, true) || crc32c(bytes) != u32::from_be_bytes(told) {
                return Err(Wrong);
            }
        }
        fields = behind;
    }
    if fields.is_empty() { Ok(()) } else { Err(Wrong) }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
