//! What lines are written to: a stream, a file that may be moved away, or a syslog daemon.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use plimsoll_config::LogTarget;
use rustix::fs::OFlags;

use super::stamp;

/// An open one.
#[derive(Debug)]
pub(super) enum Sink {
    Stdout,
    Stderr,
    File { path: PathBuf, file: File },
    Syslog { daemon: Daemon, head: Head },
}

/// What became of lines that could not all be written.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) source: io::Error,
    /// Whole lines that were written before.
    pub(super) lines: u64,
    /// Something was written.
    pub(super) wrote: bool,
    /// What was written ends within a line.
    pub(super) torn: bool,
}

/// A file is the owner's to write and the group's to read: it tells who asked for what.
const MODE: u32 = 0o640;

impl Sink {
    pub(super) fn open(to: &LogTarget) -> io::Result<Self> {
        Ok(match to {
            LogTarget::Stdout => Self::Stdout,
            LogTarget::Stderr => Self::Stderr,
            LogTarget::File(path) => Self::File { path: path.clone(), file: open_file(path)? },
            LogTarget::SyslogSocket(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Self::Syslog { daemon: Daemon::Local { path: path.clone(), socket }, head: Head::new() }
            }
            LogTarget::SyslogUdp(address) => {
                let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
                socket.connect(address)?;
                Self::Syslog { daemon: Daemon::Network(socket), head: Head::new() }
            }
        })
    }

    /// Writes whole lines, each with its line end.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Failed> {
        match self {
            // Not through the standard library's buffers: a line that waits there is lost with the process.
            Self::Stdout => write_all(lines, |bytes| Ok(rustix::io::write(io::stdout(), bytes)?)),
            Self::Stderr => write_all(lines, |bytes| Ok(rustix::io::write(io::stderr(), bytes)?)),
            Self::File { file, .. } => write_all(lines, |bytes| file.write(bytes)),
            Self::Syslog { daemon, head } => send_all(lines, daemon, head),
        }
    }

    /// Whether the file is not the one at its path any more.
    pub(super) fn was_moved(&self) -> bool {
        let Self::File { path, file } = self else { return false };
        let Ok(ours) = file.metadata() else { return true };
        std::fs::metadata(path).map_or(true, |there| (there.dev(), there.ino()) != (ours.dev(), ours.ino()))
    }

    /// Opens the file at the path anew; the old one stays when that fails. Other sinks have nothing to open.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { path, file } = self {
            *file = open_file(path)?;
        }
        Ok(())
    }
}

/// Opens a file to write at its end. A named pipe that nobody reads is an error rather than a wait.
fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(flags).open(path)?;
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

fn write_all(lines: &[u8], mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> Result<(), Failed> {
    let mut done = 0;
    while done < lines.len() {
        let source = match write(&lines[done..]) {
            Ok(0) => ErrorKind::WriteZero.into(),
            Ok(count) => {
                done += count;
                continue;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        let written = &lines[..done];
        let whole = memchr::memchr_iter(b'\n', written).count() as u64;
        return Err(Failed {
            source,
            lines: whole,
            wrote: done > 0,
            torn: written.last().is_some_and(|last| *last != b'\n'),
        });
    }
    Ok(())
}

/// A syslog daemon.
#[derive(Debug)]
pub(super) enum Daemon {
    Local { path: PathBuf, socket: UnixDatagram },
    Network(UdpSocket),
}

impl Daemon {
    fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Network(socket) => socket.send(message).map(drop),
            // A daemon that was started again has another socket.
            Self::Local { path, socket } => socket.send(message).map(drop).or_else(|error| match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::NotConnected | ErrorKind::ConnectionReset => {
                    socket.connect(path)?;
                    socket.send(message).map(drop)
                }
                _ => Err(error),
            }),
        }
    }
}

/// The head of a message (RFC 5424, section 6.2) around its time.
#[derive(Debug)]
pub(super) struct Head {
    /// From the host's name on.
    who: Vec<u8>,
    message: Vec<u8>,
}

/// Facility local7 and severity informational, 23 * 8 + 6, as nginx has it.
const PRIORITY_AND_VERSION: &[u8] = b"<190>1 ";

impl Head {
    fn new() -> Self {
        let uname = rustix::system::uname();
        let host: String =
            uname.nodename().to_string_lossy().chars().filter(char::is_ascii_graphic).take(255).collect();
        let host = if host.is_empty() { "-" } else { &host };
        let who = format!(" {host} plimsoll {} access - ", std::process::id()).into_bytes();
        Self { who, message: Vec::new() }
    }
}

/// Sends each line as a message of its own.
fn send_all(lines: &[u8], daemon: &Daemon, head: &mut Head) -> Result<(), Failed> {
    let (time, mut sent) = (stamp::now(), 0);
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Head { who, message } = &mut *head;
        message.clear();
        for part in [PRIORITY_AND_VERSION, &time, who, line] {
            message.extend_from_slice(part);
        }
        daemon.send(message).map_err(|source| Failed { source, lines: sent, wrote: false, torn: false })?;
        sent += 1;
    }
    Ok(())
}
