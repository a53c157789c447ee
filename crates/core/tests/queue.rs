//! The queue against a naive model of it, over random histories; and case by case what happens at its edges.
//! `tests/queue_threads.rs` has many threads in it at once.

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use common::{Random, address, at, histories};
use plimsoll_core::{
    AdminState, Ask, Eject, HealthState, Initial, Outcome, OutcomeKind, Percent, Permit, PolicyKind, Pool, PoolRules,
    PoolSpec, ProbeResult, ProbeRule, QueueRule, Refused, Server, ServerSpec, Ticket, Time,
};

#[test]
fn who_waits_is_served_in_turn_and_nobody_overtakes() {
    histories(150, |seed| History::new(seed).run());
}

/// Counts how often it was woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn rang(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// One who waits, or was served and does not know yet.
struct Waiting {
    ticket: Ticket,
    bell: Arc<Bell>,
    deadline: Time,
}

/// A pool, and what the model knows of it.
struct History {
    random: Random,
    pool: Pool,
    now: Time,
    spec: PoolSpec,
    held: Vec<Permit>,
    /// Those who wait, the oldest first.
    waiting: Vec<Waiting>,
    /// Those who were served and have not asked since.
    served: Vec<Waiting>,
    full: u64,
    late: u64,
    left: u64,
    waited: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let size = [1, 2, 4, 70][random.below(4)];
        let servers = (0..size).map(|i| server(i, &mut random)).collect();
        let policy = PolicyKind::ALL[random.below(6)];
        let spec = PoolSpec { policy, servers, rules: rules(&mut random) };
        let pool = Pool::new("model", spec.clone(), Time::ZERO);
        let (held, waiting, served) = (Vec::new(), Vec::new(), Vec::new());
        let (full, late, left, waited) = (0, 0, 0, 0);
        Self { random, pool, now: Time::ZERO, spec, held, waiting, served, full, late, left, waited }
    }

    fn run(mut self) {
        for step in 0..1500 {
            match self.random.below(100) {
                0 => self.change(),
                1..=3 => self.probe(),
                4..=8 => self.now = self.now + Duration::from_millis(self.random.next() % 300),
                9..=35 => self.release(),
                36..=39 => self.leave(),
                40..=55 => self.poll(),
                _ => self.arrive(),
            }
            self.serve();
            self.compare(step);
        }
        self.held.clear();
        self.waiting.clear();
        self.served.clear();
        let stats = self.pool.stats();
        assert_eq!((stats.in_flight(), stats.queue.waiting), (0, 0));
    }

    /// Picks, and waits when nobody can take the request.
    fn arrive(&mut self) {
        let ask = Ask { now: self.now, random: self.random.next(), ..Ask::default() };
        let free = self.free();
        let told = self.pool.explain(&ask);
        let picked = self.pool.pick(&ask);
        assert_eq!(picked.is_ok(), free > 0 && self.waiting.is_empty(), "{free} free, {} wait", self.waiting.len());
        assert_eq!(told.picked, picked.as_ref().map(|permit| permit.server().id().clone()).map_err(|why| *why));
        match picked {
            Ok(permit) => self.held.push(permit),
            Err(Refused::AllFull) => self.wait(&ask),
            Err(refused) => assert_eq!(refused, Refused::AllDown),
        }
    }

    fn wait(&mut self, ask: &Ask<'_>) {
        match (self.pool.wait(ask), self.spec.rules.queue) {
            (Ok(mut ticket), Some(rule)) => {
                assert!(self.waiting.len() < rule.limit.get() as usize);
                let (bell, deadline) = (Arc::default(), self.now + rule.timeout);
                assert_eq!((ticket.since(), ticket.deadline()), (self.now, deadline));
                let answer = ticket.poll(self.now, &mut Context::from_waker(&Waker::from(Arc::clone(&bell))));
                assert!(answer.is_pending(), "all are full and it has time");
                self.waiting.push(Waiting { ticket, bell, deadline });
            }
            (Err(Refused::QueueFull), Some(rule)) => {
                assert!(self.waiting.len() >= rule.limit.get() as usize);
                self.full += 1;
            }
            (answer, rule) => assert_eq!((answer.err(), rule), (Some(Refused::AllFull), None)),
        }
    }

    fn release(&mut self) {
        if !self.held.is_empty() {
            let permit = self.held.swap_remove(self.random.below(self.held.len()));
            let total = self.now.saturating_since(permit.picked_at());
            permit.finish(Outcome::success(total, total));
        }
    }

    fn leave(&mut self) {
        let one = self.random.below(4);
        let line = if one == 0 { &mut self.served } else { &mut self.waiting };
        if !line.is_empty() {
            drop(line.remove(self.random.below(line.len())));
            self.left += 1;
        }
    }

    fn poll(&mut self) {
        let served = self.random.below(2) == 0;
        let line = if served { &mut self.served } else { &mut self.waiting };
        if line.is_empty() {
            return;
        }
        let i = self.random.below(line.len());
        let Waiting { ticket, bell, deadline } = &mut line[i];
        let answer = ticket.poll(self.now, &mut Context::from_waker(&Waker::from(Arc::clone(bell))));
        match answer {
            Poll::Ready(Ok(permit)) => {
                assert!(served && permit.picked_at() == self.now);
                self.waited += 1;
                self.held.push(permit);
                line.remove(i);
            }
            Poll::Ready(Err(refused)) => {
                assert!(!served && self.now >= *deadline && refused == Refused::WaitedTooLong);
                self.late += 1;
                line.remove(i);
            }
            Poll::Pending => assert!(!served && self.now < *deadline),
        }
    }

    fn probe(&mut self) {
        let servers = self.pool.servers();
        let server = &servers[self.random.below(servers.len())];
        let failure = (self.random.below(3) == 0).then(|| "refused".to_owned());
        self.pool.probed(server, ProbeResult { took: Duration::ZERO, failure }, self.now);
    }

    fn change(&mut self) {
        let mut servers = std::mem::take(&mut self.spec.servers);
        for known in &mut servers {
            if self.random.below(3) == 0 {
                *known = ServerSpec { name: known.name.clone(), ..server(0, &mut self.random) };
            }
        }
        let new = server(self.random.below(9), &mut self.random);
        if servers.iter().all(|known| known.name != new.name) {
            servers.push(new);
        } else if servers.len() > 1 {
            servers.remove(self.random.below(servers.len()));
        }
        self.spec = PoolSpec { policy: self.spec.policy, servers, rules: rules(&mut self.random) };
        self.pool.apply(self.spec.clone(), self.now);
    }

    /// What was handed out must have gone to the oldest.
    fn serve(&mut self) {
        let rang = self.waiting.iter().filter(|one| one.bell.rang()).count();
        let newly: Vec<Waiting> = self.waiting.drain(..rang).collect();
        assert!(newly.iter().all(|one| one.bell.rang()), "somebody was overtaken");
        self.served.extend(newly);
    }

    fn compare(&self, step: usize) {
        assert!(self.waiting.is_empty() || self.free() == 0, "step {step}: somebody waits beside a free slot");
        for (i, one) in self.waiting.iter().enumerate() {
            assert_eq!(one.ticket.position(), i, "step {step}");
        }
        if step % 100 == 99 {
            let stats = self.pool.stats();
            let (full, late) = (stats.refused(Refused::QueueFull), stats.refused(Refused::WaitedTooLong));
            assert_eq!(
                stats.servers.iter().map(|member| u64::from(member.server.in_flight)).sum::<u64>(),
                self.taken()
            );
            let queue = stats.queue;
            assert_eq!(queue.oldest, self.waiting.first().map(|one| one.ticket.since()), "step {step}");
            let told = (queue.waiting, full, late, queue.left, queue.waits.count());
            assert_eq!(told, (self.waiting.len(), self.full, self.late, self.left, self.waited), "step {step}");
        }
    }

    fn taken(&self) -> u64 {
        (self.held.len() + self.served.len()) as u64
    }

    /// Slots that are free on servers that take requests.
    fn free(&self) -> u32 {
        let free = |server: &Arc<Server>| {
            let spec = self.spec.servers.iter().find(|spec| spec.name == server.id().name()).expect("it is listed");
            let up = spec.state == AdminState::Ready && server.health() == HealthState::Up;
            let limit = spec.max_connections.map_or(0, NonZeroU32::get);
            if up { limit.saturating_sub(server.in_flight()) } else { 0 }
        };
        self.pool.servers().iter().map(free).sum()
    }
}

