//! Reads the entries of a TOML table as settings, and reports what does not fit.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::reader::Reader;
use crate::setting::{Field, Item, Place, Setting};
use crate::wording::{listed, nearest, quoted, visible};

/// A table being read: its entries, and the keys in it that nobody knows but that look like one we do.
pub(crate) struct Open<'a, 'i> {
    entries: &'a DeTable<'i>,
    span: Range<usize>,
    phrase: String,
    mistaken: Vec<&'static str>,
}

impl Reader {
    /// Reports that the value of a setting does not fit: "`weight` must be …".
    pub(crate) fn wrong<T>(
        &mut self,
        item: &Item<'_>,
        place: &Place,
        what: &str,
        help: impl Into<String>,
    ) -> Option<T> {
        self.report(item.span(), format!("{} {what}", quoted(&place.key)), help);
        None
    }

    /// Reports that the value of a setting is nothing that `T` takes.
    pub(crate) fn unfit<T: Setting>(&mut self, item: &Item<'_>, place: &Place, help: impl Into<String>) -> Option<T> {
        let what = format!("must be {}, not {}", T::shape().expects, shown(item.get_ref()));
        self.wrong(item, place, &what, help)
    }

    /// Opens the table called `phrase`, which knows `keys`, and reports every other key in it.
    pub(crate) fn open<'a, 'i>(
        &mut self,
        entries: &'a DeTable<'i>,
        span: Range<usize>,
        phrase: String,
        keys: &'static [&'static str],
    ) -> Open<'a, 'i> {
        let mut mistaken = Vec::new();
        for (key, _) in entries {
            let name = key.get_ref().as_ref();
            if keys.contains(&name) {
                continue;
            }
            let help = match nearest(name, keys.iter().copied()) {
                Some(near) => {
                    mistaken.push(near);
                    format!("did you mean `{near}`?")
                }
                None => format!("what can be set here: {}", listed(keys)),
            };
            let message = format!("unknown setting {} in {phrase}", quoted(name));
            self.report(key.span(), message, help);
        }
        Open { entries, span, phrase, mistaken }
    }

    /// Reads a setting that must be there.
    pub(crate) fn required<T: Setting>(
        &mut self,
        open: &Open<'_, '_>,
        key: &'static str,
        example: &str,
    ) -> Option<Field<T>> {
        let found = self.optional(open, key);
        let excused = open.entries.contains_key(key) || open.mistaken.contains(&key);
        if found.is_none() && !excused {
            let message = format!("{} has no `{key}`", open.phrase);
            self.report(open.span.clone(), message, format!("write {example}"));
        }
        found
    }

    /// Reads a setting that has a default. What cannot be read is reported and its default stands in, so that the
    /// rest can be looked at as well.
    pub(crate) fn with_default<T: Setting>(
        &mut self,
        open: &Open<'_, '_>,
        key: &'static str,
        default: &str,
    ) -> Option<Field<T>> {
        if let Some(found) = self.optional(open, key) {
            return Some(found);
        }
        let value = DeValue::parse(default).ok()?.into_inner();
        let item = Spanned::new(open.span.clone(), value);
        let value = T::read(&item, &open.place(key), self)?;
        Some(Field { value, span: item.span(), given: false })
    }

    /// Reads a setting that may be there.
    pub(crate) fn optional<T: Setting>(&mut self, open: &Open<'_, '_>, key: &'static str) -> Option<Field<T>> {
        let item = open.entries.get(key)?;
        let value = T::read(item, &open.place(key), self)?;
        Some(Field { value, span: item.span(), given: true })
    }
}

impl Open<'_, '_> {
    fn place(&self, key: &str) -> Place {
        Place { key: key.to_owned(), within: self.phrase.clone() }
    }
}

/// A value as the file has it, or what it is where that may be long.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{}\"", visible(text)),
        DeValue::Integer(number) => visible(&number.to_string()),
        DeValue::Float(number) => visible(number.as_str()),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A table in which the file sets nothing.
pub(crate) fn untouched<T: Setting>() -> T {
    let item = Spanned::new(0..0, DeValue::Table(DeTable::new()));
    let place = Place { key: String::new(), within: String::new() };
    T::read(&item, &place, &mut Reader::default()).expect("each setting of the table has a default that fits")
}
