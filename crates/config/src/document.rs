//! What can be written in the file, for people and for editors, from the declarations in `raw`.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::raw::File;
use crate::setting::{Holds, Presence, Row, Setting, Table};
use crate::wording::plain;

/// The JSON schema (draft 2020-12) of the file.
///
/// It knows keys, types, words and the bounds of numbers. What takes more than one setting to see, and the bounds of
/// durations and sizes, only [`parse`](crate::parse) checks.
pub fn schema() -> Value {
    let mut schema = File::shape().schema;
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Plimsoll configuration");
    schema
}

/// The settings, in Markdown: a table of them for each table of the file.
pub fn reference() -> String {
    let mut text = String::from(INTRODUCTION);
    section(&mut text, "", &File::table());
    text
}

const INTRODUCTION: &str = "# Settings

The configuration is one TOML file. Durations are whole numbers with a unit, largest first: `250ms`, `5s`, `1m30s`,
`1h`. Sizes are a whole number with a unit: `512B`, `16KiB` (1024 bytes each), `10MB` (1,000,000 bytes each).
A setting that is not known, or that would have no effect, is an error.
";

/// Writes the section of the table whose keys begin with `path`, then those of the tables inside it.
fn section(text: &mut String, path: &str, table: &Table) {
    let header = match table.holds {
        _ if path.is_empty() => "Top of the file".to_owned(),
        Holds::One | Holds::Named => format!("`[{path}]`"),
        Holds::Listed => format!("`[[{path}]]`"),
    };
    let about = plain(table.doc);
    let columns = "| setting | value | default | meaning |\n|---|---|---|---|\n";
    push(text, format_args!("\n## {header}\n\n{about}\n\n{columns}"));
    for row in &table.rows {
        let (key, value, meaning) = (row.key, cell(&row.shape.expects), cell(row.doc));
        let default = default_of(row);
        push(text, format_args!("| `{key}` | {value} | {default} | {meaning} |\n"));
    }
    for row in &table.rows {
        if let Some(inner) = &row.shape.table {
            let dot = if path.is_empty() { "" } else { "." };
            let name = if inner.holds == Holds::Named { ".NAME" } else { "" };
            section(text, &format!("{path}{dot}{}{name}", row.key), inner);
        }
    }
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(what);
}

fn default_of(row: &Row) -> String {
    match row.presence {
        Presence::Required => "must be given".to_owned(),
        Presence::Default("{}") => "as below".to_owned(),
        Presence::Default(value) => format!("`{value}`"),
        Presence::Optional(absent) => absent.to_owned(),
    }
}

/// A text that may stand in a cell of a Markdown table.
fn cell(text: &str) -> String {
    plain(text).replace('|', "\\|")
}
