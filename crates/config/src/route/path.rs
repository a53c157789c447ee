//! Paths of requests in the one form in which routes compare them: whatever another way of writing the same path is, it
//! comes to the same route.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS};

/// Why a path has no single meaning, so that no route can be chosen for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathFault {
    /// It does not begin with a slash.
    NoSlash,
    /// A per cent sign without two hexadecimal digits behind it.
    Percent,
    /// A dot segment that servers read in different ways: `..` behind an empty segment, or one with parameters (`..;x`).
    Ambiguous,
}

impl fmt::Display for PathFault {
    /// Writes it to follow "the path".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSlash => "does not begin with a slash",
            Self::Percent => "has a per cent sign without two hexadecimal digits behind it",
            Self::Ambiguous => "has a dot segment that servers read in different ways",
        })
    }
}

/// The path, which has no query, as routes compare it (RFC 3986, section 6.2.2): unreserved characters are not encoded,
/// others have capital digits behind their per cent sign, dot segments are followed, also encoded ones, and slashes in a
/// row are one. An encoded slash stays what it is; see [`with_slashes_decoded`]. A path that is normal already is not
/// copied.
///
/// # Errors
/// Why it has no such form.
pub fn normalise_path(path: &str) -> Result<Cow<'_, str>, PathFault> {
    if !path.starts_with('/') {
        return Err(PathFault::NoSlash);
    }
    if is_normal(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    without_dots(&decoded(path)?).map(Cow::Owned)
}

/// The other reading of a normalised path, in which encoded slashes and backslashes, and backslashes as they are, count as
/// slashes: so some servers take them. Where it comes to another route, the request has two meanings.
///
/// # Errors
/// Why it has no such reading.
pub fn with_slashes_decoded(normalised: &str) -> Result<Cow<'_, str>, PathFault> {
    let is_slash = |rest: &str| {
        let encoded = rest.get(..3).filter(|code| ["%2F", "%5C"].iter().any(|known| known.eq_ignore_ascii_case(code)));
        encoded.map_or(usize::from(rest.starts_with('\\')), str::len)
    };
    let Some(first) = normalised.match_indices(['%', '\\']).find(|(at, _)| is_slash(&normalised[*at..]) > 0) else {
        return normalise_path(normalised);
    };
    let (before, mut rest) = normalised.split_at(first.0);
    let mut decoded = String::with_capacity(normalised.len());
    decoded.push_str(before);
    while let Some(next) = rest.chars().next() {
        let length = is_slash(rest);
        decoded.push(if length > 0 { '/' } else { next });
        rest = &rest[length.max(next.len_utf8())..];
    }
    normalise_path(&decoded).map(|path| Cow::Owned(path.into_owned()))
}

/// What a path cannot have as it is (RFC 3986, section 3.3).
pub(super) const NOT_IN_PATHS: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}').add(b'\\');

/// Whether a byte means the same encoded and not (RFC 3986, section 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The byte that the two digits behind a per cent sign at the beginning of `rest` stand for.
fn encoded(rest: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
    Some((digit(1)? * 16 + digit(2)?) as u8)
}

/// Whether a path that begins with a slash has its normal form.
fn is_normal(path: &[u8]) -> bool {
    path.iter().enumerate().all(|(at, byte)| match byte {
        b'/' => {
            let dots = path[at + 1..].iter().take(2).take_while(|byte| **byte == b'.').count();
            let behind = path.get(at + 1 + dots);
            behind != Some(&b'/') && (dots == 0 || behind.is_some_and(|byte| *byte != b';'))
        }
        b'%' => {
            let capitals = path.iter().skip(at + 1).take(2).all(|digit| !digit.is_ascii_lowercase());
            capitals && encoded(&path[at..]).is_some_and(|byte| !is_unreserved(byte))
        }
        _ => true,
    })
}

