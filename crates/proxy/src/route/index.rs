//! The routes that a request may have, by its host and path and the values it has, without a look at each of them: what a
//! request costs does not grow with the routes that are for other hosts, paths and values.
//!
//! Each host that routes name has a table of the paths they are for there, and so have all hosts together. A request is
//! looked for under its host, under the hosts above it and among those for any host; there under its path and the paths
//! above it; and there under the values of its fields and parameters. What is found are short lists in the order of the
//! routes, of which the first that fits is taken.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use plimsoll_config::{Asked, HostPattern, PathPattern, Pattern, When};
use regex::bytes::{RegexSet, RegexSetBuilder};

use super::values::{ValueId, Values};

/// Routes, by the hosts, paths and values that they are for.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: HashMap<String, Paths>,
    /// The hosts below these.
    below: HashMap<String, Paths>,
    any: Paths,
    values: Values,
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
    /// Those that ask for no value, in their order.
    always: Vec<u32>,
    /// The others, by one of the values that each asks for, then in their order.
    by_value: Vec<(ValueId, u32)>,
}

/// Where a route is to be put.
#[derive(Clone, Copy)]
struct Entry {
    number: u32,
    value: Option<ValueId>,
}

/// Paths above others.
#[derive(Debug, Default)]
struct Prefixes {
    routes: HashMap<String, Candidates>,
    /// How long they are, each length once: only beginnings of such a length are looked for.
    lengths: Vec<usize>,
}

#[derive(Debug, Default)]
struct Regexes {
    /// In the order of the first route for each.
    each: Vec<Expression>,
    /// Where each expression is, as several routes may be for the same.
    places: HashMap<String, usize>,
    /// All of them at once; `None` where there are too few or they are too large together.
    set: Option<RegexSet>,
}

/// Routes for the paths in which `regex` is found.
#[derive(Debug)]
struct Expression {
    regex: Pattern,
    first: u32,
    candidates: Candidates,
}

/// A route that is for more pairs of a host and a path than this stands under its hosts only, and its paths are looked at
/// one by one, so that a few lines of a file cannot become millions of entries.
const MOST_PAIRS: usize = 256;

/// Fewer expressions than this are tried one after the other: telling which of a set match takes an allocation.
const MANY_REGEXES: usize = 16;

/// The most memory that a set of expressions may take, in bytes. One expression may take 1 MiB, most take a few KiB.
const LARGEST_SET: usize = 64 << 20;

impl Index {
    pub(super) fn new(routes: &[When]) -> Self {
        let (values, of_routes) = Values::new(routes);
        let mut index = Self { values, ..Self::default() };
        for ((number, when), value) in (0..).zip(routes).zip(of_routes) {
            index.add(Entry { number, value }, when);
        }
        let named = index.exact.values_mut().chain(index.below.values_mut());
        named.chain([&mut index.any]).for_each(Paths::seal);
        index
    }

    fn add(&mut self, entry: Entry, when: &When) {
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
    /// and path. Which values it has is written to `found`, where that is asked for.
    pub(super) fn first(
        &self,
        asked: &Asked<'_>,
        found: &mut Vec<ValueId>,
        fits: impl Fn(usize) -> bool,
    ) -> Option<u32> {
        let has_more = &self.has_more;
        let fits = |number: u32| !has_more[number as usize] || fits(number as usize);
        let had = Had { values: &self.values, asked, found, looked: false };
        let mut search = Search { path: asked.path, small: None, best: u32::MAX, had, fits };
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
    fn add(&mut self, entry: Entry, paths: &[PathPattern]) {
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
        let place = *self.places.entry(regex.as_str().to_owned()).or_insert(self.each.len());
        if place == self.each.len() {
            self.each.push(Expression { regex: regex.clone(), first, candidates: Candidates::default() });
        }
        &mut self.each[place].candidates
    }

    fn seal(&mut self) {
        self.each.iter_mut().for_each(|expression| expression.candidates.seal());
        if self.each.len() > 1 {
            let all = self.each.iter().map(|expression| expression.regex.as_str());
            // Those that are too large for a set were none alone.
            self.set = RegexSetBuilder::new(all).size_limit(LARGEST_SET).build().ok();
        }
    }
}

impl Candidates {
    /// A route that names a path twice is there once.
    fn push(&mut self, Entry { number, value }: Entry) {
        match value {
            None if self.always.last() != Some(&number) => self.always.push(number),
            Some(value) if self.by_value.last() != Some(&(value, number)) => self.by_value.push((value, number)),
            _ => {}
        }
    }

    fn seal(&mut self) {
        self.by_value.sort_unstable();
    }

    /// Those that are looked for under this value.
    fn of(&self, value: ValueId) -> impl Iterator<Item = u32> {
        let start = self.by_value.partition_point(|(other, _)| *other < value);
        self.by_value[start..].iter().take_while(move |(other, _)| *other == value).map(|(_, number)| *number)
    }
}

/// The values that a request has, which are found when a route that it may have asks for one.
struct Had<'a> {
    values: &'a Values,
    asked: &'a Asked<'a>,
    found: &'a mut Vec<ValueId>,
    looked: bool,
}

impl Had<'_> {
    fn all(&mut self) -> &[ValueId] {
        if !self.looked {
            self.values.find(self.asked, self.found);
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
    had: Had<'a>,
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
        let Self { best, had, fits, .. } = self;
        take_first(candidates.always.iter().copied(), best, fits);
        if !candidates.by_value.is_empty() {
            for value in had.all() {
                take_first(candidates.of(*value), best, fits);
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

    fn take_regexes(&mut self, regexes: &Regexes) {
        let Regexes { each, set, .. } = regexes;
        let path = self.path.as_bytes();
        match set {
            Some(set) if !set.is_match(path) => {}
            Some(set) if each.len() >= MANY_REGEXES => {
                for place in set.matches(path) {
                    self.take(&each[place].candidates);
                }
            }
            _ => {
                for Expression { regex, first, candidates } in each {
                    if *first >= self.best {
                        break;
                    }
                    if regex.is_match(path) {
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
