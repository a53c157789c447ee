//! Copies of requests to a second pool: what they are, and that the first never feels them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::kit::{Client, Config, Gate, Program, Server, Talk, get, until};

/// A program with an admin page, whose requests go to `app`, and their copies to `shadow` by this rule.
struct Mirrored {
    program: Program,
    admin: std::path::PathBuf,
}

impl Mirrored {
    fn new(app: &Server, shadow: &Server, rule: &str) -> Self {
        Self::with(app, &format!("servers = [\"{}\"]", shadow.address()), rule, "")
    }

    fn with(app: &Server, shadow: &str, rule: &str, route: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let admin = std::env::temp_dir().join(format!("plimsoll-mirror-{}-{number}.sock", std::process::id()));
        let program = Config::to(&[app.address()])
            .top(&format!("[admin]\nsocket = \"{}\"", admin.display()))
            .another_pool("shadow", shadow)
            .listen(&format!("route = [{{ pool = \"app\", mirror = {{ pool = \"shadow\", {rule} }}, {route} }}]"))
            .only_routes()
            .start();
        Self { program, admin }
    }

    fn metric(&self, line: &str) -> u64 {
        let output = std::process::Command::new("curl")
            .args(["--silent", "--max-time", "30", "--unix-socket"])
            .arg(&self.admin)
            .arg("http://localhost/metrics")
            .output()
            .expect("curl is installed");
        let page = String::from_utf8(output.stdout).unwrap();
        let value = page.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("{line} is not in {page}"));
        value.split('.').next().unwrap_or_default().parse().unwrap()
    }

    /// Waits until so many copies have been sent, skipped and have failed, and none is under way.
    #[track_caller]
    fn await_copies(&self, sent: u64, skipped: u64, failed: u64) {
        let read = |result| self.metric(&format!("plimsoll_mirror_total{{pool=\"shadow\",result=\"{result}\"}}"));
        let counts = || [read("sent"), read("skipped"), read("failed")];
        until(&format!("{sent} sent, {skipped} skipped, {failed} failed"), || {
            let now = counts();
            assert!(now[0] <= sent && now[1] <= skipped && now[2] <= failed, "{now:?}");
            now == [sent, skipped, failed]
        });
        for pool in ["app", "shadow"] {
            assert_eq!(self.metric(&format!("plimsoll_pool_in_flight{{pool=\"{pool}\"}}")), 0, "{pool}");
        }
    }
}

/// The copies that `server` got, by what tells them apart.
fn bodies(server: &Server) -> Vec<String> {
    let mut bodies: Vec<_> =
        server.requests().iter().map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect();
    bodies.sort();
    bodies
}

fn post(body: &str) -> String {
    format!("POST /post HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_copy_is_what_the_server_got_and_its_answer_goes_nowhere() {
    let (app, shadow) = (Server::saying("first"), Server::saying("second, and longer"));
    let rule = "max_body = \"100B\"";
    let route = "add_prefix = \"/v1\", request_headers = { set = { X-Route = \"r\" } }";
    let shadow_pool = format!("servers = [\"{}\"]", shadow.address());
    let mirrored = Mirrored::with(&app, &shadow_pool, rule, route);
    let mut client = mirrored.program.client();
    let chunked = "PUT /c HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for request in [get("/a?b=c"), post("a body"), chunked.to_owned()] {
        assert_eq!(client.ask(request).text(), "first");
    }
    mirrored.await_copies(3, 0, 0);
    let heads = |server: &Server| {
        let mut heads: Vec<_> = server.requests().into_iter().map(|one| one.head).collect();
        heads.sort();
        heads
    };
    assert_eq!(heads(&app), heads(&shadow));
    assert!(heads(&shadow)[0].starts_with("GET /v1/a?b=c HTTP/1.1\r\n") && heads(&shadow)[0].contains("X-Route: r"));
    assert_eq!(bodies(&shadow), ["", "a body", "abcde"]);
    let taken = mirrored.metric("plimsoll_pool_sent_bytes_total{pool=\"shadow\"}");
    assert_eq!(taken, mirrored.metric("plimsoll_pool_sent_bytes_total{pool=\"app\"}"));
}

/// A server that answers nothing before the gate opens.
fn late(gate: &Gate) -> Server {
    let gate = gate.clone();
    Server::start(move |talk| {
        talk.request();
        gate.pass();
        talk.send(crate::kit::ok("late"));
        talk.await_end();
    })
}

#[test]
fn a_mirror_that_never_answers_delays_nobody_and_takes_no_more_than_its_limit() {
    let (gate, app) = (Gate::default(), Server::saying("first"));
    let shadow = late(&gate);
    let mirrored = Mirrored::new(&app, &shadow, "limit = 3");
    let mut client = mirrored.program.client();
    for _ in 0..10 {
        assert_eq!(client.ask(get("/")).text(), "first", "while the mirror says nothing");
    }
    shadow.await_requests(3);
    assert_eq!(mirrored.metric("plimsoll_pool_in_flight{pool=\"shadow\"}"), 3);
    gate.open();
    mirrored.await_copies(3, 7, 0);
}

