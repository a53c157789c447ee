//! How the log follows a configuration.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::lines::Lines;
use super::*;

/// A folder of this test that is gone after it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("plimsoll-log-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(access_log: &str) -> Config {
    let text =
        format!("{access_log}\n[listen.web]\nbind = \"0\"\npool = \"app\"\n[pool.app]\nservers = [\"127.0.0.1:9\"]\n");
    plimsoll_config::parse("log.toml", &text).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn to(path: &str, more: &str) -> Config {
    config(&format!("access_log = {{ to = \"{path}\", {more} }}"))
}

fn destination(plan: &Plan) -> &Arc<Destination> {
    &plan.log.as_ref().unwrap().destination
}

fn tell(plan: &Plan, lines: &mut Lines, target: &str) {
    let mut entry = Entry::default();
    entry.take_unparsed(target.as_bytes());
    let client = Some("127.0.0.1:1".parse().unwrap());
    let told = Told { entry: &entry, listener: "web", client, now: Time::ZERO };
    lines.write(plan.log.as_ref().unwrap(), &told);
}

#[test]
fn the_same_destination_stays_open_and_another_is_opened() {
    let (folder, logs) = (Folder::new(), Logs::new());
    let (one, two) = (folder.file("one.log"), folder.file("two.log"));
    let first = logs.prepare(&to(&one, "format = \"$target\""), 1).unwrap();
    logs.commit(&first);
    let other_format = logs.prepare(&to(&one, "format = \"common\", sample = \"5%\""), 1).unwrap();
    assert!(Arc::ptr_eq(destination(&first), destination(&other_format)));
    let elsewhere = logs.prepare(&to(&two, "format = \"$target\""), 1).unwrap();
    assert!(!Arc::ptr_eq(destination(&first), destination(&elsewhere)));
    assert!(!destination(&first).is_retired(), "nothing changes before the commit");
    logs.commit(&elsewhere);
    assert!(destination(&first).is_retired() && !destination(&elsewhere).is_retired());
    let off = logs.prepare(&config(""), 1).unwrap();
    assert!(off.log.is_none());
    logs.commit(&off);
    assert!(destination(&elsewhere).is_retired());
}

#[test]
fn what_cannot_be_opened_is_an_error_and_changes_nothing() {
    let (folder, logs) = (Folder::new(), Logs::new());
    let first = logs.prepare(&to(&folder.file("one.log"), ""), 1).unwrap();
    logs.commit(&first);
    let missing = to(&folder.file("two.log"), "");
    std::fs::create_dir(folder.file("two.log")).unwrap();
    let error = logs.prepare(&missing, 1).unwrap_err();
    assert!(error.to_string().contains("two.log: "), "{error}");
    assert!(!destination(&first).is_retired());
}

#[test]
fn requests_from_before_a_change_are_told_where_they_began() {
    let (folder, logs) = (Folder::new(), Logs::new());
    let (one, two) = (folder.file("one.log"), folder.file("two.log"));
    let first = logs.prepare(&to(&one, "format = \"$target\""), 1).unwrap();
    logs.commit(&first);
    let mut lines = Lines::new(Time::ZERO);
    tell(&first, &mut lines, "before");
    let second = logs.prepare(&to(&two, "format = \"$target\""), 1).unwrap();
    logs.commit(&second);
    tell(&first, &mut lines, "late");
    tell(&second, &mut lines, "after");
    lines.tick(Time::ZERO);
    let first_destination = Arc::clone(destination(&first));
    drop(lines);
    first_destination.finish(LAST_PATIENCE);
    logs.finish();
    assert_eq!(std::fs::read_to_string(one).unwrap(), "before\nlate\n");
    assert_eq!(std::fs::read_to_string(two).unwrap(), "after\n");
    assert_eq!(logs.stats(), LogStats { written: 3, ..LogStats::default() });
}

#[test]
fn a_file_is_opened_anew_when_it_is_asked_for() {
    let (folder, logs) = (Folder::new(), Logs::new());
    let (path, moved) = (folder.file("access.log"), folder.file("access.log.1"));
    let plan = logs.prepare(&to(&path, "format = \"$target\""), 1).unwrap();
    logs.commit(&plan);
    let mut lines = Lines::new(Time::ZERO);
    tell(&plan, &mut lines, "before");
    lines.tick(Time::ZERO);
    while logs.stats().written < 1 {
        std::thread::yield_now();
    }
    std::fs::rename(&path, &moved).unwrap();
    logs.reopen();
    tell(&plan, &mut lines, "after");
    drop(lines);
    logs.finish();
    assert_eq!(std::fs::read_to_string(moved).unwrap(), "before\n");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "after\n");
}

#[test]
fn a_full_disk_is_counted_and_told_once() {
    let logs = Logs::new();
    let plan = logs.prepare(&to("/dev/full", "format = \"$target\""), 1).unwrap();
    logs.commit(&plan);
    let mut lines = Lines::new(Time::ZERO);
    for _ in 0..7 {
        tell(&plan, &mut lines, "lost");
    }
    drop(lines);
    destination(&plan).finish(LAST_PATIENCE);
    assert_eq!(logs.stats(), LogStats { dropped: 7, errors: 1, ..LogStats::default() });
    let news = logs.news().unwrap();
    assert!(news.starts_with("access log (/dev/full): 7 lines were dropped: No space left"), "{news}");
    assert_eq!(logs.news(), None);
}
