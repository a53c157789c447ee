//! Names of cookies: of one name, path and domain a browser keeps one cookie for a host, so that two pools must not both
//! go by it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use super::coverage;
use crate::http::is_token;
use crate::pool::Pool;
use crate::raw;
use crate::reader::Reader;
use crate::resolved::{Config, Listener};
use crate::route::{Action, Route, Share, When};
use crate::sticky::{HashOn, LearnFrom, Sticky, StickyCookie};
use crate::value::Entry;
use crate::wording::quoted;

/// Reports each pool that goes by a cookie which another pool of one of its listeners has for itself. `raw` are the pools of
/// `config` as the file has them; it is right as far as it was looked at.
pub(super) fn check(config: &Config, raw: &[Entry<raw::Pool>], reader: &mut Reader) {
    // A pool may serve several listeners, and is told of once.
    let mut told = BTreeSet::new();
    for listener in &config.listeners {
        let served = Served::by(listener, &config.pools);
        for (at, pool) in config.pools.iter().enumerate() {
            if !served.routes.contains_key(&at) || told.contains(&at) {
                continue;
            }
            let clash = served.owner_of_same(at, pool).map(|owner| (owner, Clash::Own));
            let clash = clash.or_else(|| served.owner_of_foreign(pool).map(|owner| (owner, Clash::Foreign)));
            if let Some((owner, clash)) = clash {
                report(clash, listener, (&raw[at], &raw[owner]), reader);
                told.insert(at);
            }
        }
    }
}

/// Why two pools cannot both go by a cookie of one name.
#[derive(Clone, Copy)]
enum Clash {
    /// Both would set it.
    Own,
    /// One sets it and cuts it out of requests, from which the other reads that of the application.
    Foreign,
}

fn report(
    clash: Clash,
    listener: &Listener,
    (pool, owner): (&Entry<raw::Pool>, &Entry<raw::Pool>),
    reader: &mut Reader,
) {
    let (Some(name), Some(place)) = (own_cookie(owner), own_span(owner)) else { return };
    let (of, line, by) = (quoted(&owner.name), reader.line(place.start), quoted(&listener.name));
    let shown = quoted(name);
    let (span, message, help) = match clash {
        Clash::Own => (
            own_span(pool),
            format!(
                "pool {of} (line {line}) sets a cookie {shown} too, and listener {by} serves both: each would replace that \
                 of the other, so that nobody sticks"
            ),
            format!(
                "write another name, such as {}; only pools that share a `split` can share a name",
                other(name, &pool.name)
            ),
        ),
        Clash::Foreign => (
            read_span(pool),
            format!(
                "the cookie {shown} is one that pool {of} (line {line}) sets, and that no server behind listener {by} gets \
                 to see"
            ),
            format!("give the cookie of pool {of} another name, such as {}", other(name, &owner.name)),
        ),
    };
    reader.report(span.unwrap_or_else(|| pool.span.clone()), message, help);
}

/// A name like this one for the cookie of a pool.
fn other(name: &str, pool: &str) -> String {
    let behind = if is_token(pool) { pool } else { "2" };
    format!("\"{name}-{behind}\"")
}

fn own_cookie(pool: &Entry<raw::Pool>) -> Option<&str> {
    Some(&pool.table.as_ref()?.sticky.value.0.as_ref()?.cookie.as_ref()?.value.0)
}

/// Where the file says which cookie a pool sets.
fn own_span(pool: &Entry<raw::Pool>) -> Option<Range<usize>> {
    Some(pool.table.as_ref()?.sticky.value.0.as_ref()?.cookie.as_ref()?.span.clone())
}

/// Where it says which of the application it reads.
fn read_span(pool: &Entry<raw::Pool>) -> Option<Range<usize>> {
    let table = pool.table.as_ref()?;
    let learnt = table.sticky.value.0.as_ref().and_then(|sticky| sticky.learn_cookie.as_ref());
    learnt.map(|name| name.span.clone()).or_else(|| Some(table.hash.as_ref()?.value.on.span.clone()))
}

/// The pools of one listener.
struct Served<'a> {
    listener: &'a Listener,
    pools: &'a [Pool],
    /// The places of the routes whose requests may come to a pool, by the place of that.
    routes: BTreeMap<usize, Vec<usize>>,
    /// The places of the pools that set a cookie of this name, and what that is for.
    owners: HashMap<&'a str, Vec<(usize, &'a StickyCookie)>>,
}

