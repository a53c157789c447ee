//! Many threads on one table of clients: limits hold at every moment, and counts equal the holds alive.

mod common;

use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::{Random, at};
use plimsoll_core::{Admission, ClientHold, ClientKey, ClientRules, ClientTable, Rate, Time};

const THREADS: u64 = 16;
const LIMIT: u32 = 5;

fn client(number: usize) -> ClientKey {
    ClientKey::address(IpAddr::V4(Ipv4Addr::from_bits(number as u32)), 64)
}

fn counting(entries: usize) -> ClientRules {
    ClientRules::counting(NonZeroUsize::new(entries).unwrap())
}

#[test]
fn no_client_ever_has_more_at_once_than_its_limit() {
    const CLIENTS: usize = 2;
    let limit = NonZeroU32::new(LIMIT);
    let table = ClientTable::new(ClientRules { connections: limit, requests: limit, ..counting(CLIENTS) }, 3);
    let held: [[AtomicU32; 2]; CLIENTS] = Default::default();
    let most = AtomicU32::new(0);
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (table, held, most) = (&table, &held, &most);
            scope.spawn(move || {
                let mut random = Random::new(seed + 1);
                let mut mine: Vec<(usize, usize, ClientHold)> = Vec::new();
                // In the end each gives back all it has.
                for step in 0..20_100 {
                    let gives = step >= 20_000 || mine.len() > 8 || random.below(3) == 0;
                    if gives && !mine.is_empty() {
                        let (number, kind, hold) = mine.swap_remove(random.below(mine.len()));
                        // Counted off before the hold ends, so that this count is never above the table's.
                        held[number][kind].fetch_sub(1, Ordering::SeqCst);
                        drop(hold);
                        continue;
                    }
                    if step >= 20_000 {
                        break;
                    }
                    let (number, kind) = (random.below(CLIENTS), random.below(2));
                    let begin = [ClientTable::connect, ClientTable::request][kind];
                    if let Admission::In(hold) = begin(table, client(number), at(step)) {
                        assert!(hold.is_counted());
                        let now = held[number][kind].fetch_add(1, Ordering::SeqCst) + 1;
                        assert!(now <= LIMIT, "{now} at once");
                        most.fetch_max(now, Ordering::Relaxed);
                        mine.push((number, kind, hold));
                    }
                }
            });
        }
    });
    assert_eq!(most.into_inner(), LIMIT, "the limit was reached, so that it was tried");
    assert!(table.stats().refused.sum() > 0);
    let top = table.top(100, at(0));
    assert_eq!(top.len(), CLIENTS);
    assert!(top.iter().all(|stats| stats.connections == 0 && stats.requests == 0), "{top:?}");
}

#[test]
fn counts_equal_holds_while_clients_come_go_and_rules_change() {
    const CLIENTS: usize = 90;
    let rules = |entries, millis| ClientRules {
        request_rate: NonZeroU32::new(1000).map(|limit| Rate { limit, window: Duration::from_millis(millis) }),
        ..counting(entries)
    };
    let table = ClientTable::new(rules(60, 50), 3);
    let (done, counted) = (AtomicUsize::new(0), AtomicU64::new(0));
    let kept: Vec<Vec<(usize, ClientHold)>> = thread::scope(|scope| {
        let callers: Vec<_> = (0..THREADS)
            .map(|seed| {
                let (table, done, counted) = (&table, &done, &counted);
                scope.spawn(move || {
                    let mut random = Random::new(seed + 1);
                    let mut mine: Vec<(usize, ClientHold)> = Vec::new();
                    for step in 0..5_000 {
                        let number = random.below(CLIENTS);
                        if let Admission::In(hold) = table.request(client(number), at(step)) {
                            counted.fetch_add(u64::from(hold.is_counted()), Ordering::Relaxed);
                            mine.push((number, hold));
                        }
                        if mine.len() > random.below(8) {
                            drop(mine.swap_remove(random.below(mine.len())));
                        }
                    }
                    done.fetch_add(1, Ordering::Release);
                    mine
                })
            })
            .collect();
        let mut turn = 0;
        while done.load(Ordering::Acquire) < THREADS as usize {
            turn += 1;
            table.apply(rules([60, 40, 80][turn % 3], [50, 70][turn % 2]));
            assert!(table.stats().entries <= 80);
            assert!(table.top(100, at(0)).len() <= 80);
        }
        callers.into_iter().map(|caller| caller.join().expect("no thread panics")).collect()
    });
    let mut alive = [0_u32; CLIENTS];
    let kept: Vec<_> = kept.into_iter().flatten().collect();
    kept.iter().filter(|(_, hold)| hold.is_counted()).for_each(|(number, _)| alive[*number] += 1);
    let top = table.top(100, at(5_000));
    let of = |number: usize| top.iter().find(|stats| stats.key == client(number)).map_or(0, |stats| stats.requests);
    assert!((0..CLIENTS).all(|number| of(number) == alive[number]), "{alive:?} and {top:?}");
    assert!(counted.into_inner() > 0 && table.stats().evicted > 0, "{:?}", table.stats());
    drop(kept);
    assert!(table.top(100, at(5_000)).iter().all(|stats| stats.requests == 0));
}

#[test]
fn a_rate_is_exact_under_threads() {
    let rate = NonZeroU32::new(1000).map(|limit| Rate { limit, window: Duration::from_secs(1) });
    let table = ClientTable::new(ClientRules { request_rate: rate, ..counting(10) }, 3);
    let begun = AtomicU64::new(0);
    let go = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !go.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                for _ in 0..500 {
                    let admission = table.request(client(1), Time::from_nanos(7));
                    begun.fetch_add(u64::from(matches!(admission, Admission::In(_))), Ordering::Relaxed);
                }
            });
        }
        go.store(true, Ordering::Release);
    });
    assert_eq!(begun.into_inner(), 1000);
}
