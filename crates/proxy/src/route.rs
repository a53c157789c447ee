//! The routes of a listener: which is a request's own, and what it comes to.

use std::sync::Arc;

use plimsoll_config::{Action, Redirect, Respond, RouteRules};

use crate::service::{Catalog, Served};

/// The routes of a listener, in their order.
pub(crate) struct Routes(Vec<Route>);

/// Which route of its listener a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteId(u32);

/// One route.
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) goal: Goal,
    pub(crate) rules: RouteRules,
}

/// What the requests of a route come to.
pub(crate) enum Goal {
    /// One of these pools, by weight, under the rules that hold for the route.
    Pools(Vec<(Arc<Served>, u32)>),
    Redirect(Redirect),
    Respond(Respond),
}

impl Routes {
    /// These routes; in the error the name of a pool that is not in `catalog`.
    pub(crate) fn new(routes: &[plimsoll_config::Route], catalog: &Catalog) -> Result<Self, String> {
        routes.iter().map(|route| Route::new(route, catalog)).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn get(&self, id: RouteId) -> &Route {
        &self.0[id.0 as usize]
    }

    /// The pools that may serve.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.0.iter().flat_map(Route::pools)
    }

    /// The first route that a request matches.
    pub(crate) fn find(&self) -> Option<RouteId> {
        (!self.0.is_empty()).then_some(RouteId(0))
    }
}

impl Route {
    fn new(route: &plimsoll_config::Route, catalog: &Catalog) -> Result<Self, String> {
        let find = |pool: &String| catalog.get(pool).cloned().ok_or_else(|| pool.clone());
        let goal = match &route.action {
            Action::Pools(shares) => {
                let shares = shares.iter().map(|share| Ok((find(&share.pool)?, share.weight)));
                Goal::Pools(shares.collect::<Result<_, String>>()?)
            }
            Action::Redirect(redirect) => Goal::Redirect(redirect.clone()),
            Action::Respond(respond) => Goal::Respond(respond.clone()),
        };
        Ok(Self { name: route.name.clone(), goal, rules: route.rules.clone() })
    }

    fn pools(&self) -> impl Iterator<Item = &Arc<Served>> {
        let shares: &[_] = if let Goal::Pools(shares) = &self.goal { shares } else { &[] };
        shares.iter().map(|(served, _)| served)
    }
}
