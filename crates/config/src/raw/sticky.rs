//! The settings of stickiness, and of what the policy `hash` goes by.

use plimsoll_core::HashBound;
use serde_json::json;
use toml::de::DeValue;

use crate::address_text::Host;
use crate::address_text::parse_host;
use crate::http::is_token;
use crate::quantity::Seconds;
use crate::reader::Reader;
use crate::secret::FilePath;
use crate::setting::{Item, Place, Setting, Shape, settings};
use crate::sticky::{SameSite, Secure};
use crate::value::{Choice, Whole, Word};
use crate::wording::quoted;

const MINUTE: u64 = 60;
/// Browsers cut the age of a cookie to this (RFC 6265bis, section 5.5).
const LONGEST_AGE: u64 = 400 * 24 * 3600;
/// What is remembered for longer is forgotten by everybody else.
const LONGEST_MEMORY: u64 = 30 * 24 * 3600;
/// Some 100 bytes each.
const MOST_ENTRIES: u64 = 10_000_000;
/// Cookies and fields with longer names are not sent by anybody.
const LONGEST_NAME: usize = 128;
/// Browsers ignore a longer path or domain (RFC 6265bis, section 5.6).
const LONGEST_ATTRIBUTE: usize = 1024;
const ADDRESS_BITS: u64 = 128;

settings! {
    /// Keeps a client at the server that it had before, as long as that can take it: by one of `cookie`, `learn_cookie` and
    /// `header`. Where the server is down or full the policy picks another, and the client stays there.
    struct Sticky, called Place::nested {
        /// A cookie of this name that Plimsoll sets, signs, and takes out of all requests of the listener. It tells nobody
        /// which server is meant. Of the pools behind a listener only those that share a `split` can share a name.
        cookie: Token, optional "none";
        /// A cookie of this name that the application sets: its values are learnt from answers and requests.
        learn_cookie: Token, optional "none";
        /// A field of this name in requests, whose values are learnt.
        header: Token, optional "none";
        /// The file of the key that signs `cookie`: 32 bytes or more, such as `openssl rand -hex 32` makes. Balancers with
        /// the same key and names understand each other's cookies. It is read again at each reload.
        key: FilePath, optional "a random one, so that a restart forgets who was where";
        /// How long `cookie` holds, also in days. It is renewed when half of that is over.
        max_age: Seconds<MINUTE, LONGEST_AGE>, optional "the browser's session";
        /// The paths that `cookie` is for.
        path: CookiePath, default "/";
        /// The domain that `cookie` is for, with all names below it.
        domain: CookieDomain, optional "the host that was asked for, alone";
        /// Whether other sites may make browsers send `cookie`: "lax" by links alone, "strict" not at all, "none" always; "off"
        /// says nothing of it.
        same_site: Word<SameSite>, default "lax";
        /// Whether `cookie` is for TLS alone: "auto" where the client came by TLS, `true` or `false`.
        secure: SecureSetting, default "auto";
        /// Whether scripts cannot see `cookie`.
        http_only: bool, default true;
        /// Whether answers that set `cookie` get `Cache-Control: no-store` in place of what the server says.
        no_store: bool, default false;
        /// The most values that are learnt. Beyond it those not seen for longest are forgotten.
        entries: Whole<1, MOST_ENTRIES>, default 100000;
        /// How long a value is remembered that is not seen any more, also in days.
        expires: Seconds<1, LONGEST_MEMORY>, default "30m";
        /// For how long a server that drains takes the clients that are stuck to it, also in days; "0s" sends them elsewhere
        /// at once.
        drain: Seconds<0, LONGEST_MEMORY>, default "30m";
    }

    /// What the policy "hash" goes by.
    struct Hash, called Place::nested {
        /// "client" is its address, "path" the path that servers are asked for, without the query;
        /// `{ header = "X-Key" }` is a field, and `{ cookie = "sid" }` a cookie. Requests that have none go to the least busy
        /// server.
        on: HashBy, default "client";
        /// The most that a server may have in flight for its weight, of the average. Above it keys go on to the next.
        bound: Bound, default "125%";
        /// How many bits of an IPv6 address tell a client, with `on = "client"`.
        ipv6_prefix: Whole<1, ADDRESS_BITS>, default 64;
    }

    /// A field or a cookie.
    struct HashTable, called Place::nested {
        /// The name of a field.
        header: Token, optional "none";
        /// The name of a cookie.
        cookie: Token, optional "none";
    }
}

/// The name of a cookie or a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token(pub(crate) String);

impl Setting for Token {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref().as_str() {
            Some(name) if is_token(name) && name.len() <= LONGEST_NAME => Some(Self(name.to_owned())),
            _ => {
                let example = if place.key == "header" { "X-Session" } else { "srv" };
                reader.unfit(item, place, format!("write letters, digits and `-`, such as {}", quoted(example)))
            }
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "a name without spaces and separators".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "maxLength": LONGEST_NAME }),
            table: None,
        }
    }
}

