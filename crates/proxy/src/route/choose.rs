//! Which route a request would have, and why the ones before it are not for it: for who asks without a running data plane.

use std::net::IpAddr;

use plimsoll_config::{Asked, Refusal, Route};

use super::look::{Look, read_paths};
use super::path::Rewrite;
use crate::http1::Reject;
use crate::http1::request::{HeadRules, RequestHead};

/// What became of a look for a route.
#[derive(Debug)]
pub struct Choice<'a> {
    /// Why each route that was looked at is not the request's own, in their order. The one behind them is, if there is one.
    pub refusals: Vec<Refusal<'a>>,
    /// Path and query that the servers of that route are asked for.
    pub target: String,
}

/// Why a request is refused whatever the routes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unroutable {
    /// The status of the answer.
    pub status: u16,
    /// What is wrong with it, in a sentence.
    pub reason: &'static str,
}

/// Looks for the route of a request from `client`, whose `head` is text of HTTP/1 with the empty line, among `routes`.
///
/// # Errors
/// What is wrong with the head, or with its path where routes look at paths.
pub fn choose_route<'a>(routes: &'a [Route], head: &str, client: Option<IpAddr>) -> Result<Choice<'a>, Unroutable> {
    choose(routes, head.as_bytes(), client).map_err(|Reject { status, reason }| Unroutable { status, reason })
}

fn choose<'a>(routes: &'a [Route], head: &[u8], client: Option<IpAddr>) -> Result<Choice<'a>, Reject> {
    let mut request = RequestHead::default();
    let rules = HeadRules { max_target: usize::MAX, bare_lf: false };
    if request.parse(head, rules)?.is_none() {
        return Err(Reject::bad("the head is not whole"));
    }
    let look = Look::new((head, &request), client, read_paths(routes))?;
    let first = |asked: &Asked<'_>| routes.iter().position(|route| route.when.refusal(asked).is_none());
    let found = look.find(first)?;
    let before = &routes[..found.unwrap_or(routes.len())];
    let refusals = before.iter().filter_map(|route| route.when.refusal(&look.asked())).collect();
    let mut target = Vec::new();
    let own = found.map(|place| &routes[place]);
    if let Some(route) = own.filter(|_| read_paths(routes)) {
        look.target(&Rewrite::new(route), &mut target);
    }
    let target =
        if target.is_empty() { look.target_as_it_came() } else { String::from_utf8_lossy(&target).into_owned() };
    Ok(Choice { refusals, target })
}
