//! Every permit ends, once and with the outcome that is due, whoever leaves, breaks off or stalls.

mod kit;
#[path = "kit/until.rs"]
mod until;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kit::{Plane, Rules};
use plimsoll_core::{OutcomeKind, ServerStats};
use socket2::{Domain, SockRef, Socket, Type};
use until::{PATIENCE, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n";

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Closes with a reset.
fn reset(stream: TcpStream) {
    // One that is gone already needs none.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}

/// Reads a request as these tests send them; `None` at the end of the connection.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let (mut read, mut bytes) = (String::new(), [0; 4096]);
    loop {
        let whole = if read.starts_with("POST") { "\r\n0\r\n\r\n" } else { "\r\n\r\n" };
        if read.ends_with(whole) {
            return Some(read);
        }
        let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
        read.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
}

fn only_server(plane: &Plane) -> ServerStats {
    plane.pool.stats().servers.remove(0).server
}

/// Waits until nothing is in flight, and fails unless every pick has ended in one way.
#[track_caller]
fn settled(plane: &Plane) -> Vec<ServerStats> {
    let ended = |server: &ServerStats| OutcomeKind::ALL.into_iter().map(|kind| server.of_kind(kind)).sum::<u64>();
    // All in one reading: a client that is gone may have left requests behind, and the next of them is picked for as
    // soon as the one before has ended.
    let mut servers: Vec<ServerStats> = Vec::new();
    until("nothing is in flight and every pick has its outcome", || {
        servers = plane.pool.stats().servers.into_iter().map(|member| member.server).collect();
        servers.iter().all(|server| server.in_flight == 0 && server.picks == ended(server))
    });
    assert!(servers.iter().all(|server| server.underflows == 0), "{servers:?}");
    servers
}

/// A server that answers every request with `bytes`.
fn answering(bytes: &'static str) -> SocketAddr {
    kit::serve(
        move |mut stream| while read_request(&mut stream).is_some() && stream.write_all(bytes.as_bytes()).is_ok() {},
    )
}

/// A server that resets each connection, once it has a request: a reset before that may reach a connection that is
/// still being made, and then it is the connecting that fails.
fn read_and_reset(mut stream: TcpStream) {
    read_request(&mut stream);
    reset(stream);
}

/// An address at which nobody listens, as long as the socket is held: nobody else can be given its port.
fn nobody() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// A server that takes connections and neither reads nor says anything.
fn deaf() -> SocketAddr {
    kit::serve(|stream| {
        SockRef::from(&stream).set_recv_buffer_size(4096).unwrap();
        // To the end of the test.
        loop {
            thread::park();
        }
    })
}

#[test]
fn each_way_a_server_fails_has_its_outcome() {
    let (_held, nobody) = nobody();
    let cases = [
        (OutcomeKind::Success, answering(OK)),
        (OutcomeKind::Rejected, answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")),
        (OutcomeKind::Failed, answering("nonsense\r\n\r\n")),
        (OutcomeKind::Failed, answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")),
        (OutcomeKind::Failed, kit::serve(drop)),
        (OutcomeKind::Failed, kit::serve(read_and_reset)),
        (OutcomeKind::TimedOut, answering("")),
        (OutcomeKind::TimedOut, answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")),
        (OutcomeKind::ConnectFailed, nobody),
    ];
    let pool = "timeout = { first_byte = \"200ms\", idle = \"200ms\" }\nretry = \"off\"";
    for (number, (kind, server)) in cases.into_iter().enumerate() {
        let plane = Plane::start(&[server], &Rules { pool, ..Rules::default() });
        for request in [GET, POST] {
            let mut client = connect(plane.address);
            client.write_all(request.as_bytes()).unwrap();
            read_answer(client);
        }
        let stats = &settled(&plane)[0];
        assert_eq!((stats.picks, stats.of_kind(kind)), (2, 2), "case {number}: {stats:?}");
    }
}

/// Reads the answer to its end, whether that is its own or the connection's.
fn read_answer(mut client: TcpStream) {
    let ends = ["\r\n0\r\n\r\n", ".\n", "Length: 0\r\n\r\n"];
    let (mut read, mut bytes) = (Vec::new(), [0; 4096]);
    while !ends.iter().any(|end| read.ends_with(end.as_bytes())) {
        let Ok(count @ 1..) = client.read(&mut bytes) else { return };
        read.extend_from_slice(&bytes[..count]);
    }
}

#[test]
fn a_client_that_leaves_behind_any_byte_leaves_nothing_in_flight() {
    for (request, answer) in [(GET, OK), (POST, OK)] {
        for by_reset in [false, true] {
            let plane = Plane::start(&[answering(answer)], &Rules::default());
            let leave = |client: TcpStream| if by_reset { reset(client) } else { drop(client) };
            for cut in 0..=request.len() {
                let mut client = connect(plane.address);
                client.write_all(&request.as_bytes()[..cut]).unwrap();
                leave(client);
            }
            for cut in 1..answer.len() {
                let mut client = connect(plane.address);
                client.write_all(request.as_bytes()).unwrap();
                client.read_exact(&mut vec![0; cut]).unwrap();
                leave(client);
            }
            let head = request.find("\r\n\r\n").unwrap() + 4;
            let stats = &settled(&plane)[0];
            // A cut inside the head picks nothing, one inside the answer is no fault of the server's.
            let least = (answer.len() - 1) as u64;
            assert!((least..=least + (request.len() - head) as u64 + 1).contains(&stats.picks), "{stats:?}");
            assert_eq!(stats.errors(), 0, "{stats:?}");
            assert!(stats.successes >= least, "{stats:?}");
        }
    }
}

#[test]
fn a_client_that_leaves_while_the_server_reads_nothing_is_noticed() {
    let plane = Plane::start(&[deaf()], &Rules::default());
    let mut client = connect(plane.address);
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n").unwrap();
    // Until both kernels and the program hold all they can, and none of it moves any more.
    client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    while client.write(&[b'x'; 16 * 1024]).is_ok() {}
    assert_eq!(plane.pool.stats().in_flight(), 1);
    // An end that is not a reset would have to wait behind all these bytes.
    reset(client);
    // The server's own time-out is twice as long as the patience here.
    let stats = &settled(&plane)[0];
    assert_eq!(stats.aborted, 1, "{stats:?}");
}

#[test]
fn a_client_that_leaves_behind_more_than_is_read_is_noticed() {
    for by_reset in [false, true] {
        let plane = Plane::start(&[answering("")], &Rules::default());
        let mut client = connect(plane.address);
        // More than the program reads ahead, and so little that the kernel has room for the rest.
        client.write_all(GET.repeat(48 * 1024 / GET.len()).as_bytes()).unwrap();
        until("the request is under way", || plane.pool.stats().in_flight() == 1);
        if by_reset {
            reset(client);
        } else {
            drop(client);
        }
        let stats = &settled(&plane)[0];
        assert_eq!((stats.picks, stats.aborted), (1, 1), "{stats:?}");
    }
}

#[test]
fn a_client_that_leaves_behind_more_than_is_read_is_noticed_while_its_server_is_connected_to() {
    // A port whose queue of connections is full, so that another is neither made nor refused.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queued.push(stream);
    }
    let plane = Plane::start(&[address], &Rules { pool: "timeout = { connect = \"1h\" }", ..Rules::default() });
    let mut client = connect(plane.address);
    client.write_all(GET.repeat(48 * 1024 / GET.len()).as_bytes()).unwrap();
    until("the request is under way", || plane.pool.stats().in_flight() == 1);
    drop(client);
    let stats = &settled(&plane)[0];
    assert_eq!((stats.picks, stats.aborted), (1, 1), "{stats:?}");
}

#[test]
fn a_client_that_stalls_its_body_is_not_the_servers_fault() {
    // The server has begun to answer and waits for the rest.
    let server = kit::serve(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let listen = "timeout = { body = \"200ms\" }";
    let plane = Plane::start(&[server], &Rules { listen, ..Rules::default() });
    let mut client = connect(plane.address);
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello").unwrap();
    let stats = &settled_after(&plane, 1)[0];
    assert_eq!(stats.aborted, 1, "{stats:?}");
    let mut answer = Vec::new();
    // Whichever end it comes to.
    let _ = client.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200") && !answer.ends_with(b"0\r\n\r\n"));
}

/// The same once there were `picks`.
#[track_caller]
fn settled_after(plane: &Plane, picks: u64) -> Vec<ServerStats> {
    until("the picks have been made", || only_server(plane).picks >= picks);
    settled(plane)
}

#[test]
fn a_request_sent_again_has_all_its_time_again() {
    let first_byte = Duration::from_millis(1500);
    let connections = AtomicUsize::new(0);
    // The first connection answers once and then dies slowly, the second answers slowly: either in time.
    let server = kit::serve(move |mut stream| {
        let first = connections.fetch_add(1, Ordering::SeqCst) == 0;
        while read_request(&mut stream).is_some() {
            if !first {
                thread::park_timeout(first_byte * 2 / 3);
            }
            let _ = stream.write_all(OK.as_bytes());
            if first {
                read_request(&mut stream);
                thread::park_timeout(first_byte * 2 / 3);
                return;
            }
        }
    });
    let plane = Plane::start(&[server], &Rules { pool: "timeout = { first_byte = \"1500ms\" }", ..Rules::default() });
    let mut client = connect(plane.address);
    for _ in 0..2 {
        client.write_all(GET.as_bytes()).unwrap();
        let mut answer = [0; OK.len()];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(std::str::from_utf8(&answer).unwrap(), OK);
    }
    let stats = &settled(&plane)[0];
    assert_eq!((stats.picks, stats.successes), (2, 2), "{stats:?}");
}

#[test]
fn a_long_tunnel_says_nothing_about_how_fast_the_server_answers() {
    let server = kit::serve(|mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let plane = Plane::start(&[server], &Rules::default());
    let mut client = connect(plane.address);
    let asked = Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let mut bytes = [0; 1024];
        let count = client.read(&mut bytes).unwrap();
        answer.extend_from_slice(&bytes[..count]);
    }
    let answered = asked.elapsed();
    until("it lasts for longer than that", || asked.elapsed() > answered * 3 + Duration::from_millis(50));
    client.write_all(b"bye").unwrap();
    client.shutdown(Shutdown::Both).unwrap();
    let stats = &settled(&plane)[0];
    assert_eq!(stats.successes, 1, "{stats:?}");
    assert!(stats.first_byte.sum() <= answered && stats.total.sum() == stats.first_byte.sum(), "{stats:?}");
    assert_eq!(stats.received, answer.len() as u64, "{stats:?}");
}

/// Servers and clients that do anything, good and bad, drawn from one seed.
mod storm {
    use super::*;

    const CLIENTS: u64 = 4;
    const ROUNDS: u64 = 150;

    fn seed() -> u64 {
        std::env::var("PLIMSOLL_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap())
    }

    /// What a server does with a request; whether it goes on.
    fn act(stream: &mut TcpStream, random: &mut fastrand::Rng) -> bool {
        let (says, goes_on) = match random.u8(..20) {
            0 => (String::new(), false),
            1 => ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".into(), true),
            2 => ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".into(), false),
            3 => ("nonsense\r\n\r\n".into(), false),
            // It waits for another request, too long for this one.
            4 => (String::new(), true),
            5 => ("HTTP/1.1 200 OK\r\n\r\nto the end".into(), false),
            6 => (OK.to_owned() + "unasked", true),
            7 => {
                SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).unwrap();
                (OK[..random.usize(..OK.len())].into(), false)
            }
            8 => ("HTTP/1.1 102 Wait\r\n\r\n".repeat(random.usize(1..20)) + OK, true),
            _ => (OK.into(), true),
        };
        stream.write_all(says.as_bytes()).is_ok() && goes_on
    }

    /// What a client does on a connection of its own.
    fn visit(address: SocketAddr, random: &mut fastrand::Rng) {
        let mut client = connect(address);
        let request = if random.bool() { GET } else { POST };
        let cut = random.usize(..=request.len());
        let mut answer = [0; 16];
        match random.u8(..6) {
            // Either may fail when the other side has had enough.
            0 => drop(client.write_all(&request.as_bytes()[..cut])),
            1 => {
                let _ = client.write_all(&request.as_bytes()[..cut]);
                reset(client);
            }
            2 => {
                let _ = client.write_all(request.as_bytes());
                let _ = client.read(&mut answer);
                reset(client);
            }
            3 => {
                let _ = client.write_all(request.repeat(5).as_bytes());
                let _ = client.read(&mut answer);
            }
            4 => {
                let _ = client.write_all(request.replace("3\r\nabc", "x\r\nabc").replace("GET /", "GET  /").as_bytes());
                let _ = client.read(&mut answer);
            }
            _ => {
                for _ in 0..random.usize(1..5) {
                    let _ = client.write_all(request.as_bytes());
                }
                let _ = client.shutdown(Shutdown::Write);
                let _ = client.read_to_end(&mut Vec::new());
            }
        }
    }

    #[test]
    fn after_a_storm_nothing_is_in_flight_and_every_pick_has_its_outcome() {
        rage("timeout = { first_byte = \"100ms\", idle = \"100ms\" }", None);
    }

    #[test]
    fn nor_after_one_in_which_requests_wait_and_are_tried_again() {
        let pool = "timeout = { first_byte = \"100ms\", idle = \"100ms\" }\n\
                    retry = { on = [\"connect\", \"reset\", 500], budget = \"100%\" }\n\
                    queue = { limit = 2, timeout = \"50ms\" }";
        rage(pool, NonZeroU32::new(1));
    }

    /// A storm on a pool with these rules and limits.
    fn rage(pool: &'static str, limit: Option<NonZeroU32>) {
        let seed = seed();
        println!("PLIMSOLL_SEED={seed}");
        let connections = AtomicU64::new(0);
        let wild = move |mut stream: TcpStream| {
            let mut random = fastrand::Rng::with_seed(seed ^ connections.fetch_add(1, Ordering::SeqCst));
            while read_request(&mut stream).is_some() && act(&mut stream, &mut random) {}
        };
        let (_held, nobody) = nobody();
        let servers = [kit::serve(wild), answering(OK), nobody];
        let rules = Rules {
            top: "shutdown_timeout = \"20s\"",
            listen: "timeout = { head = \"100ms\", body = \"100ms\", keep_alive = \"100ms\" }",
            pool,
            limit,
        };
        let plane = Plane::start(&servers, &rules);
        let address = plane.address;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                thread::spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed.wrapping_add(number));
                    (0..ROUNDS).for_each(|_| visit(address, &mut random));
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        let servers = settled(&plane);
        assert!(servers.iter().map(|server| server.picks).sum::<u64>() > CLIENTS * ROUNDS / 4, "{servers:?}");
        // These come about whatever the seed: a third of the picks meet nobody, a third a good server, and a sixth of
        // the clients leave on purpose. How often the wild server gets to do each of its tricks is chance.
        for kind in [OutcomeKind::Success, OutcomeKind::ConnectFailed, OutcomeKind::Aborted] {
            assert!(servers.iter().any(|server| server.of_kind(kind) > 0), "nothing ended as {kind:?}");
        }
        plane.proxy.stop();
        assert_eq!(plane.proxy.wait(), 0, "connections that were cut off");
    }
}
