//! The names of pools: each that is named must be there, each that is there must be used, and fallbacks must end.

use std::collections::HashMap;
use std::ops::Range;

use crate::protocol::ListenerProtocol;
use crate::raw;
use crate::reader::Reader;
use crate::setting::Field;
use crate::value::{Entry, Name};
use crate::wording::{listed, nearest, quoted};

/// Reports what is wrong with the pools that listeners and fallbacks name, and tells of each pool whether only
/// connections come to it and no requests, as far as that is known.
pub(super) fn check(listen: &[Entry<raw::Listener>], pool: &[Entry<raw::Pool>], reader: &mut Reader) -> Vec<bool> {
    let names = Names::of(pool);
    let mut wanted = Wanted { all_known: true, ..Wanted::default() };
    for entry in listen {
        wanted.add(entry, &names, reader);
    }
    let fallbacks: Vec<_> = pool.iter().map(|entry| Some(names.find(fallback(entry)?, reader))).collect();
    let next: Vec<_> = fallbacks.iter().map(|found| found.flatten()).collect();
    check_circles(pool, &next, reader);
    if !wanted.all_known || fallbacks.contains(&Some(None)) {
        return vec![false; pool.len()];
    }
    let (for_requests, for_connections) =
        (reached(&wanted.for_requests, &next), reached(&wanted.for_connections, &next));
    let used: Vec<bool> = for_requests.iter().zip(&for_connections).map(|(one, other)| *one || *other).collect();
    check_use(pool, &used, reader);
    for_requests.iter().zip(&for_connections).map(|(requests, connections)| *connections && !requests).collect()
}

/// The pools that listeners name.
#[derive(Default)]
struct Wanted {
    for_requests: Vec<usize>,
    for_connections: Vec<usize>,
    /// Whether they are all known: a listener that could not be read, or names no pool there is, may have meant any.
    all_known: bool,
}

impl Wanted {
    fn add(&mut self, entry: &Entry<raw::Listener>, names: &Names<'_>, reader: &mut Reader) {
        let Some(table) = &entry.table else {
            self.all_known = false;
            return;
        };
        // Where a pool stands beside a redirect, it was reported that one of them has to go.
        let torn = table.redirect.is_some() && table.pool.is_some();
        self.all_known &= entry.sound && !torn;
        let wanted = match table.protocol.value.0 {
            ListenerProtocol::Http => &mut self.for_requests,
            ListenerProtocol::Tcp => &mut self.for_connections,
        };
        let by_name = table.sni.iter().flat_map(|sni| &sni.value.0).map(|entry| &entry.pool);
        let by_route = table.route.iter().flat_map(|routes| &routes.value.0).flat_map(|route| route.value.pools());
        for pool in table.pool.iter().filter(|_| !torn).chain(by_name).chain(by_route) {
            match names.find(pool, reader) {
                Some(position) => wanted.push(position),
                None => self.all_known = false,
            }
        }
    }
}

/// What to write where there is no pool at all.
const NO_POOL_HELP: &str = "write `[pool.app]` and below it `servers = [\"127.0.0.1:9001\"]`; \
                            only where every listener has `redirect` no pool is needed";

/// The pools by name, as positions in the file.
struct Names<'a> {
    in_order: Vec<&'a str>,
    positions: HashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    fn of(pool: &'a [Entry<raw::Pool>]) -> Self {
        let in_order: Vec<_> = pool.iter().map(|pool| pool.name.as_str()).collect();
        let positions = in_order.iter().enumerate().map(|(position, name)| (*name, position)).collect();
        Self { in_order, positions }
    }

    /// The pool that a setting names, or a report that there is none.
    fn find(&self, wanted: &Field<Name>, reader: &mut Reader) -> Option<usize> {
        let name = wanted.value.0.as_str();
        let found = self.positions.get(name).copied();
        if found.is_none() && !reader.is_full() {
            let help = match nearest(name, self.in_order.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None if self.in_order.is_empty() => NO_POOL_HELP.to_owned(),
                None => format!("the pools are: {}", listed(&self.in_order)),
            };
            reader.report(wanted.span.clone(), format!("there is no pool {}", quoted(name)), help);
        }
        found
    }
}

fn fallback(pool: &Entry<raw::Pool>) -> Option<&Field<Name>> {
    pool.table.as_ref()?.unavailable.value.fallback.as_ref()
}

/// Following fallbacks from any pool must come to an end. Each circle is reported once, where it closes.
fn check_circles(pool: &[Entry<raw::Pool>], next: &[Option<usize>], reader: &mut Reader) {
    // For each pool the start of the walk that came by it. A walk that meets its own mark has gone round.
    let mut walked: Vec<Option<usize>> = vec![None; pool.len()];
    for start in 0..pool.len() {
        let (mut at, mut path) = (start, Vec::new());
        while walked[at].is_none() {
            walked[at] = Some(start);
            path.push(at);
            match next[at] {
                Some(to) if walked[to] == Some(start) => {
                    let begin = path.iter().position(|seen| *seen == to).unwrap_or(0);
                    report_circle(pool, &path[begin..], reader);
                }
                Some(to) => at = to,
                None => {}
            }
        }
    }
}

/// Reports the circle of pools that `path` goes through, from the last of which it goes back to the first.
fn report_circle(pool: &[Entry<raw::Pool>], path: &[usize], reader: &mut Reader) {
    let span = path.last().and_then(|last| fallback(&pool[*last])).map_or(Range::default(), |field| field.span.clone());
    if let [alone] = path {
        let message = format!("pool {} is its own fallback", quoted(&pool[*alone].name));
        reader.report(span, message, "name another pool, or remove `fallback`");
        return;
    }
    let names: Vec<_> = path.iter().map(|at| pool[*at].name.as_str()).collect();
    let message = format!("these pools fall back to each other in a circle: {}", listed(&names));
    reader.report(span, message, "remove the `fallback` of one of them");
}

/// Which pools requests come to that begin at those in `start`.
fn reached(start: &[usize], next: &[Option<usize>]) -> Vec<bool> {
    let mut reached = vec![false; next.len()];
    for start in start {
        let mut at = Some(*start);
        while let Some(pool) = at.filter(|pool| !reached[*pool]) {
            reached[pool] = true;
            at = next[pool];
        }
    }
    reached
}

/// Every pool must serve a listener, or be what one that does falls back to.
fn check_use(pool: &[Entry<raw::Pool>], used: &[bool], reader: &mut Reader) {
    let broken = pool.iter().filter(|pool| !pool.sound).count();
    for (entry, _) in pool.iter().zip(used).filter(|(_, used)| !**used) {
        // A pool of which something could not be read may have named this one as its fallback.
        if broken > usize::from(!entry.sound) {
            continue;
        }
        let name = quoted(&entry.name);
        let message = format!("no listener uses pool {name}, and no pool in use falls back to it");
        let help = format!("name {name} as the `pool` of a listener or the `fallback` of a pool, or remove it");
        reader.report(entry.span.clone(), message, help);
    }
}
