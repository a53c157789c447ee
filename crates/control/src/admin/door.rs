//! One place where the admin API is served: an address or a Unix socket, bound and open until it is dropped.

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, flock};
use socket2::{Domain, SockAddr, Socket, Type};

/// Where a door is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An address; port 0 leaves the port to the system.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// A bound door.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) place: Place,
    pub(super) listener: Listener,
    /// What it was given for its place.
    pub(super) bound: Place,
}

#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// Goes with it.
        _file: SocketFile,
    },
}

/// A socket that is ours in the file system; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: what stands there later may be another's.
    identity: (u64, u64),
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

impl Door {
    /// Opens it.
    ///
    /// # Errors
    /// Why it cannot be opened, in a sentence for the user.
    pub(super) fn open(place: Place) -> Result<Self, String> {
        let opened = match &place {
            Place::Tcp(address) => tcp(*address),
            Place::Unix(path) => unix(path),
        };
        match opened {
            Ok((listener, bound)) => Ok(Self { place, listener, bound }),
            Err(error) => Err(format!("the admin API cannot be served at {place}: {error}")),
        }
    }

    /// Whether only this machine reaches it.
    pub(super) fn is_local(&self) -> bool {
        match &self.bound {
            Place::Tcp(address) => address.ip().is_loopback(),
            Place::Unix(_) => true,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<(Listener, Place)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // `[::]` is every address, whatever the system's default.
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for connections that linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let bound = Place::Tcp(listener.local_addr()?);
    Ok((Listener::Tcp(listener), bound))
}

/// Binds a socket that only this user (and root) may open, in place of one that was left behind.
fn unix(path: &Path) -> io::Result<(Listener, Place)> {
    // Who looks whether a socket is stale and then replaces it must not be overtaken by another who does the same.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::File::open(folder)?;
    flock(&folder, FlockOperation::LockExclusive)?;
    clear(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Linux makes the file with the mode of the socket, so that there is no moment in which others may open it.
    let only_mine = Mode::RUSR | Mode::WUSR;
    rustix::fs::fchmod(&socket, only_mine)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let about = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.to_owned(), identity: (about.dev(), about.ino()) };
    // Other systems make it as the umask says.
    fs::set_permissions(path, fs::Permissions::from_mode(only_mine.bits()))?;
    socket.listen(BACKLOG)?;
    let listener = Listener::Unix { listener: UnixListener::from(socket), _file: file };
    Ok((listener, Place::Unix(path.to_owned())))
}

/// Removes a socket on which nobody listens. Whatever else is there stays, and is an error.
fn clear(path: &Path) -> io::Result<()> {
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !about.file_type().is_socket() {
        return Err(io::Error::other("something that is no socket is there; remove it, or choose another path"));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::other("somebody serves there already; stop them, or choose another path")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|about| (about.dev(), about.ino()) == self.identity);
        if ours {
            // One that cannot be removed is found stale at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}
