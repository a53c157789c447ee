//! What addresses are written with: hosts, ports and paths of Unix sockets, and what is wrong with a text that has none.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use toml::de::DeValue;

use crate::reader::Reader;
use crate::setting::{Item, Place, Setting};
use crate::wording::quoted;

/// Where a server is: a literal address, a name the program looks up, or a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A literal address.
    Ip(IpAddr),
    /// A host name, in lower case.
    Name(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Host {
    /// Writes the host as it stands before the colon of an authority, IPv6 addresses in brackets; a Unix socket as the
    /// file says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a text is no address, to follow the text, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) help: String,
}

impl Fault {
    pub(crate) fn new<T>(what: impl Into<String>, help: impl Into<String>) -> Result<T, Self> {
        let (what, help) = (what.into(), help.into());
        Err(Self { what, help })
    }
}

/// The port that examples in messages use.
pub(crate) const EXAMPLE_PORT: &str = "8080";

/// What the path of a Unix socket looks like.
pub(crate) const UNIX_PATTERN: &str = "unix:(/[^/]|[^/@])(.*[^/])?";

/// The longest path of a Unix socket, in bytes: `sun_path` of `unix(7)` without the zero at its end.
pub(crate) const LONGEST_SOCKET: usize = 107;

/// Reads a text with `parse` and reports its fault.
pub(crate) fn read_text<T: Setting>(
    item: &Item<'_>,
    place: &Place,
    reader: &mut Reader,
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> Option<T> {
    match item.get_ref() {
        DeValue::String(text) => match parse(text) {
            Ok(value) => Some(value),
            Err(fault) => {
                let message = format!("{} {}", quoted(text), fault.what);
                reader.report(item.span(), message, fault.help);
                None
            }
        },
        DeValue::Integer(port) => {
            let help = format!("write \"127.0.0.1:{port}\"");
            reader.unfit(item, place, help)
        }
        _ => reader.unfit(item, place, ""),
    }
}

/// Splits `host:port`, and takes the brackets off an IPv6 address.
pub(crate) fn split(text: &str) -> Result<(&str, &str), Fault> {
    if let Some((scheme, rest)) = text.split_once("://") {
        let host = rest.split('/').next().unwrap_or_default();
        let port = if scheme == "https" { ":443" } else { ":80" };
        let port = if host.contains(':') { "" } else { port };
        return Fault::new("is a URL", format!("write \"{host}{port}\""));
    }
    if text.contains('/') {
        return Fault::new("has a path in it", "write only the host and the port, such as \"app.internal:8080\"");
    }
    if let Some(rest) = text.strip_prefix('[') {
        return match rest.split_once(']') {
            Some((host, port)) if port.starts_with(':') => Ok((host, &port[1..])),
            Some((host, _)) => no_port(&format!("[{host}]")),
            None => Fault::new("lacks the closing bracket", "write \"[::1]:8080\""),
        };
    }
    match text.rsplit_once(':') {
        None if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Fault::new("is a port without a host", format!("write \"127.0.0.1:{text}\" for a server on this machine"))
        }
        None => no_port(if text.is_empty() { "127.0.0.1" } else { text }),
        Some(_) if text.parse::<Ipv6Addr>().is_ok() => {
            Fault::new("is an IPv6 address without brackets or port", format!("write \"[{text}]:{EXAMPLE_PORT}\""))
        }
        Some((host, port)) if host.contains(':') => {
            Fault::new("has more than one colon", format!("write an IPv6 address in brackets: \"[{host}]:{port}\""))
        }
        Some(parts) => Ok(parts),
    }
}

fn no_port<T>(host: &str) -> Result<T, Fault> {
    Fault::new("has no port", format!("write \"{host}:{EXAMPLE_PORT}\""))
}

pub(crate) fn port(text: &str) -> Result<u16, Fault> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits => Ok(port),
        _ => Fault::new(format!("has {} for a port", quoted(text)), "write a number from 1 to 65535 after the colon"),
    }
}

/// The longest host name and the longest part of one between two dots, in bytes (RFC 1035, section 2.3.4).
const LONGEST_HOST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Reads a host: an address, or a name by RFC 1123, section 2.1, with the underscore that container networks use.
pub(crate) fn parse_host(text: &str) -> Result<Host, Fault> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(Host::Ip(ip));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Fault::new("is no IPv4 address", "write four numbers from 0 to 255, such as \"192.168.1.10\"");
    }
    if text.contains(':') {
        return Fault::new("is no IPv6 address", "write \"[::1]:8080\"");
    }
    if !name.is_ascii() {
        return Fault::new(
            "has letters that host names cannot have",
            "write the name in its ASCII form, which begins \"xn--\"",
        );
    }
    let fits = name.len() <= LONGEST_HOST && name.split('.').all(is_label);
    if !fits {
        return Fault::new("is no valid host name", "use letters, digits, hyphens and dots, such as \"app.internal\"");
    }
    Ok(Host::Name(text.to_ascii_lowercase()))
}

/// Whether `label` can stand between the dots of a host name.
fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !label.is_empty()
        && label.len() <= LONGEST_LABEL
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// The path in `text`, where that is a Unix socket.
pub(crate) fn unix_path(text: &str) -> Result<Option<&str>, Fault> {
    if text.starts_with('/') {
        return Fault::new("is a path", format!("write \"unix:{text}\" for a Unix socket"));
    }
    let Some(path) = text.strip_prefix("unix:") else { return Ok(None) };
    if let Some(path) = path.strip_prefix("//") {
        return Fault::new("is a URL", format!("write \"unix:/{}\"", path.trim_start_matches('/')));
    }
    let what = if path.starts_with('@') {
        "is an abstract socket, which has no owner and no mode"
    } else if path.is_empty() || path.ends_with('/') {
        "names no file"
    } else if path.chars().any(char::is_control) {
        "has a control character in it"
    } else {
        return Ok(Some(path));
    };
    Fault::new(what, "write the path of a Unix socket, such as \"unix:/run/app.sock\"")
}
