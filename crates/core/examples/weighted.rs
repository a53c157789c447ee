//! Servers of unequal size: weights 4, 2 and 1, holding 8, 3 and 1 requests.
//!
//! What counts is in flight divided by weight, so the next request goes to the third server, and the one
//! after that to the second.

use std::net::SocketAddr;

use plimsoll_core::{Ask, Permit, Pool, PoolSpec, Refused, ServerSpec, Time};

fn main() -> Result<(), Refused> {
    let server =
        |name, port, weight| ServerSpec::new(name, SocketAddr::from(([127, 0, 0, 1], port))).with_weight(weight);
    let servers = vec![server("large", 9001, 4), server("medium", 9002, 2), server("small", 9003, 1)];
    let pool = Pool::new("app", PoolSpec { servers, ..PoolSpec::default() }, Time::ZERO);
    let ask = Ask::default();

    // Fourteen picks fill the servers in proportion to their weights: 8, 4 and 2.
    let mut held = (0..14).map(|_| pool.pick(&ask)).collect::<Result<Vec<Permit>, Refused>>()?;
    release_one(&mut held, "medium");
    release_one(&mut held, "small");
    println!("{}\n", pool.explain(&ask));

    for _ in 0..2 {
        let permit = pool.pick(&ask)?;
        println!("picked {}", permit.server().id().name());
        held.push(permit);
    }
    println!("\n{}", pool.explain(&ask));
    Ok(())
}

/// Ends one of the requests on a server: to drop its permit is all there is to it.
fn release_one(held: &mut Vec<Permit>, server: &str) {
    if let Some(i) = held.iter().position(|permit| permit.server().id().name() == server) {
        drop(held.swap_remove(i));
    }
}
