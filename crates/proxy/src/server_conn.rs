//! Connections to servers: opened when needed, kept while `idle`, each worker its own.

use std::future::{Future, poll_fn};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use plimsoll_config::ServerProtocol;
use plimsoll_core::{Address, Server};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, UnixStream};
use tokio::time::Instant;

use crate::http2;
use crate::served::Served;
use crate::shortage;
use crate::wire::Wire;
use crate::worker::Worker;

pub(crate) mod conn;
pub(crate) mod idle;

pub(crate) use conn::{ConnectError, ServerConn};

/// How long it takes until a Unix socket whose queue was full is asked again.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// Opens a connection to `server` for requests, which begins with the PROXY header `greeting` if there is one. Where requests
/// share connections, one that somebody else opens is waited for.
pub(crate) async fn open(
    worker: &Rc<Worker>,
    served: &Served,
    server: &Server,
    greeting: Option<&[u8]>,
) -> Result<ServerConn, ConnectError> {
    let pool = &served.rules;
    if pool.protocol == ServerProtocol::Http1 {
        return connect(worker, served, server, greeting).await;
    }
    let attempt = async {
        // One that has told of a client is of no use to others.
        let shared = greeting.is_none();
        loop {
            let now = worker.recently();
            let known = worker.shared.borrow_mut().take((server, served.tls.as_ref()), now).filter(|_| shared);
            if let Some(stream) = known {
                return Ok(ServerConn::stream(stream));
            }
            let opening = if shared { http2::wait_or_open(worker, server).await } else { None };
            if shared && opening.is_none() {
                continue;
            }
            let wire = connect(worker, served, server, greeting).await?.wire;
            let stream = http2::begin(worker, (server, shared), wire, pool).await?;
            return Ok(ServerConn { reused: false, ..ServerConn::stream(stream) });
        }
    };
    let shortages = worker.shortage.times();
    let opened = tokio::time::timeout(pool.timeouts.connect, attempt).await;
    opened.unwrap_or_else(|_| {
        // What was waited for may have been a descriptor, here or by who opens the connection. That is not the server's doing.
        let short = worker.shortage.times() != shortages;
        Err(if short { ConnectError::Shortage } else { ConnectError::TimedOut })
    })
}

/// Opens a connection to `server` of the pool, trying its addresses in order, sends the PROXY header `greeting` if there is
/// one, and shakes hands where the pool has TLS, all within the pool's timeout. Where this machine has no descriptor left, one
/// is waited for before that, as long again: to be late is better than to be refused.
pub(crate) async fn connect(
    worker: &Worker,
    served: &Served,
    server: &Server,
    greeting: Option<&[u8]>,
) -> Result<ServerConn, ConnectError> {
    let patience = served.rules.timeouts.connect;
    let attempt = async || {
        let shaken = async {
            let wire = reach(server, greeting).await?;
            let Some(tls) = &served.tls else { return Ok(wire) };
            // Boxed, so that who connects without it does not hold the memory for it.
            Box::pin(tls.connect(wire, served.authority(server))).await.map_err(ConnectError::Tls)
        };
        tokio::time::timeout(patience, shaken).await.unwrap_or(Err(ConnectError::TimedOut))
    };
    // Nobody who waits is overtaken.
    let mut connected = if worker.shortage.has_waiting() { Err(ConnectError::Shortage) } else { attempt().await };
    if matches!(connected, Err(ConnectError::Shortage)) {
        worker.shortage.note();
        connected = Box::pin(in_turn(worker, patience, attempt)).await;
    }
    Ok(ServerConn { wire: connected?, reused: false })
}

/// Makes an attempt as soon as there is a descriptor for it and nobody else has waited longer.
async fn in_turn(
    worker: &Worker,
    patience: Duration,
    attempt: impl AsyncFn() -> Result<Wire, ConnectError>,
) -> Result<Wire, ConnectError> {
    let (shortage, until) = (&worker.shortage, Instant::now() + patience);
    while !shortage.is_crowded() {
        let Ok(turn) = tokio::time::timeout_at(until, shortage.turn()).await else { break };
        loop {
            let mut attempt = Box::pin(attempt());
            // The first step is what needs the descriptor. Who has it lets the next one try.
            match poll_fn(|cx| Poll::Ready(attempt.as_mut().poll(cx))).await {
                Poll::Ready(Err(ConnectError::Shortage)) => {}
                Poll::Ready(result) => return result,
                Poll::Pending => {
                    drop(turn);
                    match attempt.await {
                        Err(ConnectError::Shortage) => break,
                        result => return result,
                    }
                }
            }
            if worker.make_way() || shortage.give_out(&turn) {
                continue;
            }
            if Instant::now() >= until {
                return Err(ConnectError::Shortage);
            }
            tokio::time::sleep(shortage::PAUSE).await;
        }
    }
    Err(ConnectError::Shortage)
}

/// Connects to one of the addresses of `server`.
async fn reach(server: &Server, greeting: Option<&[u8]>) -> Result<Wire, ConnectError> {
    for address in server.addresses() {
        match greet(address, greeting).await {
            Ok(wire) => return Ok(wire),
            Err(error) if shortage::is_own(&error) => return Err(ConnectError::Shortage),
            Err(_) => {}
        }
    }
    Err(ConnectError::Failed)
}

async fn greet(address: &Address, greeting: Option<&[u8]>) -> io::Result<Wire> {
    let mut wire = connect_to(address).await?;
    if let Some(greeting) = greeting {
        wire.write_all(greeting).await?;
    }
    Ok(wire)
}

async fn connect_to(address: &Address) -> io::Result<Wire> {
    let address = match address {
        Address::Ip(address) => *address,
        Address::Unix(path) => return Ok(Wire::Unix(connect_to_file(path).await?)),
    };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A request that does not fill a segment must not wait for the acknowledgement of the one before.
    socket.set_nodelay(true)?;
    Ok(Wire::Tcp(socket.connect(address).await?))
}

/// Connects to a Unix socket. Where a port would keep us waiting because its queue is full, such a socket says so at once.
async fn connect_to_file(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(QUEUE_FULL_PAUSE).await,
            result => return result,
        }
    }
}
