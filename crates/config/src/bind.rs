//! Where to listen, as people write it: at an address of this machine or at a Unix socket.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::json;

use crate::address_text::Host;
use crate::address_text::{EXAMPLE_PORT, Fault, UNIX_PATTERN, parse_host, port, read_text, split, unix_path};
use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape};

/// A place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bind {
    Ip(SocketAddr),
    /// The path of a Unix socket, as the file says it.
    Unix(String),
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IpBind(pub(crate) SocketAddr);

/// What an address or a port to listen on looks like.
const IP_PATTERN: &str = "([^/]+:)?[0-9]+";

impl Setting for Bind {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        read_text(item, place, reader, |text| match unix_path(text)? {
            Some(path) => Ok(Self::Unix(path.to_owned())),
            None => bind(text).map(Self::Ip),
        })
    }

    fn shape() -> Shape {
        Shape {
            expects: "an address to listen on".to_owned(),
            schema: json!({ "type": "string", "pattern": format!("^({IP_PATTERN}|{UNIX_PATTERN})$") }),
            table: None,
        }
    }
}

impl Setting for IpBind {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        read_text(item, place, reader, |text| match unix_path(text)? {
            Some(path) => Fault::new("is a Unix socket", format!("write it as `socket = \"{path}\"`")),
            None => bind(text).map(Self),
        })
    }

    fn shape() -> Shape {
        Shape {
            expects: "an address to listen on".to_owned(),
            schema: json!({ "type": "string", "pattern": format!("^{IP_PATTERN}$") }),
            table: None,
        }
    }
}

/// Where `text` says to listen. A port alone, and `localhost`, are this machine only.
fn bind(text: &str) -> Result<SocketAddr, Fault> {
    if text.parse::<u16>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port(text)?)));
    }
    if let Some(port) = text.strip_prefix(':').filter(|rest| !rest.contains(':')) {
        // Some programs take this for every address and others for this machine only.
        return Fault::new(
            "does not say on which address",
            format!("write \"127.0.0.1:{port}\" for this machine only, \"*:{port}\" for everyone"),
        );
    }
    if let Some(every) = text.strip_prefix("*:") {
        return Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port(every)?)));
    }
    if !text.contains(':') {
        return Fault::new("is neither a port nor an address and a port", not_a_bind_help(text));
    }
    let (host, port_text) = split(text)?;
    let port = port(port_text)?;
    match parse_host(host)? {
        Host::Ip(ip) => Ok(SocketAddr::new(ip, port)),
        Host::Name(name) if name == "localhost" => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        Host::Name(_) | Host::Unix(_) => Fault::new(
            "has a name where the address of this machine must be",
            format!("write \"127.0.0.1:{port}\" for this machine only, \"*:{port}\" for everyone"),
        ),
    }
}

/// What to write in place of `text`, which has no colon, to listen.
fn not_a_bind_help(text: &str) -> String {
    match text.parse::<Ipv4Addr>() {
        Ok(ip) => format!("write \"{ip}:{EXAMPLE_PORT}\""),
        Err(_) => {
            format!("write \"127.0.0.1:{EXAMPLE_PORT}\" for this machine only, \"*:{EXAMPLE_PORT}\" for everyone")
        }
    }
}
