//! Whether the kernel's files are read as they are meant.

use super::*;

#[test]
fn stat_is_counted_from_the_end_of_the_name() {
    let text = "42 (a (b) c) S 7 42 42 0 -1 4194560 11 22 33 44 150 25 1 2 20 0 1 0 100 0 0";
    let stat = parse_stat(text).expect("a well-formed line");
    assert_eq!(stat.parent, Pid(7));
    assert_eq!(stat.ticks, 175);
}

#[test]
fn a_short_or_empty_stat_is_no_answer() {
    assert_eq!(parse_stat(""), None);
    assert_eq!(parse_stat("42 (a) S 7 1 2"), None);
}

#[test]
fn schedstat_gives_its_first_field() {
    assert_eq!(parse_schedstat("141796 99 1\n"), Some(141_796));
    assert_eq!(parse_schedstat("\n"), None);
}

#[test]
fn memory_adds_anonymous_and_shared_and_nothing_else() {
    let text = "00-ff ---p 00000000 00:00 0 [rollup]\nRss: 9000 kB\nPss: 8000 kB\n\
                Pss_Anon:            116 kB\nPss_File: 376 kB\nPss_Shmem:             4 kB\n";
    assert_eq!(parse_smaps_rollup(text), Some(120 * 1024));
    assert_eq!(parse_smaps_rollup("Rss: 1 kB\n"), None);
}

#[test]
fn a_cores_work_leaves_out_idle_waiting_and_guests() {
    let text = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu1 1 2 4 1000 1000 8 16 32 1000 1000\ncpu10 7 7 7 7 7 7 7 7 7 7\n";
    assert_eq!(parse_core_work(text, 1), Some(63));
    assert_eq!(parse_core_work(text, 2), None);
    assert_eq!(parse_core_work("cpu1 1 2\n", 1), None);
}

fn snapshot(threads: &[(u32, u64)], ticks: u64) -> CpuSnapshot {
    let process = ProcessCpu { threads: threads.iter().copied().collect(), ticks };
    CpuSnapshot { processes: HashMap::from([(Pid(1), process)]) }
}

#[test]
fn a_new_thread_counts_whole_and_an_old_one_by_its_growth() {
    let before = snapshot(&[(1, 1000)], 5);
    let after = snapshot(&[(1, 1500), (2, 70)], 5);
    let used = after.since(&before).expect("the process is still there");
    assert_eq!(used, Duration::from_nanos(570));
}

#[test]
fn an_ended_thread_falls_back_to_ticks() {
    let before = snapshot(&[(1, 1000), (2, 500)], 5);
    let after = snapshot(&[(1, 1500)], 12);
    let used = after.since(&before).expect("the process is still there");
    assert_eq!(used, Duration::from_millis(70));
}

#[test]
fn an_ended_process_is_an_error() {
    let before = snapshot(&[(1, 1000)], 5);
    let error = CpuSnapshot::default().since(&before);
    assert!(error.is_err(), "{error:?}");
}

#[test]
fn our_own_work_shows_in_our_own_account() {
    let us = Pid(std::process::id());
    let before = CpuSnapshot::read(us).expect("our own account");
    let start = std::time::Instant::now();
    let mut sum = 0_u64;
    // Spins until the account has moved: a tick of the kernel's timer at most.
    let used = loop {
        for step in 0..100_000_u64 {
            sum = std::hint::black_box(sum.wrapping_add(step));
        }
        let used = CpuSnapshot::read(us).expect("our own account").since(&before).expect("we are still here");
        if used > Duration::from_millis(5) || start.elapsed() > Duration::from_secs(30) {
            break used;
        }
    };
    assert!(used > Duration::from_millis(5), "{used:?}");
    assert!(memory(us).expect("our own memory") > 0);
}
