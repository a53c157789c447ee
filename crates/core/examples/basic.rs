//! A hundred calls of 100 to 500 ms, twenty at a time, over three servers.
//!
//! Each call goes to the server that is least busy when it starts, so at no time does one server have much
//! more to do than another, however long the calls take. At the end every count is back at zero.

#![allow(clippy::disallowed_methods, reason = "the clock and the threads that core leaves to its callers")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_core::{Ask, Outcome, Pool, PoolSpec, Refused, ServerSpec, Time};

const CALLS: u64 = 100;
const AT_A_TIME: usize = 20;

fn main() -> Result<(), Refused> {
    let server = |port| ServerSpec::new(format!("server-{port}"), SocketAddr::from(([127, 0, 0, 1], port)));
    let servers = vec![server(9001), server(9002), server(9003)];
    let pool = Pool::new("app", PoolSpec { servers, ..PoolSpec::default() }, Time::ZERO);

    let (started, next) = (Instant::now(), AtomicU64::new(1));
    thread::scope(|scope| {
        let worker = || {
            loop {
                match next.fetch_add(1, Ordering::Relaxed) {
                    number @ 1..=CALLS => call(&pool, number, started)?,
                    _ => return Ok(()),
                }
            }
        };
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;

    for member in pool.stats().servers {
        let server = member.server;
        let mean = server.total.mean().unwrap_or_default().as_millis();
        println!("{}: {} in flight, {} calls, mean {mean} ms", server.id, server.in_flight, server.successes);
    }
    Ok(())
}

/// One call: pick, work, finish.
fn call(pool: &Pool, number: u64, started: Instant) -> Result<(), Refused> {
    let now = Time::ZERO + started.elapsed();
    let permit = pool.pick(&Ask { now, random: number, ..Ask::default() })?;
    let server = permit.server();
    println!("call {number:3} -> {} ({} in flight)", server.id(), server.in_flight());

    // Stands for a request: between 100 and 500 ms, mixed up by the number.
    let took = Duration::from_millis(100 + number * 7919 % 401);
    thread::sleep(took);
    permit.finish(Outcome::success(took, took));
    Ok(())
}
