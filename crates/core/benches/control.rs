//! What it costs to change a large pool and to read it: `cargo bench -p plimsoll-core --bench control`.
//!
//! The bar for ten thousand servers that are added to as many is 300 ms, of a second for the whole request.

use divan::{Bencher, black_box};
use plimsoll_core::{Ask, Audit, Explanation, PolicyKind, Pool, PoolSpec, PoolStats, ServerSpec, Time};

const SIZES: [u16; 3] = [16, 1000, 10_000];

fn main() {
    divan::main();
}

/// As many servers again join those that serve.
#[divan::bench(args = SIZES, sample_count = 20)]
fn add_as_many(bencher: Bencher<'_, '_>, servers: u16) {
    let more = spec(servers * 2);
    let before = || (Pool::new("bench", spec(servers), Time::ZERO), more.clone());
    bencher.with_inputs(before).bench_local_values(|(pool, more)| {
        pool.apply(more, Time::ZERO);
        pool
    });
}

/// A reload that changes nothing.
#[divan::bench(args = SIZES, sample_count = 20)]
fn apply_the_same(bencher: Bencher<'_, '_>, servers: u16) {
    let pool = pool(servers);
    bencher.with_inputs(|| spec(servers)).bench_local_values(|spec| pool.apply(spec, Time::ZERO));
}

/// The same where keys have their places on a ring, which is made anew.
#[divan::bench(args = SIZES, sample_count = 20)]
fn apply_keyed(bencher: Bencher<'_, '_>, servers: u16) {
    let keyed = || PoolSpec { policy: PolicyKind::Hash, ..spec(servers) };
    let pool = Pool::new("bench", keyed(), Time::ZERO);
    bencher.with_inputs(keyed).bench_local_values(|spec| pool.apply(spec, Time::ZERO));
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn stats(bencher: Bencher<'_, '_>, servers: u16) {
    let pool = pool(servers);
    bencher.bench_local(|| -> PoolStats { pool.stats() });
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn explain(bencher: Bencher<'_, '_>, servers: u16) {
    let pool = pool(servers);
    bencher.bench_local(|| -> Explanation { pool.explain(black_box(&Ask::default())) });
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn audit(bencher: Bencher<'_, '_>, servers: u16) {
    let pool = pool(servers);
    bencher.bench_local(|| -> Audit { pool.audit() });
}

/// One pick that is recorded, and its release.
#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn recorded_pick(bencher: Bencher<'_, '_>, servers: u16) {
    let pool = pool(servers);
    pool.record_picks(Time::LAST);
    let mut seconds = 0;
    bencher.bench_local(|| {
        seconds += 1;
        let now = Time::from_nanos(seconds * 1_000_000_000);
        pool.pick(&Ask { now, ..Ask::default() })
    });
}

fn pool(servers: u16) -> Pool {
    Pool::new("bench", spec(servers), Time::ZERO)
}

fn spec(servers: u16) -> PoolSpec {
    let server = |i: u16| ServerSpec::new(format!("server-{i}"), ([127, 0, 0, 1], i).into());
    PoolSpec { servers: (0..servers).map(server).collect(), ..PoolSpec::default() }
}
