//! Names of TLS servers as people write them.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::Range;

use serde_json::json;
use toml::de::DeValue;

use crate::address_text::Host;
use crate::address_text::{Fault, parse_host, read_text};
use crate::protocol::ServerName;
use crate::reader::Reader;
use crate::setting::{Field, Item, Place, Setting, Shape};
use crate::value::Name;
use crate::wording::quoted;

/// A name or an address that a server proves to have, without a port and in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProvenName(pub(crate) String);

/// A pool for each of some names that clients ask for, in the order of the file; no two names are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BySni(pub(crate) Vec<SniEntry>);

/// A name that clients ask for, and the pool for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SniEntry {
    pub(crate) name: ServerName,
    pub(crate) pool: Field<Name>,
}

/// The most names: more than a balancer that passes connections through stands in front of.
const MOST_NAMES: usize = 10_000;

impl Setting for ProvenName {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::Integer(_) => reader.unfit(item, place, "write it in quotes"),
            _ => read_text(item, place, reader, |text| proven_name(text).map(Self)),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "a host name".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[^/*]+$" }),
            table: None,
        }
    }
}

/// The name that `text` says a server proves to have.
fn proven_name(text: &str) -> Result<String, Fault> {
    match text.parse::<IpAddr>() {
        Ok(ip) => Ok(ip.to_string()),
        Err(_) => name_alone(text),
    }
}

/// The name in `text`, which is no address and has no port.
fn name_alone(text: &str) -> Result<String, Fault> {
    if let Some((host, port)) = text.rsplit_once(':')
        && !host.contains([':', '/'])
        && port.parse::<u16>().is_ok()
    {
        return Fault::new("has a port", format!("write \"{host}\""));
    }
    match parse_host(text)? {
        Host::Name(name) => Ok(name.strip_suffix('.').unwrap_or(&name).to_owned()),
        Host::Ip(_) | Host::Unix(_) => {
            Fault::new("is an address, which no client asks for by TLS", "write a name such as \"a.example.com\"")
        }
    }
}

/// The name that `text` says clients ask for.
fn server_name(text: &str) -> Result<ServerName, Fault> {
    const HELP: &str = "write \"*.example.com\" for every name right below it";
    match text.strip_prefix("*.") {
        None if text == "*" => {
            Fault::new("is every name", "write `pool = \"app\"` beside `sni` for all that it does not name")
        }
        None if text.contains('*') => Fault::new("has a star in the middle", HELP),
        None => name_alone(text).map(ServerName::Exact),
        Some(rest) if rest.contains('*') => Fault::new("has two stars", HELP),
        Some(rest) => name_alone(rest).map(ServerName::Wildcard),
    }
}

impl Setting for BySni {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let help = || format!("write `{} = {{ \"a.example.com\" = \"app\" }}`", place.key);
        let Some(entries) = item.get_ref().as_table() else {
            return reader.unfit(item, place, help());
        };
        if entries.is_empty() {
            return reader.wrong(item, place, "is empty", help());
        }
        if entries.len() > MOST_NAMES {
            return reader.wrong(item, place, &format!("has more than {MOST_NAMES} names"), "");
        }
        let mut entries: Vec<_> = entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let (mut read, mut seen) = (Vec::new(), HashSet::new());
        for (key, item) in entries {
            let inside = Place { key: key.get_ref().as_ref().to_owned(), within: place.nested() };
            let name = name_of(&inside.key, key.span(), item, reader);
            let Some(name) = name else { continue };
            if !seen.insert(name.clone()) {
                let message = format!("the name {} is there twice", quoted(&inside.key));
                reader.report(key.span(), message, "remove one of them; capitals make no difference");
            }
            if let Some(value) = Name::read(item, &inside, reader) {
                read.push(SniEntry { name, pool: Field { value, span: item.span(), given: true } });
            }
        }
        Some(Self(read))
    }

    fn shape() -> Shape {
        Shape {
            expects: "a table of names, each with a pool".to_owned(),
            schema: json!({ "type": "object", "additionalProperties": Name::shape().schema, "minProperties": 1 }),
            table: None,
        }
    }
}

/// The name of which the key says `text`, or a report why it is none.
fn name_of(text: &str, span: Range<usize>, item: &Item<'_>, reader: &mut Reader) -> Option<ServerName> {
    if item.get_ref().is_table() {
        // To TOML the dots of a bare key are tables in each other.
        let message = format!("the name that begins {} must stand in quotes", quoted(text));
        reader.report(span, message, "write `sni = { \"a.example.com\" = \"app\" }`");
        return None;
    }
    match server_name(text) {
        Ok(name) => Some(name),
        Err(fault) => {
            reader.report(span, format!("{} {}", quoted(text), fault.what), fault.help);
            None
        }
    }
}
