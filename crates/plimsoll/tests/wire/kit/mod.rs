//! What the wire tests share.

mod client;
mod command;
mod example;
mod fates;
mod load;
mod program;
mod server;
#[path = "../../../../proxy/tests/kit/until.rs"]
mod until;
mod websocket;

pub(crate) use client::{Broken, Client, End, Response};
pub(crate) use command::{Output, run};
pub(crate) use example::{Example, examples};
pub(crate) use fates::{Mortal, in_turn, nobody};
pub(crate) use load::{Load, Seen, with_status};
pub(crate) use program::{Config, Program};
pub(crate) use server::{Gate, Request, Server, Talk};
pub(crate) use until::{PATIENCE, until};
pub(crate) use websocket::{echo_messages, upgrade, web_socket};

/// A plain GET of `target`.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// A 200 with this body and its length.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A response with this status, whose body tells it too.
pub(crate) fn answer(status: u16) -> String {
    format!("HTTP/1.1 {status} So\r\nX-Status: {status}\r\nContent-Length: 5\r\n\r\n{status}!\n")
}

/// The seed of a random test: a new one, or the one to be replayed.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("PLIMSOLL_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("PLIMSOLL_SEED={seed}");
    seed
}

/// The value of the field `name` in a head, if it is there once.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    match fields(head, name).as_slice() {
        [] => None,
        [one] => Some(one),
        more => panic!("{name} is there {} times in {head:?}", more.len()),
    }
}

/// All values of the fields `name` in a head, in order.
pub(crate) fn fields<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let lines = head.split("\r\n").skip(1);
    let pairs = lines.filter_map(|line| line.split_once(':'));
    pairs
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim_matches([' ', '\t']))
        .collect()
}

/// Where the head at the front of `bytes` ends, behind its empty line.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Bytes as text, one character each, so that nothing is lost.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
