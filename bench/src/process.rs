//! Children that are on their core from the first instruction and never outlive the run: they end with their guard,
//! and the kernel ends them should this process die without its destructors.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Signal, kill_process, set_parent_process_death_signal};

use crate::accounting::{Pid, process_tree};
use crate::machine;

/// What to start and where.
pub(crate) struct Launch<'a> {
    /// For messages.
    pub(crate) name: &'a str,
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [OsString],
    pub(crate) core: usize,
    /// Takes what the child writes to stderr, and to stdout unless that is piped.
    pub(crate) log: PathBuf,
    /// Whether this program reads the child's stdout.
    pub(crate) read_stdout: bool,
    /// Whether it writes to the child's stdin, which is empty otherwise.
    pub(crate) write_stdin: bool,
}

/// A running child; dropping it ends it and everything it has started.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// How long a child has to end by itself once it is asked.
const GRACE: Duration = Duration::from_secs(3);

/// How often a condition is looked at again while waiting for it.
const POLL: Duration = Duration::from_millis(10);

impl Process {
    /// Starts it through this program's own `pinned` command, which binds it to its core and then becomes it.
    pub(crate) fn start(launch: &Launch<'_>) -> anyhow::Result<Self> {
        let log = File::create(&launch.log).with_context(|| format!("cannot write {}", launch.log.display()))?;
        let stdout = if launch.read_stdout { Stdio::piped() } else { log.try_clone()?.into() };
        let child = Command::new(std::env::current_exe()?)
            .args(["pinned", "--core", &launch.core.to_string(), "--"])
            .arg(launch.program)
            .args(launch.arguments)
            .stdin(if launch.write_stdin { Stdio::piped() } else { Stdio::null() })
            .stdout(stdout)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", launch.name))?;
        Ok(Self { name: launch.name.to_owned(), child, log: launch.log.clone() })
    }

    /// Its process id; what it starts is below it.
    pub(crate) fn pid(&self) -> Pid {
        Pid(self.child.id())
    }

    /// Its stdout, once, if it was asked for.
    pub(crate) fn take_stdout(&mut self) -> anyhow::Result<ChildStdout> {
        self.child.stdout.take().with_context(|| format!("{} has no stdout to read", self.name))
    }

    /// Its stdin, once, if it was asked for.
    pub(crate) fn take_stdin(&mut self) -> anyhow::Result<ChildStdin> {
        self.child.stdin.take().with_context(|| format!("{} has no stdin to write to", self.name))
    }

    /// Ends it as nothing can withstand, without waiting for it.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))
    }

    /// An error with the end of its log once it has ended by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended ({status}); its last words:\n{}", self.name, self.last_words());
        }
        Ok(())
    }

    /// The last lines of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    fn wait_for_end(&mut self) -> bool {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(_)) | Err(_) => return true,
                Ok(None) if start.elapsed() > GRACE => return false,
                Ok(None) => thread::sleep(POLL),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Known before the parent of the tree is gone, since its children would then be nobody's.
        let tree = process_tree(self.pid()).unwrap_or_else(|_| vec![self.pid()]);
        signal(self.pid(), Signal::TERM);
        if !self.wait_for_end() {
            for pid in tree {
                signal(pid, Signal::KILL);
            }
            self.wait_for_end();
        }
    }
}

/// Sends a signal; a process that has ended meanwhile needs none.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    if let Some(pid) = i32::try_from(pid.0).ok().and_then(rustix::process::Pid::from_raw) {
        kill_process(pid, signal).ok();
    }
}

/// Becomes another program, on one core, that gets TERM when the process which started this one dies. Both settings
/// outlast the change of program. Comes back only with an error.
pub(crate) fn become_pinned(core: usize, command: &[OsString]) -> anyhow::Result<()> {
    let (program, arguments) = command.split_first().context("no program to run")?;
    set_parent_process_death_signal(Some(Signal::TERM)).context("cannot tie this to its parent")?;
    machine::pin_to(core)?;
    let error: io::Error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

/// A directory of this run's own for configurations and logs, removed with everything in it at the end.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes it where temporary files belong.
    pub(crate) fn make() -> anyhow::Result<Self> {
        let name = format!("plimsoll-bench-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path })
    }

    /// A directory inside it, made now; one that a former round left is emptied.
    pub(crate) fn room(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}
