//! The settings of the process.

use serde_json::json;
use toml::de::DeValue;

use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape};

/// The longest name that Linux gives a user.
const LONGEST_ACCOUNT: usize = 256;

/// The last number of a user; the one behind it means "nobody in particular" to system calls.
const LAST_NUMBER: u32 = u32::MAX - 1;

/// A user or a group, by name or number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account(pub(crate) String);

impl Setting for Account {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let text = match item.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            _ => String::new(),
        };
        if is_account(&text) { Some(Self(text)) } else { reader.unfit(item, place, "write \"plimsoll\" or a number") }
    }

    fn shape() -> Shape {
        Shape {
            expects: "a name or a number of the system".to_owned(),
            schema: json!({ "anyOf": [
                { "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*[$]?$" },
                { "type": "integer", "minimum": 0, "maximum": LAST_NUMBER },
            ] }),
            table: None,
        }
    }
}

/// Whether this can be the name of an account, or is the number of one.
fn is_account(text: &str) -> bool {
    let bytes = text.strip_suffix('$').unwrap_or(text).as_bytes();
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let named =
        bytes.first().is_some_and(|first| of_name(first) && !b".-".contains(first)) && bytes.iter().all(of_name);
    let number = text.bytes().all(|byte| byte.is_ascii_digit());
    named && text.len() <= LONGEST_ACCOUNT && (!number || text.parse::<u32>().is_ok_and(|number| number <= LAST_NUMBER))
}
