//! The program under test.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use super::{Client, until};

/// A configuration text in the making: one listener, one pool, and what else a test adds.
#[derive(Clone, Default)]
pub(crate) struct Config {
    workers: Option<usize>,
    top: String,
    listen: String,
    pool: String,
    servers: Vec<String>,
    more: String,
    only_routes: bool,
}

impl Config {
    /// One worker in front of these servers. One, so that idle server connections are shared by all clients.
    pub(crate) fn to(servers: &[SocketAddr]) -> Self {
        let servers = servers.iter().map(|address| format!("\"{address}\"")).collect();
        Self { workers: Some(1), servers, ..Self::default() }
    }

    pub(crate) fn workers(mut self, count: usize) -> Self {
        self.workers = Some(count);
        self
    }

    /// Adds a line to the top of the file.
    pub(crate) fn top(mut self, line: &str) -> Self {
        self.top.push_str(line);
        self.top.push('\n');
        self
    }

    /// Adds a line to the listener.
    pub(crate) fn listen(mut self, line: &str) -> Self {
        self.listen.push_str(line);
        self.listen.push('\n');
        self
    }

    /// Adds a line to the pool.
    pub(crate) fn pool(mut self, line: &str) -> Self {
        self.pool.push_str(line);
        self.pool.push('\n');
        self
    }

    /// Adds a server with settings, such as `weight = 2`.
    pub(crate) fn server(mut self, address: SocketAddr, settings: &str) -> Self {
        self.servers.push(format!("{{ address = \"{address}\", {settings} }}"));
        self
    }

    /// Adds another pool with these settings, its servers among them.
    pub(crate) fn another_pool(mut self, name: &str, lines: &str) -> Self {
        let _ = writeln!(self.more, "[pool.{name}]\n{lines}");
        self
    }

    /// Requests that no route is for have no pool.
    pub(crate) fn only_routes(self) -> Self {
        Self { only_routes: true, ..self }
    }

    /// Adds a limit for each client with these settings.
    pub(crate) fn limit(mut self, name: &str, lines: &str) -> Self {
        let _ = writeln!(self.more, "[limit.{name}]\n{lines}");
        self
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Some(workers) = self.workers {
            let _ = writeln!(text, "workers = {workers}");
        }
        let _ = write!(
            text,
            "{}[listen.web]\nbind = \"127.0.0.1:0\"\n{}{}\n[pool.app]\nservers = [{}]\n{}\n{}",
            self.top,
            if self.only_routes { "" } else { "pool = \"app\"\n" },
            self.listen,
            self.servers.join(", "),
            self.pool,
            self.more
        );
        text
    }

    pub(crate) fn start(&self) -> Program {
        self.start_with_stdout(Stdio::null())
    }

    /// Starts it with this as its standard output.
    pub(crate) fn start_with_stdout(&self, stdout: impl Into<Stdio>) -> Program {
        Program::start(&self.text(), stdout.into())
    }
}

/// The running program; killed when dropped.
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
    said: Arc<Mutex<String>>,
    file: PathBuf,
}

impl Program {
    fn start(config: &str, stdout: Stdio) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!("plimsoll-wire-{}-{number}.toml", std::process::id()));
        fs::write(&file, config).unwrap();
        Self::serve(file, stdout)
    }

    /// Starts it on a file, which goes with it.
    pub(super) fn serve(file: PathBuf, stdout: Stdio) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut heard = String::new();
        let address = loop {
            let from = heard.len();
            let count = lines.read_line(&mut heard).unwrap();
            if count == 0 {
                let config = fs::read_to_string(&file).unwrap_or_default();
                panic!("the program does not listen:\n{heard}\nwith\n{config}");
            }
            if let Some(address) = address_in(&heard[from..]) {
                break address;
            }
        };
        let said = Arc::new(Mutex::new(heard));
        let listener = Arc::clone(&said);
        thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|count| count > 0) {
                listener.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        Self { child, address, said, file }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its listeners are, in the order of the file, which has so many.
    #[track_caller]
    pub(crate) fn addresses<const COUNT: usize>(&self) -> [SocketAddr; COUNT] {
        let mut found = Vec::new();
        until("all listeners are told of", || {
            found = self.said().lines().filter_map(address_in).collect();
            found.len() >= COUNT
        });
        found.try_into().expect("no more listeners than that")
    }

    /// Where its admin API is.
    #[track_caller]
    pub(crate) fn admin(&self) -> SocketAddr {
        const BEFORE: &str = "admin API and dashboard on http://";
        self.await_said(BEFORE);
        let said = self.said();
        said.lines().find_map(|line| line.strip_prefix(BEFORE)).unwrap().parse().unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own; the whole response.
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> super::Response {
        let mut client = self.client();
        client.send(request);
        client.response()
    }

    /// Fails the test when the program has ended, or has said that a part of it panicked.
    #[track_caller]
    pub(crate) fn assert_well(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "the program has ended: {}", self.said());
        let said = self.said();
        assert!(!said.contains("panicked"), "{said}");
    }

    /// What it has said on stderr so far.
    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// How many lines it has said so far that have `part` in them.
    pub(crate) fn said_times(&self, part: &str) -> usize {
        self.said().lines().filter(|line| line.contains(part)).count()
    }

    /// Waits until it has said a line that has `part` in it.
    #[track_caller]
    pub(crate) fn await_said(&self, part: &str) {
        until(&format!("the program says {part:?}"), || self.said_times(part) > 0);
    }

    /// Comes back once the program, of one worker, has taken in all that was sent to it before: it hears of what its
    /// connections say in the order in which that was said.
    #[track_caller]
    pub(crate) fn fence(&self) {
        assert_eq!(self.ask("no request\r\n\r\n").status, 400);
    }

    /// Puts another configuration in force.
    #[track_caller]
    pub(crate) fn reload(&self, config: &Config) {
        let before = self.said_times("reloaded: configuration");
        fs::write(&self.file, config.text()).unwrap();
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
        until("the new configuration is in force", || self.said_times("reloaded: configuration") > before);
    }

    /// Tries to put another configuration in force, with which something is wrong.
    #[track_caller]
    pub(crate) fn reload_in_vain(&self, config: &Config) {
        let before = self.said_times("not reloaded");
        fs::write(&self.file, config.text()).unwrap();
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
        until("the new configuration is refused", || self.said_times("not reloaded") > before);
    }

    /// Asks for a graceful stop.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Whether each of its threads waits for something to happen, rather than for its turn on a core.
    pub(crate) fn is_asleep(&self) -> bool {
        let mut tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks.all(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
            status
                .lines()
                .any(|line| line.strip_prefix("State:").is_some_and(|state| state.trim_start().starts_with('S')))
        })
    }

    /// The most memory it has held so far, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status("VmHWM")
    }

    /// Leaves it so many descriptors beside those that it has open, as if others had used up the rest.
    pub(crate) fn leave_descriptors(&self, room: u64) {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count() as u64;
        let limit = Rlimit { current: Some(open + room), maximum: Some(open + room) };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit).unwrap();
    }

    fn status(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Either may have happened already, and then that is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.file);
        if thread::panicking() {
            eprintln!("the program said:\n{}", self.said());
        }
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let from = line.starts_with("listening").then(|| line.find("127.0.0.1:"))??;
    let rest = &line[from..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
    rest[..end.unwrap_or(rest.len())].parse().ok()
}
