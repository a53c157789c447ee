//! The proxies under test: where each is found, how it is configured, how it is started and stopped.

mod haproxy;
mod nginx;
mod plimsoll;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;
use rustix::process::Signal;
use serde::Serialize;

use crate::accounting::Pid;
use crate::certificate::{Certificate, Trust};
use crate::load::Target;
use crate::process::{self, Launch, Process};
use crate::{interrupt, load};

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Name {
    Plimsoll,
    Nginx,
    Haproxy,
}

/// What the program must know of a proxy.
trait Proxy: Sync {
    /// The file name of its program.
    fn program(&self) -> &'static str;
    /// The environment variable that points to another build.
    fn variable(&self) -> &'static str;
    /// How to get it.
    fn remedy(&self) -> &'static str;
    /// The argument that makes it tell its version.
    fn version_argument(&self) -> &'static str;
    /// What that program cannot do of what the rules ask for, with its remedy.
    fn lacks(&self, _program: &Path, _rules: Rules<'_>) -> Option<String> {
        None
    }
    /// The text of its configuration file.
    fn configuration(&self, setup: &Setup<'_>) -> anyhow::Result<String>;
    /// How it is started in the foreground with that file.
    fn arguments(&self, configuration: &Path) -> Vec<OsString>;
    /// Where its access log is, in its room.
    fn access_log(&self) -> &'static str {
        ACCESS_LOG
    }
    /// What makes its first process take up the file anew.
    fn reload_signal(&self) -> Signal;
}

/// The access log's file, in the proxy's room.
const ACCESS_LOG: &str = "access.log";

/// Why a peer has no part in what rules cost.
const NO_RULES: &str = "what rules cost is held against Plimsoll without them";

/// What the proxy writes to its standard outputs, in its room.
const OUTPUT: &str = "log";

/// What a configuration depends on.
pub(crate) struct Setup<'a> {
    /// The proxy itself.
    program: &'a Path,
    /// Where the proxy listens, on 127.0.0.1.
    port: u16,
    pool: Pool<'a>,
    /// A directory for what the proxy writes.
    room: &'a Path,
}

/// The servers, and by what rules the proxy deals with them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool<'a> {
    /// Where the servers listen, on 127.0.0.1.
    pub(crate) servers: &'a [u16],
    pub(crate) rules: Rules<'a>,
}

/// What a proxy is told beyond its servers and to send each request where the fewest connections are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rules<'a> {
    /// Nothing: its defaults.
    Plain,
    /// Its defaults, and for Plimsoll probes and retries as well, so that what they cost is in its numbers.
    Watched,
    /// As `Watched`, and clients come over TLS 1.3, with HTTP/2 or HTTP/1.1 as they wish. No session is resumed.
    Secured { certificate: &'a Certificate },
    /// Bytes are passed on whatever they say, and a connection is what is balanced. Plimsoll has probes.
    Tcp,
    /// Timeouts, retries, probes and warm-up as in this text of an example for Plimsoll, and the same in the peers' own
    /// terms.
    Guarded { example: &'a str },
    /// The same, with at most so many requests at a server and a line before them where the proxy has one.
    Queued { example: &'a str, at_a_server: usize },
    /// As `Watched`, with so many routes of which the last is the requests' own.
    Routed { routes: usize },
    /// The same, each client stays with its server by a cookie, and has limits.
    Fronted { routes: usize },
    /// As `Watched`, and the proxy tells of itself at this port of 127.0.0.1.
    Scraped { desk: u16 },
    /// As `Scraped`, and each request is logged as JSON in its access log.
    Logged { desk: u16 },
    /// Its defaults, but for weights of the servers, WebSockets where they must be asked for, the warm-up of servers
    /// that come, which is off, and the port at which the proxy tells of itself.
    Changed { desk: u16, weights: &'a [u16] },
}

impl Name {
    /// All of them, in the order of a round.
    pub(crate) const ALL: [Self; 3] = [Self::Plimsoll, Self::Nginx, Self::Haproxy];

    /// As the tables call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Plimsoll => "Plimsoll",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
        }
    }

    fn proxy(self) -> &'static dyn Proxy {
        match self {
            Self::Plimsoll => &plimsoll::Plimsoll,
            Self::Nginx => &nginx::Nginx,
            Self::Haproxy => &haproxy::Haproxy,
        }
    }
}

/// A proxy found on this machine.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Installed {
    pub(crate) name: Name,
    pub(crate) program: PathBuf,
    pub(crate) version: String,
}

impl Installed {
    /// The proxies to measure, always in the same order; those that are missing are named and left out.
    pub(crate) fn all(wanted: &[Name]) -> anyhow::Result<Vec<Self>> {
        let is_wanted = |name: &Name| wanted.is_empty() || wanted.contains(name);
        let mut found = Vec::new();
        for name in Name::ALL.into_iter().filter(is_wanted) {
            match Self::find(name) {
                Ok(proxy) => found.push(proxy),
                Err(error) => eprintln!("left out: {error:#}"),
            }
        }
        if found.is_empty() {
            bail!("there is no proxy to measure");
        }
        Ok(found)
    }

    /// What this build cannot do of what the rules ask for, with its remedy.
    pub(crate) fn lacks(&self, rules: Rules<'_>) -> Option<String> {
        self.name.proxy().lacks(&self.program, rules)
    }

