//! The routes that a request may have, by its host and path and what else they need of it, without a look at each of them:
//! what a request costs does not grow with the routes that are for other ones.
//!
//! Each host that routes name has a table of the paths they are for there, and so have all hosts together. A request is
//! looked for under its host, under the hosts above it and among those for any host; there under its path and the paths
//! above it; and there under each of the `needs` of routes that it meets. What is found are short lists in the order of the
//! routes, of which the first that fits is taken.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use plimsoll_config::{Asked, HostPattern, PathPattern, Pattern, When};

use super::expressions::{Expressions, Look};
use super::needs::{NeedId, Needs};

/// Routes, by the hosts and paths that they are for and what else they need.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: HashMap<String, Paths>,
    /// The hosts below these.
    below: HashMap<String, Paths>,
    any: Paths,
    needs: Needs,
    /// Those for which hosts and paths are not all there is to look at, by number.
    has_more: Vec<bool>,
}

/// Routes of one host, by the paths that they are for.
#[derive(Debug, Default)]
struct Paths {
    any: Candidates,
    exact: HashMap<String, Candidates>,
    prefixes: Prefixes,
    /// Likewise, with paths in small letters.
    exact_small: HashMap<String, Candidates>,
    prefixes_small: Prefixes,
    regexes: Regexes,
}

/// Routes of one host and path.
#[derive(Debug, Default)]
struct Candidates {
    /// Those without needs, in their order.
    always: Vec<u32>,
    /// The others, by what each needs, then in their order.
    by_need: Vec<(NeedId, u32)>,
}

/// A route, and what it is to be looked for by beside host and path.
#[derive(Clone, Copy)]
struct Entry<'a> {
    number: u32,
    needs: &'a [NeedId],
}

/// Paths above others.
#[derive(Debug, Default)]
struct Prefixes {
    routes: HashMap<String, Candidates>,
    /// How long they are, each length once: only beginnings of such a length are looked for.
    lengths: Vec<usize>,
}

/// Expressions for paths, in the order of the first route for each.
#[derive(Debug, Default)]
struct Regexes {
    expressions: Expressions,
    /// The first route for each, and all of them.
    routes: Vec<(u32, Candidates)>,
}

/// A route that is for more pairs of a host and a path than this stands under its hosts only, and its paths are looked at
/// one by one, so that a few lines of a file cannot become millions of entries.
const MOST_PAIRS: usize = 256;

impl Index {
    pub(super) fn new(routes: &[When]) -> Self {
        let (needs, of_routes) = Needs::new(routes);
        let mut index = Self { needs, ..Self::default() };
        for ((number, when), needs) in (0..).zip(routes).zip(&of_routes) {
            index.add(Entry { number, needs }, when);
        }
        let named = index.exact.values_mut().chain(index.below.values_mut());
        named.chain([&mut index.any]).for_each(Paths::seal);
        index
    }

    fn add(&mut self, entry: Entry<'_>, when: &When) {
        let When { hosts, paths, methods, headers, query, clients } = when;
        let too_many = hosts.len().max(1).saturating_mul(paths.len()) > MOST_PAIRS;
        let more = !(methods.is_empty() && headers.is_empty() && query.is_empty() && clients.is_empty());
        self.has_more.push(more || too_many);
        let paths = if too_many { &[] } else { &paths[..] };
        if hosts.is_empty() {
            self.any.add(entry, paths);
        }
        for host in hosts {
            let of_host = match host {
                HostPattern::Exact(host) => self.exact.entry(host.clone()),
                HostPattern::Below(host) => self.below.entry(host.clone()),
            };
            of_host.or_default().add(entry, paths);
        }
    }

    /// The first route for the request that `asked` tells of, for which `fits` holds if there is more to look at than host
    /// and path. Which needs it meets is written to `found`, once that is asked.
    pub(super) fn first(
        &self,
        asked: &Asked<'_>,
        found: &mut Vec<NeedId>,
        fits: impl Fn(usize) -> bool,
    ) -> Option<u32> {
        let has_more = &self.has_more;
        let fits = |number: u32| !has_more[number as usize] || fits(number as usize);
        let met = Met { needs: &self.needs, asked, found, looked: false };
        let mut search = Search { path: asked.path, small: None, best: u32::MAX, met, fits };
        if let Some(host) = asked.host {
            if let Some(paths) = self.exact.get(host) {
                search.visit(paths);
            }
            if !self.below.is_empty() {
                for (dot, _) in host.match_indices('.').filter(|(dot, _)| *dot > 0) {
                    if let Some(paths) = self.below.get(&host[dot + 1..]) {
                        search.visit(paths);
                    }
                }
            }
        }
        search.visit(&self.any);
        (search.best != u32::MAX).then_some(search.best)
    }
}

impl Paths {
    fn add(&mut self, entry: Entry<'_>, paths: &[PathPattern]) {
        if paths.is_empty() {
            self.any.push(entry);
        }
        for path in paths {
            let candidates = match path {
                PathPattern::Exact { path, ignore_case: false } => self.exact.entry(path.clone()).or_default(),
                PathPattern::Exact { path, ignore_case: true } => {
                    self.exact_small.entry(path.to_ascii_lowercase()).or_default()
                }
                // The root is above all.
                PathPattern::Prefix { path, .. } if path.is_empty() => &mut self.any,
                PathPattern::Prefix { path, ignore_case: false } => {
                    self.prefixes.routes.entry(path.clone()).or_default()
                }
                PathPattern::Prefix { path, ignore_case: true } => {
                    self.prefixes_small.routes.entry(path.to_ascii_lowercase()).or_default()
                }
                PathPattern::Regex(regex) => self.regexes.of(regex, entry.number),
            };
            candidates.push(entry);
        }
    }

