//! How many requests each route had, counted apart by each worker.

use std::collections::HashMap;
use std::sync::Arc;

use crate::counts::Counter;

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

/// A number with one writer, in cache lines of its own, which are fetched in pairs: workers write to those beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart(Counter);

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

    /// The requests of each route so far.
    pub(crate) fn read(&self) -> Vec<(String, u64)> {
        let total = |count: &Count| count.iter().map(|apart| apart.0.read()).sum();
        self.counts.iter().map(|(name, count)| (name.clone(), total(count))).collect()
    }
}

impl Counted {
    /// Counts a request of the route at this place, in the column of a worker.
    pub(super) fn add(&self, route: usize, worker: usize) {
        if let Some(Apart(count)) = self.0.get(route).and_then(|count| count.get(worker)) {
            count.add(1);
        }
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
        assert_eq!(next.read(), [("b".to_owned(), 5), ("c".to_owned(), 0)]);
        assert_eq!(counts.read(), [("a".to_owned(), 0), ("b".to_owned(), 5)]);
    }

    #[test]
    fn routes_beyond_the_bound_are_counted_together() {
        let names: Vec<String> = (0..MOST + 2).map(|number| number.to_string()).collect();
        let mut counts = RouteCounts::new(1);
        let counted = counts.count(names.iter().map(String::as_str));
        (0..MOST + 2).for_each(|route| counted.add(route, 0));
        let read = counts.read();
        assert_eq!(read.len(), MOST + 1);
        assert_eq!((&*read[MOST].0, read[MOST].1, read[MOST - 1].1), (OTHERS, 2, 1));
    }
}
