//! Requests bent at random: the program stays up, and whatever it accepts reaches a server whole and once.

use crate::kit::{Config, Program, Server, seed};

const CASES: usize = 300;

/// Behind every bent request, so that each connection comes to an end by itself.
const LAST: &str = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

const WHOLE: [&str; 6] = [
    "GET /a?b=c HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
    "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n",
    "PUT http://a/d HTTP/1.1\r\nHost: a:80\r\nConnection: x-y, keep-alive\r\nX-Y: z\r\nContent-Length: 3\r\n\r\nabc",
    "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
    "GET /e HTTP/1.0\r\nConnection: keep-alive\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
];

/// What gets put in: the seams of the protocol.
const PIECES: [&str; 20] = [
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ",",
    "\0",
    "0",
    "5",
    "\r\n\r\n",
    "0\r\n\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: b\r\n",
    "Connection: close\r\n",
    "HTTP/1.1",
    "GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "\u{ff}",
    "ffffffffffffffff",
];

fn bend(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..random.usize(1..=2)).flat_map(|_| random.choice(WHOLE).unwrap().bytes()).collect();
    for _ in 0..random.usize(0..=3) {
        let at = random.usize(..bytes.len());
        match random.u8(..4) {
            0 => bytes[at] = random.u8(..),
            1 => drop(bytes.remove(at)),
            2 => drop(bytes.splice(at..at, random.choice(PIECES).unwrap().bytes())),
            _ => {
                let end = random.usize(at..=bytes.len().min(at + 20));
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
        }
    }
    bytes
}

/// Sends the case, cut in two at random, and returns everything that came back.
fn send(program: &Program, case: &[u8], random: &mut fastrand::Rng) -> String {
    let mut client = program.client();
    let cut = random.usize(..=case.len());
    // The program may refuse the first part already.
    let _ = client.try_send(&case[..cut]) && client.try_send([&case[cut..], LAST.as_bytes()].concat());
    client.rest().0.iter().map(|byte| char::from(*byte)).collect()
}

#[test]
fn bent_requests_are_forwarded_whole_and_once_or_not_at_all() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let server = Server::answering(|request| {
        let names = request.head.split("\r\n").skip(1).take_while(|line| !line.is_empty());
        assert!(names.into_iter().all(|line| line.contains(": ")), "{:?}", request.head);
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    });
    let quick = "timeout = { head = \"50ms\", body = \"50ms\", keep_alive = \"50ms\" }";
    let mut program = Config::to(&[server.address()]).listen(quick).start();
    for number in 0..CASES {
        let case = bend(&mut random);
        let before = server.count();
        let answers = send(&program, &case, &mut random);
        let shown = String::from_utf8_lossy(&case);
        let served = answers.matches("HTTP/1.1 200 OK\r\n").count();
        assert_eq!(server.count() - before, served, "case {number}: {shown:?}\n{answers}");
        program.assert_well();
    }
    assert!(server.requests().iter().all(|request| request.field("x-forwarded-for") == Some("127.0.0.1")));
}
