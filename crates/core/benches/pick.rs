//! What a pick and its release cost, for one thread and for two on one pool, against a plain scan of all
//! servers: `cargo bench -p plimsoll-core`.
//!
//! The bars are 60, 150 and 300 ns at 16, 1000 and 10,000 servers with one thread.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use divan::Bencher;
use plimsoll_core::{Ask, Outcome, Permit, PolicyKind, Pool, PoolSpec, ServerSpec, Time};

const SIZES: [usize; 5] = [3, 16, 64, 1000, 10_000];

fn main() {
    divan::main();
}

/// A bare drop, as an aborted request ends.
#[divan::bench(args = SIZES, threads = [1, 2], sample_size = 5000)]
fn pick_drop(bencher: Bencher<'_, '_>, servers: usize) {
    let pool = pool(PolicyKind::LeastConnections, servers);
    bencher.bench(|| drop(pool.pick(black_box(&ASK))));
}

/// The whole life of a good request: distribution and sum of both times, and bytes both ways.
#[divan::bench(args = SIZES, threads = [1, 2], sample_size = 5000)]
fn pick_finish(bencher: Bencher<'_, '_>, servers: usize) {
    let pool = pool(PolicyKind::LeastConnections, servers);
    bencher.bench(|| pool.pick(black_box(&ASK)).map(|permit| permit.finish(black_box(OUTCOME))));
}

/// The same among servers that carry about five requests each, a quarter of which is let go in turn: here a
/// release makes a server one of the best, and the index has to learn it.
#[divan::bench(args = SIZES, sample_size = 5000)]
fn pick_finish_busy(bencher: Bencher<'_, '_>, servers: usize) {
    let pool = pool(PolicyKind::LeastConnections, servers);
    let mut held: Vec<Permit> = (0..servers * 5).filter_map(|_| pool.pick(&ASK).ok()).collect();
    let mut next = 0;
    bencher.bench_local(|| {
        next = (next + held.len() / 4 + 1) % held.len();
        if let Ok(permit) = pool.pick(black_box(&ASK)) {
            std::mem::replace(&mut held[next], permit).finish(black_box(OUTCOME));
        }
    });
}

/// Every policy at one small and one large size.
#[divan::bench(args = PolicyKind::ALL, consts = [16, 1000, 10_000], sample_size = 5000)]
fn policies<const SERVERS: usize>(bencher: Bencher<'_, '_>, policy: PolicyKind) {
    let pool = pool(policy, SERVERS);
    let mut random = 0_u64;
    bencher.bench_local(|| {
        random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let ask = Ask { random, key: Some(random), ..ASK };
        pool.pick(black_box(&ask)).map(|permit| permit.finish(black_box(OUTCOME)))
    });
}

/// Clients that are stuck, each to another server.
#[divan::bench(args = [16, 1000, 10_000], sample_size = 5000)]
fn stuck(bencher: Bencher<'_, '_>, servers: usize) {
    let pool = pool(PolicyKind::LeastConnections, servers);
    let names: Vec<String> = (0..servers).map(|i| format!("s{i}")).collect();
    let mut next = 0;
    bencher.bench_local(|| {
        next = (next + 7) % servers;
        let ask = Ask { stick: Some(&names[next]), ..ASK };
        pool.pick(black_box(&ask)).map(|permit| permit.finish(black_box(OUTCOME)))
    });
}

/// What the others do: look at every server's count, then count one up and down. It keeps no statistics,
/// no limits and no turns.
#[divan::bench(args = SIZES, threads = [1, 2], sample_size = 5000)]
fn plain_scan(bencher: Bencher<'_, '_>, servers: usize) {
    let counts: Vec<Arc<Counted>> = (0..servers).map(|_| Arc::default()).collect();
    bencher.bench(|| {
        let least = counts.iter().min_by_key(|server| server.in_flight.load(Ordering::Relaxed));
        let Some(server) = black_box(least) else {
            return;
        };
        server.in_flight.fetch_add(1, Ordering::Relaxed);
        black_box(server).in_flight.fetch_sub(1, Ordering::Relaxed);
    });
}

const ASK: Ask<'static> = Ask { now: Time::from_nanos(1_000_000), random: 0, tried: &[], key: None, stick: None };

const OUTCOME: Outcome = Outcome::success(Duration::from_millis(3), Duration::from_millis(5)).with_bytes(300, 5000);

/// One server of the plain scan, on a line of the cache of its own as any server's state is.
#[derive(Default)]
#[repr(align(64))]
struct Counted {
    in_flight: AtomicU32,
}

fn pool(policy: PolicyKind, servers: usize) -> Pool {
    let address = SocketAddr::from(([127, 0, 0, 1], 80));
    let servers = (0..servers).map(|i| ServerSpec::new(format!("s{i}"), address)).collect();
    Pool::new("bench", PoolSpec { policy, servers, ..PoolSpec::default() }, Time::ZERO)
}
