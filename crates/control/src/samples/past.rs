//! The last ten minutes of a pool, for charts.

use std::collections::HashMap;
use std::sync::Arc;

use crate::api::{History, ServerHistory};

/// Ten minutes at a point each two seconds: as many as a chart has room for.
const POINTS: usize = 300;

/// One point in so many samples.
pub(super) const SAMPLES_A_POINT: u64 = 2;

/// From one point to the next, in seconds.
const STEP_SECONDS: f64 = 2.0;

/// Servers with a line of their own; at 1,200 bytes each, a bound on memory and on what a page can draw.
const MOST_LINES: usize = 1000;

/// Lines that may go to another server at one point, so that a crowd of equals does not push each other out for ever.
const MOST_CHANGES: usize = 16;

/// Who takes another's line must carry so much more than that one did lately, or lines would change hands all the time.
const MUCH_MORE: f64 = 2.0;

/// The weight of the last point in what a server carried lately: that of twenty seconds.
const LATEST: f64 = 0.1;

/// In flight where the server was not there. No server carries that many.
const NOT_THERE: u32 = u32::MAX;

/// What a pool did up to one point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) requests_per_second: f64,
    pub(super) errors_per_second: f64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) in_flight: u64,
    pub(super) queue: u64,
}

/// The last points, as rings that are written round and round.
#[derive(Debug)]
pub(super) struct Past {
    /// Points taken.
    taken: usize,
    /// When the last one was.
    until: String,
    pool: Vec<Option<Point>>,
    lines: HashMap<Arc<str>, Line>,
}

#[derive(Debug)]
struct Line {
    in_flight: Box<[u32]>,
    /// What it carried lately, a moving average.
    carried: f64,
    /// The server's place in the pool, or past all others when it left.
    place: usize,
}

impl Past {
    pub(super) fn new() -> Self {
        Self { taken: 0, until: String::new(), pool: vec![None; POINTS], lines: HashMap::new() }
    }

    /// Takes a point: what the pool did, and what each server has in flight.
    pub(super) fn take(&mut self, until: String, point: Point, servers: &[(Arc<str>, u32)]) {
        let at = self.taken % POINTS;
        self.taken += 1;
        self.until = until;
        self.pool[at] = Some(point);
        for line in self.lines.values_mut() {
            line.in_flight[at] = NOT_THERE;
            line.place = usize::MAX;
        }
        let mut others = Vec::new();
        for (place, (name, in_flight)) in servers.iter().enumerate() {
            match self.lines.get_mut(name) {
                Some(line) => {
                    line.set(at, *in_flight);
                    line.place = place;
                }
                None => others.push((*in_flight, place)),
            }
        }
        for line in self.lines.values_mut().filter(|line| line.place == usize::MAX) {
            line.carried -= line.carried * LATEST;
        }
        self.lines.retain(|_, line| line.in_flight.iter().any(|in_flight| *in_flight != NOT_THERE));
        self.admit(servers, others, at);
    }

    /// Gives lines to those that have none: as long as there are any, and then for those of the servers that carry least.
    fn admit(&mut self, servers: &[(Arc<str>, u32)], mut others: Vec<(u32, usize)>, at: usize) {
        // Those that carry most first; among equals in the order of the pool.
        others.sort_unstable_by_key(|(in_flight, place)| (u32::MAX - in_flight, *place));
        let free = MOST_LINES.saturating_sub(self.lines.len());
        let rest = others.split_off(free.min(others.len()));
        let mut least: Vec<(f64, Arc<str>)> = Vec::new();
        if !rest.is_empty() {
            least = self.lines.iter().map(|(name, line)| (line.carried, Arc::clone(name))).collect();
            least.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        }
        for (in_flight, place) in others {
            self.begin(&servers[place].0, (in_flight, place), at);
        }
        for ((in_flight, place), (carried, name)) in rest.into_iter().zip(least).take(MOST_CHANGES) {
            if f64::from(in_flight) <= carried * MUCH_MORE {
                break;
            }
            self.lines.remove(&name);
            self.begin(&servers[place].0, (in_flight, place), at);
        }
    }

    fn begin(&mut self, name: &Arc<str>, (in_flight, place): (u32, usize), at: usize) {
        let mut line = Line { in_flight: vec![NOT_THERE; POINTS].into(), carried: f64::from(in_flight), place };
        line.in_flight[at] = in_flight;
        self.lines.insert(Arc::clone(name), line);
    }

