//! The server over real sockets.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use super::*;

/// A server on a thread, and the other end of its control channel.
struct Stand {
    address: SocketAddr,
    orders: UnixStream,
    reports: BufReader<UnixStream>,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Stand {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (orders, control) = UnixStream::pair().expect("a channel");
        let (report, reports) = UnixStream::pair().expect("a channel");
        let server = Server::new(listener, 3, Fault::None).expect("a server");
        let serving = std::thread::spawn(move || server.run(control, report, &AtomicBool::new(false)));
        Self { address, orders, reports: BufReader::new(reports), serving }
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the server listens");
    }

    /// Also makes sure that earlier orders have been obeyed.
    fn count(&mut self) -> Sums {
        self.order("count");
        let mut line = String::new();
        self.reports.read_line(&mut line).expect("a report");
        Sums::parse(&line).expect("a report of the known form")
    }

    fn client(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        stream
    }

    fn end(self) {
        drop(self.orders);
        self.serving.join().expect("the server's thread").expect("the server");
    }
}

/// One request; gives the status line.
fn ask(mut client: &TcpStream, path: &str) -> String {
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("a request");
    read_answer(client)
}

fn read_answer(mut client: &TcpStream) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    let whole = connection::answer("200 OK").len();
    while answer.len() < whole {
        let length = client.read(&mut buffer).expect("an answer");
        assert!(length > 0, "the connection ended");
        answer.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn requests_are_answered_one_after_the_other_and_counted() {
    let mut stand = Stand::start();
    let client = stand.client();
    assert_eq!(stand.count().working_for, None);
    for _ in 0..5 {
        assert_eq!(ask(&client, "/128"), "HTTP/1.1 200 OK");
    }
    assert_eq!(ask(&client, "/health"), "HTTP/1.1 200 OK");
    let sums = stand.count();
    assert_eq!(sums.answered, 5, "a probe is no request");
    assert!(sums.working_for.is_some_and(|age| age > Duration::ZERO));
    assert!(sums.cpu > Duration::ZERO);
    stand.end();
}

#[test]
fn a_server_that_errs_does_so_to_all_but_probes_and_until_it_is_told_to_stop() {
    let mut stand = Stand::start();
    stand.order("error500");
    stand.count();
    let client = stand.client();
    for _ in 0..20 {
        assert!(ask(&client, "/128").starts_with("HTTP/1.1 500 "));
    }
    let sums = stand.count();
    assert_eq!((sums.answered, sums.working_for), (20, None), "at once, without work");
    assert_eq!(ask(&client, "/health"), "HTTP/1.1 200 OK");
    stand.order("none");
    stand.count();
    assert_eq!(ask(&client, "/128"), "HTTP/1.1 200 OK");
    stand.end();
}

#[test]
fn a_stalled_server_answers_nobody_but_its_control_channel() {
    let mut stand = Stand::start();
    let client = stand.client();
    assert_eq!(ask(&client, "/health"), "HTTP/1.1 200 OK");
    let began = Instant::now();
    stand.order("stall");
    stand.count();
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(ask(&client, "/health"), "HTTP/1.1 200 OK");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    stand.end();
}

#[test]
fn the_answer_for_a_client_that_left_goes_to_nobody_else() {
    let mut stand = Stand::start();
    // Slow, so that the first is still worked on when it leaves and the second takes its place.
    stand.order("slow");
    stand.count();
    let mut gone = stand.client();
    gone.write_all(b"GET /128 HTTP/1.1\r\n\r\n").expect("a request");
    let other = stand.client();
    assert_eq!(ask(&other, "/health"), "HTTP/1.1 200 OK");
    drop(gone);
    drop(other);
    let heir = stand.client();
    assert_eq!(ask(&heir, "/health"), "HTTP/1.1 200 OK");
    stand.order("none");
    while stand.count().answered == 0 {
        std::thread::yield_now();
    }
    // A stray answer would come before this one and leave one over.
    assert_eq!(ask(&heir, "/health"), "HTTP/1.1 200 OK");
    heir.set_nonblocking(true).expect("a nonblocking socket");
    let mut left = [0; 1];
    assert_eq!((&heir).read(&mut left).expect_err("nothing left").kind(), ErrorKind::WouldBlock);
    stand.end();
}

#[test]
fn a_report_is_read_as_it_was_written() {
    for working_for in [None, Some(Duration::from_millis(1500))] {
        let sums = Sums { answered: 7, working_for, cpu: Duration::from_micros(12), late: Duration::from_micros(34) };
        assert_eq!(Sums::parse(&sums.line()), Some(sums));
    }
    assert_eq!(Sums::parse("7 - x 3"), None);
    assert_eq!(Sums::parse("ready"), None);
}
