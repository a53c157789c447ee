//! What a proxy has used, from the kernel's own accounting in `/proc`: CPU time to the nanosecond over
//! all its processes and threads, and its user-space memory.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::machine::Cores;

/// A process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pid(pub(crate) u32);

/// CPU time used so far by a process and all its descendants, each thread by itself.
#[derive(Debug, Default)]
pub(crate) struct CpuSnapshot {
    processes: HashMap<Pid, ProcessCpu>,
}

#[derive(Debug, Default)]
struct ProcessCpu {
    /// Nanoseconds on a core by thread id, from `schedstat`.
    threads: HashMap<u32, u64>,
    /// User and system time of all threads, those that ended included, in clock ticks, from `stat`.
    ticks: u64,
}

impl CpuSnapshot {
    /// Reads the tree of processes below `root` as it stands.
    pub(crate) fn read(root: Pid) -> anyhow::Result<Self> {
        let mut processes = HashMap::new();
        for pid in process_tree(root)? {
            let process =
                read_process(pid).with_context(|| format!("cannot read the CPU time of process {}", pid.0))?;
            processes.insert(pid, process);
        }
        Ok(Self { processes })
    }

    /// CPU time used between `earlier` and this snapshot. An error when a process went away in between,
    /// because what it used is lost.
    pub(crate) fn since(&self, earlier: &Self) -> anyhow::Result<Duration> {
        if let Some(pid) = earlier.processes.keys().find(|pid| !self.processes.contains_key(pid)) {
            bail!("process {} of the proxy ended inside the window", pid.0);
        }
        let fresh = ProcessCpu::default();
        let total =
            self.processes.iter().map(|(pid, now)| now.since(earlier.processes.get(pid).unwrap_or(&fresh))).sum();
        Ok(total)
    }
}

/// One tick of `/proc/<pid>/stat`. The kernel scales what it shows to programs to 100 a second on every
/// architecture this runs on, whatever its own timer does.
const TICK: Duration = Duration::from_millis(10);

impl ProcessCpu {
    fn since(&self, earlier: &Self) -> Duration {
        let thread_ended = earlier.threads.keys().any(|thread| !self.threads.contains_key(thread));
        if thread_ended {
            // A thread that ended takes its schedstat with it; the process's ticks still have its time.
            let ticks = self.ticks.saturating_sub(earlier.ticks);
            return TICK * u32::try_from(ticks).unwrap_or(u32::MAX);
        }
        let nanoseconds =
            self.threads.iter().map(|(thread, now)| now - earlier.threads.get(thread).unwrap_or(&0)).sum();
        Duration::from_nanos(nanoseconds)
    }
}

fn read_process(pid: Pid) -> anyhow::Result<ProcessCpu> {
    let directory = format!("/proc/{}", pid.0);
    let stat = parse_stat(&fs::read_to_string(format!("{directory}/stat"))?)
        .context("stat is not in the form this program knows")?;
    let mut threads = HashMap::new();
    for entry in fs::read_dir(format!("{directory}/task"))? {
        let entry = entry?;
        let Some(thread) = number_of(&entry.path()) else {
            continue;
        };
        match fs::read_to_string(entry.path().join("schedstat")) {
            Ok(text) => {
                let nanoseconds = parse_schedstat(&text).context("schedstat is not in the form this program knows")?;
                threads.insert(thread, nanoseconds);
            }
            // It ended between the listing and the reading.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !entry.path().exists() => {}
            Err(error) => return Err(error).context("this kernel keeps no schedstat"),
        }
    }
    Ok(ProcessCpu { threads, ticks: stat.ticks })
}

