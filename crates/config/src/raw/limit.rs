//! The settings of limits per client.

use serde_json::json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::bounds::MILLISECOND;
use crate::http::is_token;
use crate::limit::{LimitKey, Over};
use crate::quantity::{Lasts, Rate};
use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape, settings};
use crate::value::Whole;
use crate::wording::{nearest, quoted};

/// Above it a limit protects nothing, and is a slip of the keyboard.
const MOST_AT_ONCE: u64 = 10_000_000;
/// A table of so many clients takes 3.2 GB.
const MOST_ENTRIES: u64 = 1 << 24;
/// One who is to wait longer has given up, or will soon.
const LONGEST_DELAY: u64 = 60_000;
/// What is shorter is given out to whole countries.
const SHORTEST_PREFIX: u64 = 16;
const LONGEST_PREFIX: u64 = 128;

settings! {
    /// A limit for each client by itself. Listeners and routes name it in their `limit`; those that name the same one
    /// share its counts. Connections are counted where they come in, so for the listeners that name it; requests for
    /// listeners and routes.
    struct Limit, called limit {
        /// What makes a client: "client" is its address, `{ header = "X-Api-Key" }` and `{ cookie = "sid" }` are what it
        /// sends there (a request without it is not limited), "route" takes all requests of a route together. A client
        /// by a Unix socket has no address, and is not limited by it. A field that comes more than once with different
        /// values is refused with 400; of cookies each value counts, and more than four are refused likewise.
        key: LimitKey, default "client";
        /// IPv6 addresses count together that share so many of their first bits; 64 is what one customer has at least.
        ipv6_prefix: Whole<SHORTEST_PREFIX, LONGEST_PREFIX>, default 64;
        /// Connections at once. One too many is closed. Those of `trusted_proxies` are not counted: behind a proxy limit
        /// `requests`.
        connections: Whole<1, MOST_AT_ONCE>, optional "no limit";
        /// Requests at once, until the client has the last byte of the answer; a WebSocket is one as long as it is open.
        requests: Whole<1, MOST_AT_ONCE>, optional "no limit";
        /// Connections begun within any such time: "50/s", "600/min", "1000/10s". One too many is closed.
        connection_rate: Rate, optional "no limit";
        /// Requests begun within any such time.
        request_rate: Rate, optional "no limit";
        /// What becomes of a request that is too many: "reject" answers it with `status` and `Retry-After`, "close"
        /// closes the connection, of HTTP/2 the stream alone, and `{ delay = "2s" }` lets it wait for its place in time, up
        /// to so long, and else rejects it. With a delay connections wait too.
        over: Over, default "reject";
        /// The status of rejected requests.
        status: Whole<400, 599>, default 429;
        /// The most clients that are kept count of. When it is full, a newcomer takes the place of one that was quiet,
        /// and is let in uncounted where nobody is.
        entries: Whole<1, MOST_ENTRIES>, default 100000;
        /// Refuses and delays nobody, and only counts what would have been.
        dry_run: bool, default false;
    }
}

fn limit(place: &Place) -> String {
    format!("limit {}", quoted(&place.key))
}

/// The only entry of a table that has one.
fn only<'a, 'i>(table: &'a DeTable<'i>) -> Option<(&'a str, &'a Spanned<DeValue<'i>>)> {
    let mut entries = table.iter();
    match (entries.next(), entries.next()) {
        (Some((key, value)), None) => Some((key.get_ref().as_ref(), value)),
        _ => None,
    }
}

impl Setting for LimitKey {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        const HELP: &str = "write `key = \"client\"`, or `key = { header = \"X-Api-Key\" }`";
        match item.get_ref() {
            DeValue::String(word) if word == "client" => Some(Self::Client),
            DeValue::String(word) if word == "route" => Some(Self::Route),
            DeValue::String(word) => {
                let near = nearest(word, ["client", "route"].into_iter());
                reader.unfit(
                    item,
                    place,
                    near.map_or_else(|| HELP.to_owned(), |near| format!("did you mean \"{near}\"?")),
                )
            }
            DeValue::Table(table) => match only(table) {
                Some(("header", name)) => {
                    let name = token(name, place, ("header", "no name of a field", "X-Api-Key"), reader)?;
                    Some(Self::Header(name.to_ascii_lowercase()))
                }
                Some(("cookie", name)) => {
                    token(name, place, ("cookie", "no name of a cookie", "sid"), reader).map(Self::Cookie)
                }
                _ => reader.unfit(item, place, HELP),
            },
            _ => reader.unfit(item, place, HELP),
        }
    }

    fn shape() -> Shape {
        let named = json!({
            "type": "object",
            "propertyNames": { "enum": ["header", "cookie"] },
            "additionalProperties": { "type": "string", "minLength": 1 },
            "minProperties": 1,
            "maxProperties": 1,
        });
        Shape {
            expects: "\"client\", \"route\", `{ header = … }` or `{ cookie = … }`".to_owned(),
            schema: json!({ "anyOf": [{ "enum": ["client", "route"] }, named] }),
            table: None,
        }
    }
}

/// The longest name, in bytes.
const LONGEST_NAME: usize = 128;

/// The name that `item` is, which must be a token.
fn token(
    item: &Item<'_>,
    place: &Place,
    (key, what, example): (&str, &str, &str),
    reader: &mut Reader,
) -> Option<String> {
    let name = item.get_ref().as_str().unwrap_or_default();
    if is_token(name) && name.len() <= LONGEST_NAME {
        return Some(name.to_owned());
    }
    let inner = Place { key: key.to_owned(), within: place.nested() };
    reader.wrong(item, &inner, &format!("is {what}"), format!("write `{key} = \"{example}\"`"))
}

impl Setting for Over {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        const HELP: &str = "write `over = \"reject\"`, or `over = { delay = \"2s\" }`";
        match item.get_ref() {
            DeValue::String(word) if word == "reject" => Some(Self::Reject),
            DeValue::String(word) if word == "close" => Some(Self::Close),
            DeValue::String(word) if word == "delay" => reader.unfit(item, place, "write `over = { delay = \"2s\" }`"),
            DeValue::String(word) => {
                let near = nearest(word, ["reject", "close"].into_iter());
                reader.unfit(
                    item,
                    place,
                    near.map_or_else(|| HELP.to_owned(), |near| format!("did you mean \"{near}\"?")),
                )
            }
            DeValue::Table(table) => match only(table) {
                Some(("delay", time)) => {
                    let inner = Place { key: "delay".to_owned(), within: place.nested() };
                    Lasts::<MILLISECOND, LONGEST_DELAY>::read(time, &inner, reader).map(|time| Self::Delay(time.0))
                }
                _ => reader.unfit(item, place, HELP),
            },
            _ => reader.unfit(item, place, HELP),
        }
    }

    fn shape() -> Shape {
        let time = Lasts::<MILLISECOND, LONGEST_DELAY>::shape().schema;
        let delay = json!({
            "type": "object",
            "propertyNames": { "enum": ["delay"] },
            "additionalProperties": time,
            "minProperties": 1,
        });
        Shape {
            expects: "\"reject\", \"close\" or `{ delay = … }`".to_owned(),
            schema: json!({ "anyOf": [{ "enum": ["reject", "close"] }, delay] }),
            table: None,
        }
    }
}
