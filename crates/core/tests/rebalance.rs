//! Long-lived connections and how they are spread anew: clients that come back at once, late or never, busy ones, servers
//! of other weights, those to which nobody can go, and what else servers carry beside them.

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use common::{Random, address, histories};
use plimsoll_core::{
    AdminState, Ask, LongLived, Outcome, Permit, Phase, Pool, PoolRules, PoolSpec, Rate, Rebalance, RebalanceStats,
    ServerSpec, Time, WarmUp,
};

const TICK: Duration = Duration::from_millis(50);

struct Deaf;

impl Wake for Deaf {
    fn wake(self: Arc<Self>) {}
}

/// A connection and the hold it has on its server.
struct Connection {
    permit: Permit,
    held: LongLived,
    /// It talks all the time.
    busy: bool,
}

/// A pool with its clients, and the time.
struct Scene {
    pool: Pool,
    rules: PoolRules,
    now: Time,
    open: Vec<Connection>,
    /// When each of those that were closed was.
    closed: Vec<Time>,
    /// Those who were closed come back.
    come_back: bool,
    /// How many of those came back to the server they had.
    returned: usize,
    /// Requests, streams, and connections that were open before there was a rule.
    staying: Vec<Permit>,
}

impl Scene {
    fn new(weights: &[u16], rule: Rebalance, warm_up: Option<WarmUp>) -> Self {
        let rules = PoolRules { rebalance: Some(rule), warm_up, ..PoolRules::default() };
        let pool = Pool::new("app", PoolSpec::default(), Time::ZERO);
        let (open, closed, staying) = (Vec::new(), Vec::new(), Vec::new());
        let mut scene = Self { pool, rules, now: Time::ZERO, open, closed, come_back: true, returned: 0, staying };
        scene.servers(weights);
        scene
    }

    /// From now on there are these servers.
    fn servers(&mut self, weights: &[u16]) {
        self.servers_in(&weights.iter().map(|weight| (*weight, AdminState::Ready)).collect::<Vec<_>>());
    }

    fn servers_in(&mut self, servers: &[(u16, AdminState)]) {
        let server = |(number, &(weight, state)): (usize, &(u16, AdminState))| ServerSpec {
            weight,
            state,
            ..ServerSpec::new(format!("s{number}"), address(number as u16))
        };
        let servers = servers.iter().enumerate().map(server).collect();
        let spec = PoolSpec { servers, rules: self.rules.clone(), ..PoolSpec::default() };
        self.pool.apply(spec, self.now);
    }

    fn pick(&self) -> Permit {
        self.pool.pick(&Ask { now: self.now, ..Ask::default() }).expect("a server takes it")
    }

    /// Connects and tells the name of the server.
    fn connect(&mut self, busy: bool) -> String {
        let mut permit = self.pick();
        let held = permit.lasts(self.now).expect("the pool has a rule");
        let name = permit.server().id().name().to_owned();
        self.open.push(Connection { permit, held, busy });
        name
    }

    fn connect_all(&mut self, count: usize) {
        (0..count).for_each(|_| _ = self.connect(false));
    }

    /// Begins so many requests that do not end.
    fn stay(&mut self, count: usize) {
        self.staying.extend((0..count).map(|_| self.pool.pick(&Ask::default()).expect("a server takes it")));
    }

    /// Lets so much time pass, in which clients do as they are asked.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = self.now + TICK;
            self.pool.tick(self.now);
            let waker = Waker::from(Arc::new(Deaf));
            let mut context = Context::from_waker(&waker);
            let mut left = Vec::new();
            for mut connection in std::mem::take(&mut self.open) {
                if connection.busy {
                    connection.held.moved(self.now);
                }
                if connection.held.poll_asked(&mut context).is_ready() && connection.held.close(self.now, true) {
                    left.push(connection.permit.server().id().name().to_owned());
                    drop(connection.held);
                    connection.permit.finish(Outcome::success(Duration::ZERO, Duration::ZERO));
                    self.closed.push(self.now);
                } else {
                    self.open.push(connection);
                }
            }
            if self.come_back {
                let again = left.iter().filter(|server| self.connect(false) == **server).count();
                self.returned += again;
            }
        }
    }

    /// What each server holds, in their order.
    fn held(&self) -> Vec<u64> {
        self.pool.stats().servers.iter().map(|member| member.server.long_lived).collect()
    }

    /// What each server has in flight.
    fn carried(&self) -> Vec<u32> {
        self.pool.servers().iter().map(|server| server.in_flight()).collect()
    }

    fn stats(&self) -> RebalanceStats {
        self.pool.rebalance(self.now).expect("the pool has a rule")
    }

    fn phase(&self) -> Phase {
        self.stats().phase
    }
}

