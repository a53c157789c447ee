//! The routes that a request may have, by its host and path, without a look at each of them: what a request costs does not
//! grow with the routes that are for other hosts and paths.
//!
//! Each host that routes name has a table of the paths they are for there, and so have all hosts together. A request is
//! looked for under its host, under the hosts above it and among those for any host; there under its path and the paths
//! above it. What is found are short lists in the order of the routes, of which the first that fits is taken.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use plimsoll_config::{HostPattern, PathPattern, Pattern, When};
use regex::bytes::{RegexSet, RegexSetBuilder};

/// Routes, by the hosts and paths that they are for.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: HashMap<String, Paths>,
    /// The hosts below these.
    below: HashMap<String, Paths>,
    any: Paths,
    /// Those for which hosts and paths are not all there is to look at, by number.
    has_more: Vec<bool>,
}

/// Routes of one host, by the paths that they are for. Each list is in the order of the routes.
#[derive(Debug, Default)]
struct Paths {
    any: Vec<u32>,
    exact: HashMap<String, Vec<u32>>,
    prefixes: Prefixes,
    /// Likewise, with paths in small letters.
    exact_small: HashMap<String, Vec<u32>>,
    prefixes_small: Prefixes,
    regexes: Regexes,
}

/// Paths above others.
#[derive(Debug, Default)]
struct Prefixes {
    routes: HashMap<String, Vec<u32>>,
    /// How long they are, each length once: only beginnings of such a length are looked for.
    lengths: Vec<usize>,
}

#[derive(Debug, Default)]
struct Regexes {
    each: Vec<(u32, Pattern)>,
    /// All of them at once; `None` where there are too few or they are too large together.
    set: Option<RegexSet>,
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
        let mut index = Self::default();
        for (number, when) in (0..).zip(routes) {
            index.add(number, when);
        }
        let named = index.exact.values_mut().chain(index.below.values_mut());
        named.chain([&mut index.any]).for_each(Paths::seal);
        index
    }

    fn add(&mut self, number: u32, when: &When) {
        let When { hosts, paths, methods, headers, query, clients } = when;
        let too_many = hosts.len().max(1).saturating_mul(paths.len()) > MOST_PAIRS;
        let more = !(methods.is_empty() && headers.is_empty() && query.is_empty() && clients.is_empty());
        self.has_more.push(more || too_many);
        let paths = if too_many { &[] } else { &paths[..] };
        if hosts.is_empty() {
            self.any.add(number, paths);
        }
        for host in hosts {
            let of_host = match host {
                HostPattern::Exact(host) => self.exact.entry(host.clone()),
                HostPattern::Below(host) => self.below.entry(host.clone()),
            };
            of_host.or_default().add(number, paths);
        }
    }

    /// The first route for this host, in small letters, and this path, for which `fits` holds if there is more to look at.
    pub(super) fn first(&self, host: Option<&str>, path: &str, fits: impl Fn(usize) -> bool) -> Option<u32> {
        let has_more = &self.has_more;
        let fits = |number: u32| !has_more[number as usize] || fits(number as usize);
        let mut search = Search { path, small: None, best: u32::MAX, fits };
        if let Some(host) = host {
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
    fn add(&mut self, number: u32, paths: &[PathPattern]) {
        if paths.is_empty() {
            push(&mut self.any, number);
        }
        for path in paths {
            match path {
                PathPattern::Exact { path, ignore_case: false } => push_under(&mut self.exact, path.clone(), number),
                PathPattern::Exact { path, ignore_case: true } => {
                    push_under(&mut self.exact_small, path.to_ascii_lowercase(), number);
                }
                // The root is above all.
                PathPattern::Prefix { path, .. } if path.is_empty() => push(&mut self.any, number),
                PathPattern::Prefix { path, ignore_case: false } => {
                    push_under(&mut self.prefixes.routes, path.clone(), number);
                }
                PathPattern::Prefix { path, ignore_case: true } => {
                    push_under(&mut self.prefixes_small.routes, path.to_ascii_lowercase(), number);
                }
                PathPattern::Regex(pattern) => self.regexes.each.push((number, pattern.clone())),
            }
        }
    }

    /// To be called once all are added.
    fn seal(&mut self) {
        for prefixes in [&mut self.prefixes, &mut self.prefixes_small] {
            let lengths: BTreeSet<usize> = prefixes.routes.keys().map(String::len).collect();
            prefixes.lengths = lengths.into_iter().collect();
        }
        let each = &self.regexes.each;
        if each.len() > 1 {
            let set =
                RegexSetBuilder::new(each.iter().map(|(_, regex)| regex.as_str())).size_limit(LARGEST_SET).build();
            // Those that are too large for a set were none alone.
            self.regexes.set = set.ok();
        }
    }

    fn has_small(&self) -> bool {
        !self.exact_small.is_empty() || !self.prefixes_small.routes.is_empty()
    }
}

/// A look for the first route.
struct Search<'a, F> {
    path: &'a str,
    /// The path in small letters, once it was needed.
    small: Option<Cow<'a, str>>,
    /// The first that was found so far.
    best: u32,
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

    /// The first of `routes` that comes before the best and fits is the best.
    fn take(&mut self, routes: &[u32]) {
        let before = routes.iter().take_while(|number| **number < self.best);
        if let Some(first) = before.copied().find(|number| (self.fits)(*number)) {
            self.best = first;
        }
    }

    fn take_under(&mut self, routes: &HashMap<String, Vec<u32>>, path: &str) {
        if !routes.is_empty()
            && let Some(routes) = routes.get(path)
        {
            self.take(routes);
        }
    }

    fn take_prefixes(&mut self, prefixes: &Prefixes, path: &str) {
        for length in prefixes.lengths.iter().copied().take_while(|length| *length <= path.len()) {
            if matches!(path.as_bytes().get(length), None | Some(b'/'))
                && let Some(routes) = path.get(..length).and_then(|begin| prefixes.routes.get(begin))
            {
                self.take(routes);
            }
        }
    }

    fn take_regexes(&mut self, regexes: &Regexes) {
        let Regexes { each, set } = regexes;
        let path = self.path.as_bytes();
        match set {
            Some(set) if !set.is_match(path) => {}
            Some(set) if each.len() >= MANY_REGEXES => {
                for place in set.matches(path) {
                    self.take(&[each[place].0]);
                }
            }
            _ => {
                let before = each.iter().take_while(|(number, _)| *number < self.best);
                let first = before.filter(|(number, _)| (self.fits)(*number)).find(|(_, regex)| regex.is_match(path));
                self.best = first.map_or(self.best, |(number, _)| *number);
            }
        }
    }
}

fn in_small(path: &str) -> Cow<'_, str> {
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(path.to_ascii_lowercase())
    } else {
        Cow::Borrowed(path)
    }
}

/// A route that names a path twice is there once.
fn push(routes: &mut Vec<u32>, number: u32) {
    if routes.last() != Some(&number) {
        routes.push(number);
    }
}

fn push_under(routes: &mut HashMap<String, Vec<u32>>, path: String, number: u32) {
    push(routes.entry(path).or_default(), number);
}
