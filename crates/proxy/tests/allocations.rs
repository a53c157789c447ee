//! A warm small request allocates nothing: neither the worker that serves it nor any thread it could hand work to.

// A global allocator is unsafe to write, and nothing else can count.
#![allow(unsafe_code)]

mod kit;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kit::{Plane, Rules};

/// Allocations of all threads that are not the test's own.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// This thread belongs to the test. Made without an allocation and never dropped, so that the allocator may ask.
    static EXCLUDED: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

impl Counting {
    fn count() {
        // A thread without its locals is at its end, and not a worker's: those outlive what is counted.
        if !EXCLUDED.try_with(Cell::get).unwrap_or(true) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing and cannot panic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: the caller keeps the contract of `realloc`, which is the same, and all memory is the system's.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, which is the same, and all memory is the system's.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Requests before any is counted: tables have grown by then, and each kind of message was seen.
const WARM_UP: usize = 500;

/// Requests counted, at least.
const COUNTED: usize = 1000;

/// Beside requests, what a worker does each second is seen twice.
const SEEN: Duration = Duration::from_millis(2500);

/// A connection that was quiet for longer gives its state back after a while, so what comes next is not warm. Half
/// the time after which it does.
const QUIET: Duration = Duration::from_millis(50);

const GET: &[u8] =
    b"GET /articles/42?page=3 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n\
    Accept: text/html,application/xhtml+xml\r\nAccept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, br\r\n\
    Connection: keep-alive\r\nCookie: session=0123456789abcdef; theme=dark\r\n\
    X-Forwarded-For: 2001:db8::7, 192.0.2.1\r\nAuthorization: Basic YW15OnN3b3JkZmlzaA==\r\n\r\n";

const POST: &[u8] = b"POST /orders HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: curl/8\r\n\
    X-Forwarded-For: 192.0.2.2\r\nAuthorization: Basic YW15OnN3b3JkZmlzaA==\r\n\
    Content-Type: application/json\r\nContent-Length: 27\r\n\r\n{\"article\":42,\"amount\":100}";

/// What [`POST`] ends with.
const BODY: &[u8] = b"{\"article\":42,\"amount\":100}";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\nServer: test\r\n\
    Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

/// What [`ANSWER`] ends with.
const END: &[u8] = b"Hello, world!";

fn exclude_this_thread() {
    EXCLUDED.set(true);
}

/// Reads whole requests and answers them.
fn serve(mut stream: TcpStream) {
    exclude_this_thread();
    let (mut bytes, mut length) = ([0; 4096], 0);
    while let Ok(count @ 1..) = stream.read(&mut bytes[length..]) {
        length += count;
        let end = if bytes.starts_with(b"POST") { BODY } else { b"\r\n\r\n" };
        if bytes[..length].ends_with(end) {
            length = 0;
            if stream.write_all(ANSWER).is_err() {
                return;
            }
        }
    }
}

struct Client {
    stream: TcpStream,
    last: Instant,
}

impl Client {
    fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, last: Instant::now() }
    }

    /// Whether the connection was warm when the request came.
    fn ask(&mut self, request: &[u8]) -> bool {
        let (mut answer, mut length) = ([0; 1024], 0);
        self.stream.write_all(request).unwrap();
        while !answer[..length].ends_with(END) {
            let count = self.stream.read(&mut answer[length..]).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&answer));
            length += count;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
        std::mem::replace(&mut self.last, Instant::now()).elapsed() < QUIET
    }
}

/// Allocations over warm requests that take turns, `COUNTED` and for as long as `time` at least.
fn allocations(client: &mut Client, requests: &[&[u8]], time: Duration) -> u64 {
    let (mut counted, mut allocations, since) = (0, 0, Instant::now());
    let mut before = ALLOCATIONS.load(Ordering::SeqCst);
    for request in requests.iter().cycle() {
        let warm = client.ask(request);
        let after = ALLOCATIONS.load(Ordering::SeqCst);
        if warm {
            allocations += after - before;
            counted += 1;
        }
        before = after;
        if counted >= COUNTED && since.elapsed() >= time {
            break;
        }
    }
    allocations
}

