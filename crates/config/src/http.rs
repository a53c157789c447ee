//! The parts of an HTTP request and answer that can be set: method, target, fields; and plain text to send.

use std::collections::HashSet;
use std::ops::Range;

use serde_json::json;

use crate::reader::Reader;
use crate::setting::{Field, Item, Place, Setting, Shape};
use crate::wording::quoted;

/// An HTTP method, in capitals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Method(pub(crate) String);

/// What a request asks for: a path, and a query if need be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target(pub(crate) String);

/// The name of a service of gRPC; empty is a server as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GrpcService(pub(crate) String);

/// The value of a field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldValue(pub(crate) String);

/// A text that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

/// A value for each of some fields of HTTP, in the order of the file; no two have the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByField<T>(pub(crate) Vec<Named<T>>);

/// The name of a field of HTTP, where it stands, and what was set for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named<T> {
    pub(crate) name: String,
    pub(crate) span: Range<usize>,
    pub(crate) field: Field<T>,
}

// Bounds, in bytes, that keep the head of a request well below the 8 KiB that some servers stop at.
const LONGEST_METHOD: usize = 32;
const LONGEST_TARGET: usize = 2048;
const LONGEST_SERVICE: usize = 256;
const LONGEST_FIELD_NAME: usize = 128;
const LONGEST_FIELD_VALUE: usize = 2048;
/// The most fields: servers refuse heads of more than about 100.
const MOST_FIELDS: usize = 50;
/// The longest text to send, in bytes: what a socket takes at once.
const LONGEST_TEXT: usize = 4096;

/// Whether `text` is a token (RFC 9110, section 5.6.2), of which names and methods are made.
pub(crate) fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

impl Setting for Method {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        const HELP: &str = "write \"GET\" or \"HEAD\"";
        match item.get_ref().as_str() {
            Some("CONNECT") => reader.wrong(item, place, "cannot be CONNECT, which asks for no path", HELP),
            Some(text) if is_token(text) && text.len() <= LONGEST_METHOD => {
                let capitals = text.to_ascii_uppercase();
                if capitals == text {
                    return Some(Self(capitals));
                }
                reader.unfit(item, place, format!("write \"{capitals}\""))
            }
            _ => reader.unfit(item, place, HELP),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "an HTTP method in capitals".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[^a-z\\s]+$", "maxLength": LONGEST_METHOD }),
            table: None,
        }
    }
}

impl Setting for Target {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let Some(text) = item.get_ref().as_str() else {
            return reader.unfit(item, place, "write \"/health\"");
        };
        if let Some((_, rest)) = text.split_once("://") {
            let path = rest.find('/').map_or("/", |at| &rest[at..]);
            return reader.wrong(item, place, "is a URL", format!("write only the path, {}", quoted(path)));
        }
        if !text.starts_with('/') {
            return reader.wrong(
                item,
                place,
                "does not begin with a slash",
                format!("write {}", quoted(&format!("/{text}"))),
            );
        }
        if text.contains('#') {
            return reader.wrong(item, place, "has a `#` in it, which is never sent", "end the path before it");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let help = "write it with percent signs, a space as `%20`";
            return reader.wrong(item, place, "has a character that paths cannot have", help);
        }
        within(item, place, LONGEST_TARGET, reader).map(Self)
    }

    fn shape() -> Shape {
        Shape {
            expects: "a path that begins with a slash".to_owned(),
            schema: json!({ "type": "string", "pattern": "^/[^#\\s]*$", "maxLength": LONGEST_TARGET }),
            table: None,
        }
    }
}

impl Setting for GrpcService {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        const HELP: &str = "write \"my.package.Service\", or \"\" for the server as a whole";
        match item.get_ref().as_str() {
            Some(text) if text.contains('/') => {
                reader.wrong(item, place, "has a slash in it, which names of services have not", HELP)
            }
            Some(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                within(item, place, LONGEST_SERVICE, reader).map(Self)
            }
            _ => reader.unfit(item, place, HELP),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "the name of a service".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[^/\\s]*$", "maxLength": LONGEST_SERVICE }),
            table: None,
        }
    }
}

impl Setting for FieldValue {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let Some(text) = item.get_ref().as_str() else {
            return reader.unfit(item, place, "write it in quotes");
        };
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return reader.wrong(item, place, "has a control character in it", "write it in one line");
        }
        if text.trim() != text {
            return reader.wrong(
                item,
                place,
                "begins or ends with a space",
                "remove the space, which no server would see",
            );
        }
        within(item, place, LONGEST_FIELD_VALUE, reader).map(Self)
    }

    fn shape() -> Shape {
        Shape {
            expects: "a text in one line".to_owned(),
            schema: json!({
                "type": "string",
                "pattern": "^[^\\x00-\\x08\\x0a-\\x1f\\x7f]*$",
                "maxLength": LONGEST_FIELD_VALUE,
            }),
            table: None,
        }
    }
}

impl Setting for Text {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref().as_str() {
            Some("") => reader.wrong(item, place, "is empty", "remove it to send nothing"),
            Some(_) => within(item, place, LONGEST_TEXT, reader).map(Self),
            None => reader.unfit(item, place, "write it in quotes"),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "a text".to_owned(),
            schema: json!({ "type": "string", "minLength": 1, "maxLength": LONGEST_TEXT }),
            table: None,
        }
    }
}

/// The text of a value that may be `longest` bytes long.
fn within(item: &Item<'_>, place: &Place, longest: usize, reader: &mut Reader) -> Option<String> {
    let text = item.get_ref().as_str()?;
    if text.len() <= longest {
        return Some(text.to_owned());
    }
    reader.wrong(item, place, &format!("is longer than {longest} bytes"), "")
}

impl<T: Setting> Setting for ByField<T> {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let help = || format!("write `{} = {{ content-type = \"…\" }}`", place.key);
        let Some(entries) = item.get_ref().as_table() else {
            return reader.unfit(item, place, help());
        };
        if entries.is_empty() {
            return reader.wrong(item, place, "is empty", help());
        }
        if entries.len() > MOST_FIELDS {
            return reader.wrong(item, place, &format!("has more than {MOST_FIELDS} fields"), "");
        }
        let mut read = Vec::new();
        for (key, item) in entries {
            let name = key.get_ref().as_ref();
            if !is_token(name) || name.len() > LONGEST_FIELD_NAME {
                let help = "write a name such as `content-type`";
                reader.report(key.span(), format!("{} is no name of a field", quoted(name)), help);
                continue;
            }
            let inner = Place { key: name.to_owned(), within: place.nested() };
            if let Some(value) = T::read(item, &inner, reader) {
                let field = Field { value, span: item.span(), given: true };
                read.push(Named { name: name.to_owned(), span: key.span(), field });
            }
        }
        read.sort_by_key(|named| named.span.start);
        report_repeated(&read, reader);
        Some(Self(read))
    }

    fn shape() -> Shape {
        let inner = T::shape();
        Shape {
            expects: format!("a table of field names, each with {}", inner.expects),
            schema: json!({ "type": "object", "additionalProperties": inner.schema, "minProperties": 1, }),
            table: None,
        }
    }
}

/// Capitals make no difference in the name of a field, so that two may be the same to HTTP that are not to TOML.
fn report_repeated<T>(fields: &[Named<T>], reader: &mut Reader) {
    let mut names = HashSet::new();
    for field in fields {
        if !names.insert(field.name.to_ascii_lowercase()) {
            let message = format!("the field {} is there twice", quoted(&field.name));
            reader.report(field.span.clone(), message, "remove one of them");
        }
    }
}