fn rule(budget: u32, spread: u32) -> Rebalance {
    let limit = NonZeroU32::new(budget).expect("not none");
    let budget = Rate { limit, window: Duration::from_secs(1) };
    Rebalance { spread: NonZeroU32::new(spread).expect("not none"), budget, ..Rebalance::default() }
}

/// Three servers with a hundred connections each, to which a fourth comes.
fn fourth_joins(rule: Rebalance) -> Scene {
    let mut scene = Scene::new(&[1, 1, 1], rule, None);
    scene.connect_all(300);
    scene.pass(Duration::from_secs(10));
    assert_eq!((scene.held(), scene.closed.len()), (vec![100, 100, 100], 0));
    scene.servers(&[1, 1, 1, 1]);
    scene
}

#[test]
fn a_server_that_joins_gets_its_share_and_no_more_are_closed_than_that() {
    let mut scene = fourth_joins(rule(50, 1));
    scene.pass(Duration::from_secs(60));
    assert_eq!(scene.held(), [75, 75, 75, 75]);
    let stats = scene.stats();
    assert_eq!((scene.closed.len(), stats.closed, stats.awaited, stats.phase), (75, 75, 0, Phase::Level));
    let round = stats.round.expect("there was one");
    assert_eq!((round.number, round.planned, round.long_lived, round.spread), (1, 75, 300, 100));
    let end = round.ended.expect("it is over");
    assert_eq!((end.closed, end.spread), (75, 0));
}

#[test]
fn nothing_is_closed_before_it_is_clear_that_it_does_not_settle_by_itself() {
    let mut scene = fourth_joins(rule(50, 1));
    scene.pass(Duration::from_millis(4900));
    assert_eq!((scene.phase(), scene.closed.len()), (Phase::Settling, 0));
    scene.servers(&[1, 1, 1]);
    scene.pass(Duration::from_secs(10));
    assert_eq!((scene.phase(), scene.closed.len()), (Phase::Level, 0));
}

