//! How a setting is declared, and how its declaration reads it.
//!
//! [`settings!`] is the only place that turns a declaration into code: a struct whose fields know where they stood
//! in the file, a reader that takes it from a TOML table and reports what does not fit, and the [`Shape`] that the
//! reference and the JSON schema are written from.

use std::ops::Range;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use crate::reader::Reader;
use crate::wording::plain;

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
    /// How such tables stand in the file.
    pub(crate) holds: Holds,
    /// What the table is for.
    pub(crate) doc: &'static str,
    /// Its settings, in the order of their declaration.
    pub(crate) rows: Vec<Row>,
}

/// How a setting holds its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// It is the table.
    One,
    /// It has tables by name.
    Named,
    /// It is a list of tables.
    Listed,
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
    /// An error.
    Required,
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

impl<T> Field<T> {
    /// Where the file gives it, if it does.
    pub(crate) fn where_given(&self) -> Option<Range<usize>> {
        self.given.then(|| self.span.clone())
    }
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

impl Table {
    /// The same table, held in another way.
    pub(crate) fn held(self, holds: Holds) -> Self {
        Self { holds, ..self }
    }

    /// The shape of a setting that is this table.
    pub(crate) fn into_shape(self) -> Shape {
        let required: Vec<_> =
            self.rows.iter().filter(|row| row.presence == Presence::Required).map(|row| row.key).collect();
        let properties: serde_json::Map<_, _> =
            self.rows.iter().map(|row| (row.key.to_owned(), row.schema())).collect();
        let schema = json!({
            "type": "object",
            "description": plain(self.doc),
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        Shape { expects: "a table".to_owned(), schema, table: Some(self) }
    }
}

impl Row {
    /// The schema of the setting's type, with what only this setting knows.
    fn schema(&self) -> Json {
        let mut schema = self.shape.schema.clone();
        schema["description"] = json!(plain(self.doc));
        if let Presence::Default(default) = self.presence
            && let Ok(default) = serde_json::from_str::<Json>(default)
        {
            schema["default"] = default;
        }
        schema
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
        #[allow(clippy::struct_field_names, reason = "fields are called what the file calls them")]
        pub(crate) struct $name {
            $($(#[doc = $doc])+ pub(crate) $key: settings!(@slot $presence $kind),)+
        }

        impl $name {
            /// What can be set in the table.
            const KEYS: &'static [&'static str] = &[$(stringify!($key)),+];

            /// Reads the settings out of the entries of a table.
            pub(crate) fn read_entries(
                entries: &toml::de::DeTable<'_>,
                span: std::ops::Range<usize>,
                place: &$crate::setting::Place,
                reader: &mut $crate::reader::Reader,
            ) -> Option<Self> {
                let open = reader.open(entries, span, $called(place), Self::KEYS);
                $(let $key = settings!(@read $presence $literal, reader, &open, stringify!($key));)+
                Some(Self { $($key: settings!(@take $presence $key),)+ })
            }

            /// The table and what can be set in it.
            pub(crate) fn table() -> $crate::setting::Table {
                $crate::setting::Table {
                    holds: $crate::setting::Holds::One,
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
                reader: &mut $crate::reader::Reader,
            ) -> Option<Self> {
                match item.get_ref().as_table() {
                    Some(entries) => Self::read_entries(entries, item.span(), place, reader),
                    None => {
                        let help = format!("write `{} = {{ {} = … }}`", place.key, Self::KEYS[0]);
                        reader.unfit(item, place, help)
                    }
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
    (@presence required $literal:tt) => { $crate::setting::Presence::Required };
    (@presence default $literal:tt) => { $crate::setting::Presence::Default(stringify!($literal)) };
    (@presence optional $literal:tt) => { $crate::setting::Presence::Optional($literal) };
}
pub(crate) use settings;
