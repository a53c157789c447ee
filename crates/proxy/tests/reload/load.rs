//! Many changes under load.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::clients::{Client, Tunnel};
use crate::kit::{Live, Origin, listen, pool, until};

const COMMITS: usize = 50;
const CLIENTS: usize = 8;
const TUNNELS: usize = 40;

/// Requests answered between two commits at least, so that each generation serves some.
const BETWEEN: u64 = 40;

const ANY: &str = "127.0.0.1:0";

/// The configuration of one generation: everything changes now and then, and the addresses stay.
fn generation(number: usize, origins: &[Origin]) -> String {
    let name = if number.is_multiple_of(3) { "web" } else { "front" };
    let (serving, sparing) = if number % 5 == 4 { ("other", "app") } else { ("app", "other") };
    let settings = format!(
        "pool = '{serving}'\nmax_connections = {}\nmax_head = '{}KiB'\ntimeout = {{ keep_alive = '{}s' }}",
        CLIENTS + TUNNELS + number % 7,
        9 + number % 4 * 16,
        60 + number,
    );
    // One server of three is out in turn; each has tunnels from the beginning.
    let servers: Vec<&Origin> =
        (0..3).filter(|server| number == 0 || *server != number % 3).map(|at| &origins[at]).collect();
    let other = if number % 2 == 1 { listen("extra", "127.0.0.82:0", "pool = 'other'") } else { String::new() };
    let policy = if number % 4 == 3 { "policy = 'round-robin'" } else { "" };
    let spare = listen("spare", "127.0.0.83:0", &format!("pool = '{sparing}'\nmax_connections = 3"));
    let pools = pool("app", &servers, policy) + &pool("other", &[&origins[3]], "");
    listen(name, ANY, &settings) + &spare + &other + &pools
}

/// Asks over one connection until the end, and counts.
fn keep_asking(to: SocketAddr, answered: &AtomicU64, ending: &AtomicBool) {
    let mut client = Client::connect(to);
    while !ending.load(Ordering::Relaxed) {
        client.request(&["/", "/"]);
        for _ in 0..2 {
            let answer = client.answer();
            assert!(answer.status == 200 && !answer.last, "{answer:?}");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Ends the clients, also when the test fails while they ask.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn fifty_commits_lose_no_request_and_close_no_tunnel() {
    let origins = ["a", "b", "c", "d"].map(Origin::start);
    let live = Live::start(&generation(0, &origins));
    let address = live.address("web");
    let app = live.pools.pool("app").unwrap();
    let in_flight = || app.stats().in_flight();
    let mut tunnels: Vec<_> = (0..TUNNELS).map(|_| Tunnel::open(address)).collect();
    assert_eq!(in_flight(), TUNNELS as u64);
    let (answered, ending) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let _ending = Ending(&ending);
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| keep_asking(address, &answered, &ending))).collect();
        for number in 1..=COMMITS {
            let enough = answered.load(Ordering::Relaxed) + BETWEEN;
            until("requests are answered", || {
                clients.iter().any(thread::ScopedJoinHandle::is_finished) || answered.load(Ordering::Relaxed) >= enough
            });
            live.follow(&generation(number, &origins)).unwrap();
            tunnels.iter_mut().for_each(Tunnel::works);
        }
    });
    until("only the tunnels are open", || live.sum(|worker| worker.open) == TUNNELS as u64);
    assert_eq!((in_flight(), live.sum(|worker| worker.tunnels)), (TUNNELS as u64, TUNNELS as u64));
    let listener = live.proxy.stats().listeners.remove(0);
    assert_eq!((listener.open, listener.accepted), (TUNNELS, (CLIENTS + TUNNELS) as u64));
    let answered = answered.into_inner();
    assert_eq!(live.sum(|worker| worker.requests), answered + TUNNELS as u64);
    let other = live.pool("other").servers.remove(0).server;
    let successes = app.stats().servers.iter().map(|member| member.server.successes).sum::<u64>();
    assert!(other.successes > 0 && successes > 0 && successes + other.successes <= answered);
    tunnels.iter_mut().for_each(Tunnel::works);
    drop(tunnels);
    until("nothing is in flight", || in_flight() == 0);
    until("nothing is open", || live.sum(|worker| worker.open + worker.tunnels) == 0);
    live.end();
}
