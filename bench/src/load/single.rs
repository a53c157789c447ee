//! One request on a connection of its own: to see whether a proxy answers, to open what then stays idle, and to ask
//! the origin what it has counted.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, bail};
use rustls::{ClientConnection, StreamOwned};

use super::response::{Progress, ResponseReader};
use super::wire::{connect, session_with};
use super::{PATIENCE, Target, request};

/// A connection that has had its answer.
pub(super) enum Asked {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// One request on its own, waiting for its answer; over TLS where the target has it.
pub(crate) fn ask_once(target: &Target, body: u64) -> anyhow::Result<()> {
    ask_and_keep(target, body).map(drop)
}

/// One request on a new connection, which then stays open and idle.
pub(super) fn ask_and_keep(target: &Target, body: u64) -> anyhow::Result<Asked> {
    let mut stream = connect(target.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = request(&target.address, body, true);
    let Some(trust) = &target.trust else {
        ask_on(&mut stream, &request, body)?;
        return Ok(Asked::Plain(stream));
    };
    let mut stream = StreamOwned::new(session_with(&trust.http1)?, stream);
    ask_on(&mut stream, &request, body)?;
    Ok(Asked::Tls(Box::new(stream)))
}

fn ask_on(stream: &mut (impl Read + Write), request: &[u8], body: u64) -> anyhow::Result<()> {
    stream.write_all(request)?;
    let mut reader = ResponseReader::new(body);
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).context("no answer")?;
        if length == 0 {
            bail!("the connection was closed before the answer was whole");
        }
        match reader.take(&buffer[..length]) {
            Ok(Progress::Partial) => {}
            Ok(Progress::Complete) => return Ok(()),
            Err(flaw) => bail!(flaw),
        }
    }
}

/// How many connections an origin has accepted, the one that asks included.
pub(crate) fn connections_accepted(origin: SocketAddr) -> anyhow::Result<u64> {
    ask_origin(origin, "accepted")?.parse().context("the origin's answer is not a number")
}

/// How many WebSockets are open at each server of an origin.
pub(crate) fn websockets_open(origin: SocketAddr) -> anyhow::Result<Vec<u64>> {
    let counts: Result<Vec<u64>, _> =
        ask_origin(origin, "websockets")?.split_ascii_whitespace().map(str::parse).collect();
    counts.context("the origin's answer is not numbers")
}

fn ask_origin(origin: SocketAddr, what: &str) -> anyhow::Result<String> {
    let mut stream = connect(origin)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /{what} HTTP/1.1\r\nHost: origin\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("no answer from the origin")?;
    let (_, body) = answer.split_once("\r\n\r\n").context("the origin's answer has no end")?;
    Ok(body.to_owned())
}
