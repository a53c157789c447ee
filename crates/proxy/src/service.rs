//! What a listener serves: its own settings, and the pools that its requests come to.

use std::collections::BTreeSet;
use std::sync::Arc;

use plimsoll_config::{HostMode, Hsts, Listener, Page, ServerName, StatusSet, Target};
use plimsoll_core::Server;

use crate::catalog::Catalog;
use crate::http1::edits::Edits;
use crate::limit;
use crate::log::Observe;
use crate::room::Room;
use crate::route::{Route, RouteCounts, RouteId, Routes};
use crate::served::Served;
use crate::tls::{ClientSide, Handshakes};

/// One listener with all that a request on it needs. Shared by the workers.
pub(crate) struct Service {
    pub(crate) listener: Listener,
    /// What its requests come to.
    pub(crate) aim: Aim,
    /// Names of cookies that are between us and its clients: a browser sends what one pool has set to all others too.
    pub(crate) cookies: Vec<String>,
    /// How hands are shaken with its clients; `None` is without TLS.
    pub(crate) tls: Option<Arc<ClientSide>>,
    /// How that went.
    pub(crate) handshakes: Arc<Handshakes>,
    /// Servers are told of the certificates of clients, by this listener or another.
    pub(crate) certificates: bool,
    /// The value of `Strict-Transport-Security`; empty where it is not said.
    pub(crate) hsts: String,
    /// What becomes of the fields of answers of ours before a route is known.
    pub(crate) response_edits: Edits,
    /// What its clients are limited by.
    pub(crate) limits: limit::OfListener,
    /// How many requests its routes had.
    pub(crate) routed: RouteCounts,
    /// What is told about its requests.
    pub(crate) observe: Observe,
    /// Room for client connections, all workers together.
    pub(crate) room: Arc<Room>,
}

/// How answers of ours look.
pub(crate) struct Manner<'a> {
    /// The name of the route; empty where none is known.
    pub(crate) route: &'a str,
    pub(crate) edits: &'a Edits,
    pub(crate) pages: &'a [(StatusSet, Page)],
}

/// What requests or connections come to.
pub(crate) enum Aim {
    Routes(Box<Routes>),
    Pool(Arc<Served>),
    /// By the name that a client's TLS handshake asks for.
    Sni {
        names: Vec<(ServerName, Arc<Served>)>,
        other: Option<Arc<Served>>,
    },
}

impl Aim {
    /// What `target` comes to; in the error the name of a pool that is not in `catalog`.
    pub(crate) fn new(target: &Target, catalog: &mut Catalog, counts: &mut RouteCounts) -> Result<Self, String> {
        Ok(match target {
            Target::Routes(routes) => Self::Routes(Box::new(Routes::new(routes, catalog, counts)?)),
            Target::Pool(pool) => Self::Pool(catalog.pool(pool)?),
            Target::Sni { names, other } => {
                let named = |(name, pool): &(ServerName, String)| Ok((name.clone(), catalog.pool(pool)?));
                let names = names.iter().map(named).collect::<Result<_, String>>()?;
                Self::Sni { names, other: other.as_ref().map(|pool| catalog.pool(pool)).transpose()? }
            }
        })
    }

    /// The pools that may serve.
    pub(crate) fn pools(&self) -> Vec<&Arc<Served>> {
        match self {
            Self::Routes(routes) => routes.pools().collect(),
            Self::Pool(served) => vec![served],
            Self::Sni { names, other } => names.iter().map(|(_, served)| served).chain(other).collect(),
        }
    }

    /// The names of the cookies that are ours alone, of all pools that may serve.
    pub(crate) fn own_cookies(&self) -> Vec<String> {
        let served = self.pools().into_iter().flat_map(Served::chain);
        let names: BTreeSet<&str> = served.filter_map(|served| served.sticky.as_ref()?.own_cookie()).collect();
        names.into_iter().map(str::to_owned).collect()
    }
}

impl Service {
    /// Whether hands are shaken with its clients, or with servers of its pools.
    pub(crate) fn uses_tls(&self) -> bool {
        self.tls.is_some() || self.aim.pools().into_iter().flat_map(Served::chain).any(|served| served.tls.is_some())
    }

    /// A route of its own.
    pub(crate) fn route(&self, id: RouteId) -> Option<&Route> {
        if let Aim::Routes(routes) = &self.aim { Some(routes.get(id)) } else { None }
    }

    /// How answers of ours look to requests of this route, or to those of which none is known.
    pub(crate) fn manner(&self, route: Option<RouteId>) -> Manner<'_> {
        match route.and_then(|id| self.route(id)) {
            Some(Route { name, response_edits, rules, .. }) => {
                Manner { route: name, edits: response_edits, pages: &rules.errors }
            }
            None => Manner { route: "", edits: &self.response_edits, pages: &self.listener.errors },
        }
    }

    /// The host and port of `server` as configured, where a request needs it for its `Host`.
    pub(crate) fn host_for<'a>(&self, served: &'a Served, server: &Server, client_sent_host: bool) -> &'a str {
        if self.tells_host(client_sent_host) { served.authority(server) } else { "" }
    }

    /// Whether what a server is told as `Host` depends on the server.
    pub(crate) fn tells_host(&self, client_sent_host: bool) -> bool {
        !client_sent_host || matches!(self.listener.forward.host, HostMode::Server)
    }
}

/// The value of `Strict-Transport-Security` (RFC 6797, section 6.1).
pub(crate) fn hsts(rule: &Hsts) -> String {
    let subdomains = if rule.include_subdomains { "; includeSubDomains" } else { "" };
    let preload = if rule.preload { "; preload" } else { "" };
    format!("max-age={}{subdomains}{preload}", rule.max_age.as_secs())
}