    /// Looks for it; an error says what to do to have it.
    pub(crate) fn find(name: Name) -> anyhow::Result<Self> {
        let proxy = name.proxy();
        let program = locate(proxy).with_context(|| {
            let (title, remedy, variable) = (name.title(), proxy.remedy(), proxy.variable());
            format!("{title} is missing: {remedy}, or set {variable} to its program")
        })?;
        let output = Command::new(&program)
            .arg(proxy.version_argument())
            .output()
            .with_context(|| format!("cannot run {}", program.display()))?;
        // nginx tells its version on stderr.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let said = text.lines().next().filter(|_| output.status.success());
        let version = said.unwrap_or("unknown version").trim().to_owned();
        Ok(Self { name, program, version })
    }
}

/// By its variable, beside this program, or in the places for programs.
fn locate(proxy: &dyn Proxy) -> Option<PathBuf> {
    let is_file = |path: &PathBuf| path.is_file();
    if let Some(path) = env::var_os(proxy.variable()) {
        return Some(PathBuf::from(path)).filter(is_file);
    }
    let beside = env::current_exe().ok()?.parent()?.to_path_buf();
    let listed = env::var_os("PATH").unwrap_or_default();
    // Debian keeps both peers in sbin, which an ordinary user's PATH leaves out.
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::iter::once(beside)
        .chain(env::split_paths(&listed))
        .chain(system)
        .map(|directory| directory.join(proxy.program()))
        .find(is_file)
}

/// A proxy that answers.
pub(crate) struct Running {
    process: Process,
    target: Target,
    program: PathBuf,
    proxy: &'static dyn Proxy,
    room: PathBuf,
}

/// How long a proxy has from its start to its first answer.
const START: Duration = Duration::from_secs(10);

impl Running {
    /// Writes its configuration into `room`, starts it on `core` in front of that pool, and waits until it
    /// forwards a request.
    pub(crate) fn start(installed: &Installed, pool: Pool<'_>, core: usize, room: &Path) -> anyhow::Result<Self> {
        let (name, proxy) = (installed.name, installed.name.proxy());
        let port = free_port()?;
        let configuration = write_configuration(proxy, &Setup { program: &installed.program, port, pool, room })?;
        let process = Process::start(&Launch {
            name: name.title(),
            program: &installed.program,
            arguments: &proxy.arguments(&configuration),
            core,
            log: room.join(OUTPUT),
            read_stdout: false,
            write_stdin: false,
        })?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let target = Target { address, trust: pool.rules.trust().cloned() };
        let mut running = Self { process, target, program: installed.program.clone(), proxy, room: room.to_path_buf() };
        running.wait_until_ready()?;
        Ok(running)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.target.address
    }

    /// The same, with what clients need to go there.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The process whose tree is to be measured.
    pub(crate) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Where its access log is when it has one.
    pub(crate) fn access_log(&self) -> PathBuf {
        self.room.join(self.proxy.access_log())
    }

    /// Replaces its configuration, which it takes up when it is told to.
    pub(crate) fn reconfigure(&self, pool: Pool<'_>) -> anyhow::Result<()> {
        let setup = Setup { program: &self.program, port: self.address().port(), pool, room: &self.room };
        write_configuration(self.proxy, &setup).map(drop)
    }

    /// Tells it to take up its configuration, as its own command for that does.
    pub(crate) fn reload(&self) {
        process::signal(self.pid(), self.proxy.reload_signal());
    }

    /// An error when it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.process.check()
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            interrupt::check()?;
            self.check()?;
            match load::ask_once(&self.target, 128) {
                Ok(()) => return Ok(()),
                Err(error) if start.elapsed() > START => {
                    let words = self.process.last_words();
                    return Err(error).context(format!("not ready within {START:?}; its log:\n{words}"));
                }
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// Writes the file in one step, so that a proxy never reads half of it.
fn write_configuration(proxy: &dyn Proxy, setup: &Setup<'_>) -> anyhow::Result<PathBuf> {
    let configuration = setup.room.join("configuration");
    let new = setup.room.join("configuration.new");
    fs::write(&new, proxy.configuration(setup)?)
        .and_then(|()| fs::rename(&new, &configuration))
        .with_context(|| format!("cannot write {}", configuration.display()))?;
    Ok(configuration)
}

/// A port that was free a moment ago. The proxies cannot be given port 0 and asked for what they got, so another
/// program might take it first; the proxy then does not start and says so.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Lines of configuration, one a server.
fn server_lines(servers: &[u16], line: impl Fn(usize, u16) -> String) -> String {
    let numbered = servers.iter().enumerate();
    numbered.map(|(index, port)| line(index, *port)).collect::<Vec<_>>().join("\n")
}

impl Rules<'_> {
    /// By what clients know the proxy, if they come over TLS.
    fn trust(&self) -> Option<&Trust> {
        match self {
            Self::Secured { certificate } => Some(certificate.trust()),
            _ => None,
        }
    }

    /// The weight of the server at that place.
    fn weight(&self, server: usize) -> u16 {
        match self {
            Self::Changed { weights, .. } => weights.get(server).copied().unwrap_or(1),
            _ => 1,
        }
    }
}
