//! Listening sockets: bound once for each worker, accepted from in a loop that waits rather than fails.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::serve;
use crate::service::Service;
use crate::worker::Worker;

/// Connections the kernel holds ready for a worker that is busy.
const BACKLOG: i32 = 4096;

/// How long accepting rests when the process has no descriptor or memory left for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// A bound socket of one worker and what is served on it.
pub(crate) struct Bound {
    pub(crate) socket: StdListener,
    pub(crate) service: Arc<Service>,
}

/// Binds `count` sockets to `address`, among which the kernel shares out connections.
///
/// Port 0 becomes the same free port for all.
pub(crate) fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<StdListener>> {
    // Without this a second balancer would silently share the port of the first: SO_REUSEPORT asks no more
    // than that both belong to the same user.
    let alone = socket(address, false)?;
    let address = alone.local_addr()?.as_socket().unwrap_or(address);
    drop(alone);
    (0..count).map(|_| socket(address, true).and_then(listen)).collect()
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    if !shared {
        // Two sockets may be bound to one address with SO_REUSEADDR, but only one may listen.
        socket.listen(1)?;
    }
    Ok(socket)
}

fn listen(socket: Socket) -> io::Result<StdListener> {
    // Accepted connections inherit it, which saves a call for each.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves connections of `bound` until `stop` is set; then what the kernel has already accepted, and no more.
pub(crate) fn accept(
    bound: Bound,
    worker: Rc<Worker>,
    mut stop: watch::Receiver<Option<Duration>>,
) -> io::Result<impl Future<Output = ()>> {
    let listener = TcpListener::from_std(bound.socket)?;
    let place = Rc::new(Place { port: listener.local_addr()?.port(), service: bound.service, worker });
    Ok(async move {
        let mut waiting = None;
        {
            let stopped = stop.wait_for(Option::is_some);
            tokio::pin!(stopped);
            loop {
                tokio::select! {
                    biased;
                    _ = &mut stopped => break,
                    Some((client, room)) = accept_one(&listener, &place.service.room, &mut waiting) => {
                        let connection = place.connection(client, room);
                        tokio::task::spawn_local(serve::serve(connection));
                    }
                }
            }
        }
        if let Some(client) = waiting {
            serve_when_there_is_room(client, &place);
        }
        accept_waiting(listener, &place);
    })
}

/// Serves what waits in the kernel's queue when the stop comes. The queue itself is asked: the runtime hears of a
/// connection only when it next looks at events, and the socket would be closed before that.
fn accept_waiting(listener: TcpListener, place: &Rc<Place>) {
    let Ok(listener) = listener.into_std() else { return };
    // No more than the queue holds, or a flood of new ones would keep us here.
    for _ in 0..BACKLOG {
        match listener.accept() {
            Ok((stream, address)) => {
                let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                if let Ok(stream) = stream {
                    serve_when_there_is_room((stream, address), place);
                }
            }
            Err(error) if is_connection_error(&error) => {}
            Err(_) => return,
        }
    }
}

type Client = (TcpStream, SocketAddr);

/// Waits for a connection, then for room to serve it; those behind it stay with the kernel meanwhile.
///
/// In this order, because the room is for all workers: one that waited for a client with room in its hands would
/// keep it from the clients of another. A client that waits for room stays in `waiting` when this is cancelled.
async fn accept_one(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    waiting: &mut Option<Client>,
) -> Option<(Client, OwnedSemaphorePermit)> {
    while waiting.is_none() {
        match listener.accept().await {
            Ok(client) => *waiting = Some(client),
            Err(error) if is_connection_error(&error) => {}
            Err(_) => tokio::time::sleep(EXHAUSTED_PAUSE).await,
        }
    }
    let room = Arc::clone(room).acquire_owned().await.ok()?;
    Some((waiting.take()?, room))
}

/// For the time of a stop, when nothing is accepted any more: a client that was is served if others make room for it
/// while they are waited for. It counts from now on, so that the stop waits for it too.
fn serve_when_there_is_room(client: Client, place: &Rc<Place>) {
    let (place, count) = (Rc::clone(place), place.worker.client());
    tokio::task::spawn_local(async move {
        if let Ok(room) = Arc::clone(&place.service.room).acquire_owned().await {
            let connection = place.connection(client, room);
            drop(count);
            serve::serve(connection).await;
        }
    });
}

/// The client gave up before it was accepted; the next one may be fine.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// What the connections of one socket have in common.
struct Place {
    port: u16,
    service: Arc<Service>,
    worker: Rc<Worker>,
}

impl Place {
    fn connection(&self, (stream, address): Client, room: OwnedSemaphorePermit) -> serve::Connection {
        serve::Connection {
            stream,
            address,
            port: self.port,
            deadline: self.worker.timers.deadline(),
            service: Arc::clone(&self.service),
            count: self.worker.client(),
            worker: Rc::clone(&self.worker),
            room,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_an_error_even_between_balancers() {
        let first = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = first[0].local_addr().unwrap();
        assert!(first.iter().all(|socket| socket.local_addr().unwrap() == address));
        assert_eq!(bind(address, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
