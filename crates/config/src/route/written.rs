//! What a route is for, as people write it.

use percent_encoding::utf8_percent_encode;
use serde_json::{Value as Json, json};

use super::expression;
use super::path::{NOT_IN_PATHS, normalise_path};
use super::when::{HostPattern, PathPattern, ValuePattern};
use crate::address::host_alone;
use crate::address_text::Host;
use crate::address_text::{Fault, parse_host, read_text};
use crate::http::Named;
use crate::pattern::Regex;
use crate::reader::Reader;
use crate::setting::{Field, Item, Place, Setting, Shape, settings};
use crate::wording::quoted;

/// A path as routes compare it: normalised, and what it begins with is a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathText(pub(crate) String);

/// Whole segments of a path, at least one, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segments(pub(crate) String);

/// What the path of a request must be: a text is a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathTest(pub(crate) PathPattern);

/// What a value must be, or whether there must be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValueTest(pub(crate) ValuePattern);

/// A test for each of some parameters of the query, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByParameter(pub(crate) Vec<Named<ValueTest>>);

settings! {
    /// What the path of a request must be: one of `exact`, `prefix` and `regex`. A path alone is a prefix.
    struct PathTable, called Place::nested {
        /// This path alone.
        exact: PathText, optional "not asked";
        /// This path and all below it, by whole segments: "/v1" is for "/v1" and "/v1/users", not for "/v10".
        prefix: PathText, optional "not asked";
        /// A regular expression that must be found in the path. It is for the whole path only where it begins with `^`
        /// and ends in `$`.
        regex: Regex, optional "not asked";
        /// Whether capital and small letters are the same.
        ignore_case: bool, default false;
    }

    /// What the value must match.
    struct ValueTable, called Place::nested {
        /// A regular expression that must be found in it.
        regex: Regex, required "`regex = '^yes$'`";
    }
}

/// Longer ones are no paths that people write down.
const LONGEST_PATH: usize = 2048;
const LONGEST_VALUE: usize = 2048;
/// The most parameters that one route looks for.
const MOST_PARAMETERS: usize = 50;

/// The path in `text`, which must be the one way of writing it that requests are compared in.
fn path_text(text: &str) -> Result<String, Fault> {
    if let Some((_, rest)) = text.split_once("://") {
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        return Fault::new("is a URL", format!("write only the path, {}, and the name as `host`", quoted(path)));
    }
    if !text.starts_with('/') {
        return Fault::new("does not begin with a slash", format!("write {}", quoted(&format!("/{text}"))));
    }
    if let Some((path, _)) = text.split_once('?') {
        return Fault::new(
            "has a query behind it",
            format!("write {} here, and what is asked for as `query = {{ name = \"value\" }}`", quoted(path)),
        );
    }
    if text.contains('#') {
        return Fault::new("has a `#` in it, which is never sent", "end the path before it");
    }
    if text.contains('*') {
        return Fault::new(
            "has a star in it, which stands for itself in paths",
            "write a prefix, which is for all below it, or `{ regex = '…' }`; a star as it is is `%2A`",
        );
    }
    let encoded = utf8_percent_encode(text, NOT_IN_PATHS).to_string();
    if text.len() > LONGEST_PATH {
        return Fault::new(format!("is longer than {LONGEST_PATH} bytes"), "write a prefix of it");
    }
    match normalise_path(&encoded) {
        Ok(normal) if normal == text => Ok(text.to_owned()),
        Ok(normal) => Fault::new(
            "is not how requests are compared, so that none would match",
            format!("write {}", quoted(&normal)),
        ),
        Err(fault) => Fault::new(fault.to_string(), "write the path as a browser shows it"),
    }
}

impl Setting for PathText {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        if item.get_ref().as_str().is_none() {
            return reader.unfit(item, place, "write \"/v1\"");
        }
        read_text(item, place, reader, |text| path_text(text).map(Self))
    }

    fn shape() -> Shape {
        Shape { expects: "a path that begins with a slash".to_owned(), schema: path_schema(), table: None }
    }
}

fn path_schema() -> Json {
    json!({ "type": "string", "pattern": "^/[^?#*\\s]*$", "maxLength": LONGEST_PATH })
}

impl Setting for Segments {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let path = PathText::read(item, place, reader)?;
        match without_end(&path.0) {
            "" => reader.wrong(item, place, "is the root, so that nothing would change", "write \"/v1\", or remove it"),
            path => Some(Self(path.to_owned())),
        }
    }

    fn shape() -> Shape {
        PathText::shape()
    }
}