/// The path of a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CookiePath(pub(crate) String);

impl Setting for CookiePath {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let fits = |path: &str| {
            path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';' && byte != b'?')
        };
        match item.get_ref().as_str() {
            Some(path) if fits(path) && path.len() <= LONGEST_ATTRIBUTE => Some(Self(path.to_owned())),
            _ => reader.unfit(item, place, "write \"/\" for all paths, or \"/shop/\""),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "a path that begins with a slash".to_owned(),
            schema: json!({ "type": "string", "pattern": "^/[^;?\\s]*$", "maxLength": LONGEST_ATTRIBUTE }),
            table: None,
        }
    }
}

/// The domain of a cookie, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CookieDomain(pub(crate) String);

impl Setting for CookieDomain {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        const HELP: &str = "write a name such as \"example.com\"";
        let Some(text) = item.get_ref().as_str() else { return reader.unfit(item, place, HELP) };
        if let Some(bare) = text.strip_prefix('.') {
            return reader.wrong(item, place, "begins with a dot", format!("write {}", quoted(bare)));
        }
        match parse_host(text) {
            Ok(Host::Name(name)) if name.contains('.') && !name.ends_with('.') && name.len() <= LONGEST_ATTRIBUTE => {
                Some(Self(name))
            }
            Ok(Host::Name(name)) if !name.contains('.') => {
                reader.wrong(item, place, "is one label, which browsers take for a suffix of everybody's names", HELP)
            }
            _ => reader.unfit(item, place, HELP),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "a domain".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[^.:/\\s][^:/\\s]*[.][^:/\\s]*[^.:/\\s]$" }),
            table: None,
        }
    }
}

/// Whether a cookie is for TLS alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SecureSetting(pub(crate) Secure);

impl Setting for SecureSetting {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::Boolean(true) => Some(Self(Secure::Always)),
            DeValue::Boolean(false) => Some(Self(Secure::Never)),
            DeValue::String(word) if word == "auto" => Some(Self(Secure::Auto)),
            DeValue::String(word) if word == "true" || word == "false" => {
                reader.unfit(item, place, format!("write {word} without quotes"))
            }
            _ => reader.unfit(item, place, "write `secure = true`"),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "\"auto\", true or false".to_owned(),
            schema: json!({ "anyOf": [{ "enum": ["auto"] }, { "type": "boolean" }] }),
            table: None,
        }
    }
}

impl Choice for SameSite {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("lax", Self::Lax), ("strict", Self::Strict), ("none", Self::None), ("off", Self::Off)]
    }
}

/// What the policy `hash` goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HashBy {
    Client,
    Path,
    Header(String),
    Cookie(String),
}

impl Setting for HashBy {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        const HELP: &str = "write \"client\", \"path\", `{ header = \"X-Key\" }` or `{ cookie = \"sid\" }`";
        match item.get_ref() {
            DeValue::String(word) if word == "client" => Some(Self::Client),
            DeValue::String(word) if word == "path" => Some(Self::Path),
            DeValue::Table(_) => {
                let before = reader.reported();
                let table = HashTable::read(item, place, reader)?;
                match (table.header, table.cookie) {
                    (Some(header), None) => Some(Self::Header(header.value.0)),
                    (None, Some(cookie)) => Some(Self::Cookie(cookie.value.0)),
                    _ if reader.reported() > before => None,
                    (Some(_), Some(_)) => reader.wrong(item, place, "has both `header` and `cookie`", "remove one"),
                    (None, None) => reader.wrong(item, place, "is empty", HELP),
                }
            }
            _ => reader.unfit(item, place, HELP),
        }
    }

    fn shape() -> Shape {
        let table = HashTable::shape();
        Shape {
            expects: "\"client\", \"path\" or a table".to_owned(),
            schema: json!({ "anyOf": [{ "enum": ["client", "path"] }, table.schema] }),
            table: table.table,
        }
    }
}

/// How far above the average a server may be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound(pub(crate) HashBound);

const LEAST_BOUND: u16 = 101;
/// Ten times the average: what is looser is no bound.
const LARGEST_BOUND: u16 = 1000;

impl Setting for Bound {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let number = item.get_ref().as_str().and_then(|text| text.strip_suffix('%')?.parse::<u16>().ok());
        match number.filter(|number| (LEAST_BOUND..=LARGEST_BOUND).contains(number)) {
            Some(number) => Some(Self(HashBound::new(number))),
            None => reader.unfit(item, place, "write \"125%\""),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: format!("whole per cent from \"{LEAST_BOUND}%\" to \"{LARGEST_BOUND}%\""),
            schema: json!({ "type": "string", "pattern": "^[0-9]+%$" }),
            table: None,
        }
    }
}