#[test]
fn a_server_due_for_a_trial_serves_a_queue_that_is_full() {
    let eject = Eject { failures: NonZeroU32::MIN, ..Eject::default() };
    let pool = pool(2, PoolRules { eject: Some(eject), ..queue(1) });
    let _held = pick(&pool, at(0));
    pick(&pool, at(0)).finish(Outcome::of(OutcomeKind::Failed, Duration::ZERO));
    let (mut ticket, bell) = wait(&pool, at(1));
    for millis in [9_000, 10_000] {
        let ask = Ask { now: at(millis), ..Ask::default() };
        assert_eq!(pool.pick(&ask).err(), Some(Refused::AllFull), "who waits longer comes first");
        assert_eq!(bell.rang(), millis == 10_000);
    }
    let permit = answer(&mut ticket, at(10_001)).expect("the trial is its own");
    assert_eq!(permit.server().health(), HealthState::Trial);
    assert_eq!(pool.stats().queue.waiting, 0);
    let (mut next, bell) = wait(&pool, at(10_500));
    permit.finish(Outcome::success(Duration::ZERO, Duration::from_millis(500)));
    assert!(bell.rang(), "a trial that went well makes room");
    assert!(answer(&mut next, at(10_501)).is_ok());
}

#[test]
fn a_trial_that_is_answered_makes_room() {
    let eject = Eject { failures: NonZeroU32::MIN, ..Eject::default() };
    let rules = PoolRules { eject: Some(eject), ..queue(9) };
    let two = NonZeroU32::MIN.saturating_add(1);
    let servers = vec![limited(0), limited(1).with_max_connections(two)];
    let pool = Pool::new("p", PoolSpec { servers, rules, ..PoolSpec::default() }, Time::ZERO);
    let _held = pick(&pool, at(0));
    pick(&pool, at(0)).finish(Outcome::of(OutcomeKind::Failed, Duration::ZERO));
    let mut trial = pick(&pool, at(10_000));
    let (mut ticket, bell) = wait(&pool, at(10_001));
    trial.answered(at(10_002));
    assert!(bell.rang() && answer(&mut ticket, at(10_003)).is_ok());
}

