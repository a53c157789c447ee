//! Regular expressions as people write them.

use regex::bytes::RegexBuilder;
use serde_json::json;

use crate::probe::Pattern;
use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape};
use crate::wording::visible;

/// A regular expression that compiles, and matches not just everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Regex(pub(crate) Pattern);

/// The most memory that one expression may take, in bytes, compiled and then again while it is matched. A health
/// check of a few words takes a few kilobytes; a repetition such as `(\w{100}){100}` would take gigabytes.
const LARGEST: usize = 1 << 20;

impl Setting for Regex {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let Some(text) = item.get_ref().as_str() else {
            return reader.unfit(item, place, "write it in single quotes, in which a backslash stands for itself");
        };
        if text.is_empty() {
            return reader.wrong(item, place, "is empty, so everything would match", "write `'.'` for any text at all");
        }
        match RegexBuilder::new(text).size_limit(LARGEST).dfa_size_limit(LARGEST).build() {
            Ok(regex) => Some(Self(Pattern(regex))),
            Err(error) => {
                let (what, help) = fault(&error);
                reader.wrong(item, place, &what, help)
            }
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "a regular expression".to_owned(),
            schema: json!({ "type": "string", "minLength": 1 }),
            table: None,
        }
    }
}

/// What is wrong with an expression, to follow its key, and what to write instead.
fn fault(error: &regex::Error) -> (String, &'static str) {
    match error {
        regex::Error::CompiledTooBig(_) => {
            ("is too large a regular expression".to_owned(), "repeat less, as in `{1,10}` for `{1,1000}`")
        }
        error => {
            // Syntax errors come as a drawing of several lines, of which the last says what is wrong.
            let drawing = error.to_string();
            let last = drawing.lines().last().unwrap_or_default();
            let what = visible(last.strip_prefix("error: ").unwrap_or(last));
            (
                format!("is no regular expression: {what}"),
                "put a backslash before a character that is meant as it stands, and the whole in single quotes",
            )
        }
    }
}
