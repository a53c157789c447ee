//! The process: its version, its memory, its configuration, and what happened to it.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::page::Page;
use crate::api::EventKind;
use crate::journal::Tally;
use crate::shared::Shared;

/// What there is to tell of the process.
#[derive(Debug)]
pub(super) struct Process {
    started: f64,
    generation: u64,
    configured: f64,
    differences: usize,
    tally: Tally,
    memory: Memory,
}

/// What the system knows of the process; nothing where it cannot be asked.
#[derive(Debug, Default)]
struct Memory {
    resident: Option<u64>,
    virtual_: Option<u64>,
    threads: Option<u64>,
    cpu: Option<Duration>,
    open_files: Option<u64>,
    most_files: Option<u64>,
}

impl Process {
    pub(super) fn new(shared: &Shared) -> Self {
        let published = shared.published();
        Self {
            started: seconds(shared.started.0),
            generation: published.generation,
            configured: seconds(published.at),
            differences: published.differences.len(),
            ..Self::of(shared.journal.tally())
        }
    }

    /// One that has only just begun, and to which this happened.
    pub(super) fn of(tally: Tally) -> Self {
        Self { started: 0.0, generation: 1, configured: 0.0, differences: 0, tally, memory: Memory::now() }
    }
}

/// Unix time.
fn seconds(at: jiff::Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

/// Writes what there is to tell.
pub(super) fn write(page: &mut Page<'_>, process: &Process) -> fmt::Result {
    page.info(("plimsoll_build", "The program that runs."), [("version", env!("CARGO_PKG_VERSION"))])?;
    one(page, ("process_start_time_seconds", "When the process began to serve, in Unix time."), process.started)?;
    memory(page, &process.memory)?;
    one(
        page,
        ("plimsoll_config_generation", "Counts the configurations put in force, the first being 1."),
        process.generation as f64,
    )?;
    one(
        page,
        ("plimsoll_config_in_force_timestamp_seconds", "When the configuration was last put in force, in Unix time."),
        process.configured,
    )?;
    one(
        page,
        ("plimsoll_config_differences", "Settings that differ from the file because they were changed by the API."),
        process.differences as f64,
    )?;
    let reload = process.tally.last_reload;
    one(
        page,
        ("plimsoll_config_last_reload_successful", "Whether the last reload was put in force; 1 before the first."),
        f64::from(u8::from(reload.is_none_or(|(_, good)| good))),
    )?;
    let told = reload.map(|(at, _)| ([], seconds(at)));
    page.gauges(
        ("plimsoll_config_last_reload_timestamp_seconds", "When the last reload was tried, in Unix time."),
        told,
    )?;
    page.counters(
        ("plimsoll_events", "What happened, by kind, as the journal tells it."),
        EventKind::ALL.into_iter().zip(process.tally.counts).map(|(kind, count)| ([("kind", kind.name())], count)),
    )
}

fn memory(page: &mut Page<'_>, memory: &Memory) -> fmt::Result {
    let gauges = [
        ("process_resident_memory_bytes", "Memory in use.", memory.resident),
        ("process_virtual_memory_bytes", "Addresses in use.", memory.virtual_),
        ("process_threads", "Threads.", memory.threads),
        ("process_open_fds", "Descriptors in use.", memory.open_files),
        ("process_max_fds", "Descriptors that may be in use.", memory.most_files),
    ];
    for (name, help, value) in gauges {
        page.gauges((name, help), value.map(|value| ([], value as f64)))?;
    }
    page.seconds(("process_cpu_seconds", "Time spent on processors."), memory.cpu.map(|cpu| ([], cpu)))
}

fn one(page: &mut Page<'_>, about: (&str, &str), value: f64) -> fmt::Result {
    page.gauges(about, [([], value)])
}

impl Memory {
    /// From Linux's /proc.
    fn now() -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let status = read("status");
        let status: HashMap<&str, u64> = status.lines().filter_map(status_line).collect();
        let kib = |name| status.get(name).map(|kib| kib * 1024);
        Self {
            resident: kib("VmRSS"),
            virtual_: kib("VmSize"),
            threads: status.get("Threads").copied(),
            cpu: cpu(&read("stat")),
            open_files: open_files(),
            most_files: most_files(&read("limits")),
        }
    }
}

/// A name and a number, as in "`VmRSS`:     1234 kB".
fn status_line(line: &str) -> Option<(&str, u64)> {
    let (name, rest) = line.split_once(':')?;
    Some((name, rest.split_whitespace().next()?.parse().ok()?))
}

/// Time in user and kernel mode, fields 14 and 15; what comes before may hold spaces, up to the last parenthesis.
fn cpu(stat: &str) -> Option<Duration> {
    /// Linux counts it in hundredths of a second, whatever its own clock does (`USER_HZ`).
    const TICK: Duration = Duration::from_millis(10);
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * ticks()? + TICK * ticks()?)
}

/// Linux tells how many there are as the size of the folder since 6.2; before that they must be counted.
fn open_files() -> Option<u64> {
    let folder = "/proc/self/fd";
    let told = fs::metadata(folder).ok()?.size();
    if told > 0 { Some(told) } else { Some(fs::read_dir(folder).ok()?.count() as u64) }
}

/// The soft limit.
fn most_files(limits: &str) -> Option<u64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_is_understood() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 4 0 100";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu(""), None);
        assert_eq!(status_line("VmRSS:\t    1234 kB"), Some(("VmRSS", 1234)));
        assert_eq!(most_files("Max open files            1024                 4096                 files"), Some(1024));
        assert_eq!(most_files("Max open files            unlimited            unlimited            files"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_told_of() {
        let Memory { resident, virtual_, threads, cpu, open_files, most_files } = Memory::now();
        assert!(resident > Some(1 << 16) && virtual_ >= resident && threads > Some(0) && cpu.is_some());
        assert!(open_files > Some(2) && most_files.is_none_or(|most| Some(most) >= open_files));
    }
}
