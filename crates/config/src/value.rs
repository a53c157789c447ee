//! The types a setting can have: numbers, words, names, and lists and tables of settings.

use std::num::NonZeroU32;
use std::ops::Range;

use serde_json::json;
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use crate::reader::Reader;
use crate::setting::{Field, Holds, Item, Place, Setting, Shape};
use crate::wording::{nearest, quoted};

/// A whole number within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole<const MIN: u64, const MAX: u64>(pub(crate) u64);

/// A name that a person gives to a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) String);

/// One word of a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<T>(pub(crate) T);

/// What a [`Word`] can stand for.
pub(crate) trait Choice: Copy {
    /// Every word and what it stands for.
    fn words() -> Vec<(&'static str, Self)>;
}

/// A list. What could not be read was reported and is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List<T>(pub(crate) Vec<Field<T>>);

/// One value or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OneOrMore<T>(pub(crate) Vec<Field<T>>);

/// A table of settings, or `None` where the file says "off".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrOff<T>(pub(crate) Option<T>);

/// The word that takes the place of a table for what shall not be done.
pub(crate) const OFF: &str = "off";

/// Tables by name, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named<T>(pub(crate) Vec<Entry<T>>);

/// A table, its name and where the name stands. `table` is `None` where it could not be read, and `sound` is false where
/// anything in it could not; both were reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry<T> {
    pub(crate) name: String,
    pub(crate) span: Range<usize>,
    pub(crate) table: Option<T>,
    pub(crate) sound: bool,
}

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    /// The same for the core, where its bounds are within what 32 bits hold, from 1 on.
    pub(crate) fn count(self) -> NonZeroU32 {
        NonZeroU32::new(self.0 as u32).unwrap_or(NonZeroU32::MIN)
    }
}

impl<const MIN: u64, const MAX: u64> Setting for Whole<MIN, MAX> {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::Integer(integer) => match whole(integer) {
                Some(number) if (MIN..=MAX).contains(&number) => Some(Self(number)),
                _ => reader.unfit(item, place, ""),
            },
            DeValue::String(text) if text.parse::<u64>().is_ok() => {
                reader.unfit::<Self>(item, place, format!("write {text} without quotes"))
            }
            _ => reader.unfit::<Self>(item, place, ""),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: format!("a whole number from {MIN} to {MAX}"),
            schema: json!({ "type": "integer", "minimum": MIN, "maximum": MAX }),
            table: None,
        }
    }
}

/// The number an integer of the file stands for, `None` below 0 or above 2^64 - 1.
fn whole(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

impl Setting for bool {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            DeValue::String(text) if text.parse::<bool>().is_ok() => {
                reader.unfit::<Self>(item, place, format!("write {text} without quotes"))
            }
            _ => reader.unfit::<Self>(item, place, ""),
        }
    }

    fn shape() -> Shape {
        Shape { expects: "true or false".to_owned(), schema: json!({ "type": "boolean" }), table: None }
    }
}

impl<T: Choice> Setting for Word<T> {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let words = T::words();
        let Some(text) = item.get_ref().as_str() else {
            // A version such as 1.2 is a number to TOML.
            let number = item.get_ref().as_float().map(toml::de::DeFloat::as_str);
            let word = words.iter().find(|(word, _)| Some(*word) == number);
            let help = word.map_or_else(String::new, |(word, _)| format!("write \"{word}\" in quotes"));
            return reader.unfit::<Self>(item, place, help);
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(Self(*value));
        }
        let help = match nearest(text, words.iter().map(|(word, _)| *word)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => String::new(),
        };
        reader.unfit(item, place, help)
    }

    fn shape() -> Shape {
        let words: Vec<_> = T::words().into_iter().map(|(word, _)| word).collect();
        let expects = match &words[..] {
            [word] => format!("\"{word}\""),
            _ => format!("one of \"{}\"", words.join("\", \"")),
        };
        Shape { expects, schema: json!({ "enum": words }), table: None }
    }
}

/// The longest name, in characters: names stand in log lines and as labels of metrics.
const LONGEST_NAME: usize = 128;

/// What is wrong with a name, if anything.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.trim() != name {
        return Some("begins or ends with a space");
    }
    if name.chars().any(char::is_control) {
        return Some("has a control character in it");
    }
    (name.chars().count() > LONGEST_NAME).then_some("is longer than 128 characters")
}

/// What a name should look like.
pub(crate) const NAME_HELP: &str = "write a short name such as \"app\" or \"rack 2\"";

impl Setting for Name {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let Some(text) = item.get_ref().as_str() else {
            return reader.unfit::<Self>(item, place, NAME_HELP);
        };
        match name_fault(text) {
            None => Some(Self(text.to_owned())),
            Some(fault) => reader.wrong(item, place, fault, NAME_HELP),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "a name".to_owned(),
            schema: json!({
                "type": "string",
                "minLength": 1,
                "maxLength": LONGEST_NAME,
                "pattern": "^[^\\x00-\\x1f\\x7f]*$",
            }),
            table: None,
        }
    }
}

