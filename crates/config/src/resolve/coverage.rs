//! Routes that no request can ever have, as an earlier one takes all that they are for.

use std::ops::Range;

use crate::network::{Network, NetworkSet};
use crate::reader::Reader;
use crate::route::{HostPattern, PathPattern, Route, ValuePattern, When, is_below, takes_method};
use crate::wording::quoted;

/// Reports each of `routes`, which stand at `spans`, that can never match. `redirects` is what the listener itself does to
/// the requests that are left.
pub(super) fn check(routes: &[Route], spans: &[Range<usize>], redirects: bool, reader: &mut Reader) {
    for (place, (later, span)) in routes.iter().zip(spans).enumerate() {
        let Some((earlier, alone)) = taker(&routes[..place], &later.when) else { continue };
        let (taker, line) = (called(&routes[earlier].name), routes[earlier].line);
        let taker = format!("{taker} (line {line}){}", if alone { "" } else { " and others behind it" });
        if later.line == 0 {
            let key = if redirects { "redirect" } else { "pool" };
            let message = format!("`{key}` can never be reached: all requests go to {taker}");
            reader.report(span.clone(), message, format!("remove `{key}`, or give that route a condition"));
        } else {
            let own = called(&later.name);
            let message = format!("{own} can never match: all it is for goes to {taker}");
            reader.report(span.clone(), message, "put it before that one, or remove it");
        }
    }
}

/// The first of the routes before `later` that takes something of it where together they take all, and whether it does so
/// alone.
fn taker(earlier: &[Route], later: &When) -> Option<(usize, bool)> {
    let mut some: Vec<usize> = Vec::new();
    for (place, route) in earlier.iter().enumerate().filter(|(_, route)| covers_but_clients(&route.when, later)) {
        if clients_cover(&route.when.clients, &later.clients) {
            return Some((place, true));
        }
        let own: NetworkSet = route.when.clients.iter().copied().collect();
        if later.clients.iter().any(|network| own.meets(network)) {
            some.push(place);
        }
    }
    let together: Vec<Network> = some.iter().flat_map(|place| earlier[*place].when.clients.iter().copied()).collect();
    let all = !together.is_empty() && clients_cover(&together, &later.clients);
    some.first().filter(|_| all).map(|first| (*first, false))
}

/// How messages call a route: one without a name of its own is called by its place.
fn called(name: &str) -> String {
    if name.strip_prefix("route ").is_some_and(|place| place.parse::<usize>().is_ok()) {
        return name.to_owned();
    }
    format!("route {}", quoted(name))
}

/// Whether every request that meets `later` meets `earlier` too. Where that is hard to tell, as for two expressions, it says
/// no.
pub(super) fn covers(earlier: &When, later: &When) -> bool {
    covers_but_clients(earlier, later) && clients_cover(&earlier.clients, &later.clients)
}

/// Whether the clients of `later` are all among those of `earlier`, of which none are all.
fn clients_cover(earlier: &[Network], later: &[Network]) -> bool {
    if earlier.is_empty() || later.is_empty() {
        return earlier.is_empty();
    }
    let among: NetworkSet = earlier.iter().copied().collect();
    later.iter().all(|network| among.holds(network))
}

/// The same as for [`covers`], wherever the client is.
fn covers_but_clients(earlier: &When, later: &When) -> bool {
    all_in(&earlier.hosts, &later.hosts, host_covers)
        && (earlier.paths.iter().any(is_root) || all_in(&earlier.paths, &later.paths, path_covers))
        && all_in(&earlier.methods, &later.methods, |one, other| takes_method(one, other))
        && all_asked(&earlier.headers, &later.headers)
        && all_asked(&earlier.query, &later.query)
}

/// Whether each of `later` is within one of `earlier`. An empty list is everything.
fn all_in<T>(earlier: &[T], later: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    earlier.is_empty() || (!later.is_empty() && later.iter().all(|other| earlier.iter().any(|one| covers(one, other))))
}

/// Whether all that `earlier` asks for follows from what `later` asks for.
fn all_asked(earlier: &[(String, ValuePattern)], later: &[(String, ValuePattern)]) -> bool {
    earlier.iter().all(|(name, one)| later.iter().any(|(own, other)| own == name && value_covers(one, other)))
}

pub(super) fn host_covers(one: &HostPattern, other: &HostPattern) -> bool {
    match (one, other) {
        (one, HostPattern::Exact(host)) => one.matches(host),
        (HostPattern::Below(_), HostPattern::Below(parent)) => one == other || one.matches(parent),
        (HostPattern::Exact(_), HostPattern::Below(_)) => false,
    }
}

/// Whether it is for all paths.
fn is_root(path: &PathPattern) -> bool {
    matches!(path, PathPattern::Prefix { path, .. } if path.is_empty())
}

fn path_covers(one: &PathPattern, other: &PathPattern) -> bool {
    /// Whether paths that may be written in capitals are all held by one that may not: where no letter could differ.
    fn case_fits(path: &str, one: bool, other: bool) -> bool {
        one || !other || !path.bytes().any(|byte| byte.is_ascii_alphabetic())
    }
    match (one, other) {
        (
            PathPattern::Prefix { path: prefix, ignore_case: one },
            PathPattern::Prefix { path, ignore_case: other } | PathPattern::Exact { path, ignore_case: other },
        ) => is_below(path, prefix, *one) && case_fits(prefix, *one, *other),
        (PathPattern::Exact { path: own, ignore_case: one }, PathPattern::Exact { path, ignore_case: other }) => {
            (own == path || (*one && own.eq_ignore_ascii_case(path))) && case_fits(own, *one, *other)
        }
        (PathPattern::Regex(one), PathPattern::Regex(other)) => one == other,
        (PathPattern::Regex(one), PathPattern::Exact { path, ignore_case: false }) => one.is_match(path.as_bytes()),
        _ => false,
    }
}

pub(super) fn network_covers(one: &Network, other: &Network) -> bool {
    match (one, other) {
        (Network::Ip { bits: wide, .. }, Network::Ip { address, bits }) => wide <= bits && one.contains(Some(*address)),
        _ => one == other,
    }
}

fn value_covers(one: &ValuePattern, other: &ValuePattern) -> bool {
    match (one, other) {
        (ValuePattern::Present, ValuePattern::Exact(_) | ValuePattern::Regex(_)) => true,
        (ValuePattern::Regex(one), ValuePattern::Exact(value)) => one.is_match(value.as_bytes()),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests;