/// A normalised path without the slash at its end.
fn without_end(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

impl Setting for PathTest {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let prefix =
            |path: &PathText, ignore_case| PathPattern::Prefix { path: without_end(&path.0).to_owned(), ignore_case };
        if item.get_ref().as_str().is_some() {
            return PathText::read(item, place, reader).map(|path| Self(prefix(&path, false)));
        }
        if !item.get_ref().is_table() {
            return reader.unfit(item, place, "write \"/v1\", or `{ exact = \"/login\" }`");
        }
        let reported = reader.reported();
        let table = PathTable::read(item, place, reader)?;
        let ignore_case = table.ignore_case.value;
        let exact = table.exact.map(|path| PathPattern::Exact { path: path.value.0, ignore_case });
        let prefix = table.prefix.map(|path| prefix(&path.value, ignore_case));
        if let Some((regex, (why, help))) =
            table.regex.as_ref().and_then(|regex| Some((regex, expression::never(regex.value.0.as_str())?)))
        {
            reader.report(regex.span.clone(), format!("`regex` can never match: {why}"), help);
        }
        let regex = table.regex.map(|regex| PathPattern::Regex(regex.value.0));
        if regex.is_some() && table.ignore_case.given {
            let message = "`ignore_case` has no effect on a regular expression".to_owned();
            let help = "begin the expression with `(?i)`, and remove `ignore_case`";
            reader.report(table.ignore_case.span.clone(), message, help);
        }
        let mut found = [exact, prefix, regex].into_iter().flatten();
        let first = found.next();
        // Where something could not be read, it may have been what is missing.
        if (first.is_none() && reader.reported() == reported) || found.next().is_some() {
            return reader.wrong(
                item,
                place,
                "must have one of `exact`, `prefix` and `regex`",
                "write one of the three",
            );
        }
        first.map(Self)
    }

    fn shape() -> Shape {
        let table = PathTable::shape();
        Shape {
            expects: "a path that begins with a slash or a table".to_owned(),
            schema: json!({ "anyOf": [path_schema(), table.schema] }),
            table: table.table,
        }
    }
}

impl Setting for HostPattern {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        if item.get_ref().as_str().is_none() {
            return reader.unfit(item, place, "write \"www.example.com\"");
        }
        read_text(item, place, reader, host_pattern)
    }

    fn shape() -> Shape {
        Shape {
            expects: "a host such as \"a.example.com\" or \"*.example.com\"".to_owned(),
            schema: json!({ "type": "string", "pattern": "^(\\*\\.)?[^*/\\s]+$" }),
            table: None,
        }
    }
}

fn host_pattern(text: &str) -> Result<HostPattern, Fault> {
    const HELP: &str = "write \"*.example.com\" for every name below it";
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        return Fault::new("is a URL", format!("write \"{host}\"; the path is a setting of its own"));
    }
    if let Some((host, _)) = text.split_once('/') {
        return Fault::new("has a path in it", format!("write \"{host}\"; the path is a setting of its own"));
    }
    match text.strip_prefix("*.") {
        None if text == "*" => Fault::new("is every host", "remove `host`"),
        None if text.contains('*') => Fault::new("has a star that is not before the first dot", HELP),
        None => host_alone(text).map(|host| HostPattern::Exact(host.0)),
        Some(rest) if rest.contains('*') => Fault::new("has two stars", HELP),
        Some(rest) => {
            let parent = host_alone(rest)?;
            match parse_host(rest)? {
                Host::Name(_) => Ok(HostPattern::Below(parent.0)),
                Host::Ip(_) | Host::Unix(_) => {
                    Fault::new("has an address behind its star, which has no names below it", HELP)
                }
            }
        }
    }
}

impl Setting for ValueTest {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let value = item.get_ref();
        let test = match (value.as_bool(), value.as_str()) {
            (Some(true), _) => ValuePattern::Present,
            (Some(false), _) => ValuePattern::Absent,
            (_, Some(text)) if text.chars().any(|c| c.is_control() && c != '\t') => {
                return reader.wrong(item, place, "has a control character in it", "write it in one line");
            }
            (_, Some(text)) if text.len() > LONGEST_VALUE => {
                return reader.wrong(item, place, &format!("is longer than {LONGEST_VALUE} bytes"), "");
            }
            (_, Some(text)) => ValuePattern::Exact(text.to_owned()),
            _ if value.is_table() => {
                return ValueTable::read(item, place, reader)
                    .map(|table| Self(ValuePattern::Regex(table.regex.value.0)));
            }
            _ => {
                let help = "write the value in quotes, `true` for any, `false` for none, or `{ regex = '…' }`";
                return reader.unfit(item, place, help);
            }
        };
        Some(Self(test))
    }

    fn shape() -> Shape {
        let table = ValueTable::shape();
        let text = json!({ "type": "string", "maxLength": LONGEST_VALUE });
        Shape {
            expects: "a text, `true` (it is there), `false` (it is not) or `{ regex = '…' }`".to_owned(),
            schema: json!({ "anyOf": [text, { "type": "boolean" }, table.schema] }),
            table: table.table,
        }
    }
}

impl Setting for ByParameter {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let help = || format!("write `{} = {{ name = \"value\" }}`", place.key);
        let Some(entries) = item.get_ref().as_table() else {
            return reader.unfit(item, place, help());
        };
        if entries.is_empty() {
            return reader.wrong(item, place, "is empty", help());
        }
        if entries.len() > MOST_PARAMETERS {
            return reader.wrong(item, place, &format!("has more than {MOST_PARAMETERS} parameters"), "");
        }
        let mut read = Vec::new();
        for (key, item) in entries {
            let name = key.get_ref().as_ref();
            let inner = Place { key: name.to_owned(), within: place.nested() };
            if let Some(value) = ValueTest::read(item, &inner, reader) {
                let field = Field { value, span: item.span(), given: true };
                read.push(Named { name: name.to_owned(), span: key.span(), field });
            }
        }
        read.sort_by_key(|named| named.span.start);
        Some(Self(read))
    }

    fn shape() -> Shape {
        let inner = ValueTest::shape();
        Shape {
            expects: format!("a table of parameters, each with {}", inner.expects),
            schema: json!({ "type": "object", "additionalProperties": inner.schema, "minProperties": 1 }),
            table: None,
        }
    }
}
