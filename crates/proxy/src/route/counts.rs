//! How many requests each route had, counted apart by each worker.

use std::collections::HashMap;
use std::sync::Arc;

use crate::counts::Counter;
use crate::stats::RouteStats;

/// The most routes of a listener that are counted each by itself. The others are counted together: what is told of routes
/// has a bound.
const MOST: usize = 1000;

/// What the others are called, in brackets lest it is taken for the name of a route.
const OTHERS: &str = "(other)";

/// What is counted for the routes of a listener, by their names. It goes on from one configuration to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteCounts {
    workers: usize,
    /// In the order of the routes; after them the others together, if there are any.
    counts: Vec<(String, Arc<Count>)>,
}

/// The requests of one route, a number for each worker.
type Count = Box<[Apart]>;

/// Numbers with one writer, in cache lines of their own, which are fetched in pairs: workers write to those beside them.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart {
    requests: Counter,
    denied_by_address: Counter,
    denied_by_password: Counter,
}

/// Why a client may not have its route.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Denied {
    Address,
    Password,
}

/// Where the requests of each route are counted, by its place.
#[derive(Debug, Default)]
pub(super) struct Counted(Vec<Arc<Count>>);

impl RouteCounts {
    /// Nothing counted yet.
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers, counts: Vec::new() }
    }

    /// From now on these routes are counted. Those of the same names go on.
    pub(super) fn count<'a>(&mut self, names: impl ExactSizeIterator<Item = &'a str>) -> Counted {
        let before: HashMap<String, Arc<Count>> = std::mem::take(&mut self.counts).into_iter().collect();
        let of = |name: &str| {
            let fresh = || Arc::new((0..self.workers).map(|_| Apart::default()).collect());
            (name.to_owned(), before.get(name).cloned().unwrap_or_else(fresh))
        };
        let routes = names.len();
        self.counts = names.take(MOST).map(of).collect();
        if routes > MOST {
            self.counts.push(of(OTHERS));
        }
        let last = self.counts.len().saturating_sub(1);
        Counted((0..routes).filter_map(|place| Some(Arc::clone(&self.counts.get(place.min(last))?.1))).collect())
    }

    /// What each route had so far.
    pub(crate) fn read(&self) -> Vec<RouteStats> {
        let of = |(name, count): &(String, Arc<Count>)| {
            let total = |of: fn(&Apart) -> &Counter| count.iter().map(|apart| of(apart).read()).sum();
            RouteStats {
                name: name.clone(),
                requests: total(|apart| &apart.requests),
                denied_by_address: total(|apart| &apart.denied_by_address),
                denied_by_password: total(|apart| &apart.denied_by_password),
            }
        };
        self.counts.iter().map(of).collect()
    }
}

impl Counted {
    /// Counts a request of the route at this place, in the column of a worker.
    pub(super) fn add(&self, route: usize, worker: usize) {
        if let Some(count) = self.of(route, worker) {
            count.requests.add(1);
        }
    }

    /// The same for one that was refused.
    pub(super) fn add_denied(&self, route: usize, worker: usize, why: Denied) {
        let Some(count) = self.of(route, worker) else { return };
        match why {
            Denied::Address => count.denied_by_address.add(1),
            Denied::Password => count.denied_by_password.add(1),
        }
    }

    fn of(&self, route: usize, worker: usize) -> Option<&Apart> {
        self.0.get(route)?.get(worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_of_the_same_name_goes_on_from_one_configuration_to_the_next() {
        let mut counts = RouteCounts::new(2);
        let counted = counts.count(["a", "b"].into_iter());
        for worker in [0, 1, 1] {
            counted.add(1, worker);
        }
        let mut next = counts.clone();
        let after = next.count(["b", "c"].into_iter());
        after.add(0, 0);
        counted.add(1, 0);
        after.add_denied(1, 1, Denied::Address);
        let read = |counts: &RouteCounts| {
            let of = |RouteStats { name, requests, denied_by_address, denied_by_password }| {
                (name, [requests, denied_by_address, denied_by_password])
            };
            counts.read().into_iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(read(&next), [("b".to_owned(), [5, 0, 0]), ("c".to_owned(), [0, 1, 0])]);
        assert_eq!(read(&counts), [("a".to_owned(), [0; 3]), ("b".to_owned(), [5, 0, 0])]);
    }

    #[test]
    fn routes_beyond_the_bound_are_counted_together() {
        let names: Vec<String> = (0..MOST + 2).map(|number| number.to_string()).collect();
        let mut counts = RouteCounts::new(1);
        let counted = counts.count(names.iter().map(String::as_str));
        (0..MOST + 2).for_each(|route| counted.add(route, 0));
        let read = counts.read();
        assert_eq!(read.len(), MOST + 1);
        assert_eq!((&*read[MOST].name, read[MOST].requests, read[MOST - 1].requests), (OTHERS, 2, 1));
    }
}
