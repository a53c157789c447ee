//! Where connections come in: a listening socket of either kind.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::peer::Peer;
use crate::sockets::Socket;
use crate::wire::Wire;

/// A client that has been accepted.
pub(crate) type Client = (Wire, Peer);

/// A listening socket in a runtime.
pub(crate) enum Door {
    /// With its own address, which every connection would otherwise have to be asked for.
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener),
}

impl Door {
    /// Lets the runtime watch `socket`.
    pub(crate) fn open(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(listener) => {
                let local = listener.local_addr()?;
                Self::Tcp(TcpListener::from_std(listener)?, local)
            }
            Socket::Unix(listener) => Self::Unix(UnixListener::from_std(listener)?),
        })
    }

    /// Waits for a connection.
    pub(crate) async fn accept(&self) -> io::Result<Client> {
        Ok(match self {
            Self::Tcp(listener, local) => {
                let (stream, address) = listener.accept().await?;
                (Wire::Tcp(stream), tcp_peer(address, *local))
            }
            Self::Unix(listener) => (Wire::Unix(listener.accept().await?.0), Peer::default()),
        })
    }

    /// Asks the kernel itself for a connection from now on.
    pub(crate) fn into_queue(self) -> io::Result<Queue> {
        Ok(match self {
            Self::Tcp(listener, local) => Queue::Tcp(listener.into_std()?, local),
            Self::Unix(listener) => Queue::Unix(listener.into_std()?),
        })
    }
}

/// The kernel's queue of connections that wait to be accepted.
pub(crate) enum Queue {
    Tcp(std::net::TcpListener, SocketAddr),
    Unix(std::os::unix::net::UnixListener),
}

impl Queue {
    /// The next one, if there is any.
    pub(crate) fn accept(&self) -> io::Result<Client> {
        Ok(match self {
            Self::Tcp(listener, local) => {
                let (stream, address) = listener.accept()?;
                stream.set_nonblocking(true)?;
                (Wire::Tcp(TcpStream::from_std(stream)?), tcp_peer(address, *local))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                (Wire::Unix(UnixStream::from_std(stream)?), Peer::default())
            }
        })
    }
}

fn tcp_peer(address: SocketAddr, local: SocketAddr) -> Peer {
    Peer { address: Some(address), local: Some(local), tls: None }
}
