//! The routes of a listener: which is a request's own, and what it comes to.
//!
//! `index` finds the few routes that a request may have by its host and path, `path` what their servers are asked for.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use plimsoll_config::{Action, Asked, Fields, Page, Redirect, Respond, RouteRules, When, normalise_path};

use crate::catalog::Catalog;
use crate::http1::Reject;
use crate::http1::edits::Edits;
use crate::http1::fields::Field;
use crate::http1::request::RequestHead;
use crate::http1::target::host_of;
use crate::http1::variables::split_query;
use crate::service::Served;
use counts::Counted;
use index::Index;
use path::Rewrite;

mod counts;
mod index;
mod path;

pub(crate) use counts::RouteCounts;

/// The routes of a listener, in their order.
pub(crate) struct Routes {
    all: Vec<Route>,
    /// The requests that each is for.
    when: Vec<When>,
    index: Index,
    /// Nothing has to be looked at: the first is for every request.
    plain: bool,
    /// Some look at paths or change them, so that all have to be of one form.
    reads_paths: bool,
    counted: Counted,
}

/// Which route of its listener a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteId(u32);

impl RouteId {
    /// Its place among the routes of the listener.
    pub(crate) fn place(self) -> usize {
        self.0 as usize
    }
}

/// One route.
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) goal: Goal,
    pub(crate) rules: RouteRules,
    /// What becomes of the fields of requests.
    pub(crate) request_edits: Edits,
    /// What becomes of the fields of answers.
    pub(crate) response_edits: Edits,
    rewrite: Rewrite,
}

/// What the requests of a route come to.
pub(crate) enum Goal {
    /// One of these pools, by weight, under the rules that hold for the route.
    Pools(Vec<(Arc<Served>, u32)>),
    Redirect(Redirect),
    Respond(Respond),
}

/// A path that the servers of a listener with routes could take for another than we do.
const AMBIGUOUS: Reject = Reject::bad("the path can be read in two ways");

impl Routes {
    /// These routes, whose requests are counted in `counts`; in the error the name of a pool that is not in `catalog`.
    pub(crate) fn new(
        routes: &[plimsoll_config::Route],
        catalog: &mut Catalog,
        counts: &mut RouteCounts,
    ) -> Result<Self, String> {
        let all: Vec<_> = routes.iter().map(|route| Route::new(route, catalog)).collect::<Result<_, _>>()?;
        let when: Vec<_> = routes.iter().map(|route| route.when.clone()).collect();
        let reads_paths =
            when.iter().any(|when| !when.paths.is_empty()) || all.iter().any(|route| !route.rewrite.is_none());
        let plain = !reads_paths && when.first().is_some_and(When::is_any);
        let counted = counts.count(all.iter().map(|route| &*route.name));
        Ok(Self { index: Index::new(&when), all, when, plain, reads_paths, counted })
    }

    pub(crate) fn get(&self, id: RouteId) -> &Route {
        &self.all[id.0 as usize]
    }