    /// To be called once all are added.
    fn seal(&mut self) {
        let Self { any, exact, prefixes, exact_small, prefixes_small, regexes } = self;
        let named = exact.values_mut().chain(exact_small.values_mut());
        named.chain([any]).for_each(Candidates::seal);
        for prefixes in [prefixes, prefixes_small] {
            let lengths: BTreeSet<usize> = prefixes.routes.keys().map(String::len).collect();
            prefixes.lengths = lengths.into_iter().collect();
            prefixes.routes.values_mut().for_each(Candidates::seal);
        }
        regexes.seal();
    }

    fn has_small(&self) -> bool {
        !self.exact_small.is_empty() || !self.prefixes_small.routes.is_empty()
    }
}

impl Regexes {
    /// The routes for paths like this, of which this is the first unless there are some.
    fn of(&mut self, regex: &Pattern, first: u32) -> &mut Candidates {
        let place = self.expressions.place(regex);
        if place == self.routes.len() {
            self.routes.push((first, Candidates::default()));
        }
        &mut self.routes[place].1
    }

    fn seal(&mut self) {
        self.expressions.seal();
        self.routes.iter_mut().for_each(|(_, candidates)| candidates.seal());
    }
}

impl Candidates {
    /// A route that names a path twice is there once.
    fn push(&mut self, Entry { number, needs }: Entry<'_>) {
        if needs.is_empty() && self.always.last() != Some(&number) {
            self.always.push(number);
        }
        self.by_need.extend(needs.iter().map(|need| (*need, number)));
    }

    fn seal(&mut self) {
        self.by_need.sort_unstable();
        self.by_need.dedup();
    }

    /// Those that need this.
    fn of(&self, need: NeedId) -> impl Iterator<Item = u32> {
        let start = self.by_need.partition_point(|(other, _)| *other < need);
        self.by_need[start..].iter().take_while(move |(other, _)| *other == need).map(|(_, number)| *number)
    }
}

/// The needs that a request meets, which are found when a route that it may have has one.
struct Met<'a> {
    needs: &'a Needs,
    asked: &'a Asked<'a>,
    found: &'a mut Vec<NeedId>,
    looked: bool,
}

impl Met<'_> {
    fn all(&mut self) -> &[NeedId] {
        if !self.looked {
            self.needs.find(self.asked, self.found);
            self.looked = true;
        }
        self.found
    }
}

/// A look for the first route.
struct Search<'a, F> {
    path: &'a str,
    /// The path in small letters, once it was needed.
    small: Option<Cow<'a, str>>,
    /// The first that was found so far.
    best: u32,
    met: Met<'a>,
    fits: F,
}

impl<F: Fn(u32) -> bool> Search<'_, F> {
    fn visit(&mut self, paths: &Paths) {
        self.take(&paths.any);
        let path = self.path;
        self.take_under(&paths.exact, path);
        self.take_prefixes(&paths.prefixes, path);
        if paths.has_small() {
            let small = self.small.take().unwrap_or_else(|| in_small(path));
            self.take_under(&paths.exact_small, &small);
            self.take_prefixes(&paths.prefixes_small, &small);
            self.small = Some(small);
        }
        self.take_regexes(&paths.regexes);
    }

    /// The first of the candidates that comes before the best and fits is the best.
    fn take(&mut self, candidates: &Candidates) {
        let Self { best, met, fits, .. } = self;
        take_first(candidates.always.iter().copied(), best, fits);
        if !candidates.by_need.is_empty() {
            for need in met.all() {
                take_first(candidates.of(*need), best, fits);
            }
        }
    }

    fn take_under(&mut self, routes: &HashMap<String, Candidates>, path: &str) {
        if !routes.is_empty()
            && let Some(candidates) = routes.get(path)
        {
            self.take(candidates);
        }
    }

    fn take_prefixes(&mut self, prefixes: &Prefixes, path: &str) {
        for length in prefixes.lengths.iter().copied().take_while(|length| *length <= path.len()) {
            if matches!(path.as_bytes().get(length), None | Some(b'/'))
                && let Some(candidates) = path.get(..length).and_then(|begin| prefixes.routes.get(begin))
            {
                self.take(candidates);
            }
        }
    }

    fn take_regexes(&mut self, Regexes { expressions, routes }: &Regexes) {
        let path = self.path.as_bytes();
        match expressions.look(path) {
            Look::None => {}
            Look::These(places) => places.into_iter().for_each(|place| self.take(&routes[place].1)),
            Look::Any => {
                for (place, (first, candidates)) in routes.iter().enumerate() {
                    if *first >= self.best {
                        break;
                    }
                    if expressions.is_in(place, path) {
                        self.take(candidates);
                    }
                }
            }
        }
    }
}

/// The first of `routes` that comes before the best and fits is the best.
fn take_first(routes: impl Iterator<Item = u32>, best: &mut u32, fits: &impl Fn(u32) -> bool) {
    let mut before = routes.take_while(|number| *number < *best);
    if let Some(first) = before.find(|number| fits(*number)) {
        *best = first;
    }
}

fn in_small(path: &str) -> Cow<'_, str> {
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(path.to_ascii_lowercase())
    } else {
        Cow::Borrowed(path)
    }
}
