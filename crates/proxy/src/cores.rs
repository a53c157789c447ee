//! The cores that this process may use, and how many of them at once.
//!
//! The standard library looks at the same things, but rounds a quota down: one and a half cores would leave half a core to
//! nobody.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores by number that this thread may run on, as `taskset` and control groups narrow them; at least one.
pub fn usable() -> Vec<usize> {
    // A machine that has more cores than such a set holds refuses to tell.
    let Ok(allowed) = sched_getaffinity(None) else { return vec![0] };
    let all: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
    if all.is_empty() { vec![0] } else { all }
}

/// How many cores this process can keep busy: those it may use, or as many as the quota of its control group pays for,
/// rounded up.
pub fn worth_using() -> usize {
    let usable = usable().len();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    quota(Path::new("/sys/fs/cgroup"), &groups).map_or(usable, |quota| quota.min(usable))
}

/// Keeps this thread on a core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(core);
    Ok(sched_setaffinity(None, &only)?)
}

/// The cores that the narrowest quota pays for on the way from the process's group up to `root`; `groups` are those of the
/// process, as the kernel lists them.
fn quota(root: &Path, groups: &str) -> Option<usize> {
    let of_line = |line: &str| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
        let is_cpu = controllers.split(',').any(|controller| controller == "cpu");
        let mounts: &[&str] = match controllers {
            // Where both versions are mounted, the second is below the first.
            "" => &["", "unified"],
            _ if is_cpu => &["cpu", "cpu,cpuacct"],
            _ => &[],
        };
        mounts.iter().filter_map(|mount| narrowest(&root.join(mount), group.trim_start_matches('/'))).min()
    };
    groups.lines().filter_map(of_line).min()
}

/// The narrowest quota of `group` and those it is in, below `mount`. In a container the group is named as from outside, so
/// what is not there is left out.
fn narrowest(mount: &Path, group: &str) -> Option<usize> {
    let inside: PathBuf = mount.join(group);
    inside.ancestors().take_while(|folder| folder.starts_with(mount)).filter_map(quota_of).min()
}

/// The quota of one group: `cpu.max` of the second version, two files of the first.
fn quota_of(folder: &Path) -> Option<usize> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let (quota, period) = match read("cpu.max") {
        Some(both) => {
            let (quota, period) = both.trim().split_once(' ')?;
            (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?)
        }
        // Without a quota the first is -1.
        None => (read("cpu.cfs_quota_us")?.trim().parse().ok()?, read("cpu.cfs_period_us")?.trim().parse().ok()?),
    };
    (period > 0).then(|| usize::try_from(quota.div_ceil(period)).unwrap_or(usize::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of control groups in a folder that is gone after the test.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let tree = Self(std::env::temp_dir().join(format!("plimsoll-cores-{name}-{}", std::process::id())));
            for (path, text) in files {
                let path = tree.0.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            tree
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            // The test has failed already if it cannot be removed.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_narrowest_quota_of_the_second_version_counts_and_is_rounded_up() {
        let files =
            [("a/cpu.max", "350000 100000\n"), ("a/b/cpu.max", "max 100000\n"), ("a/c/cpu.max", "150000 100000\n")];
        let tree = Tree::new("second", &files);
        assert_eq!(quota(&tree.0, "0::/a/b\n"), Some(4));
        assert_eq!(quota(&tree.0, "0::/a/c\n"), Some(2));
        assert_eq!(quota(&tree.0, "0::/\n"), None);
        assert_eq!(quota(&tree.0, "0::/a/gone\n"), Some(4));
    }

    #[test]
    fn in_a_container_its_own_group_is_the_top() {
        let tree = Tree::new("container", &[("cpu.max", "20000 100000\n")]);
        assert_eq!(quota(&tree.0, "0::/system.slice/docker-1.scope\n"), Some(1));
    }

    #[test]
    fn quotas_of_the_first_version_count_too() {
        let files = [
            ("cpu/a/cpu.cfs_quota_us", "250000\n"),
            ("cpu/a/cpu.cfs_period_us", "100000\n"),
            ("cpu/cpu.cfs_quota_us", "-1\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
        ];
        let tree = Tree::new("first", &files);
        assert_eq!(quota(&tree.0, "4:memory:/a\n2:cpu,cpuacct:/a\n"), Some(3));
        assert_eq!(quota(&tree.0, "2:cpu:/b\n"), None);
        assert_eq!(quota(&tree.0, "nonsense\n3:cpu\n"), None);
    }

    #[test]
    fn a_thread_that_is_pinned_may_use_one_core() {
        let all = usable();
        let last = *all.last().unwrap();
        let alone = std::thread::spawn(move || pin(last).map(|()| usable())).join().unwrap().unwrap();
        assert_eq!(alone, [last]);
        assert_eq!(usable(), all, "the others stay where they were");
        assert!((1..=all.len()).contains(&worth_using()));
    }
}
