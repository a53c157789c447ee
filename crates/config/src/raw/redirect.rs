//! The settings of redirects.

use serde_json::json;
use toml::Spanned;
use toml::de::DeTable;

use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape, settings};
use crate::template::{Fault, Piece, Template, Variable, template};
use crate::value::Whole;
use crate::wording::nearest;

const LARGEST_PORT: u64 = u16::MAX as u64;

settings! {
    /// Sends requests elsewhere, in place of a pool.
    struct RedirectTable, called Place::nested {
        /// Where to: "https" is the same host and path by https; any other text is the address, which begins with a scheme
        /// and a host or with a slash, with $variables, such as `https://www.example.com$target`.
        to: RedirectTo, required "`to = \"https\"`";
        /// 308 and 307 keep method and body, 301 and 302 are those that older clients know, and 303 makes every request a
        /// GET. 301 and 308 are for ever: browsers remember them.
        status: RedirectStatus, default 308;
        /// The port of the https address, where `to` is "https".
        port: Whole<1, LARGEST_PORT>, optional "443";
    }
}

/// Where requests are sent to: a table, or its `to` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redirect(pub(crate) RedirectTable);

/// Where requests can be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RedirectTo {
    Https,
    Address(Template),
}

/// The status of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RedirectStatus(pub(crate) u16);

impl Setting for Redirect {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        if item.get_ref().is_table() {
            return RedirectTable::read(item, place, reader).map(Self);
        }
        if item.get_ref().as_str().is_none() {
            return reader.unfit(item, place, "write `redirect = \"https\"`");
        }
        // Read once by its own name, so that a report does not speak of a `to` that nobody wrote.
        let to = RedirectTo::read(item, place, reader)?;
        let key = Spanned::new(item.span(), "to".into());
        let entries = DeTable::from_iter([(key, item.clone())]);
        RedirectTable::read_entries(&entries, item.span(), place, reader).map(|mut table| {
            table.to.value = to;
            Self(table)
        })
    }

    fn shape() -> Shape {
        let (to, table) = (RedirectTo::shape(), RedirectTable::shape());
        Shape {
            expects: format!("{} or a table", to.expects),
            schema: json!({ "anyOf": [to.schema, table.schema] }),
            table: table.table,
        }
    }
}

impl Setting for RedirectTo {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        const HELP: &str = "write \"https\", or an address such as \"https://www.example.com$target\"";
        match item.get_ref().as_str() {
            Some("https") => Some(Self::Https),
            Some(word) if !word.contains(['/', '$', '.', ':']) => {
                let near = nearest(word, ["https"].into_iter()).map(|near| format!("did you mean \"{near}\"?"));
                reader.unfit(item, place, near.unwrap_or_else(|| HELP.to_owned()))
            }
            Some(text) => match template(text).and_then(address) {
                Ok(template) => Some(Self::Address(template)),
                Err(Fault { what, help }) => reader.wrong(item, place, &what, help),
            },
            None => reader.unfit(item, place, HELP),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "\"https\" or an address with $variables".to_owned(),
            schema: json!({ "anyOf": [{ "enum": ["https"] }, { "type": "string", "pattern": "^(https?://|\\$|/)" }] }),
            table: None,
        }
    }
}

/// What an address cannot have as it is (RFC 3986, section 2).
const NOT_IN_ADDRESSES: &[char] = &[' ', '\t', '"', '<', '>', '\\', '^', '`', '{', '|', '}'];