impl<'a> Served<'a> {
    fn by(listener: &'a Listener, pools: &'a [Pool]) -> Self {
        let places: HashMap<&str, usize> = pools.iter().enumerate().map(|(at, pool)| (&*pool.name, at)).collect();
        let mut routes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, route) in listener.target.routes().iter().enumerate() {
            let Action::Pools(shares) = &route.action else { continue };
            for share in shares {
                let fallback = |at: &usize| places.get(pools[*at].unavailable.fallback.as_deref()?).copied();
                for at in std::iter::successors(places.get(&*share.pool).copied(), fallback) {
                    let known = routes.entry(at).or_default();
                    if known.last() != Some(&place) {
                        known.push(place);
                    }
                }
            }
        }
        let mut owners: HashMap<_, Vec<_>> = HashMap::new();
        for at in routes.keys() {
            if let Some(Sticky::Cookie(cookie)) = &pools[*at].sticky {
                owners.entry(&*cookie.name).or_default().push((*at, cookie));
            }
        }
        Self { listener, pools, routes, owners }
    }

    /// The pool before the one at this place whose cookie a browser would replace by that of this one.
    fn owner_of_same(&self, at: usize, pool: &Pool) -> Option<usize> {
        let Some(Sticky::Cookie(own)) = &pool.sticky else { return None };
        let before = self.owners.get(&*own.name)?.iter().take_while(|(other, _)| *other < at);
        let mut alike = before.filter(|(_, other)| (&other.path, &other.domain) == (&own.path, &own.domain));
        alike
            .find(|(other, _)| self.meet(*other, at, own.domain.is_some()) && !self.split(*other, at))
            .map(|(other, _)| *other)
    }

    /// The pool that sets a cookie of the name of one that this one reads as the application's.
    fn owner_of_foreign(&self, pool: &Pool) -> Option<usize> {
        let learnt = match &pool.sticky {
            Some(Sticky::Learnt(learnt)) => Some(&learnt.from),
            _ => None,
        };
        let ((Some(LearnFrom::Cookie(name)), _) | (_, Some(HashOn::Cookie(name)))) = (learnt, &pool.hash) else {
            return None;
        };
        self.owners.get(&**name)?.first().map(|(owner, _)| *owner)
    }

    /// Whether one browser may come to both pools by hosts that share their cookies; all do where those have a `domain`.
    fn meet(&self, one: usize, other: usize, domain: bool) -> bool {
        let routes = self.listener.target.routes();
        let pairs =
            self.routes[&one].iter().flat_map(|one| self.routes[&other].iter().map(move |other| (*one, *other)));
        pairs
            .into_iter()
            .any(|(one, other)| one == other || domain || share_a_host(routes, (one.min(other), one.max(other))))
    }

    /// Whether a route draws one of the two pools: it sends each client to the pool whose cookie it has.
    fn split(&self, one: usize, other: usize) -> bool {
        let names = [one, other].map(|at| &*self.pools[at].name);
        let draws = |shares: &[Share]| names.iter().all(|name| shares.iter().any(|share| share.pool == **name));
        self.listener
            .target
            .routes()
            .iter()
            .any(|route| matches!(&route.action, Action::Pools(shares) if draws(shares)))
    }
}

/// Whether requests for one host, from one client, may take either of two routes: none before the second takes them all.
fn share_a_host(routes: &[Route], (first, second): (usize, usize)) -> bool {
    let (one, other) = (&routes[first].when, &routes[second].when);
    let hosts = common(&one.hosts, &other.hosts, coverage::host_covers);
    hosts.into_iter().any(|host| {
        common(&one.clients, &other.clients, coverage::network_covers).into_iter().any(|client| {
            let all = When {
                hosts: host.cloned().into_iter().collect(),
                clients: client.copied().into_iter().collect(),
                ..When::default()
            };
            // Most often it is the first of the two that does.
            !coverage::covers(one, &all) && !routes[..second].iter().any(|route| coverage::covers(&route.when, &all))
        })
    })
}

/// What is in both of two lists, of which the empty one is everything: in the result that is `None`. Of hosts and networks
/// one is within the other, or they are apart.
fn common<'a, T>(one: &'a [T], other: &'a [T], covers: impl Fn(&T, &T) -> bool) -> Vec<Option<&'a T>> {
    match (one, other) {
        ([], []) => vec![None],
        ([], some) | (some, []) => some.iter().map(Some).collect(),
        _ => {
            let pairs = one.iter().flat_map(|one| other.iter().map(move |other| (one, other)));
            let both = |(one, other): (&'a T, &'a T)| match () {
                () if covers(one, other) => Some(other),
                () => covers(other, one).then_some(one),
            };
            pairs.filter_map(both).map(Some).collect()
        }
    }
}
