//! The settings of what becomes of the fields of requests and answers.

use serde_json::json;

use crate::http::{ByField, is_token};
use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape, settings};
use crate::template::Template;
use crate::value::OneOrMore;

settings! {
    /// What becomes of the fields of a head: first `remove`, then `set`, then `add`. Values may have $variables:
    /// `$client_ip`, `$host`, `$port`, `$scheme`, `$method`, `$path`, `$query`, `$target`, `$request_id`, `$route`, `$pool`
    /// and `$server`; `$$` is a dollar sign.
    struct HeaderEdits, called Place::nested {
        /// Fields that get this value alone, whatever was there.
        set: ByField<Template>, optional "none";
        /// Fields that get this value too, in a line of its own.
        add: ByField<Template>, optional "none";
        /// Fields that are taken away.
        remove: OneOrMore<Field>, optional "none";
    }
}

/// The name of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field(pub(crate) String);

const LONGEST_NAME: usize = 128;

impl Setting for Field {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref().as_str() {
            Some(name) if is_token(name) && name.len() <= LONGEST_NAME => Some(Self(name.to_owned())),
            _ => reader.unfit(item, place, "write a name such as \"X-Debug\""),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "the name of a field".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "maxLength": LONGEST_NAME }),
            table: None,
        }
    }
}
