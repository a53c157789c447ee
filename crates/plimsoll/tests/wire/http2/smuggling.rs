//! Requests of HTTP/2 on their way to servers of HTTP/1: whatever their fields hold, a server reads one request, the one that
//! was sent, or none.

use super::frames::{Conn, END_HEADERS, END_STREAM, Fate, HEADERS, data, frame, put_field};
use crate::kit::{Config, Server, seed};

const CASES: usize = 600;

/// What gets into names and values: the seams of HTTP/1.
const PIECES: [&[u8]; 16] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b" HTTP/1.1\r\nx: y",
    b"\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
    b"content-length: 0",
    b"chunked",
    b"\xff",
    b"\x7f",
    b"#",
    b"http://other/",
];

/// Names that mean something to somebody, beside those that do not.
const NAMES: [&str; 14] = [
    "x-one",
    "x-two",
    "accept",
    "a",
    "!#$%&'*+-.^_`|~0",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "upgrade",
    "host",
    "expect",
    "x-forwarded-for",
    ":path",
];

const VALUES: [&str; 9] = ["1", "0", "5", "chunked", "close", "test", "trailers", "\u{e9}", "a b"];

/// What a test sends of a request.
struct Sent {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

impl Sent {
    fn random(random: &mut fastrand::Rng) -> Self {
        let mut fields: Vec<(Vec<u8>, Vec<u8>)> =
            [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/sent")]
                .map(|(name, value)| (name.into(), value.into()))
                .into();
        for _ in 0..random.usize(..5) {
            // Mostly what is in order, or nothing would get through.
            let names = if random.u8(..4) == 0 { &NAMES[..] } else { &NAMES[..5] };
            fields.push((
                random.choice(names).unwrap().as_bytes().into(),
                random.choice(VALUES).unwrap().as_bytes().into(),
            ));
        }
        for _ in 0..random.usize(..3).saturating_sub(1) {
            let at = random.usize(..fields.len());
            let (name, value) = &mut fields[at];
            let text = if random.bool() { name } else { value };
            let at = random.usize(..=text.len());
            text.splice(at..at, random.choice(PIECES).unwrap().iter().copied());
        }
        let body = (0..random.usize(..40)).map(|_| *random.choice(b"0\r\n GETx5;").unwrap()).collect();
        Self { fields, body }
    }

    fn frames(&self) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in &self.fields {
            put_field(&mut block, name, value);
        }
        let ended = if self.body.is_empty() { END_STREAM } else { 0 };
        let mut frames = frame(HEADERS, END_HEADERS | ended, 1, block);
        if ended == 0 {
            frames.extend(data(1, END_STREAM, &self.body));
        }
        frames
    }

    /// What a request of HTTP/1 begins with that says the same. What follows a `#` is not for servers; the library drops it.
    fn first_line(&self) -> String {
        let text = |at: usize| text(&self.fields[at].1);
        let path = text(3);
        let path = path.split('#').next().filter(|path| !path.is_empty()).unwrap_or("/");
        format!("{} {path} HTTP/1.1", text(0))
    }

    /// The fields that a server is to find, sorted: all but those that the balancer writes anew.
    fn expected(&self) -> Vec<(String, String)> {
        let ours = |name: &str| name.starts_with(':') || OURS.contains(&name);
        let all = self.fields.iter().map(|(name, value)| (text(name), text(value)));
        let mut fields: Vec<_> = all.filter(|(name, _)| !ours(name)).collect();
        fields.sort();
        fields
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

const OURS: [&str; 9] = [
    "host",
    "te",
    "content-length",
    "transfer-encoding",
    "connection",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
];

/// The fields of a head as a server read it, sorted, without those that the balancer writes.
fn found(head: &str) -> Vec<(String, String)> {
    let lines = head.split("\r\n").skip(1).take_while(|line| !line.is_empty());
    let pairs = lines.map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no field")));
    let mut fields: Vec<_> = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .filter(|(name, _)| !OURS.contains(&name.to_ascii_lowercase().as_str()))
        .collect();
    fields.sort();
    fields
}

#[test]
fn a_server_reads_the_request_that_was_sent_or_none() {
    let mut random = fastrand::Rng::with_seed(seed());
    let server = Server::answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut program = Config::to(&[server.address()]).start();
    let mut arrived = 0;
    for number in 0..CASES {
        let sent = Sent::random(&mut random);
        let before = server.count();
        let mut conn = Conn::connect(program.address());
        conn.send(sent.frames());
        let fate = conn.fate(1);
        let shown = || {
            let fields = sent.fields.iter();
            let fields = fields.map(|(name, value)| (String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
            format!("case {number}: {:?}", fields.collect::<Vec<_>>())
        };
        let requests = server.requests().split_off(before);
        if fate != Fate::Status(200) {
            assert!(requests.is_empty(), "{fate:?}, but the server got it; {}", shown());
            continue;
        }
        arrived += 1;
        let [request] = &requests[..] else { panic!("{requests:?}: {}", shown()) };
        assert_eq!(request.head.lines().next().unwrap(), sent.first_line(), "{}", shown());
        assert_eq!(found(&request.head), sent.expected(), "{}", shown());
        assert_eq!(request.body, sent.body, "{}", shown());
        program.assert_well();
    }
    assert!(arrived > CASES / 4 && arrived < CASES, "{arrived} of {CASES} got through: the test tells nothing");
    assert!(!server.received().contains("GET /smuggled HTTP"));
    assert_eq!(server.count(), arrived, "nothing was left over on a connection and taken for a request");
}

#[test]
fn what_stands_in_a_body_is_body() {
    let server = Server::answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let program = Config::to(&[server.address()]).start();
    let body = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut conn = Conn::connect(program.address());
    for (number, length) in [None, Some(body.len().to_string())].into_iter().enumerate() {
        let stream = 2 * number as u32 + 1;
        let mut fields = super::frames::request("POST", "/sent").to_vec();
        fields.extend(length.as_deref().map(|length| ("content-length", length)));
        conn.send([super::frames::headers(stream, 0, &fields), data(stream, END_STREAM, body)].concat());
        assert_eq!(conn.fate(stream), Fate::Status(200));
        assert_eq!(server.requests()[number].body, body);
    }
    assert_eq!(server.count(), 2);
}

#[test]
fn cookies_in_pieces_are_put_together_and_other_fields_are_not() {
    let server = Server::answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let program = Config::to(&[server.address()]).start();
    let mut fields = super::frames::request("GET", "/").to_vec();
    fields.extend([
        ("cookie", "a=1"),
        ("x-one", "1"),
        ("cookie", "b=2"),
        ("x-one", "2"),
        ("cookie", "c=3"),
        ("te", "trailers"),
    ]);
    let mut conn = Conn::connect(program.address());
    conn.send(super::frames::headers(1, END_STREAM, &fields));
    assert_eq!(conn.fate(1), Fate::Status(200));
    let request = server.request();
    assert_eq!(request.field("cookie"), Some("a=1; b=2; c=3"));
    assert_eq!(request.fields("x-one"), ["1", "2"]);
}
