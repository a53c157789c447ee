//! How a setting is declared, and how its declaration reads it.
//!
//! [`settings!`] is the only place that turns a declaration into code: a struct whose fields know where they stood
//! in the file, a reader that takes it from a TOML table and reports what does not fit, and the [`Shape`] that the
//! reference and the JSON schema are written from.

use std::ops::Range;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A type that a setting can have.
pub(crate) trait Setting: Sized {
    /// Reads a value of the file, or reports to `reader` why it cannot.
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self>;

    /// What a person may write for it.
    fn shape() -> Shape;
}

/// A value of the file and its span.
pub(crate) type Item<'a> = Spanned<DeValue<'a>>;

/// What a person may write for a setting.
pub(crate) struct Shape {
    /// In words, to end a sentence that begins "must be".
    pub(crate) expects: String,
    /// As a JSON schema.
    pub(crate) schema: Json,
    /// The settings inside, where it is a table.
    pub(crate) table: Option<Table>,
}

/// The settings of a table.
pub(crate) struct Table {
    /// What the table is for.
    pub(crate) doc: &'static str,
    /// Its settings, in the order of their declaration.
    pub(crate) rows: Vec<Row>,
}

/// One setting of a table.
pub(crate) struct Row {
    pub(crate) key: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) presence: Presence,
    pub(crate) shape: Shape,
}

/// What it means when a setting is not in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// An error, whose help is this line.
    Required(&'static str),
    /// The same as this value, written in JSON and TOML alike.
    Default(&'static str),
    /// There is none; what that means is said in these words.
    Optional(&'static str),
}

/// A setting's value and where it stands. What is left to its default stands where its table does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
    /// Whether the file gives it.
    pub(crate) given: bool,
}

/// What a value is called in messages: its key and the table it is in.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) key: String,
    pub(crate) within: String,
}

impl Place {
    /// What a table is called that has no word of its own: "`timeout` of pool `app`".
    pub(crate) fn nested(&self) -> String {
        format!("`{}` of {}", self.key, self.within)
    }
}

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
}

/// A table being read: its entries, and the keys in it that nobody knows but that look like one we do.
pub(crate) struct Open<'a, 'i> {
    entries: &'a DeTable<'i>,
    span: Range<usize>,
    phrase: String,
    mistaken: Vec<&'static str>,
}

impl Reader {
    /// The problems found, none if the file is right.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Whether anything was reported inside `span`.
    pub(crate) fn has_problem_in(&self, span: &Range<usize>) -> bool {
        let inside = |problem: &Problem| span.contains(&problem.span.start);
        self.problems.iter().any(inside)
    }

    /// Reports a problem at `span`.
    pub(crate) fn report(&mut self, span: Range<usize>, message: String, help: impl Into<String>) {
        if self.problems.len() < MOST_PROBLEMS {
            let help = Some(help.into()).filter(|help| !help.is_empty());
            self.problems.push(Problem {
                span,
                message,
                help,
            });
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

    /// Reports that the value of a setting has another type than `T` takes.
    pub(crate) fn wrong_type<T: Setting>(
        &mut self,
        item: &Item<'_>,
        place: &Place,
        help: impl Into<String>,
    ) -> Option<T> {
        let what = format!(
            "must be {}, not {}",
            T::shape().expects,
            kind(item.get_ref())
        );
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
        Open {
            entries,
            span,
            phrase,
            mistaken,
        }
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
        Some(Field {
            value,
            span: item.span(),
            given: false,
        })
    }

    /// Reads a setting that may be there.
    pub(crate) fn optional<T: Setting>(
        &mut self,
        open: &Open<'_, '_>,
        key: &'static str,
    ) -> Option<Field<T>> {
        let item = open.entries.get(key)?;
        let value = T::read(item, &open.place(key), self)?;
        Some(Field {
            value,
            span: item.span(),
            given: true,
        })
    }
}

impl Open<'_, '_> {
    fn place(&self, key: &str) -> Place {
        Place {
            key: key.to_owned(),
            within: self.phrase.clone(),
        }
    }
}

impl Table {
    /// The shape of a setting that is this table.
    pub(crate) fn into_shape(self) -> Shape {
        let required: Vec<_> = self
            .rows
            .iter()
            .filter(|row| matches!(row.presence, Presence::Required(_)))
            .map(|row| row.key)
            .collect();
        let properties: serde_json::Map<_, _> = self
            .rows
            .iter()
            .map(|row| (row.key.to_owned(), row.schema()))
            .collect();
        let schema = json!({
            "type": "object",
            "description": self.doc,
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        Shape {
            expects: "a table".to_owned(),
            schema,
            table: Some(self),
        }
    }
}

impl Row {
    /// The schema of the setting's type, with what only this setting knows.
    fn schema(&self) -> Json {
        let mut schema = self.shape.schema.clone();
        schema["description"] = json!(self.doc);
        if let Presence::Default(default) = self.presence
            && let Ok(default) = serde_json::from_str::<Json>(default)
        {
            schema["default"] = default;
        }
        schema
    }
}

/// The one of `known` that `typed` was most likely meant to be.
pub(crate) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong, as in rustc's own suggestions: less misses real slips, more proposes
    // words that have nothing to do with what was typed.
    let most = typed.chars().count().div_ceil(3).min(MOST_SLIPS);
    known
        .map(|word| (strsim::damerau_levenshtein(&shortened(typed), word), word))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, word)| word)
}

/// The most slips in a word that is still taken for a misspelling.
const MOST_SLIPS: usize = 5;

/// The longest piece of the file that a message repeats, in characters.
const LONGEST_QUOTE: usize = 60;

/// The beginning of `text`: what a message repeats of it, and what is compared with known words.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `text` as a message repeats it: in backquotes, control characters visible, cut where it is long.
pub(crate) fn quoted(text: &str) -> String {
    let visible: String = shortened(text)
        .chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = (!c.is_control()).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    format!("`{visible}`")
}

/// Words in backquotes with commas between them.
pub(crate) fn listed<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<_> = words
        .iter()
        .map(|word| format!("`{}`", word.as_ref()))
        .collect();
    quoted.join(", ")
}

