//! Regular expressions for paths that no path can match: as people write them who think of the line of the request.

use percent_encoding::utf8_percent_encode;

use super::path::{NOT_IN_PATHS, PathFault, normalise_path};
use crate::wording::quoted;

/// Why no path can match `expression`, to follow "can never match:", and what to write instead. Only what it begins with is
/// looked at, so that `None` promises nothing.
pub(super) fn never(expression: &str) -> Option<(String, String)> {
    let (anchored, rest) = expression.strip_prefix('^').map_or((false, expression), |rest| (true, rest));
    let text = beginning(rest);
    if let Some(wrong) = text.chars().find(|c| !c.is_ascii_graphic()) {
        let help = format!("write {}", quoted(&utf8_percent_encode(&wrong.to_string(), NOT_IN_PATHS).to_string()));
        return Some((format!("paths have per cent signs in place of {}", quoted(&wrong.to_string())), help));
    }
    if text.contains('?') {
        let help = "end it before that, and write what is asked for as `query = { name = \"value\" }`";
        return Some(("the query is no part of the path".to_owned(), help.to_owned()));
    }
    if text.contains('#') {
        return Some(("a `#` is never sent".to_owned(), "end it before that".to_owned()));
    }
    // What is no path at all, in `OPTIONS *`.
    if anchored && text.starts_with('*') {
        return None;
    }
    if anchored && !text.is_empty() && !text.starts_with('/') {
        return Some(("a path begins with a slash".to_owned(), format!("write {}", quoted(&format!("^/{rest}")))));
    }
    // Any segment may stand before what is found in the middle.
    let before = if anchored { "" } else { "/x" };
    let path = format!("{before}{}", whole(&text));
    match normalise_path(&path) {
        _ if path.is_empty() => None,
        Ok(normal) if normal == path => None,
        Ok(normal) => {
            let why =
                "requests are compared by their path without dot segments, double slashes and needless per cent signs";
            let normal = normal.strip_prefix(before).unwrap_or(&normal);
            Some((why.to_owned(), format!("write {} for {}", quoted(normal), quoted(whole(&text)))))
        }
        Err(PathFault::NoSlash) => None,
        Err(fault) => {
            Some((format!("a path that {fault} is refused"), "write the path as a browser shows it".to_owned()))
        }
    }
}

/// What a match of `expression` must begin with. With alternatives it may begin with each of them.
fn beginning(expression: &str) -> String {
    let mut text = String::new();
    let mut chars = expression.chars().peekable();
    while let Some(mut next) = chars.next().filter(|_| !expression.contains('|')) {
        if next == '\\' {
            match chars.next() {
                Some(escaped) if escaped.is_ascii_punctuation() && !matches!(escaped, '<' | '>') => next = escaped,
                // A class of characters, or a place between two.
                _ => break,
            }
        } else if ".[](){}*+?^$".contains(next) {
            break;
        }
        let repeated = chars.peek().copied().filter(|next| "*+?{".contains(*next));
        if !matches!(repeated, Some('*' | '?' | '{')) {
            text.push(next);
        }
        if repeated.is_some() {
            break;
        }
    }
    text
}

/// The part of a beginning that is the same whatever follows: what a per cent sign stands for is whole, and no segment of dots
/// may go on as a name.
fn whole(text: &str) -> &str {
    let text = match text.rfind('%') {
        Some(at) if text.len() - at < 3 => &text[..at],
        _ => text,
    };
    let dots = text.rfind('/').map_or("", |at| &text[at + 1..]);
    if matches!(dots, "." | "..") { &text[..text.len() - dots.len()] } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_path_begins_with_is_told() {
        for wrong in [
            "^a/b",
            "^v1",
            "^/a%2fb",
            "^/%61",
            "^/a//b",
            "^//",
            r"^/a/\./b",
            r"^/a/\.\./",
            r"^/x\?id=",
            "/ü",
            "^/ü",
            "^/a b",
            "a//b",
            r"x\?",
            "%2f",
            "^/a#",
            r"^/\.\.;x",
            r"^\.well-known",
            "^/a%zz/",
        ] {
            assert!(never(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn what_may_match_is_not() {
        for right in [
            "^/",
            "^/a",
            r"^/u/\d+$",
            "^/a/?",
            "^/a//?b",
            r"^/\.well-known",
            r"^/a/\.",
            r"^/\.\.x",
            "^/a%2Fb",
            "^/a%2",
            "^/a%",
            "a",
            "^",
            ".",
            "^(a|/b)",
            "^a|^/b",
            r"^\*$",
            "^.*a",
            "^[/]a",
            "^/a/*b",
            r"\.php$",
            "b/",
            "2f",
            "^/ü?x",
            "(?i)^A",
            "^/(a+)+$",
            r"^\b/",
            r"^\</",
            "^/a{2}",
            "^a?/",
        ] {
            assert_eq!(never(right), None, "{right}");
        }
    }

    #[test]
    fn what_is_told_matches_nothing_that_is_normal() {
        let paths = ["/", "/a", "/a/b", "/x", "/ab", "/a%2Fb", "/.well-known", "/a.b", "/a%20b", "*"];
        for one in ["a", "/", "//", ".", r"\.", "%2f", "%2F", r"\?", "^", "b+", "x*", "(a)", "[ab]", "$"] {
            for other in ["a", "/", "b", ".", r"\.", "2F", "?", "*", "|/a", "/a"] {
                let expression = format!("{one}{other}");
                let Ok(regex) = regex::bytes::Regex::new(&expression) else { continue };
                let matched = paths.iter().find(|path| regex.is_match(path.as_bytes()));
                assert!(never(&expression).is_none() || matched.is_none(), "{expression} matches {matched:?}");
            }
        }
    }
}
