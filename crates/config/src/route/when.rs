//! The requests a route is for, and whether one is among them.

use std::fmt;
use std::net::IpAddr;

use super::parameters::Parameters;
use crate::network::Network;
use crate::probe::Pattern;
use crate::wording::quoted;

/// The requests a route is for: those that meet all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct When {
    /// The host asked for is one of these; empty is any, also none.
    pub hosts: Vec<HostPattern>,
    /// The path, normalised, is one of these; empty is any.
    pub paths: Vec<PathPattern>,
    /// The method is one of these; empty is any.
    pub methods: Vec<String>,
    /// Fields of the head, their names in lower case; all must be met.
    pub headers: Vec<(String, ValuePattern)>,
    /// Parameters of the query; all must be met.
    pub query: Vec<(String, ValuePattern)>,
    /// The client is in one of these; empty is any.
    pub clients: Vec<Network>,
}

/// The hosts a route is for, in lower case and without a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host alone.
    Exact(String),
    /// Every host below this one, at any depth: `example.com` for `*.example.com`.
    Below(String),
}

/// The paths a route is for. They are compared with the normalised path of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPattern {
    /// This path alone.
    Exact {
        /// It begins with a slash and is normalised.
        path: String,
        /// Whether capital and small letters (of ASCII) are the same.
        ignore_case: bool,
    },
    /// This path and all below it, by whole segments: `/a` is for `/a` and `/a/b`, not for `/ab`.
    Prefix {
        /// It begins with a slash, is normalised and does not end in a slash; the root is empty.
        path: String,
        /// Whether capital and small letters (of ASCII) are the same.
        ignore_case: bool,
    },
    /// The expression is found somewhere in the path.
    Regex(Pattern),
}

/// What the value of a field or a parameter of the query must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValuePattern {
    /// It is there, whatever it is.
    Present,
    /// It is not there.
    Absent,
    /// It is this, in one of its occurrences.
    Exact(String),
    /// The expression is found in one of its occurrences.
    Regex(Pattern),
}

/// What routes look at of a request.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// The host asked for, in lower case and without a port; `None` where none was.
    pub host: Option<&'a str>,
    /// The path, normalised by [`normalise_path`](super::path::normalise_path).
    pub path: &'a str,
    /// The parameters of its query.
    pub query: &'a Parameters<'a>,
    /// The fields of the head.
    pub fields: &'a dyn Fields,
    /// The client's address; `None` on a Unix socket.
    pub client: Option<IpAddr>,
}

/// The fields of the head of a request.
pub trait Fields {
    /// Whether one of the values of the field called `name`, in lower case, passes `test`. No further value is looked at
    /// then.
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;

    /// Shows each field to `look`, by its name as it came and its value.
    fn each(&self, look: &mut dyn FnMut(&[u8], &[u8]));
}

impl Fields for Vec<(String, String)> {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.iter().any(|(known, value)| known.eq_ignore_ascii_case(name) && test(value.as_bytes()))
    }

    fn each(&self, look: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in self {
            look(name.as_bytes(), value.as_bytes());
        }
    }
}

