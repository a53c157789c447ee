//! What the tests need around the program: it running, a server behind it, a client before it.

#[path = "../../../proxy/tests/kit/until.rs"]
mod until;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

pub(crate) use until::{PATIENCE, until};

/// The program with these arguments.
pub(crate) fn plimsoll(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What the program with these arguments prints, once it has ended.
pub(crate) fn run(arguments: &[&str]) -> Output {
    plimsoll(arguments).output().expect("the program starts")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("results are UTF-8")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are UTF-8")
}

/// An empty folder, removed with everything in it when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    /// The same in the system's temporary one, where every user can reach it.
    pub(crate) fn for_all() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("plimsoll-program-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        let folder = Self(path);
        folder.mode("", 0o755);
        folder
    }

    /// Changes the mode of what is at `path` in it.
    pub(crate) fn mode(&self, path: &str, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.0.join(path), mode).expect("the mode can be changed");
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path.to_str().expect("the path is UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays lies in the build's own folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program while it runs. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: String,
}

impl Running {
    /// Starts the program and follows what it says on stderr.
    pub(crate) fn saying(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        Self::following(child, stderr)
    }

    /// Starts the program and follows what it prints on stdout.
    pub(crate) fn printing(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        Self::following(child, stdout)
    }

    fn following(child: Child, output: impl Read + Send + 'static) -> Self {
        let (send, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.take_while(|line| send.send(line.clone()).is_ok()).for_each(drop);
        });
        Self { child, lines, seen: String::new() }
    }

    /// Waits for a line that contains `part`.
    pub(crate) fn line(&mut self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(error) => panic!("no line with {part:?} ({error}) in\n{}", self.seen),
            };
            self.seen.push_str(&line);
            self.seen.push('\n');
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Waits for a line with an address of this machine in it.
    pub(crate) fn address(&mut self) -> SocketAddr {
        let line = self.line("http://127.0.0.1:");
        let (_, rest) = line.split_once("http://").expect("the line was looked for");
        let end = rest.find([' ', '/']).unwrap_or(rest.len());
        rest[..end].parse().expect("an address follows")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the program can be signalled");
    }

    /// What it has said, as far as that was waited for.
    pub(crate) fn said(&self) -> &str {
        &self.seen
    }

    /// What the system tells of each of its threads: its name, and a line `Key:` of its status, without the key.
    pub(crate) fn threads(&self, key: &str) -> Vec<(String, String)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid().as_raw_nonzero())).expect("it runs");
        let read = |task: io::Result<std::fs::DirEntry>| {
            let folder = task.ok()?.path();
            let name = std::fs::read_to_string(folder.join("comm")).ok()?;
            let status = std::fs::read_to_string(folder.join("status")).ok()?;
            let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            Some((name.trim().to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
        };
        tasks.filter_map(read).collect()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for the end of the program. Gives its exit code and everything it said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        // The output ends with the program, so there is nothing else to wait for.
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen += &(line + "\n"),
                Err(RecvTimeoutError::Timeout) => panic!("the program does not end:\n{}", self.seen),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = self.child.wait().expect("the program can be waited for");
        (status.code(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that answers every request with its name, and counts them. It ends with the test program.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Origin {
    /// Answers at once.
    pub(crate) fn quick(name: &'static str) -> Self {
        Self::start(move |stream| {
            let length = name.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}");
            stream.get_mut().write_all(answer.as_bytes())
        })
    }

    /// Never answers.
    pub(crate) fn silent() -> Self {
        Self::start(|stream| stream.read_to_end(&mut Vec::new()).map(drop))
    }

    fn start(answer: impl Fn(&mut BufReader<TcpStream>) -> io::Result<()> + Copy + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counter = Arc::clone(&counter);
                thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while let Ok(Some(_)) = read_head(&mut stream) {
                        counter.fetch_add(1, Ordering::SeqCst);
                        if answer(&mut stream).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    /// The requests that have arrived.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A client connection.
pub(crate) struct Client(BufReader<TcpStream>);

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) closes: bool,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn send(&mut self) -> io::Result<()> {
        self.0.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    }

    /// Reads an answer whose length is given; `None` where the connection ends before its first byte.
    pub(crate) fn answer(&mut self) -> io::Result<Option<Answer>> {
        let Some(head) = read_head(&mut self.0)? else {
            return Ok(None);
        };
        let lower = head.to_ascii_lowercase();
        let length = lower.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
        let length = length.and_then(|length| length.trim().parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Some(Answer {
            status: head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0),
            closes: lower.contains("connection: close"),
            body: String::from_utf8_lossy(&body).into_owned(),
        }))
    }

    /// One request and its answer, which must come.
    pub(crate) fn ask(&mut self) -> Answer {
        self.send().expect("the request can be sent");
        let answer = self.answer().expect("an answer comes");
        answer.expect("the connection stays")
    }
}

/// Reads up to the empty line; `None` at the end of the connection.
fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return if head.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
    Ok(Some(head))
}