#[test]
fn a_change_and_a_probe_make_room_for_who_waits() {
    let probe = ProbeRule { fall: NonZeroU32::MIN, rise: NonZeroU32::MIN, initial: Initial::Ready };
    let rules = PoolRules { probe: Some(probe), ..queue(9) };
    let pool = pool(2, rules.clone());
    let servers = pool.servers();
    let failed = ProbeResult { took: Duration::ZERO, failure: Some("refused".to_owned()) };
    pool.probed(&servers[1], failed, at(0));
    let _held = pick(&pool, at(1));
    let (tickets, bells): (Vec<Ticket>, Vec<Arc<Bell>>) = (0..3).map(|_| wait(&pool, at(1))).unzip();
    pool.probed(&servers[1], ProbeResult { took: Duration::ZERO, failure: None }, at(2));
    let rang = || bells.iter().map(|bell| bell.rang()).collect::<Vec<_>>();
    assert_eq!(rang(), [true, false, false]);
    pool.apply(PoolSpec { servers: (0..3).map(limited).collect(), rules, ..PoolSpec::default() }, at(3));
    assert_eq!(rang(), [true, true, false]);
    pool.apply(
        PoolSpec { servers: vec![limited(0).with_max_connections(NonZeroU32::MAX)], ..PoolSpec::default() },
        at(4),
    );
    assert_eq!(rang(), [true, true, true], "a place is kept though the queue was abolished");
    drop(tickets);
}

#[test]
fn a_slot_that_came_free_before_the_place_was_taken_is_not_missed() {
    let pool = pool(1, queue(9));
    let held = pick(&pool, at(0));
    assert_eq!(pool.pick(&Ask::default()).err(), Some(Refused::AllFull));
    drop(held);
    let mut ticket = pool.wait(&Ask { now: at(1), ..Ask::default() }).expect("there is a queue");
    assert!(answer(&mut ticket, at(1)).is_ok());
}

#[test]
fn a_place_given_up_is_handed_on_and_so_is_a_permit_nobody_took() {
    let pool = pool(1, queue(9));
    let held = pick(&pool, at(0));
    let (mut lines, bells): (Vec<Ticket>, Vec<Arc<Bell>>) = (0..3).map(|_| wait(&pool, at(0))).unzip();
    drop(lines.remove(0));
    drop(held);
    assert_eq!(bells.iter().map(|bell| bell.rang()).collect::<Vec<_>>(), [false, true, false]);
    drop(lines.remove(0));
    assert!(bells[2].rang());
    let permit = answer(&mut lines[0], at(3)).expect("it is its turn");
    assert_eq!(permit.picked_at(), at(3), "it counts from when it was handed over, and not from an end nobody timed");
    drop(permit);
    let stats = pool.stats();
    assert_eq!((stats.in_flight(), stats.queue.left, stats.queue.waits.count()), (0, 2, 1));
}

#[test]
fn the_last_waker_is_the_one_that_is_called() {
    let pool = pool(1, queue(9));
    let held = pick(&pool, at(0));
    let (mut ticket, first) = wait(&pool, at(0));
    let second = Arc::new(Bell::default());
    assert!(ticket.poll(at(1), &mut Context::from_waker(&Waker::from(Arc::clone(&second)))).is_pending());
    drop(held);
    assert_eq!((first.rang(), second.rang()), (false, true));
}

