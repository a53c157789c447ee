//! Each try of a request has a permit of its own, which ends as that try did, and no request holds one while it waits.

mod kit;
#[path = "kit/until.rs"]
mod until;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use kit::{Plane, Rules};
use plimsoll_core::ServerStats;
use until::{PATIENCE, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno";

/// The end of the connection instead of an answer.
const NOTHING: &str = "";

/// A request that a server has, and waits to be told what to answer.
struct Asked {
    server: usize,
    answer: Sender<&'static str>,
}

/// Servers that ask the test what to answer.
fn puppets(count: usize) -> (Vec<SocketAddr>, Receiver<Asked>) {
    let (asks, asked) = mpsc::channel();
    let puppet = |server| {
        let asks = Mutex::new(asks.clone());
        kit::serve(move |mut stream| {
            while let Ok(1..) = stream.read(&mut [0; 4096]) {
                let (answer, answers) = mpsc::channel();
                // The test may be over.
                let _ = asks.lock().unwrap().send(Asked { server, answer });
                let answer = answers.recv().unwrap_or(NOTHING);
                if answer == NOTHING || stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        })
    };
    ((0..count).map(puppet).collect(), asked)
}

#[track_caller]
fn next(asked: &Receiver<Asked>) -> Asked {
    asked.recv_timeout(PATIENCE).expect("a server is asked")
}

/// A client that has sent a request.
fn ask(plane: &Plane) -> TcpStream {
    let mut client = TcpStream::connect(plane.address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(GET.as_bytes()).unwrap();
    client
}

/// The status of the answer to it.
fn status(mut client: TcpStream) -> String {
    let mut bytes = [0; 12];
    client.read_exact(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[9..]).into_owned()
}

fn servers(plane: &Plane) -> Vec<ServerStats> {
    plane.pool.stats().servers.into_iter().map(|member| member.server).collect()
}

/// What the servers have done once nothing is in flight, after a stop that has nobody to cut off.
#[track_caller]
fn settled(plane: &Plane) -> Vec<ServerStats> {
    until("nothing is in flight", || plane.pool.stats().in_flight() == 0);
    let servers = servers(plane);
    plane.proxy.stop();
    assert_eq!(plane.proxy.wait(), 0);
    servers
}

#[test]
fn a_try_ends_before_the_next_one_begins() {
    let (addresses, asked) = puppets(3);
    let plane = Plane::start(&addresses, &Rules { pool: "retry = { on = [\"reset\", 503] }", ..Rules::default() });
    let client = ask(&plane);
    let first = next(&asked);
    assert_eq!(servers(&plane)[first.server].in_flight, 1);
    first.answer.send(BUSY).unwrap();
    let second = next(&asked);
    let stats = servers(&plane);
    assert_eq!((stats[first.server].in_flight, stats[first.server].rejected), (0, 1));
    assert_eq!((stats[second.server].in_flight, plane.pool.stats().in_flight()), (1, 1));
    second.answer.send(NOTHING).unwrap();
    let third = next(&asked);
    let stats = servers(&plane);
    assert_eq!((stats[second.server].in_flight, stats[second.server].failed), (0, 1));
    assert_eq!((stats[third.server].in_flight, plane.pool.stats().in_flight()), (1, 1));
    third.answer.send(OK).unwrap();
    assert_eq!(status(client), "200");
    assert_eq!(plane.pool.stats().retries, 2);
    let stats = settled(&plane);
    assert_eq!(stats[third.server].successes, 1);
    assert!(stats.iter().all(|server| server.picks == 1), "{stats:?}");
}

#[test]
fn an_answer_set_aside_ends_its_try_alike_whether_it_is_here_whole_or_not() {
    const WHOLE: &str = "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno";
    const BEGUN: &str = "HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\nno";
    for answer in [WHOLE, BEGUN] {
        let (addresses, asked) = puppets(2);
        let plane = Plane::start(&addresses, &Rules { pool: "retry = { on = [404] }", ..Rules::default() });
        let client = ask(&plane);
        let first = next(&asked);
        first.answer.send(answer).unwrap();
        next(&asked).answer.send(OK).unwrap();
        assert_eq!(status(client), "200");
        let stats = &settled(&plane)[first.server];
        // A status that is no failure of the server's, as if it had been passed on.
        assert_eq!((stats.picks, stats.successes, stats.errors()), (1, 1, 0), "{stats:?}");
    }
}

#[test]
fn who_leaves_the_queue_is_never_picked_for() {
    let (addresses, asked) = puppets(1);
    let rules = Rules { pool: "queue = { timeout = \"1h\" }", limit: NonZeroU32::new(1), ..Rules::default() };
    let plane = Plane::start(&addresses, &rules);
    let served = ask(&plane);
    let first = next(&asked);
    let leaving = ask(&plane);
    until("it waits", || plane.pool.stats().queue.waiting == 1);
    drop(leaving);
    until("its place is free", || plane.pool.stats().queue.waiting == 0);
    assert_eq!(plane.pool.stats().queue.left, 1);
    first.answer.send(OK).unwrap();
    assert_eq!(status(served), "200");
    let stats = &settled(&plane)[0];
    assert_eq!((stats.picks, stats.successes), (1, 1), "{stats:?}");
}

#[test]
fn who_leaves_while_its_next_try_waits_leaves_nothing_behind() {
    let (addresses, asked) = puppets(1);
    let rules = "queue = { timeout = \"1h\" }\nretry = { on = [\"reset\"], within = \"1h\" }";
    let plane = Plane::start(&addresses, &Rules { pool: rules, limit: NonZeroU32::new(1), ..Rules::default() });
    let leaving = ask(&plane);
    let first = next(&asked);
    let served = ask(&plane);
    until("the other waits", || plane.pool.stats().queue.waiting == 1);
    // The slot goes to who waits, and the one that failed waits in turn.
    first.answer.send(NOTHING).unwrap();
    let second = next(&asked);
    until("it waits again", || plane.pool.stats().queue.waiting == 1);
    drop(leaving);
    until("its place is free", || plane.pool.stats().queue.waiting == 0);
    second.answer.send(OK).unwrap();
    assert_eq!(status(served), "200");
    let stats = &settled(&plane)[0];
    assert_eq!((stats.picks, stats.successes, stats.failed), (2, 1, 1), "{stats:?}");
}

#[test]
fn the_time_for_tries_runs_from_the_first_one_and_no_wait_outlasts_it() {
    let (addresses, asked) = puppets(1);
    let rules = "queue = { timeout = \"1h\" }\nretry = { on = [\"reset\"], within = \"300ms\" }\n\
                 keep_alive = { connections = 0 }";
    let plane = Plane::start(&addresses, &Rules { pool: rules, limit: NonZeroU32::new(1), ..Rules::default() });
    let early = ask(&plane);
    let first = next(&asked);
    let late = ask(&plane);
    until("the late one waits", || plane.pool.stats().queue.waiting == 1);
    // For longer than all tries may take.
    let since = Instant::now();
    until("it has waited for long", || since.elapsed() > Duration::from_millis(400));
    let another = ask(&plane);
    until("another waits", || plane.pool.stats().queue.waiting == 2);
    first.answer.send(OK).unwrap();
    assert_eq!(status(early), "200");
    // The late one's first try begins only now, so it may have another. The slot goes to who waits, and so it waits again,
    // but no longer than it may.
    next(&asked).answer.send(NOTHING).unwrap();
    let third = next(&asked);
    until("it waits again", || plane.pool.stats().queue.waiting == 1);
    assert_eq!(status(late), "502");
    third.answer.send(OK).unwrap();
    assert_eq!(status(another), "200");
    assert_eq!(settled(&plane)[0].picks, 3);
}
