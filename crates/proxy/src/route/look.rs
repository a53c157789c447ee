//! What routes look at of a request, in the forms in which they compare it.

use std::borrow::Cow;
use std::net::IpAddr;

use plimsoll_config::{Asked, DecodedQuery, Fields, Parameters, Route, normalise_path, with_slashes_decoded};

use super::path::{self, Rewrite};
use crate::http1::Reject;
use crate::http1::fields::Field;
use crate::http1::request::RequestHead;
use crate::http1::target::host_of;
use crate::http1::variables::split_query;

/// A request as routes see it.
pub(super) struct Look<'a> {
    method: &'a str,
    host: Option<Cow<'a, str>>,
    /// As it came.
    path: &'a str,
    /// In the form in which it is compared.
    normal: Cow<'a, str>,
    query: Option<&'a str>,
    parameters: Parameters<'a>,
    fields: HeadFields<'a>,
    client: Option<IpAddr>,
}

/// A path that servers could take for another than we do.
const AMBIGUOUS: Reject = Reject::bad("the path can be read in two ways");

/// Whether paths matter to any of `routes`, so that all requests must have theirs in one form.
pub(super) fn read_paths(routes: &[Route]) -> bool {
    routes.iter().any(|route| !route.when.paths.is_empty() || !Rewrite::new(route).is_none())
}

impl<'a> Look<'a> {
    /// A request that came as `head`, and was parsed, from `client`; its path is only looked at where that matters.
    pub(super) fn new(
        (head, request): (&'a [u8], &'a RequestHead),
        client: Option<IpAddr>,
        reads_paths: bool,
    ) -> Result<Self, Reject> {
        let (path, query) = split_query(request.target.path.slice(head));
        let (path, query) = (text(path)?, query.map(text).transpose()?);
        Ok(Self {
            method: text(request.method.slice(head))?,
            host: request.host.map(|host| host_name(host.slice(head))),
            path,
            normal: if reads_paths { normal(path)? } else { Cow::Borrowed(path) },
            query,
            parameters: Parameters::of(query.unwrap_or_default()),
            fields: HeadFields { head, fields: &request.fields },
            client,
        })
    }

    /// The same with the parameters of the query decoded into `memory`, once they are; [`Look::into_memory`] gives it back.
    pub(super) fn in_memory(self, memory: DecodedQuery) -> Self {
        Self { parameters: Parameters::in_memory(self.query.unwrap_or_default(), memory), ..self }
    }

    pub(super) fn into_memory(self) -> DecodedQuery {
        self.parameters.into_memory()
    }

    /// The request, to be compared.
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked {
            method: self.method,
            host: self.host.as_deref(),
            path: &self.normal,
            query: &self.parameters,
            fields: &self.fields,
            client: self.client,
        }
    }

    /// What `first` finds, unless it finds something else for the path as some servers read it: they take encoded slashes,
    /// and backslashes, for slashes. Such a request is an attempt to have the route of another path.
    pub(super) fn find<T: PartialEq>(
        &self,
        mut first: impl FnMut(&Asked<'_>) -> Option<T>,
    ) -> Result<Option<T>, Reject> {
        let asked = self.asked();
        let found = first(&asked);
        if path::has_hidden_slash(&self.normal) {
            let other = with_slashes_decoded(&self.normal).map_err(|_| AMBIGUOUS)?;
            if first(&Asked { path: &other, ..asked }) != found {
                return Err(AMBIGUOUS);
            }
        }
        Ok(found)
    }

    /// Writes what a server is asked for by `rewrite` to `out`, unless that is what came.
    pub(super) fn target(&self, rewrite: &Rewrite, out: &mut Vec<u8>) {
        rewrite.target((self.path, &self.normal), self.query, out);
    }

    /// What a server is asked for where nothing is written.
    pub(super) fn target_as_it_came(&self) -> String {
        let path = if self.path.is_empty() { "/" } else { self.path };
        self.query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
    }
}

/// The one form of a path. What is none at all is the root, as it is to servers; `*` is no path.
fn normal(path: &str) -> Result<Cow<'_, str>, Reject> {
    match path {
        "" => Ok(Cow::Borrowed("/")),
        "*" => Ok(Cow::Borrowed(path)),
        _ => normalise_path(path).map_err(|_| Reject::bad("the path is not one that all servers read alike")),
    }
}

/// A part of a head that was parsed holds nothing but visible ASCII.
fn text(part: &[u8]) -> Result<&str, Reject> {
    std::str::from_utf8(part).map_err(|_| Reject::bad("the request line holds a character that is not allowed"))
}

/// The host of a valid authority in small letters, without the dot that a full name may end in.
fn host_name(authority: &[u8]) -> Cow<'_, str> {
    let host = host_of(authority);
    let host = host.strip_suffix(b".").unwrap_or(host);
    let host = String::from_utf8_lossy(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) { Cow::Owned(host.to_ascii_lowercase()) } else { host }
}

/// The fields of a head that was parsed.
struct HeadFields<'a> {
    head: &'a [u8],
    fields: &'a [Field],
}

impl Fields for HeadFields<'_> {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let named = |field: &&Field| field.name.slice(self.head).eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().filter(named).any(|field| test(field.value.slice(self.head)))
    }

    fn each(&self, look: &mut dyn FnMut(&[u8], &[u8])) {
        for field in self.fields {
            look(field.name.slice(self.head), field.value.slice(self.head));
        }
    }
}
