//! What the servers of a route are asked for: the path as it was matched, with what is to be cut off or put before it.

use plimsoll_config::{PathPattern, Route};

/// What becomes of the path of a request.
#[derive(Debug, Default)]
pub(super) struct Rewrite {
    /// Cut off; empty is nothing.
    strip: String,
    /// Put before what is left; empty is nothing.
    add: String,
    /// Capital and small letters of what is cut off are the same, as they are to the route.
    ignore_case: bool,
}

impl Rewrite {
    pub(super) fn new(route: &Route) -> Self {
        let ignores = |path: &PathPattern| {
            matches!(path, PathPattern::Exact { ignore_case: true, .. } | PathPattern::Prefix { ignore_case: true, .. })
        };
        Self {
            strip: route.rules.strip_prefix.trim_end_matches('/').to_owned(),
            add: route.rules.add_prefix.trim_end_matches('/').to_owned(),
            ignore_case: route.when.paths.iter().any(ignores),
        }
    }

    /// Nothing is to be done.
    pub(super) fn is_none(&self) -> bool {
        self.strip.is_empty() && self.add.is_empty()
    }

    /// Writes path and query for the server to `out`, unless they are those that came: `path`, which is `normal` in the form
    /// in which it was matched. What the server gets is what we have looked at.
    pub(super) fn target(&self, (path, normal): (&str, &str), query: Option<&str>, out: &mut Vec<u8>) {
        if normal == "*" {
            return;
        }
        let rest = self.stripped(normal);
        if self.add.is_empty() && (std::ptr::eq(rest, path) || rest == path || path.is_empty() && rest == "/") {
            return;
        }
        out.extend_from_slice(self.add.as_bytes());
        out.extend_from_slice(rest.as_bytes());
        if out.is_empty() {
            out.push(b'/');
        }
        if let Some(query) = query {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    }

    /// `path` without what is cut off, where that is whole segments of it.
    fn stripped<'a>(&self, path: &'a str) -> &'a str {
        // Not left to the comparison below: an empty text is nowhere, and a `memcmp` with masked loads that is sent there takes
        // 0.1 us to find out.
        if self.strip.is_empty() {
            return path;
        }
        let Some((begin, rest)) = path.split_at_checked(self.strip.len()) else { return path };
        let same = if self.ignore_case { begin.eq_ignore_ascii_case(&self.strip) } else { *begin == *self.strip };
        if same && (rest.is_empty() || rest.starts_with('/')) { rest } else { path }
    }
}

/// Whether a normalised path has what some servers take for a slash.
pub(super) fn has_hidden_slash(path: &str) -> bool {
    memchr::memchr2_iter(b'%', b'\\', path.as_bytes()).any(|at| {
        let rest = &path.as_bytes()[at..];
        rest[0] == b'\\' || rest.starts_with(b"%2F") || rest.starts_with(b"%5C")
    })
}

#[cfg(test)]
mod tests {
    use plimsoll_config::RouteRules;

    use super::*;

    fn rewritten(strip: &str, add: &str, path: &str) -> String {
        let rules = RouteRules { strip_prefix: strip.into(), add_prefix: add.into(), ..RouteRules::default() };
        let rewrite = Rewrite::new(&Route { rules, ..Route::to_pool("app") });
        let (mut out, query) = (Vec::new(), Some("q"));
        rewrite.target((path, path), query, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn whole_segments_are_cut_off_and_what_is_left_begins_with_a_slash() {
        assert_eq!(rewritten("/app", "", "/app/x"), "/x?q");
        assert_eq!(rewritten("/app", "", "/app"), "/?q");
        assert_eq!(rewritten("/app", "", "/app/"), "/?q");
        assert_eq!(rewritten("/app", "", "/apple"), "");
        assert_eq!(rewritten("/app", "/y", "/app"), "/y?q");
        assert_eq!(rewritten("/app", "/y/", "/app/x"), "/y/x?q");
        assert_eq!(rewritten("", "/y", "/x"), "/y/x?q");
        assert_eq!(rewritten("/app", "/y", "/apple"), "/y/apple?q");
        assert_eq!(rewritten("", "/y", "*"), "");
    }

    #[test]
    fn a_normalised_path_is_forwarded_where_it_differs() {
        let mut out = Vec::new();
        Rewrite::default().target(("/a/../b", "/b"), Some("x=/../"), &mut out);
        assert_eq!(out, b"/b?x=/../");
        out.clear();
        Rewrite::default().target(("/b", "/b"), Some("x"), &mut out);
        Rewrite::default().target(("", "/"), None, &mut out);
        assert_eq!(out, b"");
    }

    #[test]
    fn slashes_can_hide() {
        assert!(has_hidden_slash("/a%2Fb") && has_hidden_slash("/a\\b") && has_hidden_slash("/%C3%A9%5C"));
        assert!(!has_hidden_slash("/a%20b") && !has_hidden_slash("/a/b"));
    }
}
