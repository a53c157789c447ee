//! Reads settings out of TOML tables and collects what is wrong with them.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::setting::{Field, Item, Place, Setting};
use crate::wording::{listed, nearest, quoted, visible};

/// Something wrong at a span of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// The most problems that are reported for one file. Past it a person learns nothing new, and a huge broken file
/// would cost memory.
const MOST_PROBLEMS: usize = 100;

/// Collects the problems of one file.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    problems: Vec<Problem>,
    /// Where the lines of the file end.
    line_ends: Vec<usize>,
}

/// A table being read: its entries, and the keys in it that nobody knows but that look like one we do.
pub(crate) struct Open<'a, 'i> {
    entries: &'a DeTable<'i>,
    span: Range<usize>,
    phrase: String,
    mistaken: Vec<&'static str>,
}

impl Reader {
    /// One for the file that says `text`.
    pub(crate) fn of(text: &str) -> Self {
        let line_ends = text.match_indices('\n').map(|(at, _)| at).collect();
        Self { problems: Vec::new(), line_ends }
    }

    /// The line in which byte `at` of the file stands, counted from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.line_ends.partition_point(|end| *end < at) + 1
    }

    /// The problems found, none if the file is right.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Whether so much was reported that nothing more will be.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.len() >= MOST_PROBLEMS
    }

    /// How many problems were found so far.
    pub(crate) fn reported(&self) -> usize {
        self.problems.len()
    }

    /// Whether anything was reported inside `span`.
    pub(crate) fn has_problem_in(&self, span: &Range<usize>) -> bool {
        let inside = |problem: &Problem| span.contains(&problem.span.start);
        self.problems.iter().any(inside)
    }

    /// Reports a problem at `span`.
    pub(crate) fn report(&mut self, span: Range<usize>, message: String, help: impl Into<String>) {
        if !self.is_full() {
            let help = Some(help.into()).filter(|help| !help.is_empty());
            self.problems.push(Problem { span, message, help });
        }
    }

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