/// Reads every item of an array.
fn read_items<T: Setting>(items: &[Spanned<DeValue<'_>>], place: &Place, reader: &mut Reader) -> Vec<Field<T>> {
    let mut read =
        |item: &Item<'_>| Some(Field { value: T::read(item, place, reader)?, span: item.span(), given: true });
    items.iter().filter_map(&mut read).collect()
}

impl<T: Setting> Setting for List<T> {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref().as_array() {
            Some(items) => Some(Self(read_items(items, place, reader))),
            None if item.get_ref().is_table() && T::shape().table.is_some() => {
                let kind = if place.within.starts_with("listener") { "listen" } else { "pool" };
                let name = place.within.split('`').nth(1).unwrap_or("NAME");
                let help = format!("write `[[{kind}.{name}.{}]]`, in two brackets, before each of them", place.key);
                reader.wrong(item, place, "must be a list of tables, and is one table", help)
            }
            None => reader.unfit::<Self>(item, place, "write it in brackets, as in `[ … ]`"),
        }
    }

    fn shape() -> Shape {
        let inner = T::shape();
        Shape {
            expects: format!("a list, of which each is {}", inner.expects),
            schema: json!({ "type": "array", "items": inner.schema, "minItems": 1 }),
            table: inner.table.map(|table| table.held(Holds::Listed)),
        }
    }
}

impl<T: Setting> Setting for OneOrMore<T> {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref().as_array() {
            Some(items) if items.is_empty() => reader.wrong(item, place, "is an empty list", "write at least one"),
            Some(items) => Some(Self(read_items(items, place, reader))),
            None => Some(Self(read_items(std::slice::from_ref(item), place, reader))),
        }
    }

    fn shape() -> Shape {
        let one = T::shape();
        let many = List::<T>::shape();
        Shape {
            expects: format!("{}, or a list of such", one.expects),
            schema: json!({ "anyOf": [one.schema, many.schema] }),
            table: one.table,
        }
    }
}

impl<T: Setting> Setting for OrOff<T> {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::Table(_) => T::read(item, place, reader).map(|table| Self(Some(table))),
            DeValue::String(word) if word == OFF => Some(Self(None)),
            _ => {
                let help = off_help(item, place).unwrap_or_else(|| table_help::<T>(place));
                reader.unfit(item, place, help)
            }
        }
    }

    fn shape() -> Shape {
        let table = T::shape();
        Shape {
            expects: format!("{} or \"{OFF}\"", table.expects),
            schema: json!({ "anyOf": [table.schema, { "enum": [OFF] }] }),
            table: table.table,
        }
    }
}

/// How a table is written that may also be "off".
fn table_help<T: Setting>(place: &Place) -> String {
    let first = T::shape().table.and_then(|table| Some(table.rows.first()?.key)).unwrap_or_default();
    format!("write `{0} = {{ {first} = … }}` or `{0} = \"{OFF}\"`", place.key)
}

/// What to write in place of a value that was meant to say "off".
pub(crate) fn off_help(item: &Item<'_>, place: &Place) -> Option<String> {
    match item.get_ref() {
        DeValue::Boolean(false) => Some(format!("write `{} = \"{OFF}\"`", place.key)),
        DeValue::String(word) => nearest(word, [OFF].into_iter()).map(|off| format!("did you mean \"{off}\"?")),
        _ => None,
    }
}

/// How to write tables by name.
fn by_name_help(place: &Place) -> String {
    format!("write `[{}.NAME]`, with a name of your choice, and below it its settings", place.key)
}

impl<T: Setting> Setting for Named<T> {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let Some(entries) = item.get_ref().as_table() else {
            return reader.unfit::<Self>(item, place, by_name_help(place));
        };
        if entries.is_empty() {
            return reader.wrong(item, place, "is empty", by_name_help(place));
        }
        let by_name = by_name_help(place);
        let mut read: Vec<_> = entries
            .iter()
            .map(|(key, item)| {
                let name = key.get_ref().clone().into_owned();
                if let Some(fault) = name_fault(&name) {
                    let message = format!("the name {} {fault}", quoted(&name));
                    reader.report(key.span(), message, NAME_HELP);
                }
                let place = Place { key: name.clone(), within: place.key.clone() };
                let reported = reader.reported();
                let table = if item.get_ref().is_table() {
                    T::read(item, &place, reader)
                } else {
                    let what = format!("stands in `{}`, which has only tables by name", place.within);
                    reader.report(key.span(), format!("{} {what}", quoted(&name)), &by_name);
                    None
                };
                let (span, sound) = (key.span(), reader.reported() == reported);
                Entry { name, span, table, sound }
            })
            .collect();
        read.sort_by_key(|entry| entry.span.start);
        Some(Self(read))
    }

    fn shape() -> Shape {
        let inner = T::shape();
        Shape {
            expects: "tables by name".to_owned(),
            schema: json!({
                "type": "object",
                "additionalProperties": inner.schema,
                "minProperties": 1,
            }),
            table: inner.table.map(|table| table.held(Holds::Named)),
        }
    }
}