/// The process and all its descendants, `root` first.
pub(crate) fn process_tree(root: Pid) -> anyhow::Result<Vec<Pid>> {
    let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for entry in fs::read_dir("/proc").context("cannot list the processes")? {
        let path = entry?.path();
        let Some(pid) = number_of(&path).map(Pid) else {
            continue;
        };
        // A process that ended meanwhile has no stat any more and is nobody's child.
        let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
        if let Some(stat) = parse_stat(&stat) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(pid) = tree.get(next) {
        tree.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    Ok(tree)
}

fn number_of(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.parse().ok()
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: Pid,
    ticks: u64,
}

/// Reads parent and CPU time out of `/proc/<pid>/stat` (proc(5)). The second field is the program's name in
/// parentheses and may hold spaces and parentheses itself, so the fields are counted from the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    // After the name: state is field 3, the parent 4, user time 14, system time 15.
    let parent = fields.nth(1)?.parse().ok()?;
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Stat { parent: Pid(parent), ticks: user + system })
}

/// The first field of `schedstat`: nanoseconds spent on a core.
fn parse_schedstat(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// How long a core has been at work so far, for whomever, to the tick.
fn core_work(core: usize) -> anyhow::Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let ticks = parse_core_work(&text, core).with_context(|| format!("/proc/stat says nothing of core {core}"))?;
    Ok(TICK * u32::try_from(ticks).unwrap_or(u32::MAX))
}

/// The sum of a core's fields in `/proc/stat` (proc(5)) but for idle (4th) and waiting for a disk (5th). The two
/// fields of guests (9th and 10th) are already in the first two.
fn parse_core_work(text: &str, core: usize) -> Option<u64> {
    let name = format!("cpu{core} ");
    let fields = text.lines().find_map(|line| line.strip_prefix(&name))?;
    let fields: Result<Vec<u64>, _> = fields.split_ascii_whitespace().map(str::parse).collect();
    let fields = fields.ok().filter(|fields| fields.len() >= 8)?;
    Some(fields[..3].iter().chain(&fields[5..8]).sum())
}

/// Watches how much of a run's cores goes to what is no part of it: to the kernel's tick.
pub(crate) struct Others {
    cores: Cores,
    began: Instant,
    work: Duration,
    ours: CpuSnapshot,
}

impl Others {
    /// From now on. No process of the run may end meanwhile.
    pub(crate) fn watch(cores: Cores) -> anyhow::Result<Self> {
        Ok(Self { cores, work: work_of_both(cores)?, ours: CpuSnapshot::read(us())?, began: Instant::now() })
    }

    /// The share until now, 1 being both cores.
    pub(crate) fn share(&self) -> anyhow::Result<f64> {
        let time = self.began.elapsed();
        // The whole run is below this process.
        let ours = CpuSnapshot::read(us())?.since(&self.ours)?;
        let others = work_of_both(self.cores)?.saturating_sub(self.work).saturating_sub(ours);
        Ok(others.as_secs_f64() / time.as_secs_f64() / 2.0)
    }
}

fn us() -> Pid {
    Pid(std::process::id())
}

/// How long both cores of a run have been at work so far, for whomever, to the tick.
pub(crate) fn work_of_both(cores: Cores) -> anyhow::Result<Duration> {
    Ok(core_work(cores.proxy)? + core_work(cores.load)?)
}

/// Bytes of user-space memory of a process and its descendants that no file backs: the heaps, the stacks
/// and the memory they share, each shared page counted once.
pub(crate) fn memory(root: Pid) -> anyhow::Result<u64> {
    let mut total = 0;
    for pid in process_tree(root)? {
        let path = format!("/proc/{}/smaps_rollup", pid.0);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        total += parse_smaps_rollup(&text).with_context(|| format!("{path} is not in the form this program knows"))?;
    }
    Ok(total)
}

/// `Pss_Anon` and `Pss_Shmem` in bytes. Proportional shares, so that pages which nginx's worker still shares
/// with its master are not counted twice.
fn parse_smaps_rollup(text: &str) -> Option<u64> {
    let kib = |key: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
        rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    Some((kib("Pss_Anon:")? + kib("Pss_Shmem:")?) * 1024)
}

#[cfg(test)]
mod tests;
