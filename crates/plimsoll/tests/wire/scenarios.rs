//! What clients see of servers that die, stall, crawl, lie or come back, while they ask without a pause.
//!
//! Small and fast versions of what the benchmarks measure, judged by counts: how long things take is the machine's
//! affair.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::kit::{Config, Load, Mortal, Seen, Server, Talk, answer, get, ok, with_status};

/// How long a good server takes.
const SERVICE: Duration = Duration::from_millis(3);

/// Clients that ask at once.
const CLIENTS: usize = 20;

/// What it takes to hide a failure from a client that asks for the same again.
const RETRY: &str = "retry = { on = [\"connect\", \"reset\", \"timeout\"] }";

/// Answers every request after the time of a service.
fn serve(talk: &mut Talk) {
    while talk.request().is_some() {
        std::thread::park_timeout(SERVICE);
        if !talk.send(ok("good")) {
            return;
        }
    }
}

fn mortals() -> [Mortal; 5] {
    [(); 5].map(|()| Mortal::start(serve))
}

#[track_caller]
fn assert_all_good(seen: &[Seen]) {
    let bad: Vec<_> = seen.iter().filter(|seen| seen.status != 200 || seen.body != "good").take(5).collect();
    assert!(bad.is_empty(), "of {}: {bad:?}", seen.len());
}

#[test]
fn the_death_of_a_server_is_seen_by_nobody() {
    let mut servers = mortals();
    let program = Config::to(&servers.each_ref().map(Mortal::address)).pool(RETRY).start();
    let load = Load::start(&program, CLIENTS);
    load.await_more(500);
    servers[2].kill();
    load.await_more(1000);
    assert_all_good(&load.stop());
    assert_eq!(program.said_times("is ejected"), 1);
}

#[test]
fn the_death_of_a_server_is_seen_by_nobody_even_by_default() {
    let mut servers = mortals();
    let program = Config::to(&servers.each_ref().map(Mortal::address)).start();
    let load = Load::start(&program, CLIENTS);
    // Every connection has been used before, so that what is lost on one can be told from what was refused.
    load.await_more(1000);
    servers[2].kill();
    load.await_more(1000);
    assert_all_good(&load.stop());
}

#[test]
fn servers_that_are_restarted_one_after_the_other_are_missed_by_nobody() {
    let mut servers = mortals();
    let program = Config::to(&servers.each_ref().map(Mortal::address))
        .pool(RETRY)
        .pool("eject = { time = \"100ms\" }\nwarm_up = \"100ms\"")
        .start();
    let load = Load::start(&program, CLIENTS);
    load.await_more(500);
    for server in &mut servers {
        server.kill();
        load.await_more(300);
        server.restart();
        let before = server.count();
        while server.count() < before + 20 {
            load.await_more(50);
        }
    }
    assert_all_good(&load.stop());
}

#[test]
fn a_server_that_stalls_holds_up_nobody_for_long() {
    const STALL: Duration = Duration::from_secs(1);
    let begun = Instant::now();
    let stalling = Server::start(move |talk| {
        while talk.request().is_some() {
            let at = Duration::from_millis((begun.elapsed().as_millis() % 3000) as u64);
            // It says nothing for the first second of every three.
            std::thread::park_timeout(STALL.saturating_sub(at).max(SERVICE));
            if !talk.send(ok("good")) {
                return;
            }
        }
    });
    let others = [(); 4].map(|()| Server::start(serve));
    let mut addresses = vec![stalling.address()];
    addresses.extend(others.iter().map(Server::address));
    let program = Config::to(&addresses).pool(RETRY).pool("timeout = { first_byte = \"150ms\" }").start();
    let load = Load::start(&program, CLIENTS);
    while begun.elapsed() < STALL * 5 {
        load.await_more(100);
    }
    let seen = load.stop();
    assert_all_good(&seen);
    // One of those a machine busy with other things may hold up itself, so not the very longest.
    let mut longest: Vec<_> = seen.iter().map(|seen| seen.took).collect();
    longest.sort_unstable();
    let nearly = longest[longest.len() * 999 / 1000];
    assert!(nearly < STALL, "{nearly:?} of {}", seen.len());
}

