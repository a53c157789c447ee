//! Many threads in one queue: whoever waits is woken, limits hold, every ticket has one answer, and all ends at zero.

#![allow(clippy::disallowed_methods, reason = "a test may look at the clock to tell a wake-up from a pause")]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use common::{Random, address};
use plimsoll_core::{Ask, Outcome, Permit, Pool, PoolRules, PoolSpec, QueueRule, Refused, ServerSpec, Ticket, Time};

/// More than the machine has cores, so that threads are stopped anywhere.
const THREADS: u64 = 16;

/// Sizes below and above where the index begins.
const SIZES: [usize; 2] = [3, 70];

/// How long a wake-up is waited for before it is taken for lost: far more than a loaded machine needs.
const LOST: Duration = Duration::from_secs(20);

const PATIENCE: Duration = Duration::from_secs(1);

/// What became of those who asked.
#[derive(Default)]
struct Answers {
    picked: AtomicU64,
    served: AtomicU64,
    left: AtomicU64,
    late: AtomicU64,
    full: AtomicU64,
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn no_wake_up_is_lost_and_no_limit_exceeded() {
    for (size, limit) in SIZES.into_iter().flat_map(|size| [4, 100].map(|limit| (size, limit))) {
        let pool = crowded(size, limit);
        // Leaves four slots for sixteen threads, in pools of every size.
        let held: Vec<Permit> = (0..size * 2 - 4).map(|_| pool.pick(&Ask::default()).expect("there is room")).collect();
        let answers = Answers::default();
        thread::scope(|scope| {
            for seed in 0..THREADS {
                let (pool, answers) = (&pool, &answers);
                scope.spawn(move || ask_again_and_again(pool, answers, &mut Random::new(seed)));
            }
        });
        let stats = pool.stats();
        assert_eq!((stats.in_flight(), stats.queue.waiting), (held.len() as u64, 0));
        drop(held);
        let [picked, served, left, late, full] =
            [answers.picked, answers.served, answers.left, answers.late, answers.full].map(AtomicU64::into_inner);
        assert_eq!((stats.queue.waits.count(), stats.queue.left), (served, left));
        assert_eq!((stats.refused(Refused::WaitedTooLong), stats.refused(Refused::QueueFull)), (late, full));
        assert_eq!(picked + served + left + late + full, THREADS * ROUNDS);
        assert!(served > 100 && left > 0 && late > 0, "{picked} {served} {left} {late} {full}");
        assert!(limit > 4 || full > 0);
        let stats = pool.stats();
        assert!(stats.servers.iter().all(|member| member.server.in_flight == 0 && member.server.underflows == 0));
    }
}

/// One slot, one who frees it and one who comes for it at the same moment, and nobody after them to make good what these
/// two may miss.
#[test]
fn who_joins_while_the_only_slot_comes_free_is_served() {
    for size in [1, 70] {
        let pool = crowded(size, 4);
        let _others: Vec<Permit> = (1..size * 2).map(|_| pool.pick(&Ask::default()).expect("there is room")).collect();
        // Even while the slot is free, odd while both are after it.
        let turn = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = Random::new(1);
                for round in 0..HANDSHAKES {
                    let held = pool.pick(&Ask::default()).expect("the other has ended");
                    turn.fetch_max(round * 2 + 1, Ordering::AcqRel);
                    (0..random.below(200)).for_each(|_| std::hint::spin_loop());
                    drop(held);
                    until(&turn, round * 2 + 2);
                }
            });
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            let _free = SetFree(&turn);
            for round in 0..HANDSHAKES {
                until(&turn, round * 2 + 1);
                let permit = pool.pick(&Ask::default()).or_else(|_| {
                    let mut ticket = pool.wait(&Ask::default())?;
                    until_answered(&mut ticket, &waker)
                });
                drop(permit.expect("the slot came free"));
                turn.store(round * 2 + 2, Ordering::Release);
            }
        });
        assert_eq!(pool.stats().queue.waiting, 0);
    }
}

/// Enough to meet every order of the few steps in question many times.
const HANDSHAKES: u64 = 20_000;

/// Lets the other go on when this one fails, so that the test ends.
struct SetFree<'a>(&'a AtomicU64);

impl Drop for SetFree<'_> {
    fn drop(&mut self) {
        self.0.store(u64::MAX, Ordering::Release);
    }
}

/// Waits for the other's turn to end, on this core or on another.
fn until(turn: &AtomicU64, number: u64) {
    while turn.load(Ordering::Acquire) < number {
        thread::yield_now();
    }
}

const ROUNDS: u64 = 1500;

fn ask_again_and_again(pool: &Pool, answers: &Answers, random: &mut Random) {
    let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    for _ in 0..ROUNDS {
        let ask = Ask { random: random.next(), ..Ask::default() };
        match pool.pick(&ask) {
            Ok(permit) => {
                count(&answers.picked);
                work(permit, random);
                continue;
            }
            Err(refused) => assert_eq!(refused, Refused::AllFull),
        }
        match pool.wait(&ask) {
            Ok(mut ticket) => match wait(&mut ticket, &waker, random) {
                Some(Ok(permit)) => {
                    count(&answers.served);
                    work(permit, random);
                }
                Some(Err(refused)) => {
                    assert_eq!(refused, Refused::WaitedTooLong);
                    count(&answers.late);
                }
                None => {
                    drop(ticket);
                    count(&answers.left);
                }
            },
            Err(refused) => {
                assert_eq!(refused, Refused::QueueFull);
                count(&answers.full);
                thread::yield_now();
            }
        }
    }
}

/// Waits for the answer; some lose patience at once, and some their time.
fn wait(ticket: &mut Ticket, waker: &Waker, random: &mut Random) -> Option<Result<Permit, Refused>> {
    let mut cx = Context::from_waker(waker);
    let whim = random.below(8);
    if whim > 1 {
        return Some(until_answered(ticket, waker));
    }
    if let Poll::Ready(answer) = ticket.poll(Time::ZERO, &mut cx) {
        return Some(answer);
    }
    if whim == 0 {
        return None;
    }
    thread::yield_now();
    let Poll::Ready(answer) = ticket.poll(ticket.deadline(), &mut cx) else { panic!("its time is over") };
    Some(answer)
}

fn until_answered(ticket: &mut Ticket, waker: &Waker) -> Result<Permit, Refused> {
    loop {
        if let Poll::Ready(answer) = ticket.poll(Time::ZERO, &mut Context::from_waker(waker)) {
            return answer;
        }
        // It may end at once on account of a ticket before, whose answer came before its wake-up.
        let began = Instant::now();
        thread::park_timeout(LOST);
        assert!(began.elapsed() < LOST, "a wake-up was lost");
    }
}

/// Holds a slot for a moment, in which others can come.
fn work(permit: Permit, random: &mut Random) {
    assert!((1..=2).contains(&permit.server().in_flight()), "the limit is two");
    for _ in 0..random.below(3) {
        thread::yield_now();
    }
    if random.below(2) == 0 {
        permit.finish(Outcome::success(Duration::ZERO, Duration::ZERO));
    }
}

fn crowded(size: usize, limit: u32) -> Pool {
    let two = NonZeroU32::MIN.saturating_add(1);
    let server = |i| ServerSpec::new(format!("s{i}"), address(1)).with_max_connections(two);
    let queue = QueueRule { limit: NonZeroU32::new(limit).expect("not zero"), timeout: PATIENCE };
    let rules = PoolRules { queue: Some(queue), ..PoolRules::default() };
    Pool::new("p", PoolSpec { servers: (0..size).map(server).collect(), rules, ..PoolSpec::default() }, Time::ZERO)
}