    /// The pools that may serve.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.all.iter().flat_map(Route::pools)
    }

    /// Counts a request of this route in the column of a worker.
    pub(crate) fn count(&self, id: RouteId, worker: usize) {
        self.counted.add(id.0 as usize, worker);
    }

    /// The route of a request, which came as `head` from `client`; `None` where none is for it. Where the path that its server
    /// gets is not the one that came, `target` is what to ask it for.
    pub(crate) fn find(
        &self,
        (head, request): (&[u8], &RequestHead),
        client: Option<IpAddr>,
        target: &mut Vec<u8>,
    ) -> Result<Option<RouteId>, Reject> {
        if self.plain {
            return Ok(Some(RouteId(0)));
        }
        let (path, query) = split_query(request.target.path.slice(head));
        let (path, query) = (text(path)?, query.map(text).transpose()?);
        let normal = if self.reads_paths { path_of(path)? } else { Cow::Borrowed(path) };
        let host = request.host.map(|host| host_name(host.slice(head)));
        let asked = Asked {
            method: text(request.method.slice(head))?,
            host: host.as_deref(),
            path: &normal,
            query: query.unwrap_or_default(),
            fields: &HeadFields { head, fields: &request.fields },
            client,
        };
        let found = self.first(&asked);
        if self.reads_paths && path::has_hidden_slash(&normal) {
            self.check_other_reading(&asked, found)?;
        }
        if let Some(found) = found
            && self.reads_paths
        {
            self.get(found).rewrite.target((path, &normal), query, target);
        }
        Ok(found)
    }

    /// The first route that a request matches.
    fn first(&self, asked: &Asked<'_>) -> Option<RouteId> {
        let found = self.index.first(asked.host, asked.path, |number| self.when[number].refusal(asked).is_none());
        found.map(RouteId)
    }

    /// Some servers take encoded slashes, and backslashes, for slashes. A request that would have another route then is an
    /// attempt to have one for a path of another.
    fn check_other_reading(&self, asked: &Asked<'_>, found: Option<RouteId>) -> Result<(), Reject> {
        let other = plimsoll_config::with_slashes_decoded(asked.path).map_err(|_| AMBIGUOUS)?;
        if self.first(&Asked { path: &other, ..*asked }) == found { Ok(()) } else { Err(AMBIGUOUS) }
    }
}

/// The one form of a path. What is none at all is the root, as it is to servers; `*` is no path.
fn path_of(path: &str) -> Result<Cow<'_, str>, Reject> {
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
}

impl Route {
    fn new(route: &plimsoll_config::Route, catalog: &mut Catalog) -> Result<Self, String> {
        let rules = route.rules.clone();
        let goal = match &route.action {
            Action::Pools(shares) => {
                let shares = shares.iter().map(|share| Ok((catalog.under(&share.pool, &rules)?, share.weight)));
                Goal::Pools(shares.collect::<Result<_, String>>()?)
            }
            Action::Redirect(redirect) => Goal::Redirect(redirect.clone()),
            Action::Respond(respond) => Goal::Respond(respond.clone()),
        };
        Ok(Self {
            name: route.name.clone(),
            goal,
            request_edits: Edits::new(&rules.request_headers),
            response_edits: Edits::new(&rules.response_headers),
            rewrite: Rewrite::new(route),
            rules,
        })
    }

    fn pools(&self) -> impl Iterator<Item = &Arc<Served>> {
        let shares: &[_] = if let Goal::Pools(shares) = &self.goal { shares } else { &[] };
        shares.iter().map(|(served, _)| served)
    }

    /// Whether a client at `address` may ask; `None` is one on a Unix socket.
    pub(crate) fn lets(&self, address: Option<IpAddr>) -> bool {
        self.rules.access.iter().all(|access| access.lets(address))
    }

    /// The page for an answer of ours with this status.
    pub(crate) fn error_page(&self, status: u16) -> Option<&Page> {
        self.rules.errors.iter().find(|(statuses, _)| statuses.contains(status)).map(|(_, page)| page)
    }
}

/// One of the pools, drawn by weight with a `random` number.
pub(crate) fn draw<T>(shares: &[(T, u32)], random: impl FnOnce() -> u64) -> Option<&T> {
    let [(only, _)] = shares else {
        let total: u64 = shares.iter().map(|(_, weight)| u64::from(*weight)).sum();
        // The upper half of the product is evenly spread over the weights (Lemire, "Fast Random Integer Generation in an
        // Interval", 2019), but for one in 2^40 at the weights there can be.
        let mut drawn = ((u128::from(random()) * u128::from(total)) >> u64::BITS) as u64;
        return shares.iter().find_map(|(share, weight)| {
            let here = drawn < u64::from(*weight);
            drawn = drawn.saturating_sub(u64::from(*weight));
            here.then_some(share)
        });
    };
    Some(only)
}

#[cfg(test)]
mod tests;