#[test]
fn a_mirror_that_is_dead_or_late_is_counted_and_not_felt() {
    let app = Server::saying("first");
    let gone = Server::saying("gone").address();
    let dead = format!("servers = [\"{gone}\"]\nwarm_up = \"off\"\neject = \"off\"");
    let mirrored = Mirrored::with(&app, &dead, "limit = 3", "");
    for _ in 0..5 {
        assert_eq!(mirrored.program.ask(get("/")).text(), "first");
    }
    until("each has failed or found no place", || {
        let read = |result| mirrored.metric(&format!("plimsoll_mirror_total{{pool=\"shadow\",result=\"{result}\"}}"));
        read("sent") == 0 && read("failed") > 0 && read("failed") + read("skipped") == 5
    });
    assert_eq!(mirrored.metric("plimsoll_pool_sent_bytes_total{pool=\"shadow\"}"), 0, "nobody took a byte");
    let silent = Server::start(Talk::await_end);
    let late = format!("servers = [\"{}\"]\ntimeout = {{ first_byte = \"50ms\" }}", silent.address());
    let mirrored = Mirrored::with(&app, &late, "limit = 3", "");
    assert_eq!(mirrored.program.ask(get("/")).text(), "first");
    mirrored.await_copies(0, 0, 1);
    let rude = Server::start(|talk| {
        talk.request();
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    });
    let mirrored = Mirrored::new(&app, &rude, "limit = 3");
    assert_eq!(mirrored.program.ask(get("/")).text(), "first");
    mirrored.await_copies(0, 0, 1);
}

#[test]
fn a_mirror_whose_servers_are_full_gets_no_copy() {
    let (gate, app) = (Gate::default(), Server::saying("first"));
    let shadow = late(&gate);
    let full = format!("servers = [{{ address = \"{}\", max_connections = 1 }}]", shadow.address());
    let mirrored = Mirrored::with(&app, &full, "limit = 10", "");
    for _ in 0..4 {
        assert_eq!(mirrored.program.ask(get("/")).text(), "first");
    }
    gate.open();
    mirrored.await_copies(1, 3, 0);
}

#[test]
fn large_bodies_and_changes_of_protocol_are_not_copied() {
    let app = Server::start(|talk| {
        while let Some(request) = talk.request() {
            let switches = request.field("upgrade").is_some();
            let switched = "HTTP/1.1 101 So\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".to_owned();
            talk.send(if switches { switched } else { crate::kit::ok("first") });
        }
    });
    let shadow = Server::saying("second");
    let mirrored = Mirrored::new(&app, &shadow, "max_body = \"10B\"");
    let ask = |request: &str| mirrored.program.ask(request).status;
    assert_eq!(ask(&post("0123456789a")), 200);
    let chunked = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(ask(&format!("{chunked}6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n")), 200);
    assert_eq!(ask(&format!("{chunked}1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n")), 200, "trailers are not kept");
    assert_eq!(ask("GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), 101);
    assert_eq!(ask(&post("0123456789")), 200);
    mirrored.await_copies(1, 3, 0);
    assert_eq!(bodies(&shadow), ["0123456789"]);
}

#[test]
fn a_request_that_is_never_whole_is_not_copied() {
    let (app, shadow) = (Server::start(Talk::await_end), Server::saying("second"));
    let mirrored = Mirrored::new(&app, &shadow, "limit = 3");
    let mut client: Client = mirrored.program.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf");
    until("the server has it", || app.received().ends_with("half"));
    drop(client);
    mirrored.await_copies(0, 1, 0);
    assert_eq!(shadow.connections(), 0);
}

#[test]
fn about_as_many_are_copied_as_the_sample_says() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let (app, shadow) = (
        Server::saying("first"),
        Server::answering(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            crate::kit::ok("second")
        }),
    );
    let mirrored = Mirrored::new(&app, &shadow, "sample = \"20%\", limit = 10000");
    let mut client = mirrored.program.client();
    for _ in 0..1000 {
        assert_eq!(client.ask(get("/")).text(), "first");
    }
    // The standard deviation is 12.6; six of them are never seen.
    let sent = || mirrored.metric("plimsoll_mirror_total{pool=\"shadow\",result=\"sent\"}");
    until("all have been answered", || sent() == seen.load(Ordering::SeqCst) as u64 && sent() > 100);
    assert!((124..=276).contains(&seen.load(Ordering::SeqCst)), "{seen:?}");
    assert!(shadow.connections() < 100, "connections are used again: {}", shadow.connections());
}

#[test]
fn a_stop_does_not_wait_for_copies() {
    let (app, shadow) = (Server::saying("first"), Server::start(Talk::await_end));
    let mut mirrored = Mirrored::new(&app, &shadow, "limit = 3");
    assert_eq!(mirrored.program.ask(get("/")).text(), "first");
    until("the mirror has its copy", || shadow.received().ends_with("\r\n\r\n"));
    mirrored.program.terminate();
    assert!(mirrored.program.ended().success());
}
