//! Servers that fare badly: that cannot be reached, die and come back, or fail one request and serve the next.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::{Domain, Socket, Type};

use super::server::Script;
use super::{Server, Talk};

/// An address at which connections are refused, as long as the socket is held: nobody else can be given its port.
pub(crate) fn nobody() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// `COUNT` servers: the first connection to any of them meets `first`, all later ones meet `then`.
pub(crate) fn in_turn<const COUNT: usize>(
    first: impl Fn(&mut Talk) + Send + Sync + 'static,
    then: impl Fn(&mut Talk) + Send + Sync + 'static,
) -> [Server; COUNT] {
    let connections = AtomicUsize::new(0);
    let script: Arc<Script> =
        Arc::new(
            move |talk: &mut Talk| {
                if connections.fetch_add(1, Ordering::SeqCst) == 0 { first(talk) } else { then(talk) }
            },
        );
    [(); COUNT].map(|()| {
        let script = Arc::clone(&script);
        Server::start(move |talk| script(talk))
    })
}

/// A server that can be killed and started again at its address.
pub(crate) struct Mortal {
    /// Bound and not listening: nobody else is given the port while the server is dead.
    _held: Socket,
    address: SocketAddr,
    script: Arc<Script>,
    alive: Option<Server>,
    served: usize,
}

impl Mortal {
    pub(crate) fn start(script: impl Fn(&mut Talk) + Send + Sync + 'static) -> Self {
        let held = reusing(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = held.local_addr().unwrap().as_socket().unwrap();
        let mut mortal = Self { _held: held, address, script: Arc::new(script), alive: None, served: 0 };
        mortal.restart();
        mortal
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses connections from now on, and breaks off all there are.
    pub(crate) fn kill(&mut self) {
        self.served = self.count();
        self.alive = None;
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        self.alive = Some(Server::listen(reusing(self.address), Arc::clone(&self.script)));
    }

    /// The whole requests read in all its lives.
    pub(crate) fn count(&self) -> usize {
        self.served + self.alive.as_ref().map_or(0, Server::count)
    }
}

/// A socket bound to `address`, beside others bound to it that do not listen.
fn reusing(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}