/// The first condition of a route that a request does not meet. Its `Display` tells it in words: "the host is not
/// api.example.com".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal<'a> {
    /// The host is none of these.
    Host(&'a [HostPattern]),
    /// The path is none of these.
    Path(&'a [PathPattern]),
    /// The method is none of these.
    Method(&'a [String]),
    /// The field of this name is not as it should be.
    Header(&'a str, &'a ValuePattern),
    /// The parameter of this name is not as it should be.
    Query(&'a str, &'a ValuePattern),
    /// The client is in none of these.
    Client(&'a [Network]),
}

impl When {
    /// Whether every request meets it.
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }

    /// Why a request is not one of these; `None` is that it is.
    pub fn refusal(&self, asked: &Asked<'_>) -> Option<Refusal<'_>> {
        fn none_of<T>(all: &[T], fits: impl FnMut(&T) -> bool) -> bool {
            !all.is_empty() && !all.iter().any(fits)
        }
        if none_of(&self.hosts, |host| asked.host.is_some_and(|asked| host.matches(asked))) {
            return Some(Refusal::Host(&self.hosts));
        }
        if none_of(&self.paths, |path| path.matches(asked.path)) {
            return Some(Refusal::Path(&self.paths));
        }
        if none_of(&self.methods, |method| takes_method(method, asked.method)) {
            return Some(Refusal::Method(&self.methods));
        }
        let wrong = |(name, value): &&(String, ValuePattern)| !value.holds(|test| asked.fields.any(name, test));
        if let Some((name, value)) = self.headers.iter().find(wrong) {
            return Some(Refusal::Header(name, value));
        }
        let wrong = |(name, value): &&(String, ValuePattern)| !value.holds(|test| asked.query.any(name, test));
        if let Some((name, value)) = self.query.iter().find(wrong) {
            return Some(Refusal::Query(name, value));
        }
        none_of(&self.clients, |network| network.contains(asked.client)).then_some(Refusal::Client(&self.clients))
    }
}

impl HostPattern {
    /// Whether `host`, in lower case and without a port, is one of these.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(own) => own == host,
            Self::Below(parent) => {
                host.strip_suffix(&**parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        }
    }
}

impl PathPattern {
    /// Whether `path`, normalised, is one of these.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact { path: own, ignore_case: false } => own == path,
            Self::Exact { path: own, ignore_case: true } => own.eq_ignore_ascii_case(path),
            Self::Prefix { path: own, ignore_case } => is_below(path, own, *ignore_case),
            Self::Regex(pattern) => pattern.is_match(path.as_bytes()),
        }
    }
}

/// Whether a route for the method `own` takes a request with the method `asked`. What is for GET is for HEAD too, which asks
/// for the same without its content (RFC 9110, section 9.3.2): who may not GET is not to see by HEAD what is there.
pub(crate) fn takes_method(own: &str, asked: &str) -> bool {
    own == asked || (own == "GET" && asked == "HEAD")
}

/// Whether `path` is `prefix` or begins with it by whole segments. The root, which is empty, is above all, also above what
/// is no path, such as the `*` of OPTIONS.
pub(crate) fn is_below(path: &str, prefix: &str, ignore_case: bool) -> bool {
    let Some(begin) = path.as_bytes().get(..prefix.len()) else { return false };
    let same = if ignore_case { begin.eq_ignore_ascii_case(prefix.as_bytes()) } else { begin == prefix.as_bytes() };
    same && (prefix.is_empty() || matches!(path.as_bytes().get(prefix.len()), None | Some(b'/')))
}

impl ValuePattern {
    /// Whether it holds for the values that `any` looks through.
    fn holds(&self, any: impl Fn(&mut dyn FnMut(&[u8]) -> bool) -> bool) -> bool {
        match self {
            Self::Present => any(&mut |_| true),
            Self::Absent => !any(&mut |_| true),
            Self::Exact(own) => any(&mut |value| value == own.as_bytes()),
            Self::Regex(pattern) => any(&mut |value| pattern.is_match(value)),
        }
    }
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(hosts) => write!(f, "the host is not {}", either(hosts)),
            Self::Path(paths) => write!(f, "the path {}", either_path(paths)),
            Self::Method(methods) => write!(f, "the method is not {}", either(methods)),
            Self::Header(name, value) => value.tell(f, format_args!("the field {name}")),
            Self::Query(name, value) => value.tell(f, format_args!("{} of the query", quoted(name))),
            Self::Client(networks) => write!(f, "the client is not in {}", either(networks)),
        }
    }
}

/// The most that a refusal lists: the file has them all.
const MOST_LISTED: usize = 5;

fn either<T: ToString>(all: &[T]) -> String {
    let mut words: Vec<_> = all.iter().take(MOST_LISTED).map(ToString::to_string).collect();
    if all.len() > MOST_LISTED {
        words.push("any of the others".to_owned());
    }
    words.join(" or ")
}

/// Why no path of `all` fits, to follow "the path".
fn either_path(all: &[PathPattern]) -> String {
    let told = all.iter().map(|path| match path {
        PathPattern::Regex(pattern) => format!("does not match {}", pattern.as_str()),
        path => format!("is not {path}"),
    });
    let mut words: Vec<_> = told.take(MOST_LISTED).collect();
    if all.len() > MOST_LISTED {
        words.push("is none of the others".to_owned());
    }
    words.join(", ")
}

impl ValuePattern {
    /// Tells that `what` is not like this.
    fn tell(&self, f: &mut fmt::Formatter<'_>, what: fmt::Arguments<'_>) -> fmt::Result {
        match self {
            Self::Present => write!(f, "{what} is not there"),
            Self::Absent => write!(f, "{what} is there"),
            Self::Exact(value) => write!(f, "{what} is not {}", quoted(value)),
            Self::Regex(pattern) => write!(f, "{what} does not match {}", pattern.as_str()),
        }
    }
}

impl fmt::Display for HostPattern {
    /// Writes it as the file says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

impl fmt::Display for PathPattern {
    /// Writes it to follow "the path is": `/a`, `/a or below it`, `like ^/u/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact { path, .. } => f.write_str(path),
            Self::Prefix { path, .. } if path.is_empty() => f.write_str("/ or below it"),
            Self::Prefix { path, .. } => write!(f, "{path} or below it"),
            Self::Regex(pattern) => write!(f, "like {}", pattern.as_str()),
        }
    }
}

#[cfg(test)]
mod tests;
