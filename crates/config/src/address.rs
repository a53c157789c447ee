//! Addresses as people write them: where a server is, and what to send as Host.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use plimsoll_core::AdminState;
use serde_json::json;
use toml::de::DeValue;

use crate::address_text::Host;
use crate::address_text::{Fault, LONGEST_SOCKET, UNIX_PATTERN, parse_host, port, read_text, split, unix_path};
use crate::pool::Server;
use crate::reader::Reader;
use crate::resolved::HostMode;
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