#[test]
fn a_server_that_crawls_gets_what_it_can_carry() {
    let crawling = Server::start(|talk| {
        while talk.request().is_some() {
            std::thread::park_timeout(SERVICE * 20);
            if !talk.send(ok("good")) {
                return;
            }
        }
    });
    let others = [(); 4].map(|()| Server::start(serve));
    let mut addresses = vec![crawling.address()];
    addresses.extend(others.iter().map(Server::address));
    let program = Config::to(&addresses).start();
    let load = Load::start(&program, CLIENTS);
    load.await_more(3000);
    let seen = load.stop();
    assert_all_good(&seen);
    // An equal share would be a fifth.
    assert!(crawling.count() * 10 < seen.len(), "{} of {}", crawling.count(), seen.len());
    assert_eq!(program.said_times("is ejected"), 0);
}

/// Of how many requests, and how many of them were not answered well, where one server of five is this one.
fn beside_a_black_hole(black_hole: Server, rules: &str) -> (usize, usize) {
    let others = [(); 4].map(|()| Server::start(serve));
    let mut addresses: Vec<_> = others.iter().map(Server::address).collect();
    addresses.insert(2, black_hole.address());
    let program = Config::to(&addresses).pool(rules).start();
    let load = Load::start(&program, CLIENTS);
    load.await_more(3000);
    let seen = load.stop();
    drop(black_hole);
    (seen.len(), seen.len() - with_status(&seen, 200))
}

fn failing() -> Server {
    Server::answering(|_| answer(500))
}

fn resetting() -> Server {
    Server::start(|talk| {
        talk.request();
        talk.end_with_reset();
    })
}

#[test]
fn a_server_that_fails_at_once_does_not_swallow_the_traffic() {
    for black_hole in [failing(), resetting()] {
        let (all, bad) = beside_a_black_hole(black_hole, "");
        assert!(bad * 100 < all * 3, "{bad} of {all}");
        assert!(bad > 0, "somebody has to find out");
    }
}

#[test]
fn a_server_that_fails_at_once_is_seen_by_nobody_where_requests_are_tried_again() {
    for (black_hole, on) in [(failing(), "500"), (resetting(), "\"reset\"")] {
        let (all, bad) = beside_a_black_hole(black_hole, &format!("retry = {{ on = [\"connect\", {on}] }}"));
        assert!(bad * 100 < all, "{bad} of {all}");
    }
}

#[test]
fn a_server_that_fails_at_once_is_kept_small_though_it_may_not_be_ejected() {
    for black_hole in [failing(), resetting()] {
        let (all, bad) = beside_a_black_hole(black_hole, "eject = \"off\"");
        // It would be nearly all without the guard, and a fifth if it were as good as the others.
        assert!(bad * 10 < all, "{bad} of {all}");
    }
}

#[test]
fn a_server_that_recovers_is_brought_in_little_by_little() {
    const WARM_UP: Duration = Duration::from_secs(2);
    let counts: [Arc<AtomicUsize>; 2] = Default::default();
    let servers = counts.each_ref().map(|count| {
        let count = Arc::clone(count);
        Mortal::start(move |talk| {
            while talk.request().is_some() {
                count.fetch_add(1, Ordering::SeqCst);
                std::thread::park_timeout(SERVICE);
                if !talk.send(ok("good")) {
                    return;
                }
            }
        })
    });
    let [mut ill, good] = servers;
    let program = Config::to(&[ill.address(), good.address()])
        .pool(RETRY)
        .pool(&format!("eject = {{ time = \"300ms\" }}\nwarm_up = \"{}s\"", WARM_UP.as_secs()))
        .start();
    let load = Load::start(&program, CLIENTS);
    load.await_more(200);
    ill.kill();
    program.await_said("is ejected");
    ill.restart();
    program.await_said("is up (was trial)");
    // Its share in the first half of its warm-up, in the second, and after it.
    let since = Instant::now();
    let shares = [WARM_UP / 2, WARM_UP, WARM_UP * 2].map(|until| {
        let before = counts.each_ref().map(|count| count.load(Ordering::SeqCst));
        while since.elapsed() < until {
            load.await_more(10);
        }
        let [own, others] = std::array::from_fn(|place| counts[place].load(Ordering::SeqCst) - before[place]);
        own as f64 / (own + others) as f64
    });
    assert_all_good(&load.stop());
    // Half of all is its fair share: a quarter of that on average in the first half, three in the second. What is told is
    // told a tenth of a second late.
    let [first, second, after] = shares;
    assert!(first < 0.22 && first < second && second < after && after > 0.4, "{shares:?}");
    assert_eq!(program.ask(get("/")).status, 200);
}
