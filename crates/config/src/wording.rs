//! How messages speak of what the file says.

use std::path::Path;

/// The one of `known` that `typed` was most likely meant to be.
pub(crate) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong, as in rustc's own suggestions: less misses real slips, more proposes
    // words that have nothing to do with what was typed.
    let typed = shortened(typed, LONGEST_QUOTE);
    let most = typed.chars().count().div_ceil(3).min(MOST_SLIPS);
    known
        .take(MOST_CANDIDATES)
        .map(|word| (strsim::damerau_levenshtein(&typed, word), word))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, word)| word)
}

/// The most slips in a word that is still taken for a misspelling.
const MOST_SLIPS: usize = 5;

/// The most known words that are compared with one typed: more pools than anyone names by hand.
const MOST_CANDIDATES: usize = 1000;

/// The longest piece of the file that a message repeats, in characters.
const LONGEST_QUOTE: usize = 60;

/// The longest path that a message repeats, in characters: longer than those that people have.
const LONGEST_PATH: usize = 400;

/// The beginning of `text`: what a message repeats of it, and what is compared with known words.
fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `text` as a message repeats it: control characters visible, cut where it is long.
pub(crate) fn visible(text: &str) -> String {
    escaped(&shortened(text, LONGEST_QUOTE))
}

fn escaped(text: &str) -> String {
    let mut visible = String::new();
    for c in text.chars() {
        if c.is_control() {
            visible.extend(c.escape_default());
        } else {
            visible.push(c);
        }
    }
    visible
}

/// The same in backquotes.
pub(crate) fn quoted(text: &str) -> String {
    let text = if text.is_empty() { "\"\"" } else { text };
    format!("`{}`", visible(text))
}

/// A path in backquotes, cut only where nobody has one so long.
pub(crate) fn quoted_path(path: &Path) -> String {
    format!("`{}`", escaped(&shortened(&path.display().to_string(), LONGEST_PATH)))
}

/// A documentation comment as one line.
pub(crate) fn plain(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words in backquotes with commas between them, cut where they are many.
pub(crate) fn listed<S: AsRef<str>>(words: &[S]) -> String {
    let mut listed: Vec<_> = words.iter().take(MOST_LISTED).map(|word| quoted(word.as_ref())).collect();
    if words.len() > MOST_LISTED {
        listed.push("…".to_owned());
    }
    listed.join(", ")
}

/// The most words that a message lists: every setting of one table fits.
const MOST_LISTED: usize = 20;