    /// As the API tells it, the oldest point first; of servers the `most` that carried most lately, in the order of the pool.
    pub(super) fn history(&self, most: usize) -> History {
        let count = self.taken.min(POINTS);
        let order = || (self.taken - count..self.taken).map(|point| point % POINTS);
        let of = |what: fn(&Point) -> Option<f64>| order().map(|at| self.pool[at].as_ref().and_then(what)).collect();
        let number = |what: fn(&Point) -> u64| order().map(|at| self.pool[at].as_ref().map(what)).collect();
        let mut lines: Vec<(&Arc<str>, &Line)> = self.lines.iter().collect();
        lines.sort_unstable_by(|a, b| b.1.carried.total_cmp(&a.1.carried).then(a.1.place.cmp(&b.1.place)));
        lines.truncate(most);
        lines.sort_unstable_by_key(|(name, line)| (line.place, Arc::clone(name)));
        let server = |(name, line): (&Arc<str>, &Line)| ServerHistory {
            name: name.to_string(),
            in_flight: order()
                .map(|at| line.in_flight[at])
                .map(|in_flight| (in_flight != NOT_THERE).then_some(in_flight))
                .collect(),
        };
        History {
            step_seconds: STEP_SECONDS,
            until: self.until.clone(),
            requests_per_second: of(|point| Some(point.requests_per_second)),
            errors_per_second: of(|point| Some(point.errors_per_second)),
            p50_ms: of(|point| point.p50_ms),
            p99_ms: of(|point| point.p99_ms),
            in_flight: number(|point| point.in_flight),
            queue: number(|point| point.queue),
            servers: lines.into_iter().map(server).collect(),
        }
    }
}

impl Line {
    fn set(&mut self, at: usize, in_flight: u32) {
        self.carried += (f64::from(in_flight) - self.carried) * LATEST;
        self.in_flight[at] = in_flight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: Point = Point {
        requests_per_second: 1.0,
        errors_per_second: 0.0,
        p50_ms: None,
        p99_ms: Some(2.0),
        in_flight: 9,
        queue: 3,
    };

    fn servers(in_flight: &[(&str, u32)]) -> Vec<(Arc<str>, u32)> {
        in_flight.iter().map(|(name, in_flight)| (Arc::from(*name), *in_flight)).collect()
    }

    #[test]
    fn a_server_that_leaves_and_comes_back_has_a_gap() {
        let mut past = Past::new();
        past.take("1".to_owned(), POINT, &servers(&[("b", 1), ("a", 2)]));
        past.take("2".to_owned(), POINT, &servers(&[("a", 3)]));
        past.take("3".to_owned(), POINT, &servers(&[("b", 4), ("a", 5)]));
        let history = past.history(MOST_LINES);
        let lines: Vec<_> = history.servers.iter().map(|line| (line.name.as_str(), line.in_flight.clone())).collect();
        assert_eq!(lines[0], ("b", vec![Some(1), None, Some(4)]));
        assert_eq!(lines[1], ("a", vec![Some(2), Some(3), Some(5)]));
        assert_eq!((history.queue, history.p50_ms), (vec![Some(3); 3], vec![None; 3]));
        assert_eq!(history.until, "3");
        assert_eq!(history.in_flight, vec![Some(9); 3]);
    }

    #[test]
    fn of_those_that_are_asked_for_none_carried_less_than_another() {
        let mut past = Past::new();
        past.take(String::new(), POINT, &servers(&[("a", 1), ("b", 9), ("c", 3), ("d", 5)]));
        let names = |most| past.history(most).servers.into_iter().map(|line| line.name).collect::<Vec<_>>();
        assert_eq!(names(2), ["b", "d"]);
        assert_eq!(names(3), ["b", "c", "d"]);
    }

    #[test]
    fn old_points_make_room_and_a_server_is_forgotten_with_its_last() {
        let mut past = Past::new();
        past.take(String::new(), POINT, &servers(&[("gone", 1)]));
        for _ in 0..POINTS - 1 {
            past.take(String::new(), POINT, &servers(&[("a", 2)]));
        }
        assert_eq!((past.history(MOST_LINES).servers.len(), past.history(MOST_LINES).queue.len()), (2, POINTS));
        past.take(String::new(), POINT, &servers(&[("a", 2)]));
        let history = past.history(MOST_LINES);
        assert_eq!((history.servers.len(), history.queue.len()), (1, POINTS));
        assert_eq!(history.servers[0].in_flight, vec![Some(2); POINTS]);
    }

    #[test]
    fn of_a_large_pool_those_have_lines_that_carry_most() {
        let names: Vec<String> = (0..MOST_LINES + 50).map(|i| format!("{i:05}")).collect();
        let mut all: Vec<(Arc<str>, u32)> = names.iter().map(|name| (Arc::from(name.as_str()), 0)).collect();
        let mut past = Past::new();
        past.take(String::new(), POINT, &all);
        assert_eq!(past.history(MOST_LINES).servers.len(), MOST_LINES);
        for busy in &mut all[MOST_LINES..] {
            busy.1 = 7;
        }
        for _ in 0..50_usize.div_ceil(MOST_CHANGES) {
            past.take(String::new(), POINT, &all);
        }
        let history = past.history(MOST_LINES);
        assert_eq!(history.servers.len(), MOST_LINES);
        let busy = history.servers.iter().filter(|line| line.in_flight.last() == Some(&Some(7))).count();
        assert_eq!(busy, 50);
    }
}
