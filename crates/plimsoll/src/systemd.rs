//! What systemd is told (`sd_notify(3)`), and what it hands over (`sd_listen_fds(3)`). Without it nothing of this is done.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use listenfd::ListenFd;
use plimsoll_proxy::Inherited;
use rustix::time::{ClockId, clock_gettime};

/// More sockets than any unit lists; a larger number is a slip.
const MOST_SOCKETS: usize = 1024;

/// Who is told how the service is: systemd, or whoever else named a socket.
#[derive(Debug)]
pub(crate) struct Notifier(Option<(UnixDatagram, SocketAddr)>);

impl Notifier {
    /// The one that the environment names.
    ///
    /// # Errors
    /// It names something that cannot be written to.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let Some(path) = env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) else { return Ok(Self(None)) };
        let named = || format!("NOTIFY_SOCKET names {}, which is no socket to tell", path.display());
        let address = address(&path).with_context(named)?;
        let socket = UnixDatagram::unbound().context("no socket can be had to tell systemd by")?;
        // Whoever does not read is not waited for.
        socket.set_nonblocking(true).context("no socket can be had to tell systemd by")?;
        Ok(Self(Some((socket, address))))
    }

    /// The service is ready, or ready again.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// It reads its configuration anew.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reloading"));
    }

    /// It finishes what is under way, for as long as `patience` at most.
    pub(crate) fn stopping(&self, patience: Duration) {
        /// For what is to be done beside waiting for requests.
        const SLACK: Duration = Duration::from_secs(10);
        let micros = (patience + SLACK).as_micros();
        self.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={micros}\nSTATUS=stopping: finishing requests"));
    }

    /// Tells as often as systemd wants to hear it that the service lives, as long as `lives` says so. It is asked anew each
    /// time.
    pub(crate) fn watch(
        self: &std::sync::Arc<Self>,
        mut lives: impl FnMut() -> bool + Send + 'static,
    ) -> anyhow::Result<()> {
        let Some(interval) = watchdog_interval().filter(|_| self.0.is_some()) else { return Ok(()) };
        let notifier = std::sync::Arc::clone(self);
        let run = move || {
            loop {
                // A third, so that one that is late for some reason is no reason to be killed.
                thread::sleep(interval / 3);
                if lives() {
                    notifier.tell("WATCHDOG=1");
                }
            }
        };
        thread::Builder::new().name("watchdog".to_owned()).spawn(run).context("a thread cannot be started")?;
        Ok(())
    }

    /// What cannot be told is told no one: a supervisor that is gone is no reason to stop serving.
    fn tell(&self, message: &str) {
        if let Some((socket, address)) = &self.0 {
            let _ = socket.send_to_addr(message.as_bytes(), address);
        }
    }
}

/// The address of a socket in the environment: a path, or behind `@` a name that has no file.
fn address(text: &OsStr) -> io::Result<SocketAddr> {
    match text.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(text),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// How long systemd waits for a sign of life from this process.
fn watchdog_interval() -> Option<Duration> {
    let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
    let for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|micros| *micros > 0 && for_us).map(Duration::from_micros)
}

/// The listening sockets that this process was started with. To be asked once, before anything else opens a descriptor.
///
/// # Errors
/// Something that does not listen is among them.
pub(crate) fn inherited() -> anyhow::Result<Vec<Inherited>> {
    let number = |name: &str| env::var(name).ok()?.parse::<usize>().ok();
    // Those of another process have come here by its environment alone.
    if number("LISTEN_PID") != Some(std::process::id() as usize) {
        return Ok(Vec::new());
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let count = number("LISTEN_FDS").unwrap_or_default();
    ensure!(count <= MOST_SOCKETS, "LISTEN_FDS says {count} sockets; at most {MOST_SOCKETS} are taken");
    let mut sockets = ListenFd::from_env();
    let mut names = names.split(':');
    let mut all = Vec::new();
    for position in 0..sockets.len() {
        let name = names.next().filter(|name| !name.is_empty()).unwrap_or("without a name");
        let wrong = || format!("the socket handed over ({name}) is none that listens for TCP or at a path");
        let socket = match sockets.take_tcp_listener(position) {
            Ok(Some(listener)) => Inherited::tcp(listener),
            Ok(None) => continue,
            Err(_) => sockets
                .take_unix_listener(position)
                .with_context(wrong)?
                .map_or_else(|| Err(io::ErrorKind::NotFound.into()), Inherited::unix),
        };
        all.push(socket.with_context(wrong)?);
    }
    Ok(all)
}
