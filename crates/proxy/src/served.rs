//! A pool with its settings, and with who serves when it cannot.

use std::collections::HashMap;
use std::sync::Arc;

use plimsoll_config::{Conditions, Pool as PoolRules};
use plimsoll_core::{OutcomeKind, Pool, Server};

use crate::grpc::{Answered, Status};
use crate::sticky::stickiness::Stickiness;
use crate::tls::to_servers::ServerSide;

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
