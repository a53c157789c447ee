//! Addresses as people write them: where a server is, and what to send as Host.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use plimsoll_core::AdminState;
use serde_json::json;
use toml::de::DeValue;

use crate::bind::{UNIX_PATTERN, unix_path};
use crate::reader::Reader;
use crate::resolved::{Host, HostMode, Server};
use crate::setting::{Item, Place, Setting, Shape};
use crate::value::{NAME_HELP, name_fault};
use crate::wording::{nearest, quoted};

/// Where a server is. The path of a Unix socket is as the file says it, and its port is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// A host with or without a port, as a Host field says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostText(pub(crate) String);

/// A host without a port, in lower case and as a Host field says it: an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostAlone(pub(crate) String);

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

impl Setting for Address {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        read_text(item, place, reader, address)
    }

    fn shape() -> Shape {
        Shape {
            expects: "a server's host and port".to_owned(),
            schema: json!({ "type": "string", "pattern": format!("^([^/]+:[0-9]+|{UNIX_PATTERN})$") }),
            table: None,
        }
    }
}

impl Setting for HostMode {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::Integer(_) => reader.unfit(item, place, "write it in quotes"),
            _ => read_text(item, place, reader, host_mode),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "`keep`, `server` or a host name".to_owned(),
            schema: json!({ "type": "string", "minLength": 1 }),
            table: None,
        }
    }
}

impl Setting for HostText {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::Integer(_) => reader.unfit(item, place, "write it in quotes"),
            _ => read_text(item, place, reader, |text| host_text(text).map(Self)),
        }
    }

    fn shape() -> Shape {
        Shape { expects: "a host name".to_owned(), schema: json!({ "type": "string", "minLength": 1 }), table: None }
    }
}

impl Setting for HostAlone {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::Integer(_) => reader.unfit(item, place, "write it in quotes"),
            _ => read_text(item, place, reader, host_alone),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "a host name".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[^/]+$" }),
            table: None,
        }
    }
}

impl Setting for IpAddr {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::String(_) => read_text(item, place, reader, ip),
            _ => reader.unfit(item, place, "write \"127.0.0.1\""),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "an IP address".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[0-9A-Fa-f:.]+$" }),
            table: None,
        }
    }
}

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

/// Where `text` says a server is.
fn address(text: &str) -> Result<Address, Fault> {
    if let Some(path) = unix_path(text)? {
        return Ok(Address { host: Host::Unix(path.into()), port: 0 });
    }
    let (host, port_text) = split(text)?;
    let port = port(port_text)?;
    let host = parse_host(host)?;
    if port == 0 {
        return Fault::new("has port 0, which no server can have", "write its real port");
    }
    if matches!(host, Host::Ip(ip) if ip.is_unspecified()) {
        return Fault::new(
            "is no address that can be connected to",
            format!("write \"127.0.0.1:{port}\" for a server on this machine"),
        );
    }
    Ok(Address { host, port })
}

impl Server {
    /// A ready server of weight 1 at `address`, written as in the setting of that name, and called after it. The path of a
    /// Unix socket must be whole, as there is no file whose folder it could begin at.
    ///
    /// # Errors
    /// What is wrong with the address and what to write instead, in one sentence.
    pub fn at(address: &str) -> Result<Self, String> {
        let told = |fault: Fault| format!("{} {}; {}", quoted(address), fault.what, fault.help);
        let Address { host, port } = self::address(address).and_then(whole_path).map_err(told)?;
        let mut server = Self {
            name: String::new(),
            host,
            port,
            weight: 1,
            max_connections: None,
            backup: false,
            state: AdminState::Ready,
        };
        server.name = server.address();
        Ok(server)
    }

    /// The same under another name.
    ///
    /// # Errors
    /// What is wrong with the name and what a name is, in one sentence.
    pub fn named(self, name: &str) -> Result<Self, String> {
        match name_fault(name) {
            None => Ok(Self { name: name.to_owned(), ..self }),
            Some(fault) => Err(format!("{} {fault}; {NAME_HELP}", quoted(name))),
        }
    }
}

/// The longest path of a Unix socket, in bytes: `sun_path` of `unix(7)` without the zero at its end.
pub(crate) const LONGEST_SOCKET: usize = 107;

/// `address`, if it is the same from every folder and not too long for the system.
fn whole_path(address: Address) -> Result<Address, Fault> {
    const HELP: &str = "write a whole path, such as \"unix:/run/app.sock\"";
    match &address.host {
        Host::Unix(path) if !path.is_absolute() => Fault::new("does not begin with a slash", HELP),
        Host::Unix(path) if path.as_os_str().len() > LONGEST_SOCKET => Fault::new(
            format!("is longer than {LONGEST_SOCKET} bytes, which the system allows"),
            "write a shorter path",
        ),
        _ => Ok(address),
    }
}

/// What `text` says to send as Host.
fn host_mode(text: &str) -> Result<HostMode, Fault> {
    const WORDS: [&str; 2] = ["keep", "server"];
    match text {
        "keep" => return Ok(HostMode::Keep),
        "server" => return Ok(HostMode::Server),
        "set" | "append" | "off" => {
            return Fault::new(
                "cannot be done to Host, which every request must have",
                "write \"keep\", \"server\" or the name to send",
            );
        }
        _ => {}
    }
    if let Some(near) = nearest(text, WORDS.into_iter()) {
        // A host may be called "sever"; that someone means it is less likely than a slip.
        return Fault::new(
            "is taken for a misspelling",
            format!("write \"{near}\", or for a host of that name \"{text}:80\""),
        );
    }
    host_text(text).map(HostMode::Set)
}

/// `text`, if it is a host with or without a port.
fn host_text(text: &str) -> Result<String, Fault> {
    let host = if text.contains(':') {
        let (host, port_text) = split(text)?;
        port(port_text)?;
        host
    } else {
        text
    };
    parse_host(host)?;
    Ok(text.to_owned())
}

/// The host in `text`, which must have no port.
pub(crate) fn host_alone(text: &str) -> Result<HostAlone, Fault> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if text.contains(':') && bare.parse::<Ipv6Addr>().is_err() {
        let (host, _) = split(text)?;
        return Fault::new("has a port", format!("write \"{host}\", which is taken with any port"));
    }
    let host = parse_host(bare)?.to_string();
    Ok(HostAlone(host.strip_suffix('.').unwrap_or(&host).to_owned()))
}

/// The IP address in `text`, one that can be connected to.
fn ip(text: &str) -> Result<IpAddr, Fault> {
    const HELP: &str = "write an IP address alone, such as \"192.168.1.10\" or \"::1\"";
    if let Ok(address) = text.parse::<SocketAddr>() {
        let (ip, port) = (address.ip(), address.port());
        return Fault::new("has a port", format!("write `address = \"{ip}\"` and `port = {port}`"));
    }
    match text.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() || ip.is_multicast() => {
            Fault::new("is no address that can be connected to", HELP)
        }
        Ok(ip) => Ok(ip),
        Err(_) => Fault::new("is no IP address", HELP),
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
