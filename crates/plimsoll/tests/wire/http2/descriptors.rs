//! Streams without number over few connections: the program runs out of descriptors for connections to servers.

use std::thread;
use std::time::{Duration, Instant};

use super::frames::{Conn, HEADERS, RST_STREAM, get};
use crate::kit::{Config, Gate, Server, ok, until};

/// The statuses of so many streams in the order of their answers; 0 is one that was reset.
fn statuses(conn: &mut Conn, streams: usize) -> Vec<u16> {
    let mut told = Vec::new();
    while told.len() < streams {
        let frame = conn.find(|frame| matches!(frame.kind, HEADERS | RST_STREAM)).expect("an answer comes");
        told.push(if frame.kind == HEADERS { frame.status().unwrap_or(0) } else { 0 });
    }
    told
}

#[test]
fn requests_wait_for_a_descriptor_as_long_as_for_a_connection() {
    const CLIENTS: usize = 4;
    const STREAMS: usize = 80;
    /// As servers are that take their time: longer than anybody would be held up by a bad moment.
    const SLOW: Duration = Duration::from_secs(1);
    let gate = Gate::default();
    let held = gate.clone();
    let server = Server::answering(move |_| {
        held.pass();
        ok("in the end")
    });
    let program = Config::to(&[server.address()]).start();
    let mut conns: Vec<Conn> = (0..CLIENTS).map(|_| Conn::connect(program.address())).collect();
    assert!(conns.iter_mut().all(Conn::is_well));
    program.leave_descriptors(60);
    for conn in &mut conns {
        let requests = (0..STREAMS).map(|number| get(2 * number as u32 + 1));
        conn.send(requests.collect::<Vec<_>>().concat());
    }
    program.await_said("ran out of descriptors");
    let since = Instant::now();
    until("the servers have taken their time", || since.elapsed() >= SLOW);
    assert!(server.count() >= 60, "what there is is used: {}", server.count());
    gate.open();
    let readers: Vec<_> =
        conns.into_iter().map(|mut conn| thread::spawn(move || statuses(&mut conn, STREAMS))).collect();
    for told in readers {
        let told = told.join().unwrap();
        assert!(told.iter().all(|status| *status == 200), "{told:?}");
    }
    assert_eq!(server.count(), CLIENTS * STREAMS);
    assert_eq!(program.said_times("ejected"), 0);
}
