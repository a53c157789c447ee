//! What a listener serves: its own settings, its pool, the pool's settings, and who serves when that pool cannot.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use plimsoll_config::{Conditions, HostMode, Hsts, Listener, Page, Pool as PoolRules, ServerName, StatusSet, Target};
use plimsoll_core::{OutcomeKind, Pool, Server};

use crate::catalog::Catalog;
use crate::grpc::{Answered, Status};
use crate::http1::edits::Edits;
use crate::limit;
use crate::log::Observe;
use crate::room::Room;
use crate::route::{Route, RouteCounts, RouteId, Routes};
use crate::sticky::Stickiness;
use crate::tls::{ClientSide, Handshakes, ServerSide};

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

/// A pool with its settings.
pub(crate) struct Served {
    pub(crate) pool: Arc<Pool>,
    /// Without the servers: those of now are the pool's matter.
    pub(crate) rules: PoolRules,
    /// The pool that serves while this one cannot.
    pub(crate) fallback: Option<Arc<Served>>,
    /// How hands are shaken with its servers; `None` is without TLS.
    pub(crate) tls: Option<Arc<ServerSide>>,
    /// How its clients stick; `None` is not at all.
    pub(crate) sticky: Option<Arc<Stickiness>>,
    /// A request may be tied to one of its servers, or of those that serve while it cannot.
    pub(crate) ties: bool,
    hosts: Arc<HashMap<Arc<str>, String>>,
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

impl Served {
    /// The settings of `pool`, as `rules` say.
    pub(crate) fn new(
        pool: Arc<Pool>,
        rules: &PoolRules,
        (fallback, tls): (Option<Arc<Self>>, Option<Arc<ServerSide>>),
        sticky: Option<Stickiness>,
    ) -> Self {
        let host = |server: &plimsoll_config::Server| (server.name.as_str().into(), server.authority());
        let hosts = Arc::new(rules.servers.iter().map(host).collect());
        let mut rules = rules.clone();
        rules.servers = Vec::new();
        if rules.send_proxy.is_some() {
            // A connection that has told of one client is of no use to another.
            rules.keep_alive.connections = 0;
        }
        let ties = sticky.is_some() || rules.hash.is_some() || fallback.as_ref().is_some_and(|fallback| fallback.ties);
        Self { pool, rules, fallback, tls, sticky: sticky.map(Arc::new), ties, hosts }
    }

    /// The name of a server as it is shared here, if it was configured.
    pub(crate) fn shared_name(&self, server: &str) -> Option<&Arc<str>> {
        self.hosts.get_key_value(server).map(|(name, _)| name)
    }

    /// The host and port of `server` as configured.
    pub(crate) fn authority(&self, server: &Server) -> &str {
        self.hosts.get(server.id().name()).map_or("", String::as_str)
    }

    /// The same under these rules, before this fallback.
    pub(crate) fn under(&self, rules: PoolRules, fallback: Option<Arc<Self>>) -> Self {
        let (pool, tls, hosts) = (Arc::clone(&self.pool), self.tls.clone(), Arc::clone(&self.hosts));
        Self { pool, rules, fallback, tls, sticky: self.sticky.clone(), ties: self.ties, hosts }
    }

    /// Whether a request meets the same here as there.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let fallbacks = (&self.fallback, &other.fallback);
        Arc::ptr_eq(&self.pool, &other.pool)
            && self.rules == other.rules
            && self.hosts == other.hosts
            && self.tls.as_ref().map(Arc::as_ptr) == other.tls.as_ref().map(Arc::as_ptr)
            && fallbacks.0.as_ref().map(Arc::as_ptr) == fallbacks.1.as_ref().map(Arc::as_ptr)
    }

    /// This pool and those that serve while it cannot, in their order.
    pub(crate) fn chain(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::successors(Some(self), |served| served.fallback.as_ref())
    }

    /// How a request ends that was answered so.
    pub(crate) fn judge(&self, answered: Answered) -> OutcomeKind {
        let Answered { http, call } = answered;
        let named = self.rules.eject_on.statuses.contains(http) || self.ejects_for(call);
        let against = http >= 500 || call.is_some_and(Status::is_failure_of_server);
        if against || named { OutcomeKind::Rejected } else { OutcomeKind::Success }
    }

    /// How a call ends whose deadline came first. That is set by the client, who may be as impatient as it likes, so it
    /// tells nothing about the server, unless the rule says so.
    pub(crate) fn judge_overdue(&self) -> OutcomeKind {
        let counts = Status::DEADLINE_EXCEEDED.is_in(self.rules.eject_on.grpc);
        if counts { OutcomeKind::TimedOut } else { OutcomeKind::Aborted }
    }

    /// Whether an end of this kind, with this answer, of a server or of ours, is not to count against the server.
    pub(crate) fn excuses(&self, kind: OutcomeKind, answered: Answered) -> bool {
        let Conditions { connect, reset, timeout, statuses, grpc: _ } = &self.rules.eject_on;
        match kind {
            _ if self.ejects_for(answered.call) => false,
            OutcomeKind::ConnectFailed => !connect,
            OutcomeKind::Failed => !reset,
            OutcomeKind::TimedOut => !timeout,
            OutcomeKind::Rejected => !statuses.contains(answered.http),
            OutcomeKind::Success | OutcomeKind::Aborted => false,
        }
    }

    fn ejects_for(&self, call: Option<Status>) -> bool {
        call.is_some_and(|status| status.is_in(self.rules.eject_on.grpc))
    }
}
