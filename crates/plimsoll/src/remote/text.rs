//! How the commands write what the API says: names and messages made safe for a terminal, and numbers made short.

use std::fmt::Write;
use std::time::Duration;

use plimsoll_control::api::State;

/// `text` on one line, safe to print: what could steer a terminal or reorder a line stands there escaped.
pub(crate) fn visible(text: &str) -> String {
    escaped(text, |_| false)
}

/// The same for a text of several lines.
pub(crate) fn visible_lines(text: &str) -> String {
    escaped(text, |c| c == '\n')
}

/// JSON, safe to print. Outside of its strings it has no control characters but line ends, so that what is escaped
/// here means the same as before.
pub(crate) fn visible_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) && c != '\n' {
            // Writing to a String cannot fail.
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) && !stays(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Control characters, and those that change the direction of what follows (Unicode Standard Annex 9) or end a line.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A time such as a response takes, with two significant digits at least.
pub(crate) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 9950.0 => format!("{:.1} s", ms / 1000.0),
        ms => format!("{:.0} s", ms / 1000.0),
    }
}

/// A time that may not be known.
pub(crate) fn maybe_milliseconds(ms: Option<f64>) -> String {
    ms.map_or_else(|| "-".to_owned(), milliseconds)
}

/// Something a second.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate < 99.95 => format!("{rate:.1}"),
        rate if rate < 9999.5 => format!("{rate:.0}"),
        rate if rate < 999_950.0 => format!("{:.1}k", rate / 1000.0),
        rate => format!("{:.1}M", rate / 1e6),
    }
}

/// A share from 0 to 1. Few is told from none.
pub(crate) fn share(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0%".to_owned(),
        percent if percent < 0.1 => "<0.1%".to_owned(),
        percent if percent < 9.95 => format!("{percent:.1}%"),
        percent => format!("{percent:.0}%"),
    }
}

/// How long something has lasted: its two largest units.
pub(crate) fn lasting(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// A score, the least being the best.
pub(crate) fn score(score: Option<f64>) -> String {
    match score {
        None => "-".to_owned(),
        Some(score) if score.abs() < 1000.0 => format!("{score:.2}"),
        Some(score) => format!("{score:.0}"),
    }
}

/// `1 server`, `2 servers`.
pub(crate) fn count(number: u64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

/// The one of `known` that `typed` was most likely meant to be: one with a third of the letters wrong at most, as in the
/// diagnostics of the configuration.
pub(crate) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed: String = typed.chars().take(LONGEST_COMPARED).collect();
    let most = typed.chars().count().div_ceil(3);
    let near = known.map(|name| (strsim::damerau_levenshtein(&typed, name), name));
    near.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

/// The longest name that is compared, in characters; comparing takes time in proportion to the product of both.
const LONGEST_COMPARED: usize = 100;

/// A state as something that a server does or is.
pub(crate) fn doing(state: State) -> &'static str {
    match state {
        State::Ready => "ready",
        State::Drain => "draining",
        State::Down => "down",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_printed_steers_a_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\nc\u{9b}d\u{202e}e"), "a\\u{1b}[2Jb\\nc\\u{9b}d\\u{202e}e");
        assert_eq!(visible("größe 10.0.0.1:80"), "größe 10.0.0.1:80");
        assert_eq!(visible_lines("a\nb\rc"), "a\nb\\rc");
        let json = "{\n \"a\": \"\u{7f}\u{9b}\u{2028}\"\n}";
        assert_eq!(visible_json(json), "{\n \"a\": \"\\u007f\\u009b\\u2028\"\n}");
        let meaning = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(meaning(&visible_json(json)), meaning(json));
    }

    #[test]
    fn numbers_are_short() {
        for (ms, text) in [(0.0, "0.0 ms"), (9.94, "9.9 ms"), (9.96, "10 ms"), (999.4, "999 ms"), (999.6, "1.0 s")] {
            assert_eq!(milliseconds(ms), text);
        }
        assert_eq!([12.34, 1234.0, 12_340.0, 1e7].map(rate), ["12.3", "1234", "12.3k", "10.0M"]);
        assert_eq!([0.0, 0.0001, 0.015, 0.5, 1.0].map(share), ["0%", "<0.1%", "1.5%", "50%", "100%"]);
        assert_eq!([5.9, 65.0, 3700.0, 90_000.0].map(lasting), ["5s", "1m 5s", "1h 1m", "1d 1h"]);
        assert_eq!([Some(1.0), Some(12_345.6), None].map(score), ["1.00", "12346", "-"]);
        assert_eq!((count(1, "server"), count(0, "server")), ("1 server".to_owned(), "0 servers".to_owned()));
    }

    #[test]
    fn the_nearest_name_is_found_and_no_far_one() {
        let known = ["app", "api", "static"];
        assert_eq!(nearest("statik", known.into_iter()), Some("static"));
        assert_eq!(nearest("apq", known.into_iter()), Some("api"));
        assert_eq!(nearest("database", known.into_iter()), None);
    }
}
