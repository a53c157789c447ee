//! Listening sockets: one for each worker, told by the address as configured, and kept through every change that still
//! wants it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use plimsoll_config::{Bind, Config, Listener};
use socket2::{Domain, Protocol, Socket as NewSocket, Type};

use crate::start_error::StartError;
use crate::unix_socket::{self, SocketFile};

/// Connections the kernel holds ready for a worker that is busy.
pub(crate) const BACKLOG: i32 = 4096;

/// A place where connections come in, told from any other that ever was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PlaceId(pub(crate) u64);

/// One address that is listened on.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    pub(crate) place: PlaceId,
    pub(crate) listener: String,
    pub(crate) configured: Bind,
    /// The same with the port that the system chose, if it was left to it.
    pub(crate) local: Bind,
    /// That of a Unix socket, which goes once nobody listens there any more.
    pub(crate) file: Option<Arc<SocketFile>>,
}

/// The sockets of one address, one for each worker, that listen but are not accepted from yet.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) configured: Bind,
    pub(crate) local: Bind,
    pub(crate) sockets: Vec<Socket>,
    /// That of a Unix socket.
    pub(crate) file: Option<Arc<SocketFile>>,
}

/// A socket that listens.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A listening socket that this process was started with.
#[derive(Debug)]
pub struct Inherited {
    socket: Socket,
    local: Bind,
}

impl Inherited {
    /// A socket of TCP.
    pub fn tcp(listener: TcpListener) -> io::Result<Self> {
        let local = Bind::Ip(listener.local_addr()?);
        Ok(Self { socket: Socket::Tcp(listener), local })
    }

    /// A Unix socket.
    pub fn unix(listener: UnixListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let path = address.as_pathname().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let local = Bind::Unix(path.to_owned());
        Ok(Self { socket: Socket::Unix(listener), local })
    }

    /// The same as bound for `count` workers, who share it. Its file is not ours to remove.
    pub(crate) fn bound(self, config: &Config, count: usize) -> Result<Bound, StartError> {
        let Self { socket, local } = self;
        let mut binds = config.listeners.iter().flat_map(|listener| &listener.binds);
        let Some(configured) = binds.find(|bind| **bind == local).cloned() else {
            return Err(StartError::Inherited { address: local });
        };
        let failed = |source| StartError::Worker(source);
        let sockets = socket.for_each(count).map_err(failed)?;
        Ok(Bound { configured, local, sockets, file: None })
    }
}

impl Socket {
    /// The same socket for so many workers: the kernel hands each connection to whoever accepts first.
    fn for_each(self, count: usize) -> io::Result<Vec<Self>> {
        match self {
            Self::Tcp(listener) => {
                let socket = NewSocket::from(listener);
                // Whoever made it may have thought of a program that accepts at once.
                let listener = listen(socket)?;
                (0..count).map(|_| listener.try_clone().map(Self::Tcp)).collect()
            }
            Self::Unix(listener) => {
                let socket = NewSocket::from(listener);
                socket.set_nonblocking(true)?;
                socket.listen(BACKLOG)?;
                let listener = UnixListener::from(socket);
                (0..count).map(|_| listener.try_clone().map(Self::Unix)).collect()
            }
        }
    }
}

/// One address that a configuration wants.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) listener: &'a Listener,
    pub(crate) configured: &'a Bind,
    /// What listens there already.
    pub(crate) kept: Option<&'a Listening>,
}

/// The addresses that `config` wants, listener by listener, each with what goes on for it of what is `listening` now.
///
/// The same address goes on whatever its listener is called, with port 0 preferably for the same one. A port that the
/// system once chose may also be named.
pub(crate) fn wanted<'a>(config: &'a Config, listening: &'a [Listening]) -> Vec<Wanted<'a>> {
    let binds = config.listeners.iter().flat_map(|listener| listener.binds.iter().map(move |bind| (listener, bind)));
    let mut all: Vec<_> = binds.map(|(listener, configured)| Wanted { listener, configured, kept: None }).collect();
    let mut left: Vec<_> = listening.iter().collect();
    let same: [fn(&Listening, &Wanted<'_>) -> bool; 3] = [
        |known, wanted| known.configured == *wanted.configured && known.listener == wanted.listener.name,
        |known, wanted| known.configured == *wanted.configured,
        |known, wanted| known.local == *wanted.configured,
    ];
    for same in same {
        for wanted in all.iter_mut().filter(|wanted| wanted.kept.is_none()) {
            let found = left.iter().position(|known| same(known, wanted));
            wanted.kept = found.map(|position| left.swap_remove(position));
        }
    }
    all
}

/// Whether one of these, which go, holds a part of `address`: then the two are bound side by side for a moment.
pub(crate) fn gives_way<'a>(address: &Bind, mut going: impl Iterator<Item = &'a Listening>) -> bool {
    going.any(|known| match (&known.local, address) {
        (Bind::Ip(known), Bind::Ip(wanted)) => {
            known.port() == wanted.port() && known.ip().is_unspecified() != wanted.ip().is_unspecified()
        }
        _ => false,
    })
}

