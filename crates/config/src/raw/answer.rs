//! The settings of answers that Plimsoll gives itself, and of what it does to those of servers.

use serde_json::json;
use toml::de::{DeTable, DeValue};

use super::bounds::MIB;
use crate::http::{Text, is_token};
use crate::page::PagePath;
use crate::quantity::Bytes;
use crate::reader::Reader;
use crate::route::Algorithm;
use crate::secret::FilePath;
use crate::setting::{Field, Item, Place, Setting, Shape, settings};
use crate::value::{Choice, OFF, OneOrMore, Whole, Word, off_help};
use crate::wording::quoted;

const FIRST_STATUS: u64 = 200;
const LAST_STATUS: u64 = 599;

settings! {
    /// An answer without a server.
    struct Respond, called Place::nested {
        /// Its status.
        status: Whole<FIRST_STATUS, LAST_STATUS>, default 200;
        /// What it says, in UTF-8.
        body: Text, optional "nothing; from 300 on a line of text";
        /// A file that it says, in place of `body`: its name tells what it is.
        page: PagePath, optional "none";
    }

    /// A name and a password that clients must show (RFC 7617). Whoever listens on the way reads both where there is no TLS.
    struct BasicAuth, called Place::nested {
        /// The file of names and hashes of passwords, a `name:hash` on each line, as `htpasswd -B` writes it: bcrypt of a cost
        /// from 4 to 14, or Argon2 with at most m=262144 (KiB), t=64 and p=64. It is read again at each reload.
        users: FilePath, required "`users = \"users.htpasswd\"`";
        /// What browsers show.
        realm: Realm, default "restricted";
    }

    /// Compression of answers, for clients that take it. What is compressed already, has a part of a file in it or asks not
    /// to be changed is left as it is.
    struct CompressTable, called Place::nested {
        /// What may be used, the most wanted first.
        algorithms: OneOrMore<Word<Algorithm>>, default ["zstd", "br", "gzip"];
        /// The media types that are compressed; "text/*" is every type of text.
        types: OneOrMore<MediaType>, default [
            "text/*", "application/json", "application/javascript", "application/xml", "application/xhtml+xml",
            "application/manifest+json", "application/ld+json", "application/problem+json", "application/rss+xml",
            "application/atom+xml", "application/wasm", "image/svg+xml", "image/x-icon", "font/ttf", "font/otf",
        ];
        /// The shortest body that is compressed, where its length is known.
        min_size: Bytes<0, MIB>, default "1KiB";
    }
}

/// What browsers show when they ask for a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Realm(pub(crate) String);

const LONGEST_REALM: usize = 128;

impl Setting for Realm {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let allowed = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '"' && c != '\\';
        match item.get_ref().as_str() {
            Some(text) if !text.is_empty() && text.len() <= LONGEST_REALM && text.chars().all(allowed) => {
                Some(Self(text.to_owned()))
            }
            _ => reader.unfit(item, place, "write a few words such as \"staff only\""),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "a text of ASCII without quotes and backslashes".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[ !#-\\[\\]-~]+$", "maxLength": LONGEST_REALM }),
            table: None,
        }
    }
}

/// A media type in lower case, or all of one kind: `text/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType(pub(crate) String);

const LONGEST_TYPE: usize = 128;

impl Setting for MediaType {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let help = || "write \"application/json\", or \"text/*\" for every type of text".to_owned();
        let Some(text) = item.get_ref().as_str() else {
            return reader.unfit(item, place, help());
        };
        if let Some((media, _)) = text.split_once(';') {
            let help = format!("write {}, which is taken with any parameters", quoted(media.trim()));
            return reader.unfit(item, place, help);
        }
        let fits = text.split_once('/').is_some_and(|(kind, own)| {
            is_token(kind) && !kind.contains('*') && is_token(own) && (own == "*" || !own.contains('*'))
        });
        if !fits || text.len() > LONGEST_TYPE {
            return reader.unfit(item, place, help());
        }
        Some(Self(text.to_ascii_lowercase()))
    }

    fn shape() -> Shape {
        Shape {
            expects: "a media type".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[^/*;\\s]+/([^/*;\\s]+|\\*)$", "maxLength": LONGEST_TYPE }),
            table: None,
        }
    }
}

/// Whether and how answers are compressed; `None` is not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compress(pub(crate) Option<CompressTable>);

impl Setting for Compress {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let table = match item.get_ref() {
            DeValue::Table(_) => CompressTable::read(item, place, reader),
            DeValue::Boolean(true) => CompressTable::read_entries(&DeTable::new(), item.span(), place, reader),
            DeValue::Boolean(false) => return Some(Self(None)),
            DeValue::String(word) if word == OFF => return Some(Self(None)),
            _ => {
                let help = off_help(item, place).unwrap_or_else(|| "write `compress = true`".to_owned());
                return reader.unfit(item, place, help);
            }
        };
        table.map(|table| Self(Some(table)))
    }

    fn shape() -> Shape {
        let (word, table) = (bool::shape(), CompressTable::shape());
        Shape {
            expects: format!("{}, a table or \"{OFF}\"", word.expects),
            schema: json!({ "anyOf": [word.schema, table.schema, { "enum": [OFF] }] }),
            table: table.table,
        }
    }
}

impl Choice for Algorithm {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("zstd", Self::Zstd), ("br", Self::Brotli), ("gzip", Self::Gzip)]
    }
}

/// A page for each of some statuses, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrorPages(pub(crate) Vec<ErrorPage>);

/// The page for the statuses from `first` to `last`, and what the file calls them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrorPage {
    pub(crate) key: String,
    pub(crate) first: u16,
    pub(crate) last: u16,
    pub(crate) page: Field<PagePath>,
}

impl Setting for ErrorPages {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        const HELP: &str = "write `errors = { 502 = \"bad-gateway.html\", 5xx = \"error.html\" }`";
        let Some(entries) = item.get_ref().as_table() else {
            return reader.unfit(item, place, HELP);
        };
        if entries.is_empty() {
            return reader.wrong(item, place, "is empty", HELP);
        }
        let mut read = Vec::new();
        for (key, item) in entries {
            let name = key.get_ref().as_ref();
            let Some((first, last)) = statuses(name) else {
                let message = format!("{} is no status of an error", quoted(name));
                reader.report(
                    key.span(),
                    message,
                    "write one from 400 to 599, or \"4xx\" or \"5xx\" for all of its kind",
                );
                continue;
            };
            let inner = Place { key: name.to_owned(), within: place.nested() };
            if let Some(page) = PagePath::read(item, &inner, reader) {
                let page = Field { value: page, span: item.span(), given: true };
                read.push(ErrorPage { key: name.to_owned(), first, last, page });
            }
        }
        // What is said of one status comes before what is said of all of its kind.
        read.sort_by_key(|page| (page.last - page.first, page.first));
        Some(Self(read))
    }

    fn shape() -> Shape {
        let page = PagePath::shape();
        Shape {
            expects: "a table of statuses such as 502 or 5xx, each with a page".to_owned(),
            schema: json!({ "type": "object", "additionalProperties": page.schema, "minProperties": 1 }),
            table: None,
        }
    }
}

/// The first and the last of the statuses that `key` stands for.
fn statuses(key: &str) -> Option<(u16, u16)> {
    match key {
        "4xx" => Some((400, 499)),
        "5xx" => Some((500, 599)),
        _ if key.len() == 3 => key.parse().ok().filter(|status| (400..=599).contains(status)).map(|one| (one, one)),
        _ => None,
    }
}
