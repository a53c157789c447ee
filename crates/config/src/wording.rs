//! How messages speak of what the file says.

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

/// A documentation comment as one line.
pub(crate) fn plain(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words in backquotes with commas between them.
pub(crate) fn listed<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    quoted.join(", ")
}
