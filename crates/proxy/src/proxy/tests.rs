//! Workers that die.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use plimsoll_core::{PoolSpec, ServerSpec};

use super::*;
use crate::WorkerState;

/// Outer limit of every wait; nothing here takes long.
const PATIENCE: Duration = Duration::from_secs(30);

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A server that answers everything.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                    stream.write_all(ANSWER.as_bytes()).unwrap();
                }
            });
        }
    });
    address
}

fn config(listeners: &str, server: SocketAddr) -> Config {
    let text = format!("{listeners}\n[pool.app]\nservers = ['{server}']\n");
    plimsoll_config::parse("test", &text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
}

fn ask(to: SocketAddr) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn a_worker_that_dies_is_told_of_and_the_others_go_on_and_follow() {
    let (server, clock, pools) = (server(), Clock::start(), Pools::new());
    let spec = PoolSpec { servers: vec![ServerSpec::new("one", server)], ..PoolSpec::default() };
    pools.apply([("app".to_owned(), spec)], clock.now());
    let web = "[listen.web]\nbind = '127.0.0.1:0'\npool = 'app'\n";
    let proxy = Proxy::start(&config(web, server), 2, &pools, clock).unwrap();
    let states = || proxy.stats().workers.iter().map(|worker| worker.state).collect::<Vec<_>>();
    assert_eq!(states(), [WorkerState::Serving; 2]);
    assert!(proxy.workers[0].orders.send(Order::Die).is_ok());
    let deadline = Instant::now() + PATIENCE;
    while states()[0] == WorkerState::Serving {
        assert!(Instant::now() < deadline, "the worker lives on");
        thread::yield_now();
    }
    assert_eq!(states(), [WorkerState::Died, WorkerState::Serving]);
    let more = format!("{web}[listen.more]\nbind = '127.0.0.1:0'\npool = 'app'\n");
    let prepared = proxy.prepare(&config(&more, server)).unwrap();
    proxy.commit(prepared, &pools).unwrap();
    for address in proxy.addresses().iter().filter_map(|(_, bind)| bind.ip()) {
        // So many that one at least would have met the socket of the other worker.
        (0..20).for_each(|_| ask(address));
    }
    assert_eq!(proxy.stats().workers[1].requests, 40);
    proxy.stop();
    assert_eq!(proxy.wait(), 0);
    assert_eq!(states(), [WorkerState::Died, WorkerState::Stopped]);
}
