//! The machine: which cores the parts run on, how many files they may open, and its description.

use std::fs;

use anyhow::{Context, bail};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

/// The two cores of a run: the proxy has one for itself, everything else is on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    /// Where the proxy under test runs.
    pub(crate) proxy: usize,
    /// Where the load generator and the origin run.
    pub(crate) load: usize,
}

impl Cores {
    /// The first two cores this process may use, or those asked for.
    pub(crate) fn choose(wanted: Option<&[usize]>) -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None).context("cannot read this process's cores")?;
        let allowed: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
        let (proxy, load) = match wanted {
            Some(&[proxy, load]) => (proxy, load),
            Some(_) => bail!("--cores takes two cores, such as 0,1"),
            None if allowed.len() < 2 => bail!(
                "a run needs two cores, one for the proxy and one for the load; this process may use {}",
                allowed.len()
            ),
            None => (allowed[0], allowed[1]),
        };
        if proxy == load {
            bail!("--cores names core {proxy} twice; the proxy needs one for itself");
        }
        if let Some(core) = [proxy, load].iter().find(|core| !allowed.contains(core)) {
            bail!("core {core} is not one this process may use: {allowed:?}");
        }
        Ok(Self { proxy, load })
    }
}

/// Binds the calling thread, and what it starts later, to one core.
pub(crate) fn pin_to(core: usize) -> anyhow::Result<()> {
    pin(None, core)
}

/// Binds a thread of whichever process to one core.
pub(crate) fn pin_thread(thread: u32, core: usize) -> anyhow::Result<()> {
    let thread = i32::try_from(thread).ok().and_then(Pid::from_raw).context("a thread without a number")?;
    pin(Some(thread), core)
}

fn pin(thread: Option<Pid>, core: usize) -> anyhow::Result<()> {
    if core >= CpuSet::MAX_CPU {
        bail!("there is no core {core}");
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(thread, &set).with_context(|| format!("cannot run on core {core}"))
}

/// Lifts the limit on open files to what the system allows; children inherit it.
pub(crate) fn raise_open_files() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit on open files")
}

/// What a reader must know about the machine to judge the numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Description {
    cpu: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
}

impl Description {
    /// Reads it from `/proc`; what cannot be read is called unknown.
    pub(crate) fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = text("/proc/cpuinfo");
        Self {
            cpu: value_of(&cpuinfo, "model name").unwrap_or_else(|| "unknown CPU".to_owned()),
            // Counted by hand: the standard library would tell how many this pinned thread may use.
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            memory_mib: value_of(&text("/proc/meminfo"), "MemTotal")
                .and_then(|value| value.split(' ').next()?.parse::<u64>().ok())
                .map_or(0, |kib| kib / 1024),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }

    /// One line of prose.
    pub(crate) fn line(&self) -> String {
        format!("{}, {} cores, {} MiB memory, Linux {}", self.cpu, self.cores, self.memory_mib, self.kernel)
    }
}

fn value_of(text: &str, key: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_whole_key() {
        let text = "model\t\t: 17\nmodel name\t: Some CPU\nmodel name\t: Other\n";
        assert_eq!(value_of(text, "model name").as_deref(), Some("Some CPU"));
        assert_eq!(value_of(text, "name"), None);
    }

    #[test]
    fn the_same_core_twice_is_refused() {
        let error = Cores::choose(Some(&[0, 0])).expect_err("one core cannot serve both");
        assert!(error.to_string().contains("twice"), "{error}");
    }
}