/// What a value is, with its article.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text in quotes",
        DeValue::Integer(_) => "a bare number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Declares the settings of a table.
///
/// ```text
/// settings! {
///     /// What the table is for.
///     struct Timeouts, called Place::nested {
///         /// What the setting does.
///         idle: Lasts<SECOND, HOUR>, default "60s";
///     }
/// }
/// ```
///
/// After the type stands one of `required` and a line to write, `default` and the value as in the file, or
/// `optional` and what its absence means. The name after `called` is a function from [`Place`] to what messages call
/// such a table.
macro_rules! settings {
    ($(
        $(#[doc = $about:literal])+
        struct $name:ident, called $called:path {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $kind:ty, $presence:ident $literal:tt;
            )+
        }
    )+) => {$(
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name {
            $($(#[doc = $doc])+ pub(crate) $key: settings!(@slot $presence $kind),)+
        }

        impl $name {
            /// Reads the settings out of the entries of a table.
            pub(crate) fn read_entries(
                entries: &toml::de::DeTable<'_>,
                span: std::ops::Range<usize>,
                place: &$crate::setting::Place,
                reader: &mut $crate::setting::Reader,
            ) -> Option<Self> {
                const KEYS: &[&str] = &[$(stringify!($key)),+];
                let open = reader.open(entries, span, $called(place), KEYS);
                $(let $key = settings!(@read $presence $literal, reader, &open, stringify!($key));)+
                Some(Self { $($key: settings!(@take $presence $key),)+ })
            }

            /// The table and what can be set in it.
            pub(crate) fn table() -> $crate::setting::Table {
                $crate::setting::Table {
                    doc: concat!($($about, "\n"),+).trim(),
                    rows: vec![$($crate::setting::Row {
                        key: stringify!($key),
                        doc: concat!($($doc, "\n"),+).trim(),
                        presence: settings!(@presence $presence $literal),
                        shape: <$kind as $crate::setting::Setting>::shape(),
                    }),+],
                }
            }
        }

        impl $crate::setting::Setting for $name {
            fn read(
                item: &$crate::setting::Item<'_>,
                place: &$crate::setting::Place,
                reader: &mut $crate::setting::Reader,
            ) -> Option<Self> {
                match item.get_ref().as_table() {
                    Some(entries) => Self::read_entries(entries, item.span(), place, reader),
                    None => reader.wrong_type::<Self>(item, place, "write `{ setting = value }`"),
                }
            }

            fn shape() -> $crate::setting::Shape {
                Self::table().into_shape()
            }
        }
    )+};
    (@slot optional $kind:ty) => { Option<$crate::setting::Field<$kind>> };
    (@slot $presence:ident $kind:ty) => { $crate::setting::Field<$kind> };
    (@take optional $value:ident) => { $value };
    (@take $presence:ident $value:ident) => { $value? };
    (@read required $literal:tt, $reader:expr, $open:expr, $key:expr) => { $reader.required($open, $key, $literal) };
    (@read default $literal:tt, $reader:expr, $open:expr, $key:expr) => { $reader.with_default($open, $key, stringify!($literal)) };
    (@read optional $literal:tt, $reader:expr, $open:expr, $key:expr) => { $reader.optional($open, $key) };
    (@presence required $literal:tt) => { $crate::setting::Presence::Required($literal) };
    (@presence default $literal:tt) => { $crate::setting::Presence::Default(stringify!($literal)) };
    (@presence optional $literal:tt) => { $crate::setting::Presence::Optional($literal) };
}
pub(crate) use settings;