/// The path with nothing encoded that need not be.
fn decoded(path: &str) -> Result<String, PathFault> {
    let (mut out, mut rest) = (String::with_capacity(path.len()), path);
    while let Some((before, _)) = rest.split_once('%') {
        out.push_str(before);
        let code = &rest[before.len()..];
        let byte = encoded(code.as_bytes()).ok_or(PathFault::Percent)?;
        // Both digits are ASCII, so that the code ends at the end of a character.
        let (code, behind) = code.split_at(3);
        if is_unreserved(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&code.to_ascii_uppercase());
        }
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// The path without dot segments (RFC 3986, section 5.2.4) and without empty ones but for the last.
fn without_dots(path: &str) -> Result<String, PathFault> {
    let (mut kept, mut empty) = (Vec::new(), false);
    let mut segments = path.split('/').skip(1).peekable();
    let mut is_folder = false;
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        is_folder = last && matches!(segment, "" | "." | "..");
        match segment {
            "" => empty |= !last,
            "." => {}
            // Who does not put slashes together lets it take the empty segment back, we another.
            ".." if empty => return Err(PathFault::Ambiguous),
            ".." => drop(kept.pop()),
            // Servers that cut parameters off see a dot segment here, others do not.
            _ if segment.starts_with(".;") || segment.starts_with("..;") => return Err(PathFault::Ambiguous),
            _ => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if is_folder || kept.is_empty() {
        out.push('/');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_way_of_writing_a_path_has_one_normal_form() {
        let forms = [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/a/%2e%2E/b", "/b"),
            ("/%2e/a", "/a"),
            ("//a///b//", "/a/b/"),
            ("/%61%7e%2d", "/a~-"),
            ("/%c3%a9", "/%C3%A9"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%252e", "/a%252e"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/...", "/..."),
            ("/é", "/é"),
        ];
        for (path, normal) in forms {
            assert_eq!(normalise_path(path).as_deref(), Ok(normal), "{path}");
        }
    }

    #[test]
    fn a_path_without_one_meaning_is_refused() {
        let faults = [
            ("", PathFault::NoSlash),
            ("*", PathFault::NoSlash),
            ("a/b", PathFault::NoSlash),
            ("/%", PathFault::Percent),
            ("/%4", PathFault::Percent),
            ("/%g1", PathFault::Percent),
            ("/%é", PathFault::Percent),
            ("/a//../b", PathFault::Ambiguous),
            ("/a//b/../../c", PathFault::Ambiguous),
            ("/a/..;/b", PathFault::Ambiguous),
            ("/a/%2e;x=1/b", PathFault::Ambiguous),
        ];
        for (path, fault) in faults {
            assert_eq!(normalise_path(path), Err(fault), "{path}");
        }
    }

    #[test]
    fn a_normal_path_is_not_copied() {
        for path in ["/", "/a/b.c/d", "/a%2Fb/%C3%A9", "/a/", "/.well-known/x", "/...", "/..a", "/a..b;c"] {
            assert!(matches!(normalise_path(path), Ok(Cow::Borrowed(_))), "{path}");
        }
        assert!(matches!(with_slashes_decoded("/a/%C3"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn encoded_slashes_have_a_second_reading() {
        for path in ["/a%2Fb", "/a%5Cb", "/a\\b", "/a%2fb", "/x/..%2Fa/b"] {
            assert_eq!(with_slashes_decoded(path).as_deref(), Ok("/a/b"), "{path}");
        }
        assert_eq!(with_slashes_decoded("/a%2F/../b"), Err(PathFault::Ambiguous));
        assert_eq!(with_slashes_decoded("/é%2Fb%252F").as_deref(), Ok("/é/b%252F"));
    }

    proptest! {
        #[test]
        fn whatever_comes_out_is_normal_and_has_no_dot_segments(
            pieces in prop::collection::vec(prop::sample::select(&[
                "/", "//", ".", "..", "%2e", "%2E", "%2f", "%5c", "\\", "%", "a", "B", "%61", "%c3", ";", "é", "%25", "2e",
            ][..]), 0..12),
            any in any::<String>(),
        ) {
            for path in [format!("/{}", pieces.concat()), pieces.concat(), any] {
                let Ok(normal) = normalise_path(&path) else { continue };
                prop_assert_eq!(normalise_path(&normal), Ok(Cow::Borrowed(&*normal)));
                for reading in [Ok(normal.clone()), with_slashes_decoded(&normal)].into_iter().flatten() {
                    prop_assert!(reading.starts_with('/') && !reading.contains("//"), "{}", reading);
                    prop_assert!(!reading.split('/').any(|segment| segment == "." || segment == ".."), "{}", reading);
                    prop_assert!(normalise_path(&reading).is_ok_and(|again| again == reading));
                }
            }
        }
    }
}
