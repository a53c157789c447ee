//! What decides about a request beside its route: whether its client may ask, how much it may, and with which password.

use std::net::IpAddr;

use plimsoll_config::{BasicAuth, Config, Denial, Limit, Listener, Route, show_bytes};
use serde_json::{Value, json};

/// What a request has to pass, in the order in which it is looked at.
pub(super) struct Gates<'a> {
    /// Why its client is refused with 403.
    pub(super) denied: Option<String>,
    /// What it counts in.
    limits: Vec<&'a Limit>,
    /// The largest body it may have.
    max_body: Option<u64>,
    password: Option<&'a BasicAuth>,
}

impl<'a> Gates<'a> {
    /// Those of a request to `listener` from `client` with this `route`; `None` is one that no route is for.
    pub(super) fn new(config: &'a Config, listener: &'a Listener, route: Option<&'a Route>, client: IpAddr) -> Self {
        let (access, limits) = match route {
            Some(route) => (&*route.rules.access, &route.rules.limits),
            None => (std::slice::from_ref(&listener.access), &listener.limits),
        };
        let denied = access.iter().find_map(|access| {
            let whose = if *access == listener.access { "the listener" } else { "the route" };
            Some(match access.denial(Some(client))? {
                Denial::NotAllowed => format!("client {client} is none of those that {whose} allows"),
                Denial::Denied(network) => format!("client {client} is denied by {whose}, as is all of {network}"),
            })
        });
        let named = |name: &String| config.limits.iter().find(|limit| limit.name == *name);
        Self {
            denied,
            limits: limits.iter().filter_map(named).filter(|limit| limit.counts_requests()).collect(),
            max_body: route.and_then(|route| route.rules.max_body),
            password: route.and_then(|route| route.rules.basic_auth.as_ref()),
        }
    }

    /// A line for each. Who is denied comes to no other.
    pub(super) fn lines(&self) -> Vec<String> {
        if let Some(denied) = &self.denied {
            return vec![format!("refused with 403: {denied}")];
        }
        let limits = self.limits.iter().map(|limit| format!("counts in limit {}: {limit}", limit.name));
        let body = self.max_body.map(|most| format!("a body of more than {} gets 413", show_bytes(most)));
        let password = self.password.map(|auth| format!("needs a password of {} (realm {})", auth.file, auth.realm));
        limits.chain(body).chain(password).collect()
    }

    /// The same for programs.
    pub(super) fn as_json(&self) -> Value {
        let limit = |limit: &&Limit| json!({ "name": limit.name, "rule": limit.to_string() });
        json!({
            "denied": self.denied,
            "limits": self.limits.iter().map(limit).collect::<Vec<_>>(),
            "max_body": self.max_body,
            "password": self.password.map(|auth| json!({ "users": auth.file, "realm": auth.realm })),
        })
    }
}