/// Binds `count` sockets to `address`, among which the kernel shares out connections. Port 0 becomes the same free port
/// for all. With `beside` the address overlaps with one of our own.
pub(crate) fn bind(configured: &Bind, count: usize, beside: bool) -> io::Result<Bound> {
    let (local, sockets, file) = match configured {
        Bind::Ip(address) => {
            let (local, sockets) = bind_ip(*address, count, beside)?;
            (Bind::Ip(local), sockets.into_iter().map(Socket::Tcp).collect(), None)
        }
        Bind::Unix(path) => {
            let (sockets, file) = unix_socket::bind(path, count, BACKLOG)?;
            (configured.clone(), sockets.into_iter().map(Socket::Unix).collect(), Some(Arc::new(file)))
        }
    };
    Ok(Bound { configured: configured.clone(), local, sockets, file })
}

fn bind_ip(configured: SocketAddr, count: usize, beside: bool) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let mut local = configured;
    if !beside {
        // Without this a second balancer would silently share the port of the first: SO_REUSEPORT asks no more
        // than that both belong to the same user.
        let alone = socket(configured, false)?;
        local = alone.local_addr()?.as_socket().unwrap_or(configured);
    }
    let sockets = (0..count).map(|_| socket(local, true).and_then(listen)).collect::<io::Result<_>>()?;
    Ok((local, sockets))
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<NewSocket> {
    let socket = NewSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
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

fn listen(socket: NewSocket) -> io::Result<TcpListener> {
    // Accepted connections inherit it, which saves a call for each.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Bind {
        Bind::Ip(address.parse().unwrap())
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_even_between_balancers() {
        let first = bind(&at("127.0.0.1:0"), 3, false).unwrap();
        let local = |socket: &Socket| match socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        };
        assert!(first.sockets.iter().all(|socket| local(socket) == first.local.ip()));
        assert_eq!(bind(&first.local, 2, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_address_goes_on_with_its_listener_or_with_another_and_each_but_once() {
        let config = |listeners: &str| {
            let text = format!("{listeners}\n[pool.app]\nservers = ['127.0.0.1:1']\n");
            plimsoll_config::parse("test", &text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
        };
        let listening = [("a", "127.0.0.1:0", 40001), ("b", "127.0.0.1:0", 40002), ("c", "127.0.0.1:80", 80)];
        let listening: Vec<_> = (0..)
            .zip(listening)
            .map(|(number, (listener, configured, port))| Listening {
                place: PlaceId(number),
                listener: listener.to_owned(),
                configured: at(configured),
                local: Bind::Ip(SocketAddr::new(at(configured).ip().unwrap().ip(), port)),
                file: None,
            })
            .collect();
        let kept = |listeners: &str| -> Vec<_> {
            wanted(&config(listeners), &listening).iter().map(|wanted| wanted.kept.map(|kept| kept.place.0)).collect()
        };
        let of = |name: &str, bind: &str| format!("[listen.{name}]\nbind = {bind}\npool = 'app'\n");
        assert_eq!(kept(&(of("b", "'127.0.0.1:0'") + &of("d", "'127.0.0.1:80'"))), [Some(1), Some(2)]);
        assert_eq!(kept(&of("e", "['127.0.0.1:40002', '127.0.0.1:81', '0.0.0.0:80']")), [Some(1), None, None]);
        assert!(gives_way(&at("0.0.0.0:80"), listening.iter()) && !gives_way(&at("127.0.0.2:80"), listening.iter()));
    }
}
