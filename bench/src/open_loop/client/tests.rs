//! The clients against a server of the pool, over loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;

use super::super::arrivals::Leg;
use super::super::tally::Window;
use super::*;
use crate::tail::server::{Fault, Server};

const ALL: Window = Window { name: "all", from: Duration::ZERO, until: Duration::from_secs(60) };

/// Clients of that address with arrivals for so long.
fn clients(target: SocketAddr, rate: f64, until: Duration) -> Clients {
    let arrivals = Arrivals::new(11, &[Leg { until, rate }]);
    let tally = Tally::new(ALL).expect("a tally");
    Clients::start(target, arrivals, vec![tally]).expect("clients")
}

fn drive(clients: &mut Clients) {
    while !clients.is_done() {
        clients.turn(Duration::MAX).expect("a turn");
    }
}

/// Lets clients loose on a server with that fault.
fn against(fault: Fault, rate: f64, until: Duration) -> (Tally, usize) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let target = listener.local_addr().expect("its address");
    let (orders, control) = UnixStream::pair().expect("a channel");
    let server = Server::new(listener, 5, fault).expect("a server");
    let serving = std::thread::spawn(move || server.run(control, std::io::sink(), &AtomicBool::new(false)));
    let mut clients = clients(target, rate, until);
    drive(&mut clients);
    let opened = clients.connections.len();
    let (mut tallies, _) = clients.finish();
    drop(orders);
    serving.join().expect("the server's thread").expect("the server");
    (tallies.remove(0), opened)
}

#[test]
fn every_arrival_is_served_on_as_many_connections_as_are_busy_at_once() {
    let until = Duration::from_millis(500);
    let (tally, opened) = against(Fault::None, 400.0, until);
    let arrivals = Arrivals::new(11, &[Leg { until, rate: 400.0 }]).count() as u64;
    assert_eq!((tally.requests(), tally.of(Ending::Served)), (arrivals, arrivals));
    // Eight are busy on average.
    assert!((4..60).contains(&opened), "{opened}");
}

#[test]
fn a_status_is_told_apart() {
    let (tally, _) = against(Fault::Error500, 200.0, Duration::from_millis(200));
    assert!(tally.requests() > 0);
    assert_eq!(tally.of(Ending::Status(500)), tally.requests());
}

/// The generator itself is what is late here: its time began long before it first looked.
#[test]
fn a_generator_that_is_late_lengthens_the_latency() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let target = listener.local_addr().expect("its address");
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).is_ok_and(|length| length > 0) {
            let body = "x".repeat(BODY);
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n{body}").expect("an answer");
        }
    });
    let mut clients = clients(target, 1000.0, Duration::from_millis(10));
    clients.arrivals.by_ref().for_each(drop);
    clients.next = Some(Duration::from_millis(1));
    clients.began = Instant::now().checked_sub(Duration::from_secs(3)).expect("a clock older than three seconds");
    drive(&mut clients);
    let (tallies, _) = clients.finish();
    assert!(tallies[0].quantile(1.0).is_some_and(|ms| ms >= 2990.0));
    assert!(tallies[0].lateness(1.0) >= 2990.0);
    answering.join().expect("the thread that answers");
}

#[test]
fn nobody_at_the_address_is_an_ending_of_its_own() {
    let target = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.local_addr().expect("its address")
    };
    let mut clients = clients(target, 1000.0, Duration::from_millis(20));
    drive(&mut clients);
    let (tallies, error) = clients.finish();
    assert!(tallies[0].requests() > 0);
    assert_eq!(tallies[0].of(Ending::NotConnected), tallies[0].requests());
    assert!(error.is_some_and(|error| error.contains("refused")));
}

#[test]
fn a_request_without_an_answer_is_given_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let mut clients = clients(listener.local_addr().expect("its address"), 1000.0, Duration::from_millis(10));
    while clients.next.is_some() {
        clients.turn(Duration::MAX).expect("a turn");
    }
    // As if the time had passed.
    clients.began = clients.began.checked_sub(PATIENCE).expect("a clock older than ten seconds");
    drive(&mut clients);
    let (tallies, _) = clients.finish();
    assert!(tallies[0].requests() > 0);
    assert_eq!(tallies[0].of(Ending::TimedOut), tallies[0].requests());
}
