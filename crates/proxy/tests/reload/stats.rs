//! What the data plane tells of itself.

use std::time::Duration;

use plimsoll_proxy::{WorkerState, WorkerStats};

use crate::clients::{Answer, Client, Tunnel, from};
use crate::kit::{Live, Origin, SWITCH, listen, pool, until};

#[test]
fn workers_count_what_they_do() {
    let origin = Origin::start("a");
    let live = Live::start(&(listen("web", "127.0.0.1:0", "pool = 'app'") + &pool("app", &[&origin], "")));
    let address = live.address("web");
    let mut client = Client::connect(address);
    for _ in 0..10 {
        assert_eq!(client.ask("/"), from("a"));
    }
    let worker = |of: fn(&WorkerStats) -> u64| live.sum(of);
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".len() as u64;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na".len() as u64;
    assert_eq!((worker(|w| w.accepted), worker(|w| w.open), worker(|w| w.requests)), (1, 1, 10));
    assert_eq!(worker(|w| w.bytes_from_clients), 10 * request);
    // What a client has read may be counted a moment later.
    until("all answers are counted", || worker(|w| w.bytes_to_clients) == 10 * answer);
    assert_eq!((worker(|w| w.conns_opened), worker(|w| w.conns_reused)), (1, 9));
    until("the idle connection is told of", || worker(|w| w.conns_idle) == 1);
    let Answer { status, .. } = {
        client.send("nonsense\r\n\r\n");
        client.answer()
    };
    assert_eq!((status, worker(|w| w.requests)), (400, 10));
    assert!(client.ended());
    let before = worker(|w| w.bytes_to_clients);
    let mut tunnel = Tunnel::open(address);
    (0..5).for_each(|_| tunnel.works());
    until("echoes are counted", || worker(|w| w.bytes_to_clients) == before + SWITCH.len() as u64 + 5 * 4);
    assert_eq!(worker(|w| w.tunnels), 1);
    drop((client, tunnel));
    until("nothing is open", || worker(|w| w.open + w.tunnels) == 0);
    assert_eq!((worker(|w| w.accepted), worker(|w| w.panics), live.listener("web").accepted), (2, 0, 2));
    live.end();
}

#[test]
fn workers_tell_how_busy_and_how_late_they_are() {
    let origin = Origin::start("a");
    let live = Live::start(&(listen("web", "127.0.0.1:0", "pool = 'app'") + &pool("app", &[&origin], "")));
    let mut client = Client::connect(live.address("web"));
    let busy = || live.proxy.stats().workers.iter().map(|worker| worker.busy).sum::<Duration>();
    let before = busy();
    until("the time spent is told", || {
        assert_eq!(client.ask("/"), from("a"));
        busy() > before + Duration::from_millis(5)
    });
    let workers = live.proxy.stats().workers;
    assert!(workers.iter().all(|worker| worker.state == WorkerState::Serving && worker.worst_lag >= worker.lag));
    assert!(workers.iter().any(|worker| worker.worst_lag > Duration::ZERO));
    live.end();
}
