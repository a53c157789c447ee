//! What probing costs.

use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use plimsoll_core::{ProbeResult, Server};

use super::{LIMIT, Prober, rule, servers, targets};

/// Every so many results it is looked how much was used, which costs as much as a part of a probe.
const MEASURED: usize = 1000;

/// Hands on the processor time that the prober's thread has used, at the first result and after those measured.
fn meter(used: mpsc::Sender<Duration>) -> impl Fn(&Server, ProbeResult) + Send + 'static {
    let results = Cell::new(0_usize);
    move |_: &Server, result: ProbeResult| {
        assert_eq!(result.failure, None);
        if results.get().is_multiple_of(MEASURED) {
            let used_up = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
            let nanos = used_up.split(' ').next().unwrap().parse().unwrap();
            // Whoever has seen enough no longer listens.
            let _ = used.send(Duration::from_nanos(nanos));
        }
        results.update(|results| results + 1);
    }
}

/// 2000 servers every 5 s are 400 probes a second: at 50 us each, 2% of a core.
#[test]
fn two_thousand_servers_cost_little() {
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = origin.local_addr().unwrap();
    thread::spawn(move || {
        for stream in origin.incoming() {
            let (mut stream, mut piece) = (stream.unwrap(), [0; 1024]);
            // A probe that is called off at the end of the test takes its connection with it.
            let _ = stream.read(&mut piece);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    // A machine that is busy with other tests makes probes wait, not dearer.
    let rule = rule("http = '/health', interval = '5s', timeout = '1m'");
    let (used, reports) = mpsc::channel();
    let prober = Prober::start(meter(used)).unwrap();
    prober.replace(targets(&servers(std::iter::repeat_n(address, 2000)), &rule));
    let before = reports.recv_timeout(LIMIT).unwrap();
    let after = reports.recv_timeout(LIMIT).unwrap();
    let each = after.saturating_sub(before) / MEASURED as u32;
    println!("{each:?} each");
    // What is measured depends on the machine and on what else it does just now; this much is no longer chance.
    assert!(each < Duration::from_micros(250), "{each:?}");
    prober.stop();
}
