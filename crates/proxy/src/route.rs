//! The routes of a listener: which is a request's own, and what it comes to.
//!
//! `look` brings what they compare into one form, `index` finds the few routes that a request may have by its host and path
//! and by which other `needs` of theirs it meets, `path` is what their servers are asked for, and `choose` tells of all
//! that without a request.

use std::net::IpAddr;
use std::sync::Arc;

use plimsoll_config::{Action, Asked, Page, Redirect, Respond, RouteRules, StatusSet, When};

use crate::auth::Auth;
use crate::catalog::Catalog;
use crate::http1::Reject;
use crate::http1::edits::Edits;
use crate::http1::request::RequestHead;
use crate::mirror::copied::Mirroring;
use crate::served::Served;
use counts::Counted;
use index::Index;
use look::Look;
use needs::NeedId;
use path::Rewrite;
use scratch::Scratch;

mod choose;
mod counts;
mod expressions;
pub(crate) mod id;
mod index;
mod look;
mod needs;
mod path;
pub(crate) mod scratch;

pub use choose::{Choice, Unroutable, choose_route};
pub(crate) use counts::{Denied, RouteCounts};
pub(crate) use id::RouteId;

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

/// One route.
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) goal: Goal,
    pub(crate) rules: RouteRules,
    /// Who may ask, where a password is asked for.
    pub(crate) auth: Option<Auth>,
    /// What becomes of the fields of requests.
    pub(crate) request_edits: Edits,
    /// What becomes of the fields of answers.
    pub(crate) response_edits: Edits,
    /// Where copies of its requests go.
    pub(crate) mirroring: Option<Arc<Mirroring>>,
    rewrite: Rewrite,
}

/// What the requests of a route come to.
pub(crate) enum Goal {
    /// One of these pools, by weight, under the rules that hold for the route.
    Pools(Vec<(Arc<Served>, u32)>),
    Redirect(Redirect),
    Respond(Respond),
}

impl Routes {
    /// These routes, whose requests are counted in `counts`; in the error the name of a pool that is not in `catalog`.
    pub(crate) fn new(
        routes: &[plimsoll_config::Route],
        catalog: &mut Catalog,
        counts: &mut RouteCounts,
    ) -> Result<Self, String> {
        let all: Vec<_> = routes.iter().map(|route| Route::new(route, catalog)).collect::<Result<_, _>>()?;
        let when: Vec<_> = routes.iter().map(|route| route.when.clone()).collect();
        let reads_paths = look::read_paths(routes);
        let plain = !reads_paths && when.first().is_some_and(When::is_any);
        let counted = counts.count(all.iter().map(|route| &*route.name));
        Ok(Self { index: Index::new(&when), all, when, plain, reads_paths, counted })
    }

    pub(crate) fn get(&self, id: RouteId) -> &Route {
        &self.all[id.0 as usize]
    }

    /// The pools that may serve, or get copies.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.all.iter().flat_map(Route::pools)
    }

    /// Counts a request of this route in the column of a worker.
    pub(crate) fn count(&self, id: RouteId, worker: usize) {
        self.counted.add(id.0 as usize, worker);
    }

    /// Counts one that was its own and was refused.
    pub(crate) fn count_denied(&self, id: RouteId, worker: usize, why: Denied) {
        self.counted.add_denied(id.0 as usize, worker, why);
    }

    /// The route of a request, which came as `head` from `client`; `None` where none is for it. Where the path that its server
    /// gets is not the one that came, `target` is what to ask it for.
    pub(crate) fn find(
        &self,
        (head, request): (&[u8], &RequestHead),
        client: Option<IpAddr>,
        target: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<Option<RouteId>, Reject> {
        if self.plain {
            return Ok(Some(RouteId(0)));
        }
        let look = Look::new((head, request), client, self.reads_paths)?.in_memory(std::mem::take(&mut scratch.query));
        let mut first = |asked: &Asked<'_>| self.first(asked, &mut scratch.needs);
        let found = if self.reads_paths { look.find(first) } else { Ok(first(&look.asked())) };
        if let Ok(Some(found)) = found
            && self.reads_paths
        {
            look.target(&self.get(found).rewrite, target);
        }
        scratch.query = look.into_memory();
        found
    }

    /// The first route that a request matches.
    fn first(&self, asked: &Asked<'_>, needs: &mut Vec<NeedId>) -> Option<RouteId> {
        let fits = |number: usize| self.when[number].refusal(asked).is_none();
        self.index.first(asked, needs, fits).map(RouteId)
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
        let mirroring = rules.mirror.as_ref().map(|rule| catalog.mirroring(rule)).transpose()?;
        Ok(Self {
            name: route.name.clone(),
            goal,
            request_edits: Edits::new(&rules.request_headers),
            response_edits: Edits::new(&rules.response_headers),
            mirroring,
            rewrite: Rewrite::new(route),
            auth: rules.basic_auth.as_ref().map(|auth| Auth::new(auth, &catalog.checks)),
            rules,
        })
    }

    fn pools(&self) -> impl Iterator<Item = &Arc<Served>> {
        let shares: &[_] = if let Goal::Pools(shares) = &self.goal { shares } else { &[] };
        let mirror = self.mirroring.as_ref().map(|mirroring| &mirroring.served);
        shares.iter().map(|(served, _)| served).chain(mirror)
    }

    /// What a redirect tells of path and query in place of what came: `target`, where a part of the path is cut off or put
    /// before it. That a path has a normal form is no reason to write it otherwise.
    pub(crate) fn told_target<'a>(&self, target: &'a [u8]) -> &'a [u8] {
        if self.rewrite.is_none() { &[] } else { target }
    }

    /// Whether a client at `address` may ask; `None` is one on a Unix socket.
    pub(crate) fn lets(&self, address: Option<IpAddr>) -> bool {
        self.rules.access.iter().all(|access| access.lets(address))
    }
}

/// The page for an answer of ours with this status.
pub(crate) fn error_page(pages: &[(StatusSet, Page)], status: u16) -> Option<&Page> {
    pages.iter().find(|(statuses, _)| statuses.contains(status)).map(|(_, page)| page)
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
