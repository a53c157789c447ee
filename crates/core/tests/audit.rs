//! Permits alive against what servers have in flight: never apart, whatever goes on.

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{Random, address, histories};
use plimsoll_core::{AdminState, Ask, Audit, Outcome, Permit, Pool, PoolSpec, Pools, ServerSpec, Time};

/// More than have a seat of their own.
const THREADS: u64 = 80;

const AUDITS: usize = 300;

#[test]
fn nothing_is_apart_while_threads_pick_finish_drop_panic_and_the_pool_changes() {
    histories(3, |seed| {
        let pools = Pools::new();
        pools.apply([pool_of(40), ("other".to_owned(), spec(1))], Time::ZERO);
        let pool = pools.pool("p").expect("it was just applied");
        let _elsewhere = pools.pool("other").and_then(|other| other.pick(&Ask::default()).ok());
        let (handed_on, running) = (Mutex::new(Vec::new()), AtomicBool::new(true));
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (pool, handed_on, running) = (&pool, &handed_on, &running);
                scope.spawn(move || requests(pool, handed_on, running, &mut Random::new(seed * 1000 + thread)));
            }
            let stop = Stop(&running);
            let mut random = Random::new(seed);
            for audits in 1..=AUDITS {
                assert_eq!(pools.audit().apart, 0);
                if audits % 20 == 0 {
                    let size = [0, 1, 40, 100][random.below(4)];
                    pools.apply([pool_of(size)], Time::ZERO);
                }
            }
            drop(stop);
        });
        let held = handed_on.into_inner().expect("nobody panics with it");
        let alive = held.len() as u64 + 1;
        assert_eq!(pools.audit(), Audit { permits_alive: alive, in_flight: alive, apart: 0 });
        drop(held);
        assert_eq!(pools.audit(), Audit { permits_alive: 1, in_flight: 1, apart: 0 });
    });
}

/// Lets the threads end, also when an audit failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Requests of all fates; what they leave for others to end goes to `handed_on`.
fn requests(pool: &Pool, handed_on: &Mutex<Vec<Permit>>, running: &AtomicBool, random: &mut Random) {
    while running.load(Ordering::Relaxed) {
        let ask = Ask { now: Time::from_nanos(random.next() % 1_000_000_000), random: random.next(), ..Ask::default() };
        let Ok(permit) = pool.pick(&ask) else { continue };
        match random.below(8) {
            0 => drop(permit),
            1 => {
                let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                    let _permit = permit;
                    std::panic::resume_unwind(Box::new("the request went wrong"));
                }));
                assert!(panicked.is_err());
            }
            2..=4 => {
                let mut others = handed_on.lock().expect("nobody panics with it");
                others.push(permit);
                let other = random.below(others.len());
                let other = others.swap_remove(other);
                drop(others);
                if random.below(4) > 0 {
                    drop(other);
                } else {
                    handed_on.lock().expect("nobody panics with it").push(other);
                }
            }
            _ => permit.finish(Outcome::success(Duration::from_micros(300), Duration::from_millis(1))),
        }
    }
}

#[test]
fn a_permit_that_is_forgotten_is_alive_for_ever_and_no_leak() {
    let pool = Pool::new("p", spec(2), Time::ZERO);
    std::mem::forget(pool.pick(&Ask::default()));
    assert_eq!(pool.audit(), Audit { permits_alive: 1, in_flight: 1, apart: 0 });
}

#[test]
fn a_request_that_was_refused_is_not_alive() {
    let pool = Pool::new("p", spec(0), Time::ZERO);
    assert!(pool.pick(&Ask::default()).is_err());
    assert_eq!(pool.audit(), Audit::default());
}

#[test]
fn permits_count_where_their_servers_and_pools_left() {
    let pools = Pools::new();
    pools.apply([pool_of(2)], Time::ZERO);
    let pick = || pools.pool("p").and_then(|pool| pool.pick(&Ask::default()).ok());
    let held = [pick(), pick()];
    let mut moved = spec(1);
    moved.servers[0].addresses = vec![address(9).into()];
    pools.apply([("p".to_owned(), moved)], Time::ZERO);
    let both = Audit { permits_alive: 2, in_flight: 2, apart: 0 };
    assert_eq!(pools.audit(), both);
    pools.apply([], Time::ZERO);
    assert_eq!(pools.audit(), both);
    drop(held);
    assert_eq!(pools.audit(), Audit::default());
}

fn pool_of(servers: u32) -> (String, PoolSpec) {
    ("p".to_owned(), spec(servers))
}

fn spec(servers: u32) -> PoolSpec {
    let server = |i: u32| {
        let state = if i % 7 == 3 { AdminState::Drain } else { AdminState::Ready };
        ServerSpec::new(i.to_string(), address(1)).with_state(state)
    };
    PoolSpec { servers: (0..servers).map(server).collect(), ..PoolSpec::default() }
}
