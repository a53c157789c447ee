//! From a file or a text to a [`Config`] or its diagnostics.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::files::{Files, unreadable};
use crate::process::{Need, Unmet};
use crate::raw;
use crate::reader::{Problem, Reader};
use crate::resolve::resolve;
use crate::resolved::Config;
use crate::setting::Place;

/// The largest file that is read: a pool of a hundred thousand servers fits.
const LARGEST_FILE: u64 = 16 << 20;

/// The smallest configuration that serves.
const SMALLEST: &str = "write at least:
[listen.web]
bind = \"127.0.0.1:8080\"
pool = \"app\"
[pool.app]
servers = [\"127.0.0.1:9001\"]";

/// Reads the configuration in the file at `path`.
///
/// # Errors
/// Everything that is wrong with it; a file that cannot be read is one diagnostic without a line.
pub fn load(path: &Path) -> Result<Config, Diagnostics> {
    load_judged(path, |_, _| None)
}

/// The same, where `judge` is asked about everything that the configuration needs of the machine, this file among it where
/// it names a `user`, and says why a need is not met.
///
/// # Errors
/// Everything that is wrong with it, or else every need that is not met.
pub fn load_judged(path: &Path, judge: impl Fn(&Config, &Need) -> Option<Unmet>) -> Result<Config, Diagnostics> {
    let name = path.display().to_string();
    let whole = |message: String| Diagnostic::of_file(&name, message, None);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| whole(unreadable(&error)))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(whole("is larger than 16 MiB".to_owned()).into());
    }
    match String::from_utf8(bytes) {
        Ok(text) => {
            let judge = |config: &Config, reader: &mut Reader| {
                let needs = reader.needs().to_vec();
                let user = needs.iter().find(|(need, _)| matches!(need, Need::User(_)));
                let itself = user.map(|(_, span)| (Need::Read(path.to_owned()), span.clone()));
                for (need, span) in needs.iter().chain(&itself) {
                    if let Some(Unmet { message, help }) = judge(config, need) {
                        reader.report(span.clone(), message, help);
                    }
                }
            };
            parse_in(path.parent().unwrap_or(Path::new("")), (&name, &text), judge)
        }
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text: Arc<str> = String::from_utf8_lossy(error.as_bytes()).into();
            let help = "save the file as UTF-8".to_owned();
            let message = "this is not UTF-8 text".to_owned();
            let diagnostic = Diagnostic::of_file(&name, message, Some(help));
            // Up to here the text had no replacements, so the offset is the same.
            let end = at + char::REPLACEMENT_CHARACTER.len_utf8();
            Err(diagnostic.at(&text, at..end).into())
        }
    }
}

/// Reads the configuration in `text`; `file_name` is what diagnostics call it. Files that it names by relative paths
/// are read from the current folder.
///
/// # Errors
/// Everything that is wrong with it. Where the text is not TOML, only that.
pub fn parse(file_name: &str, text: &str) -> Result<Config, Diagnostics> {
    parse_in(Path::new(""), (file_name, text), |_, _| {})
}

/// The same, with other files in `folder`; a configuration that is right so far is given to `judge`, who may report more.
fn parse_in(
    folder: &Path,
    (file_name, text): (&str, &str),
    judge: impl FnOnce(&Config, &mut Reader),
) -> Result<Config, Diagnostics> {
    // Some editors begin a file with a byte order mark, which is no part of its first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(syntax_diagnostics(file_name, text, &errors));
    }
    if document.get_ref().is_empty() {
        let message = "no setting is in it, so there is nothing to serve".to_owned();
        return Err(Diagnostic::of_file(file_name, message, Some(SMALLEST.to_owned())).into());
    }
    let mut reader = Reader::of(text);
    let config = read(document.get_ref(), folder, &mut reader);
    if let Some(config) = config.as_ref().filter(|_| reader.reported() == 0) {
        judge(config, &mut reader);
    }
    settle(config, reader, file_name, text)
}

/// Reads the settings of `document`; other files are in `folder`. What is given back is right only if nothing was reported.
pub(crate) fn read(document: &DeTable<'_>, folder: &Path, reader: &mut Reader) -> Option<Config> {
    let place = Place { key: String::new(), within: String::new() };
    let file = raw::File::read_entries(document, 0..0, &place, reader)?;
    Some(resolve(&file, Files::in_folder(folder), reader))
}

/// `config`, unless `reader` found problems, which then point into `text`.
pub(crate) fn settle(
    config: Option<Config>,
    reader: Reader,
    file_name: &str,
    text: &str,
) -> Result<Config, Diagnostics> {
    let problems = reader.into_problems();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => {
            let text: Arc<str> = text.into();
            let diagnostic = |problem: Problem| {
                Diagnostic::of_file(file_name, problem.message, problem.help).at(&text, problem.span)
            };
            Err(Diagnostics::new(problems.into_iter().map(diagnostic).collect()))
        }
    }
}

/// The first error of each line: what follows on the same line mostly follows from it.
fn syntax_diagnostics(file_name: &str, text: &str, errors: &[toml::de::Error]) -> Diagnostics {
    let shared: Arc<str> = text.into();
    let mut diagnostics: Vec<Diagnostic> = errors
        .iter()
        .take(MOST_SYNTAX_ERRORS)
        .map(|error| {
            let span: Range<usize> = error.span().unwrap_or(0..0);
            let (message, help) = syntax_message(error.message());
            Diagnostic::of_file(file_name, message, help).at(&shared, span)
        })
        .collect();
    diagnostics.sort_by_key(|diagnostic| (diagnostic.line(), diagnostic.column()));
    diagnostics.dedup_by_key(|diagnostic| diagnostic.line());
    Diagnostics::new(diagnostics)
}

/// The most syntax errors that are looked at in one file.
const MOST_SYNTAX_ERRORS: usize = 100;

/// What is wrong with the syntax in our words, and what to write, where the parser's own words leave that open.
fn syntax_message(message: &str) -> (String, Option<String>) {
    let known = [
        ("string values must be quoted", "a text must stand in quotes", "write `setting = \"text\"`"),
        ("duplicate key", "this is set a second time", "remove one of the two"),
        ("key with no value", "a setting without a value", "write `setting = value`"),
        ("cannot recurse further", "this is nested too deep", "no setting lies deeper than six tables"),
        ("recursion limit", "this is nested too deep", "no setting lies deeper than six tables"),
        ("unclosed table", "the bracket is not closed", "write `[name]`"),
    ];
    match known.into_iter().find(|(theirs, ..)| message.starts_with(theirs)) {
        Some((_, ours, help)) => (ours.to_owned(), Some(help.to_owned())),
        None => (message.to_owned(), None),
    }
}
