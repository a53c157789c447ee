//! What is sampled of pools whose servers come, go, and begin anew.

use plimsoll_core::{Ask, Outcome, OutcomeKind, PoolSpec, ServerSpec};

use super::rates::Rates;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Pools, what is sampled of them, and a clock.
struct Scene {
    pools: Pools,
    samples: Samples,
    now: Time,
}

impl Scene {
    fn new(servers: &[&str]) -> Self {
        let scene = Self { pools: Pools::new(), samples: Samples::default(), now: Time::ZERO };
        scene.apply(servers);
        scene
    }

    fn apply(&self, servers: &[&str]) {
        let server = |(i, name): (usize, &&str)| ServerSpec::new(*name, ([127, 0, 0, 1], i as u16 + 1).into());
        let servers = servers.iter().enumerate().map(server).collect();
        self.pools.apply([("app".to_owned(), PoolSpec { servers, ..PoolSpec::default() })], self.now);
    }

    fn remove_pool(&self) {
        self.pools.apply([], self.now);
    }

    /// So many requests, that took so long and ended so.
    fn requests(&self, count: usize, millis: u64, kind: OutcomeKind) {
        let pool = self.pools.pool("app").expect("it is there");
        for _ in 0..count {
            let permit = pool.pick(&Ask { now: self.now, ..Ask::default() }).expect("there is room");
            let took = Duration::from_millis(millis);
            permit.finish(Outcome { first_byte: Some(took), ..Outcome::of(kind, took) });
        }
    }

    fn sample(&mut self) {
        self.now = self.now + SECOND;
        self.samples.take(&self.pools, &PlaneStats::default(), self.now);
    }

    fn all(&self) -> Rates {
        self.samples.rates("app").all
    }

    fn finished(&self) -> u64 {
        self.samples.read(&self.pools, self.now)[0].totals.finished()
    }
}

fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

#[test]
fn rates_are_of_the_last_ten_seconds() {
    let mut scene = Scene::new(&["a", "b"]);
    assert_eq!(scene.all(), Rates::default());
    scene.sample();
    for _ in 0..10 {
        scene.requests(15, 10, OutcomeKind::Success);
        scene.requests(5, 1, OutcomeKind::Rejected);
        scene.sample();
    }
    let PoolRates { all, servers } = scene.samples.rates("app");
    assert!(is_near(all.requests_per_second, 20.0) && is_near(all.error_rate, 0.25), "{all:?}");
    assert!(all.p50_ms.is_some_and(|p50| (10.0..11.3).contains(&p50)), "{all:?}");
    let sum: f64 = servers.values().map(|rates| rates.requests_per_second).sum();
    assert!(servers.len() == 2 && is_near(sum, 20.0), "{servers:?}");
    for _ in 0..5 {
        scene.sample();
    }
    assert!(is_near(scene.all().requests_per_second, 10.0), "{:?}", scene.all());
    for _ in 0..6 {
        scene.sample();
    }
    assert_eq!(scene.all(), Rates::default());
}

#[test]
fn a_server_that_leaves_takes_nothing_away_and_one_that_comes_back_counts_once() {
    let mut scene = Scene::new(&["a", "b"]);
    scene.sample();
    scene.requests(100, 10, OutcomeKind::Success);
    scene.sample();
    assert_eq!(scene.finished(), 100);
    // It begins anew when it comes back, as nobody held on to it.
    scene.apply(&["a"]);
    scene.sample();
    assert_eq!(scene.finished(), 100);
    assert!(!scene.samples.rates("app").servers.contains_key("b"));
    scene.apply(&["a", "b"]);
    scene.requests(40, 10, OutcomeKind::Success);
    scene.sample();
    assert_eq!(scene.finished(), 140);
    // And here it keeps its counts, as it has a request in flight all the while.
    let pool = scene.pools.pool("app").expect("it is there");
    let held: Vec<_> = (0..2).map(|_| pool.pick(&Ask::default()).expect("there is room")).collect();
    for servers in [&["a"][..], &["b"], &["b", "a"]] {
        scene.apply(servers);
        scene.sample();
        assert_eq!(scene.finished(), 140);
    }
    drop(held);
    scene.sample();
    assert_eq!(scene.finished(), 142);
    let rates = scene.samples.rates("app");
    assert!(rates.servers.values().all(|rates| rates.requests_per_second >= 0.0), "{rates:?}");
}

#[test]
fn a_pool_that_leaves_and_comes_back_begins_anew() {
    let mut scene = Scene::new(&["a"]);
    scene.sample();
    scene.requests(10, 1, OutcomeKind::Success);
    scene.sample();
    scene.remove_pool();
    scene.sample();
    assert_eq!((scene.all(), scene.samples.history("app", usize::MAX)), (Rates::default(), None));
    scene.apply(&["a"]);
    scene.sample();
    scene.sample();
    assert_eq!(scene.all(), Rates::default());
    assert_eq!(scene.samples.history("app", usize::MAX).map(|history| history.queue.len()), Some(1));
}

#[test]
fn a_large_pool_is_read_in_turns_and_loses_nothing() {
    let names: Vec<String> = (0..READ_AT_ONCE * 3).map(|i| format!("s{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut scene = Scene::new(&names);
    scene.sample();
    for _ in 0..30 {
        scene.requests(300, 10, OutcomeKind::Success);
        scene.sample();
    }
    let all = scene.all();
    assert!((all.requests_per_second - 300.0).abs() < 60.0, "{all:?}");
    let rates = scene.samples.rates("app");
    assert!(rates.servers.values().filter(|rates| rates.requests_per_second > 0.0).count() > READ_AT_ONCE);
    assert_eq!(scene.finished(), 9000);
}

#[test]
fn history_has_a_point_each_two_samples() {
    let mut scene = Scene::new(&["a"]);
    for second in 0..20 {
        scene.requests(second, 10, OutcomeKind::Success);
        scene.sample();
    }
    let history = scene.samples.history("app", usize::MAX).expect("it is there");
    assert_eq!((history.requests_per_second.len(), history.servers[0].in_flight.len()), (10, 10));
    let last = history.requests_per_second[9].expect("it is known");
    assert!(is_near(last, 18.5), "the last two seconds had 18 and 19: {last}");
    assert!(history.p99_ms[9].is_some_and(|p99| (10.0..11.3).contains(&p99)));
    assert_eq!(history.errors_per_second[9], Some(0.0));
}
