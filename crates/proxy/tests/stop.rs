//! A graceful stop: what has been received is answered, what takes too long is cut off and counted.

mod kit;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kit::{Plane, Rules};

/// How long anything may take before a test gives it up.
const PATIENCE: Duration = Duration::from_secs(30);

const GET: &str = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads on until `end` has come. What came may go beyond it.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = String::new();
    while !read.contains(end) {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "it ended with {read:?}");
        read.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    read
}

/// A server that says `first` to each request, and `then` once it is told to.
fn in_two_steps(first: &'static str, then: &'static str) -> (SocketAddr, Receiver<()>, mpsc::Sender<()>) {
    let (asked, questions) = mpsc::channel();
    let (permission, may) = mpsc::channel();
    let may = Arc::new(Mutex::new(may));
    let address = kit::serve(move |mut stream| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = [0; 4096];
        while let Ok(1..) = stream.read(&mut bytes) {
            stream.write_all(first.as_bytes()).unwrap();
            asked.send(()).unwrap();
            if may.lock().unwrap().recv().is_err() || stream.write_all(then.as_bytes()).is_err() {
                return;
            }
        }
    });
    (address, questions, permission)
}

/// Until a stop has come to the worker it accepts, and what it accepts meanwhile is a connection without a request.
fn await_refusal(plane: &Plane) {
    while TcpStream::connect(plane.address).is_ok() {}
}

fn short() -> Rules {
    Rules { top: "shutdown_timeout = \"200ms\"", ..Rules::default() }
}

#[test]
fn a_tunnel_is_cut_at_the_deadline_and_its_permit_ends() {
    let switch = "HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let (server, questions, _permission) = in_two_steps(switch, "");
    let plane = Plane::start(&[server], &short());
    let mut client = connect(plane.address);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").unwrap();
    questions.recv_timeout(PATIENCE).unwrap();
    read_until(&mut client, "\r\n\r\n");
    assert_eq!(plane.pool.stats().in_flight(), 1);
    plane.proxy.stop();
    assert_eq!(plane.proxy.wait(), 1, "connections that were cut off");
    let stats = &plane.pool.stats().servers[0].server;
    assert_eq!((stats.in_flight, stats.picks, stats.aborted), (0, 1, 1));
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "the tunnel goes on");
}

#[test]
fn a_body_that_is_cut_at_the_deadline_never_looks_whole() {
    let (server, questions, _permission) =
        in_two_steps("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "");
    let plane = Plane::start(&[server], &short());
    let mut client = connect(plane.address);
    // For HTTP/1.0 the body ends with the connection, so the end must not look like one.
    client.write_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
    questions.recv_timeout(PATIENCE).unwrap();
    assert!(read_until(&mut client, "half").ends_with("\r\n\r\nhalf"));
    plane.proxy.stop();
    assert_eq!(plane.proxy.wait(), 1, "connections that were cut off");
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(plane.pool.stats().servers[0].server.aborted, 1);
}

#[test]
fn a_body_that_ends_with_the_connection_ends_well() {
    let (server, _questions, permission) =
        in_two_steps("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "4\r\nrest\r\n0\r\n\r\n");
    let plane = Plane::start(&[server], &Rules::default());
    permission.send(()).unwrap();
    let mut client = connect(plane.address);
    client.write_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nhalfrest"), "{answer}");
}

#[test]
fn requests_received_before_a_stop_are_answered_and_the_last_says_so() {
    let (server, questions, permission) = in_two_steps("", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let plane = Plane::start(&[server], &Rules::default());
    let mut client = connect(plane.address);
    client.write_all(GET.repeat(3).as_bytes()).unwrap();
    questions.recv_timeout(PATIENCE).unwrap();
    plane.proxy.stop();
    await_refusal(&plane);
    for _ in 0..3 {
        permission.send(()).unwrap();
    }
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    let (before, last) = answers.rsplit_once("HTTP/1.1 200 OK").unwrap();
    assert!(last.contains("Connection: close") && !before.contains("Connection: close"), "{answers}");
    assert_eq!(plane.proxy.wait(), 0, "connections that were cut off");
}

#[test]
fn a_client_that_never_ends_its_requests_does_not_keep_a_stop_waiting() {
    let (server, questions, permission) = in_two_steps("", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let plane = Plane::start(&[server], &Rules::default());
    let mut client = connect(plane.address);
    client.write_all(GET.repeat(3).as_bytes()).unwrap();
    questions.recv_timeout(PATIENCE).unwrap();
    plane.proxy.stop();
    await_refusal(&plane);
    let mut writer = client.try_clone().unwrap();
    // Two more for each answer.
    let mut answers = String::new();
    loop {
        permission.send(()).unwrap();
        let mut bytes = [0; 4096];
        match client.read(&mut bytes) {
            Ok(count @ 1..) => answers.push_str(std::str::from_utf8(&bytes[..count]).unwrap()),
            _ => break,
        }
        // It may have been closed in the meantime.
        let _ = writer.write_all(GET.repeat(2).as_bytes());
    }
    assert_eq!(answers.matches("Connection: close").count(), 1, "{answers}");
    assert!(answers.rsplit_once("HTTP/1.1 200 OK").unwrap().1.contains("Connection: close"), "{answers}");
    assert_eq!(plane.proxy.wait(), 0, "connections that were cut off");
}

#[test]
fn clients_that_wait_for_a_place_when_a_stop_comes_are_served_when_one_is_free() {
    let (server, questions, permission) = in_two_steps("", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let rules = Rules { listen: "max_connections = 1", ..Rules::default() };
    let plane = Plane::start(&[server], &rules);
    let mut first = connect(plane.address);
    first.write_all(GET.as_bytes()).unwrap();
    questions.recv_timeout(PATIENCE).unwrap();
    // One that the worker has accepted and holds, and those behind it in the kernel's queue.
    let mut waiting: Vec<_> = (0..3).map(|_| connect(plane.address)).collect();
    for client in &mut waiting {
        client.write_all(GET.as_bytes()).unwrap();
    }
    plane.proxy.stop();
    await_refusal(&plane);
    for _ in 0..4 {
        permission.send(()).unwrap();
    }
    for mut client in [first].into_iter().chain(waiting) {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("Connection: close"), "{answer}");
    }
    assert_eq!(plane.proxy.wait(), 0, "connections that were cut off");
    assert_eq!(plane.pool.stats().servers[0].server.successes, 4);
}

#[test]
fn a_client_that_still_waits_for_a_place_at_the_deadline_is_counted() {
    let (server, questions, _permission) = in_two_steps("", "");
    let rules = Rules { listen: "max_connections = 1", ..short() };
    let plane = Plane::start(&[server], &rules);
    let mut first = connect(plane.address);
    first.write_all(GET.as_bytes()).unwrap();
    questions.recv_timeout(PATIENCE).unwrap();
    let _waiting = connect(plane.address);
    plane.proxy.stop();
    assert_eq!(plane.proxy.wait(), 2, "connections that were cut off");
    assert_eq!(plane.pool.stats().in_flight(), 0);
}