#[test]
fn the_budget_holds_in_every_second() {
    let mut scene = fourth_joins(rule(10, 1));
    scene.pass(Duration::from_secs(30));
    assert_eq!(scene.held(), [75, 75, 75, 75]);
    let most = scene.closed.iter().map(|from| {
        scene.closed.iter().filter(|at| **at >= *from && at.saturating_since(*from) < Duration::from_secs(1)).count()
    });
    assert_eq!(most.max(), Some(10));
    let took = scene.closed[74].saturating_since(scene.closed[0]);
    assert!(took >= Duration::from_millis(7350) && took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn clients_that_do_not_come_back_bring_about_no_further_closing() {
    let mut scene = fourth_joins(rule(50, 1));
    scene.come_back = false;
    scene.pass(Duration::from_secs(300));
    assert_eq!((scene.held(), scene.closed.len()), (vec![75, 75, 75, 0], 75));
    scene.connect_all(75);
    scene.pass(Duration::from_secs(60));
    assert_eq!((scene.held(), scene.closed.len()), (vec![75, 75, 75, 75], 75));
}

#[test]
fn busy_connections_are_left_alone_and_the_oldest_of_the_others_go_first() {
    let mut scene = Scene::new(&[1, 1], rule(50, 1), None);
    (0..40).for_each(|number| _ = scene.connect(number < 30));
    let before: Vec<Time> = scene.open.iter().map(|connection| connection.permit.picked_at()).collect();
    assert!(before.iter().all(|at| *at == Time::ZERO));
    scene.servers(&[1, 1, 1]);
    scene.pass(Duration::from_secs(60));
    // Ten were idle, all of which went; thirteen would have been needed.
    assert_eq!((scene.held().iter().sum::<u64>(), scene.closed.len()), (40, 10));
    assert_eq!(scene.open.iter().filter(|connection| connection.busy).count(), 30);
    assert_eq!(scene.phase(), Phase::Closing);
}

#[test]
fn weights_are_what_shares_go_by_and_the_spread_is_what_is_left_alone() {
    let mut scene = Scene::new(&[1, 1], rule(100, 1), None);
    scene.connect_all(80);
    scene.servers(&[1, 1, 2]);
    scene.pass(Duration::from_secs(60));
    let off: Vec<u64> = scene.held().iter().zip([20, 20, 40_u64]).map(|(held, fair)| held.abs_diff(fair)).collect();
    assert!(off.iter().all(|off| *off <= 1), "{:?}", scene.held());
    let mut scene = fourth_joins(rule(100, 30));
    scene.pass(Duration::from_secs(60));
    let held = scene.held();
    let (least, most) = (held.iter().min().copied().unwrap_or(0), held.iter().max().copied().unwrap_or(0));
    assert_eq!(most - least, 30, "{held:?}");
}

#[test]
fn a_newcomer_that_warms_up_is_waited_for() {
    let warm_up = WarmUp { time: Duration::from_secs(20), ..WarmUp::default() };
    let mut scene = Scene::new(&[1, 1, 1], rule(100, 1), Some(warm_up));
    scene.connect_all(300);
    scene.servers(&[1, 1, 1, 1]);
    scene.pass(Duration::from_secs(19));
    assert_eq!((scene.phase(), scene.closed.len()), (Phase::WarmingUp, 0));
    scene.pass(Duration::from_secs(60));
    assert_eq!((scene.held(), scene.closed.len()), (vec![75, 75, 75, 75], 75));
}

#[test]
fn servers_that_drain_are_no_part_of_it() {
    let mut scene = fourth_joins(rule(100, 1));
    let ready = (1, AdminState::Ready);
    scene.servers_in(&[ready, ready, ready, (1, AdminState::Drain)]);
    scene.pass(Duration::from_secs(60));
    assert_eq!((scene.held(), scene.closed.len()), (vec![100, 100, 100, 0], 0));
    scene.servers_in(&[ready, ready, (1, AdminState::Drain), ready]);
    scene.pass(Duration::from_secs(60));
    // What the one that drains has stays.
    assert_eq!((scene.held(), scene.closed.len()), (vec![67, 67, 100, 66], 66));
}

#[test]
fn where_closing_does_not_help_there_is_ever_less_of_it() {
    let mut scene = Scene::new(&[1, 1], rule(100, 1), None);
    scene.connect_all(40);
    scene.servers(&[1, 1, 1]);
    // Whoever is closed comes back to the server it had.
    for _ in 0..1200 {
        let before = scene.closed.len();
        scene.come_back = false;
        scene.pass(TICK);
        let gone = scene.closed.len() - before;
        for _ in 0..gone {
            let name = if scene.held()[0] <= scene.held()[1] { "s0" } else { "s1" };
            let ask = Ask { now: scene.now, stick: Some(name), ..Ask::default() };
            let mut permit = scene.pool.pick(&ask).expect("a server takes it");
            let held = permit.lasts(scene.now).expect("the pool has a rule");
            scene.open.push(Connection { permit, held, busy: false });
        }
    }
    // A minute: rounds of thirteen after 5, 10, 20 seconds and so on, rather than one each five seconds.
    let closed = scene.closed.len();
    assert!((26..=52).contains(&closed), "{closed}");
    assert_eq!(scene.held()[2], 0);
}

#[test]
fn without_a_rule_nothing_is_held() {
    let pool = Pool::new("app", PoolSpec::default(), Time::ZERO);
    let servers = vec![ServerSpec::new("s", address(0))];
    pool.apply(PoolSpec { servers, ..PoolSpec::default() }, Time::ZERO);
    let mut permit = pool.pick(&Ask::default()).expect("a server takes it");
    assert!(permit.lasts(Time::ZERO).is_none());
    assert!(pool.rebalance(Time::ZERO).is_none());
}

#[test]
fn requests_and_streams_are_load_that_stays() {
    let mut scene = Scene::new(&[1, 1], rule(20, 1), None);
    scene.stay(20);
    scene.servers(&[1, 1, 1]);
    scene.connect_all(10);
    scene.pass(Duration::from_secs(60));
    assert_eq!((scene.carried(), scene.held()), (vec![10, 10, 10], vec![0, 0, 10]));
    assert_eq!((scene.phase(), scene.closed.len()), (Phase::Level, 0), "whoever left would only come back");
    scene.servers(&[1, 1, 1, 1]);
    scene.pass(Duration::from_secs(60));
    assert_eq!((scene.carried(), scene.closed.len(), scene.returned), (vec![10, 10, 5, 5], 5, 0));
}

#[test]
fn a_newcomer_lacks_what_it_carries_less_of_anything() {
    let mut scene = Scene::new(&[1, 1], rule(20, 1), None);
    scene.stay(20);
    scene.connect_all(20);
    scene.servers(&[1, 1, 1]);
    scene.pass(Duration::from_secs(60));
    let mut carried = scene.carried();
    carried.sort_unstable();
    assert_eq!((carried, scene.closed.len(), scene.returned), (vec![13, 13, 14], 13, 0));
    assert_eq!(scene.held()[2], 13);
}

#[test]
fn connections_from_before_the_rule_are_left_alone_told_of_and_counted() {
    let mut scene = Scene::new(&[1, 1, 1], rule(20, 1), None);
    let rule = scene.rules.rebalance.take();
    scene.servers(&[1, 1, 1]);
    for _ in 0..30 {
        let mut permit = scene.pick();
        assert!(permit.lasts(scene.now).is_none());
        scene.staying.push(permit);
    }
    scene.rules.rebalance = rule;
    scene.servers(&[1, 1, 1, 1]);
    scene.pass(Duration::from_secs(60));
    let stats = scene.stats();
    assert_eq!((stats.long_lived, stats.older, stats.spread, stats.wanted), (0, 30, 10, 0));
    scene.connect_all(10);
    scene.pass(Duration::from_secs(60));
    assert_eq!((scene.carried(), scene.closed.len()), (vec![10, 10, 10, 10], 0));
    let stats = scene.stats();
    assert_eq!((stats.long_lived, stats.older, stats.spread, stats.phase), (10, 30, 0, Phase::Level));
    scene.staying.clear();
    scene.pass(Duration::from_secs(60));
    let stats = scene.stats();
    assert_eq!((stats.older, stats.closed, scene.returned), (0, 7, 0), "the last ten, of which three may stay");
}

#[test]
fn who_is_closed_while_requests_come_and_go_finds_another_server() {
    histories(20, |seed| {
        let mut random = Random::new(seed);
        let mut scene = Scene::new(&[1, 1, 1], rule(50, 1), None);
        scene.connect_all(60);
        let mut noise = |scene: &mut Scene, time: u64| {
            for _ in 0..time * 20 {
                for _ in 0..random.below(7) {
                    scene.stay(1);
                }
                for _ in 0..random.below(7) {
                    if !scene.staying.is_empty() {
                        drop(scene.staying.swap_remove(random.below(scene.staying.len())));
                    }
                }
                scene.pass(TICK);
            }
        };
        noise(&mut scene, 60);
        assert_eq!(scene.closed.len(), 0, "they were level all the time");
        scene.servers(&[1, 1, 1, 1]);
        noise(&mut scene, 60);
        assert_eq!(scene.returned, 0);
        scene.staying.clear();
        scene.pass(Duration::from_secs(60));
        assert_eq!((scene.held(), scene.returned), (vec![15; 4], 0));
        // A few more than fifteen where requests that stayed for long moved one before that.
        assert!((15..=20).contains(&scene.closed.len()), "{}", scene.closed.len());
    });
}

#[test]
fn a_rule_that_comes_back_waits_anew() {
    let mut scene = fourth_joins(rule(50, 1));
    scene.pass(Duration::from_secs(4));
    let rule = scene.rules.rebalance.take();
    scene.servers(&[1, 1, 1, 1]);
    scene.pass(Duration::from_secs(60));
    scene.rules.rebalance = rule;
    scene.servers(&[1, 1, 1, 1]);
    scene.pass(Duration::from_secs(4));
    assert_eq!((scene.phase(), scene.closed.len()), (Phase::Settling, 0));
    scene.pass(Duration::from_secs(60));
    assert_eq!((scene.held(), scene.closed.len()), (vec![75; 4], 75));
}