#[test]
fn a_warm_small_request_allocates_nothing() {
    exclude_this_thread();
    check(&Rules::default(), 0);
    // All that is told of requests is, and every request has a place in a trace. A batch of lines is made when the writer
    // holds all others, which is for the machine to say; in so small a buffer there are no more than these.
    let told = Rules {
        top: "access_log = { to = \"/dev/null\", buffer = \"64KiB\" }\ntrace = { sample = \"0%\" }",
        listen: "request_id = {}",
        ..Rules::default()
    };
    check(&told, 4);
    // The last of a thousand routes of all kinds, with fields to edit, is no more than the only one.
    let route = |number: usize| match number % 8 {
        0 => format!("{{ host = \"h{number}.example.com\", pool = \"app\" }},\n"),
        1 => format!("{{ host = \"*.h{number}.example.com\", path = \"/p/{number}\", pool = \"app\" }},\n"),
        2 => format!("{{ path = {{ exact = \"/Articles/{number}\", ignore_case = true }}, pool = \"app\" }},\n"),
        3 => format!("{{ path = {{ regex = '^/u{number}/[a-z]+$' }}, pool = \"app\" }},\n"),
        // The request has these too, with other values.
        4 => format!("{{ header = {{ accept-language = \"x{number}\" }}, pool = \"app\" }},\n"),
        5 => format!("{{ path = \"/articles\", query = {{ page = \"p {number}\" }}, pool = \"app\" }},\n"),
        6 => format!("{{ query = {{ page = {{ regex = '^p{number}$' }} }}, pool = \"app\" }},\n"),
        _ => format!("{{ header = {{ accept = {{ regex = '^x{number}$' }} }}, pool = \"app\" }},\n"),
    };
    let many: String = (0..1000).map(route).collect();
    let edits = "request_headers = { set = { X-Env = \"$path\" }, remove = \"Cookie\" }\n\
                 response_headers = { set = { X-Server = \"$server\" }, remove = \"Server\" }";
    check(&Rules { listen: format!("{edits}\nroute = [\n{many}]").leak(), ..Rules::default() }, 0);
    // Nor is a client that a proxy tells of, another for each request, and that has shown its password before.
    let users = std::env::temp_dir().join(format!("plimsoll-allocations-{}", std::process::id()));
    std::fs::write(&users, "amy:$2y$04$U89yt1oIOMKget4U2SQK7eOcx/RNwSFhPYYAjQ..G.FMwVzdQZmGG").unwrap();
    let asked = format!("trusted_proxies = \"127.0.0.1\"\nbasic_auth = {{ users = \"{}\" }}", users.display());
    check(&Rules { listen: asked.leak(), top: told.top, ..Rules::default() }, 4);
    std::fs::remove_file(&users).unwrap();
    // A client that is given a cookie each time, one whose session is learnt, and a key.
    check(&Rules { pool: "sticky = { cookie = \"srv\" }", ..Rules::default() }, 0);
    check(&Rules { pool: "sticky = { learn_cookie = \"session\" }", ..Rules::default() }, 0);
    check(&Rules { pool: "policy = \"hash\"\nhash = { on = \"path\" }", ..Rules::default() }, 0);
    check_stuck();
}

/// Fails when warm requests with a cookie of ours need an allocation.
fn check_stuck() {
    let rules = Rules { pool: "sticky = { cookie = \"srv\", max_age = \"8h\" }", ..Rules::default() };
    let plane = Plane::start(&[kit::serve(serve)], &rules);
    let mut client = Client::connect(plane.address);
    let mut answer = [0; 1024];
    client.stream.write_all(GET).unwrap();
    let length = client.stream.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    let cookie = answer.split_once("Set-Cookie: ").and_then(|(_, rest)| rest.split_once(';')).expect("a cookie").0;
    let stuck = String::from_utf8_lossy(GET).replace("Cookie: ", &format!("Cookie: {cookie}; "));
    for _ in 0..WARM_UP {
        client.ask(stuck.as_bytes());
    }
    assert_eq!(allocations(&mut client, &[stuck.as_bytes()], Duration::ZERO), 0);
    plane.proxy.stop();
    drop(client);
    assert_eq!(plane.proxy.wait(), 0);
}

/// Fails when warm requests need more than so many allocations together.
fn check(rules: &Rules, most: u64) {
    let plane = Plane::start(&[kit::serve(serve)], rules);
    let mut client = Client::connect(plane.address);
    for request in [GET, POST].iter().cycle().take(WARM_UP) {
        client.ask(request);
    }
    let counted = ALLOCATIONS.load(Ordering::SeqCst);
    assert!(counted > 0, "the worker's allocations are not counted");
    for (name, requests, time) in
        [("GET", &[GET][..], Duration::ZERO), ("POST", &[POST], Duration::ZERO), ("both", &[GET, POST], SEEN)]
    {
        let made = allocations(&mut client, requests, time);
        assert!(made <= most, "{name}: {made}");
    }
    plane.proxy.stop();
    drop(client);
    assert_eq!(plane.proxy.wait(), 0);
    assert_eq!(plane.pool.stats().in_flight(), 0);
}
