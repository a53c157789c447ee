//! Limits and a backup: two servers that take two requests each, and one that steps in when they are full.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use plimsoll_core::{Ask, Permit, Pool, PoolSpec, ServerSpec, Time};

fn main() {
    let server = |name, port| ServerSpec::new(name, SocketAddr::from(([127, 0, 0, 1], port)));
    let limited = |spec: ServerSpec, limit| ServerSpec { max_connections: NonZeroU32::new(limit), ..spec };
    let servers = vec![
        limited(server("one", 9001), 2),
        limited(server("two", 9002), 2),
        limited(server("spare", 9003), 1).with_backup(),
    ];
    let pool = Pool::new("app", PoolSpec { servers, ..PoolSpec::default() }, Time::ZERO);

    let mut held = Vec::new();
    for number in 1..=6 {
        held.extend(try_one(&pool, number));
    }
    println!("\n{}\n", pool.explain(&Ask::default()));

    println!("one request ends");
    drop(held.remove(0));
    held.extend(try_one(&pool, 7));
}

/// Asks for one more permit and tells what came of it.
fn try_one(pool: &Pool, number: u32) -> Option<Permit> {
    match pool.pick(&Ask::default()) {
        Ok(permit) => {
            println!("request {number} -> {}", permit.server().id().name());
            Some(permit)
        }
        Err(refused) => {
            println!("request {number} refused: {refused}");
            None
        }
    }
}
