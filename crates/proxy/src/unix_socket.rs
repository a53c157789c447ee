//! Listening Unix sockets and their files.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, flock};
use socket2::{Domain, SockAddr, Socket, Type};

/// Everyone on this machine may connect, as with a port; the folder of the socket says who can reach it.
const FOR_ALL: u32 = 0o666;

/// The file of a socket of ours; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode: what stands there later may be another's.
    identity: (u64, u64),
}

/// Listens at `path`, in place of a socket that was left behind. All `count` sockets are one, and the kernel hands each
/// connection to whoever accepts first; it holds `backlog` of them ready.
///
/// # Errors
/// `AddrInUse` when somebody listens there, `AlreadyExists` when something else is there, else what the system says.
pub(crate) fn bind(path: &Path, count: usize, backlog: i32) -> io::Result<(Vec<UnixListener>, SocketFile)> {
    // Who looks whether a socket is stale and then replaces it must not be overtaken by another who does the same.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::File::open(folder)?;
    flock(&folder, FlockOperation::LockExclusive)?;
    clear(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Linux makes the file with the mode of the socket, less what the umask takes away.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(FOR_ALL))?;
    socket.bind(&SockAddr::unix(path)?)?;
    let about = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.to_owned(), identity: (about.dev(), about.ino()) };
    fs::set_permissions(path, fs::Permissions::from_mode(FOR_ALL))?;
    socket.listen(backlog)?;
    let first = UnixListener::from(socket);
    let mut all = (1..count).map(|_| first.try_clone()).collect::<io::Result<Vec<_>>>()?;
    all.push(first);
    Ok((all, file))
}

/// Removes a socket on which nobody listens. Whatever else is there stays, and is an error.
fn clear(path: &Path) -> io::Result<()> {
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !about.file_type().is_socket() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let caller = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    caller.set_nonblocking(true)?;
    match caller.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // So many wait there that no more can.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => Err(error),
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A folder of the system's temporary one that is gone after the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("plimsoll-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // The test has failed already if it cannot be removed.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn refused(path: &Path) -> io::ErrorKind {
        bind(path, 1, 8).map(|_| ()).unwrap_err().kind()
    }

    #[test]
    fn the_file_goes_with_the_socket_but_never_anothers() {
        let folder = Folder::new("gone");
        let path = folder.0.join("web.sock");
        let (sockets, file) = bind(&path, 3, 8).unwrap();
        assert_eq!(sockets.len(), 3);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, FOR_ALL);
        drop((sockets, file));
        assert!(!path.exists());
        let (_sockets, file) = bind(&path, 1, 8).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn what_was_left_behind_is_replaced_and_nothing_else() {
        let folder = Folder::new("left");
        let path = folder.0.join("web.sock");
        drop(UnixListener::bind(&path).unwrap());
        let (_sockets, _file) = bind(&path, 1, 8).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        assert_eq!(refused(&path), io::ErrorKind::AddrInUse);
        let text = folder.0.join("text");
        fs::write(&text, "kept").unwrap();
        assert_eq!(refused(&text), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&text).unwrap(), "kept");
        assert_eq!(refused(&folder.0.join("nowhere/web.sock")), io::ErrorKind::NotFound);
    }

    #[test]
    fn one_that_is_too_busy_to_answer_is_not_taken_for_one_left_behind() {
        let folder = Folder::new("busy");
        let path = folder.0.join("web.sock");
        let busy = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        busy.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        busy.listen(0).unwrap();
        let mut callers = Vec::new();
        loop {
            let caller = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            caller.set_nonblocking(true).unwrap();
            if caller.connect(&SockAddr::unix(&path).unwrap()).is_err() {
                break;
            }
            callers.push(caller);
        }
        assert_eq!(refused(&path), io::ErrorKind::AddrInUse);
        assert!(path.exists());
    }
}