#[test]
fn an_answer_in_time_counts_though_it_is_fetched_late() {
    let pool = pool(1, queue(9));
    let held = pick(&pool, at(0));
    let (mut served, _) = wait(&pool, at(0));
    let (mut late, _) = wait(&pool, at(0));
    drop(held);
    let _permit = answer(&mut served, at(5000)).expect("it was served in time");
    assert_eq!(answer(&mut late, at(1000)).err(), Some(Refused::WaitedTooLong));
}

#[test]
#[should_panic(expected = "good for one answer")]
fn a_ticket_is_good_for_one_answer() {
    let pool = pool(1, queue(9));
    let _held = pick(&pool, at(0));
    let (mut ticket, _) = wait(&pool, at(0));
    assert!(answer(&mut ticket, at(1000)).is_err());
    let _ = answer(&mut ticket, at(1000));
}

#[test]
fn who_waits_for_a_retry_avoids_those_it_tried() {
    let pool = pool(3, queue(9));
    let mut held: Vec<Permit> = (0..3).map(|_| pick(&pool, at(0))).collect();
    let tried = pool.servers()[..2].to_vec();
    let mut ticket = pool.wait(&Ask { now: at(0), tried: &tried, ..Ask::default() }).expect("there is a queue");
    pool.apply(PoolSpec { servers: vec![limited(2)], rules: queue(9), ..PoolSpec::default() }, at(1));
    held.clear();
    assert_eq!(answer(&mut ticket, at(2)).expect("it is free").server().id().name(), "s2");
}

#[test]
fn who_waits_in_a_pool_that_goes_is_told_at_its_deadline() {
    let pool = pool(1, queue(9));
    let held = pick(&pool, at(0));
    let watched = Arc::downgrade(held.server());
    let (mut ticket, _) = wait(&pool, at(0));
    drop(pool);
    drop(held);
    assert!(ticket.poll(at(999), &mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(answer(&mut ticket, at(1000)).err(), Some(Refused::WaitedTooLong));
    drop(ticket);
    assert_eq!(watched.strong_count(), 0);
}

fn queue(limit: u32) -> PoolRules {
    let rule = QueueRule { limit: NonZeroU32::new(limit).expect("not zero"), timeout: Duration::from_secs(1) };
    let queue = Some(rule);
    PoolRules { queue, warm_up: None, eject: None, retry_budget: Percent::new(20), ..PoolRules::default() }
}

fn limited(i: usize) -> ServerSpec {
    ServerSpec::new(format!("s{i}"), address(1)).with_max_connections(NonZeroU32::MIN)
}

/// Servers that take one request each.
fn pool(servers: usize, rules: PoolRules) -> Pool {
    let servers = (0..servers).map(limited).collect();
    Pool::new("p", PoolSpec { servers, rules, ..PoolSpec::default() }, Time::ZERO)
}

fn pick(pool: &Pool, now: Time) -> Permit {
    pool.pick(&Ask { now, ..Ask::default() }).expect("there is room")
}

/// A ticket that has been polled once, and the bell that it rings.
fn wait(pool: &Pool, now: Time) -> (Ticket, Arc<Bell>) {
    let mut ticket = pool.wait(&Ask { now, ..Ask::default() }).expect("there is room in the queue");
    let bell = Arc::new(Bell::default());
    assert!(ticket.poll(now, &mut Context::from_waker(&Waker::from(Arc::clone(&bell)))).is_pending());
    (ticket, bell)
}

fn answer(ticket: &mut Ticket, now: Time) -> Result<Permit, Refused> {
    match ticket.poll(now, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("there is an answer by now"),
    }
}

fn rules(random: &mut Random) -> PoolRules {
    let probe = ProbeRule { fall: NonZeroU32::MIN, rise: NonZeroU32::MIN, initial: Initial::Ready };
    let limit = NonZeroU32::MIN.saturating_add(random.below(6) as u32);
    let timeout = Duration::from_millis(1 + random.next() % 2000);
    let queue = (random.below(8) > 0).then_some(QueueRule { limit, timeout });
    PoolRules { queue, probe: Some(probe), warm_up: None, eject: None, ..PoolRules::default() }
}

fn server(i: usize, random: &mut Random) -> ServerSpec {
    ServerSpec {
        max_connections: NonZeroU32::new([1, 1, 2][random.below(3)]),
        backup: random.below(5) == 0,
        state: [AdminState::Ready, AdminState::Drain][random.below(8) / 7],
        ..ServerSpec::new(format!("s{i}"), address(1))
    }
}
