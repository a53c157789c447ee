//! The program: arguments, wiring, signals, exit codes.
use plimsoll_core::{PoolSpec, Pools, ServerSpec};
use plimsoll_proxy::{Clock, Proxy};
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {
    let config = plimsoll_config::load(std::path::Path::new(&std::env::args().nth(2).unwrap())).unwrap_or_else(|e| {
        eprintln!("{e}");
        std::process::exit(2)
    });
    let clock = Clock::start();
    let pools = Pools::new();
    pools.apply(
        config.pools.iter().map(|p| {
            (
                p.name.clone(),
                PoolSpec {
                    policy: p.policy,
                    servers: p
                        .servers
                        .iter()
                        .map(|s| {
                            let mut spec =
                                ServerSpec::new(s.name.clone(), format!("{}:{}", s.host, s.port).parse().unwrap());
                            spec.weight = s.weight;
                            spec.max_connections = s.max_connections;
                            spec.backup = s.backup;
                            spec.state = s.state;
                            spec
                        })
                        .collect(),
                },
            )
        }),
        clock.now(),
    );
    let proxy = Proxy::start(&config, config.workers.map_or(2, |w| w.get()), &pools, clock).unwrap_or_else(|e| {
        eprintln!("{e}");
        std::process::exit(1)
    });
    for (l, a) in proxy.addresses() {
        eprintln!("{l} on {a}");
    }
    println!("{}", proxy.wait());
}