/// `template`, if whatever its variables stand for it is an address at a host that the file chose, or at the one that
/// was asked for.
fn address(template: Template) -> Result<Template, Fault> {
    let literals =
        template.0.iter().filter_map(|piece| if let Piece::Literal(text) = piece { Some(text) } else { None });
    if let Some(wrong) = literals.flat_map(|text| text.chars()).find(|c| NOT_IN_ADDRESSES.contains(c)) {
        let what = format!(
            "has {} in it, which addresses cannot have",
            if wrong == ' ' { "a space".to_owned() } else { format!("`{wrong}`") }
        );
        return Err(Fault { what, help: "write it with a per cent sign, a space as `%20`".to_owned() });
    }
    match &template.0[..] {
        [Piece::Literal(first), rest @ ..] if first.starts_with('/') => check_slash(first, rest)?,
        [Piece::Literal(first), rest @ ..] => {
            let host = ["http://", "https://"].iter().find_map(|scheme| first.strip_prefix(scheme));
            check_host(host.ok_or_else(no_host)?, rest)?;
        }
        [Piece::Variable(Variable::Scheme), Piece::Literal(first), rest @ ..] => {
            check_host(first.strip_prefix("://").ok_or_else(no_host)?, rest)?;
        }
        _ => return Err(no_host()),
    }
    Ok(template)
}

fn no_host() -> Fault {
    let help = "write \"https://$host$target\", or with a slash first \"/new$path\"".to_owned();
    Fault { what: "begins neither with a scheme and a host nor with a slash".to_owned(), help }
}

/// To browsers two slashes are followed by a host: that must not be one that a client chose.
fn check_slash(first: &str, rest: &[Piece]) -> Result<(), Fault> {
    let what = if first.starts_with("//") {
        "begins with two slashes, behind which browsers take a host"
    } else if first == "/" && matches!(rest, [Piece::Variable(_), ..]) {
        "begins with a slash and a variable: where that begins with a slash too, browsers take what follows for a host"
    } else {
        return Ok(());
    };
    Err(Fault { what: what.to_owned(), help: "write \"$scheme://$host$path\"".to_owned() })
}

/// Where a host ends, only what begins with a slash may follow, or it would become part of the host.
fn check_host(first: &str, rest: &[Piece]) -> Result<(), Fault> {
    let mut host_there = false;
    let text = Piece::Literal(first.to_owned());
    let pieces = std::iter::once(&text).filter(|_| !first.is_empty()).chain(rest);
    for piece in pieces {
        match piece {
            Piece::Literal(text) => match text.find(['/', '?', '#']) {
                Some(end) if end > 0 || host_there => return Ok(()),
                Some(_) => return Err(no_host()),
                None if text.contains('@') => break,
                None => host_there = true,
            },
            Piece::Variable(Variable::Host | Variable::Port) => host_there = true,
            Piece::Variable(Variable::Path | Variable::Target) if host_there => return Ok(()),
            Piece::Variable(variable) => {
                let what = format!("has `${}` where the host is, which a client could choose then", variable.name());
                return Err(Fault { what, help: "write a slash before it".to_owned() });
            }
        }
    }
    if host_there { Ok(()) } else { Err(no_host()) }
}

impl Setting for RedirectStatus {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let number = item.get_ref().as_integer().and_then(|number| number.as_str().parse().ok());
        match number.filter(|status| REDIRECT_STATUSES.contains(status)) {
            Some(status) => Some(Self(status)),
            None => reader.unfit(item, place, ""),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "301, 302, 303, 307 or 308".to_owned(),
            schema: json!({ "enum": REDIRECT_STATUSES }),
            table: None,
        }
    }
}

/// The statuses that send a client to the address in `Location` (RFC 9110, section 15.4).
pub(crate) const REDIRECT_STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leaves_no_client_the_choice_of_a_host() {
        for right in [
            "https://new.example.com/new$path?$query",
            "https://new.example.com$target",
            "https://$host:8443$path",
            "$scheme://www.$host$target",
            "http://a.example",
            "/new$path",
            "/",
            "/x",
            "https://a.example:$port/?q=$query",
        ] {
            assert!(template(right).and_then(address).is_ok(), "{right}");
        }
        for wrong in [
            "$path",
            "$target",
            "//evil$path",
            "/$path",
            "/$query",
            "https://$query",
            "https://a.example$query",
            "https://$path",
            "https:///x",
            "https://",
            "https://a@$host",
            "ftp://a.example/",
            "a.example/x",
            "$host/x",
            "https://a.example/a b",
            "/a\\b",
        ] {
            assert!(template(wrong).and_then(address).is_err(), "{wrong}");
        }
    }
}
