//! A plain client of what a proxy tells of itself and is told: the admin API, metrics, and what its peers have like that.
//! Each question has a connection of its own, as curl's would.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::{interrupt, load};

/// Longer than any call that could be of use.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long after its first answer a proxy may take until it tells of itself.
const START: Duration = Duration::from_secs(5);

/// Where a proxy tells of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Desk(SocketAddr);

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// From before the connection was made to the last byte.
    pub(super) took: Duration,
}

impl Desk {
    /// At that port of 127.0.0.1, whether somebody listens there yet or not.
    pub(super) fn at(port: u16) -> Self {
        Self(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// The same once somebody listens there: a proxy may serve before it tells of itself.
    pub(super) fn when_open(port: u16) -> anyhow::Result<Self> {
        let (desk, began) = (Self::at(port), Instant::now());
        while let Err(error) = load::connect(desk.0) {
            if began.elapsed() > START {
                return Err(error);
            }
            interrupt::check()?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(desk)
    }

    /// One call, with a JSON body unless that is empty.
    pub(super) fn ask(self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let began = Instant::now();
        let mut stream = self.say(method, path, body)?;
        let mut whole = Vec::new();
        stream.read_to_end(&mut whole).with_context(|| format!("no answer to {method} {path}"))?;
        let took = began.elapsed();
        let (status, body) = parse(&whole).with_context(|| format!("a strange answer to {method} {path}"))?;
        Ok(Answer { status, body, took })
    }

    /// The same, for an answer of JSON that must have that status.
    pub(super) fn json(self, call: (&str, &str), body: &str, status: u16) -> anyhow::Result<(Value, Duration)> {
        let (method, path) = call;
        let answer = self.ask(method, path, body)?;
        if answer.status != status {
            let said = String::from_utf8_lossy(&answer.body);
            bail!("{method} {path} was answered with {} instead of {status}: {said:.200}", answer.status);
        }
        let value = serde_json::from_slice(&answer.body).with_context(|| format!("{path} is not JSON"))?;
        Ok((value, answer.took))
    }

    /// A connection on which that was asked and nothing heard yet. It is to end with its answer.
    pub(super) fn say(self, method: &str, path: &str, body: &str) -> anyhow::Result<TcpStream> {
        let mut stream = load::connect(self.0)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let (host, length) = (self.0, body.len());
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{kind}Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        Ok(stream)
    }
}

/// Status and body of a whole answer.
fn parse(whole: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = response.parse(whole)? else {
        bail!("it has no end");
    };
    let field = |name: &str| response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    let chunked = field("transfer-encoding").is_some_and(|field| field.value.eq_ignore_ascii_case(b"chunked"));
    let length = field("content-length").and_then(|field| str::from_utf8(field.value).ok()?.parse::<usize>().ok());
    let body = &whole[head..];
    if length.is_some_and(|length| length != body.len()) {
        bail!("it was cut off");
    }
    let body = if chunked { dechunked(body)? } else { body.to_vec() };
    Ok((response.code.unwrap_or_default(), body))
}

fn dechunked(mut rest: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((line, length))) = httparse::parse_chunk_size(rest) else {
            bail!("a chunk has no length");
        };
        let end = usize::try_from(length).ok().and_then(|length| line.checked_add(length));
        let chunk = end.and_then(|end| rest.get(line..end)).context("a chunk was cut off")?;
        if chunk.is_empty() {
            return Ok(body);
        }
        body.extend_from_slice(chunk);
        rest = rest.get(line + chunk.len() + 2..).context("a chunk has no end")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_whole_however_they_are_framed() {
        let sized = parse(b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello").expect("an answer");
        assert_eq!(sized, (201, b"hello".to_vec()));
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunked = parse(format!("{head}3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n").as_bytes()).expect("an answer");
        assert_eq!(chunked, (200, b"hello".to_vec()));
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\n\r\nhello").expect("an answer"), (200, b"hello".to_vec()));
    }

    #[test]
    fn what_was_cut_off_is_an_error() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in ["3\r\nhe", "3\r\nhel", "3\r\nhel\r\n", "x\r\n"] {
            parse(format!("{head}{body}").as_bytes()).expect_err(body);
        }
        parse(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell").expect_err("a byte is missing");
        parse(b"HTTP/1.1 200 OK\r\n").expect_err("no end of the head");
    }
}
