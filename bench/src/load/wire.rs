//! A client's connection that does not block, plain or over TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::{PATIENCE, Protocol, Target};
use crate::certificate;

/// What carries requests of HTTP/1.1.
pub(super) struct Wire {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Wire {
    /// Connects and sends the first request, in as few system calls as that takes: a load generator that makes a
    /// connection for each request works harder than the proxy does. `register` is told of the socket in between.
    ///
    /// Over TLS the request follows the handshake, which goes on as the answers of the proxy are read.
    pub(super) fn open(
        target: &Target,
        protocol: Protocol,
        request: &[u8],
        register: impl FnOnce(&TcpStream) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let stream = connect_nonblocking(target.address)?;
        register(&stream)?;
        let tls = if protocol == Protocol::Http { None } else { Some(Box::new(session(target)?)) };
        let mut wire = Self { stream, tls };
        wire.send_first(request).with_context(|| format!("cannot send on a new connection to {}", target.address))?;
        Ok(wire)
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads once from the socket and gives what of it is for the reader, 0 at the connection's end. Over TLS that
    /// may be nothing yet, which is `WouldBlock` too. The buffer must hold what one read of the socket decrypts to.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.stream.read(buffer);
        };
        // After the announcement that nothing more comes, this is 0 at the next event: the end of the connection.
        if tls.read_tls(&mut self.stream)? == 0 {
            return Ok(0);
        }
        tls.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        flush(tls, &mut self.stream)?;
        match tls.reader().read(buffer) {
            Ok(0) => Err(ErrorKind::WouldBlock.into()),
            outcome => outcome,
        }
    }

    /// Sends a request of which the socket takes all at once, as it does when nothing else is under way.
    pub(super) fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            let sent = self.stream.write(request)?;
            return if sent == request.len() { Ok(()) } else { Err(ErrorKind::WriteZero.into()) };
        };
        tls.writer().write_all(request)?;
        flush(tls, &mut self.stream)
    }

    /// On loopback a connection stands when `connect` comes back, though it says it is in progress; only a full accept
    /// queue makes it wait.
    fn send_first(&mut self, request: &[u8]) -> anyhow::Result<()> {
        let mut sent = self.send(request);
        if sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            let patience = Timespec::try_from(PATIENCE)?;
            poll(&mut [PollFd::new(&self.stream, PollFlags::OUT)], Some(&patience))?;
            sent = match &mut self.tls {
                // It holds the request already.
                Some(tls) => flush(tls, &mut self.stream),
                None => self.send(request),
            };
        }
        Ok(sent?)
    }
}

/// Sends what the session has for the proxy.
fn flush(tls: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(stream)?;
    }
    Ok(())
}

fn session(target: &Target) -> anyhow::Result<ClientConnection> {
    let config = &trust(target)?.http1;
    session_with(config)
}

/// A client's side of a session that is about to begin.
pub(super) fn session_with(config: &Arc<ClientConfig>) -> anyhow::Result<ClientConnection> {
    ClientConnection::new(Arc::clone(config), server_name()?).context("cannot begin a TLS session")
}

/// The name in the certificate.
pub(super) fn server_name() -> anyhow::Result<ServerName<'static>> {
    ServerName::try_from(certificate::NAME).context("the certificate's name is not one")
}

/// What a client over TLS needs.
pub(super) fn trust(target: &Target) -> anyhow::Result<&certificate::Trust> {
    let Some(trust) = &target.trust else {
        bail!("{} is to be asked over TLS, and shows no certificate", target.address);
    };
    Ok(trust)
}

/// A connection that is being made.
pub(crate) fn connect_nonblocking(target: SocketAddr) -> anyhow::Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket =
        net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).context("cannot make a socket")?;
    match net::connect(&socket, &target) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error).with_context(|| format!("cannot connect to {target}")),
    }
}

/// A connection, made within the patience of a client.
pub(crate) fn connect(target: SocketAddr) -> anyhow::Result<TcpStream> {
    TcpStream::connect_timeout(&target, PATIENCE).with_context(|| format!("cannot connect to {target}"))
}
