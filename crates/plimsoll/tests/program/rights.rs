//! The rights of root given up after the start, and what that asks of files. These tests must be run by root.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;

use rustix::process::{Pid, Signal, geteuid};

use super::kit::{Client, Folder, Origin, Running, plimsoll, run, stderr, until};

/// Debian's user for those who own nothing, and its group.
const NOBODY: u32 = 65534;

/// A user that is not root and not nobody.
const DAEMON: u32 = 1;

fn config(origin: &Origin, top: &str, bottom: &str) -> String {
    let address = origin.address;
    format!("{top}\n[listen.web]\nbind = '127.0.0.1:0'\npool = 'app'\n[pool.app]\nservers = ['{address}']\n{bottom}\n")
}

fn must_be_root() {
    assert!(geteuid().is_root(), "run by root: there are rights to give up");
}

#[test]
fn all_threads_give_up_the_rights_of_root_for_good_and_it_serves_and_reloads() {
    must_be_root();
    let (one, two) = (Origin::quick("one"), Origin::quick("two"));
    let folder = Folder::for_all();
    let inside = |name: &str| folder.path().join(name);
    fs::create_dir(inside("logs")).expect("a folder can be made");
    chown(inside("logs"), Some(NOBODY), Some(NOBODY)).expect("root may give it away");
    let top = "user = 'nobody'\nworkers = 2\npid_file = 'pid'\n[admin]\nsocket = 'admin.sock'\n[access_log]\nto = 'logs/access'";
    let file = folder.file("plimsoll.toml", &config(&one, top, ""));
    let mut program = Running::saying(plimsoll(&["serve", &file]));
    let address = program.address();
    program.line("admin API");
    assert_eq!(Client::connect(address).expect("it listens").ask().body, "one");
    let nobody = NOBODY.to_string();
    let four = [&*nobody; 4].join(" ");
    let nothing = "0000000000000000";
    let rights = [
        ("Uid", &*four),
        ("Gid", &four),
        ("Groups", &nobody),
        ("CapEff", nothing),
        ("CapPrm", nothing),
        ("NoNewPrivs", "1"),
    ];
    for (key, right) in rights {
        let threads = program.threads(key);
        assert!(threads.iter().filter(|(name, _)| name.starts_with("worker-")).count() == 2, "{threads:?}");
        assert!(threads.iter().all(|(_, value)| value == right), "{key} is to be {right}: {threads:?}");
    }
    let owner = |name: &str| fs::metadata(inside(name)).map(|about| about.uid()).ok();
    assert_eq!((owner("admin.sock"), owner("pid")), (Some(NOBODY), Some(0)));
    until("the log is there", || owner("logs/access") == Some(NOBODY));
    let number = program.pid().as_raw_nonzero().to_string();
    assert_eq!(fs::read_to_string(inside("pid")).expect("it is written").trim(), number);
    fs::write(&file, config(&two, top, "")).expect("the file is written");
    program.signal(Signal::HUP);
    program.line("reloaded: configuration 2 is in force");
    assert_eq!(Client::connect(address).expect("it listens").ask().body, "two");
    program.signal(Signal::TERM);
    let (code, said) = program.end();
    assert_eq!(code, Some(0), "{said}");
    // In a folder of root's it cannot be removed, but it names nobody any more.
    assert_eq!(fs::read_to_string(inside("pid")).expect("it stays"), "");
}

#[test]
fn a_port_that_only_root_may_bind_is_bound_before_and_refused_after_with_what_to_do() {
    must_be_root();
    let first_free = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").expect("it is told");
    assert!(
        first_free.trim().parse::<u16>().expect("a number") > 10,
        "on this machine everybody may listen on every port"
    );
    let origin = Origin::quick("one");
    let folder = Folder::for_all();
    let low = |address: &str| format!("[listen.low]\nbind = '{address}'\npool = 'app'");
    let file = folder.file("plimsoll.toml", &config(&origin, "user = 'nobody'", &low("127.0.0.9:9")));
    let mut program = Running::saying(plimsoll(&["serve", &file]));
    program.line("listening on http://127.0.0.9:9 ");
    assert_eq!(Client::connect("127.0.0.9:9".parse().expect("an address")).expect("it listens").ask().body, "one");
    fs::write(&file, config(&origin, "user = 'nobody'", &low("127.0.0.9:10"))).expect("the file is written");
    program.signal(Signal::HUP);
    let line = program.line("cannot listen on 127.0.0.9:10: permission denied");
    for part in [
        "given up for user nobody",
        "restart",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        "ip_unprivileged_port_start",
    ] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    assert_eq!(Client::connect("127.0.0.9:9".parse().expect("an address")).expect("it stays").ask().body, "one");
}

#[test]
fn a_file_that_a_reload_could_not_read_any_more_is_found_with_its_line() {
    must_be_root();
    let origin = Origin::quick("one");
    let folder = Folder::for_all();
    let made = run(&["cert", "--name", "localhost", "--out", folder.path().to_str().expect("UTF-8")]);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let tls =
        "[listen.tls]\nbind = '127.0.0.1:0'\npool = 'app'\ntls = { cert = 'localhost.pem', key = 'localhost.key' }";
    let file = folder.file("plimsoll.toml", &config(&origin, "user = 'nobody'\ngroup = 'daemon'", tls));
    folder.mode("localhost.key", 0o600);
    for command in ["check", "serve"] {
        let output = run(&[command, &file]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        for part in
            ["plimsoll.toml:11:39", "user nobody cannot read", "localhost.key, so that a reload would fail", "chgrp 1 "]
        {
            assert!(said.contains(part), "no {part} in {said}");
        }
        assert_eq!(said.matches("error:").count(), 1, "{said}");
    }
    let key = folder.path().join("localhost.key");
    folder.mode("localhost.key", 0o640);
    chown(&key, None, Some(DAEMON)).expect("root may give it away");
    assert_eq!(run(&["check", &file]).status.code(), Some(0));
    folder.mode("plimsoll.toml", 0o600);
    let output = run(&["check", &file]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("plimsoll.toml:1:8"), "the file itself: {}", stderr(&output));
}

#[test]
fn a_log_that_could_not_be_made_anew_is_found_with_its_line() {
    must_be_root();
    let folder = Folder::for_all();
    let file = folder
        .file("plimsoll.toml", &config(&Origin::quick("one"), "user = 'nobody'\n[access_log]\nto = './access'", ""));
    let output = run(&["check", &file]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    for part in
        ["plimsoll.toml:3:6", "user nobody cannot write to", "it may not make files in the folder", "`chown nobody "]
    {
        assert!(said.contains(part), "no {part} in {said}");
    }
}

#[test]
fn a_user_that_is_not_there_is_a_warning_of_check_and_an_error_of_serve() {
    let folder = Folder::for_all();
    let file = folder.file("plimsoll.toml", &config(&Origin::quick("one"), "user = 'no-such-user-here'", ""));
    let checked = run(&["check", &file]);
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    assert!(
        stderr(&checked).contains("plimsoll.toml:1: there is no user no-such-user-here on this machine"),
        "{}",
        stderr(&checked)
    );
    let served = run(&["serve", &file]);
    assert_eq!(served.status.code(), Some(2), "{}", stderr(&served));
    assert!(
        stderr(&served).contains("plimsoll.toml:1:8") && stderr(&served).contains("useradd"),
        "{}",
        stderr(&served)
    );
}

#[test]
fn only_root_can_become_somebody_else_and_everybody_may_stay_what_they_are() {
    must_be_root();
    let folder = Folder::for_all();
    // The build's own folder may be closed to others.
    let program = folder.path().join("plimsoll");
    fs::copy(env!("CARGO_BIN_EXE_plimsoll"), &program).expect("the program can be copied");
    let start = |user: &str| {
        let file = folder.file("plimsoll.toml", &config(&Origin::quick("one"), &format!("user = '{user}'"), ""));
        let mut command = std::process::Command::new(&program);
        command.args(["serve", &file]).uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    };
    let output = start("daemon").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("only root can become user daemon, and this is user 65534"),
        "{}",
        stderr(&output)
    );
    let mut own = Running::saying(start("nobody"));
    assert_eq!(Client::connect(own.address()).expect("it listens").ask().body, "one");
}

#[test]
fn a_pid_file_in_use_keeps_a_second_one_from_starting_and_goes_with_its_process() {
    let origin = Origin::quick("one");
    let folder = Folder::new();
    let pid_file = folder.path().join("pid");
    fs::write(&pid_file, "1\n").expect("one is left behind");
    let file = folder.file("plimsoll.toml", &config(&origin, "pid_file = 'pid'", ""));
    let mut program = Running::saying(plimsoll(&["serve", &file]));
    program.address();
    let written = fs::read_to_string(&pid_file).expect("it is written");
    assert_eq!(written.trim().parse().ok().and_then(Pid::from_raw), Some(program.pid()));
    let second = run(&["serve", &file]);
    assert_eq!(second.status.code(), Some(1), "{}", stderr(&second));
    assert!(
        stderr(&second).contains(&format!("held by process {}, which runs", written.trim())),
        "{}",
        stderr(&second)
    );
    program.signal(Signal::TERM);
    assert_eq!(program.end().0, Some(0));
    assert!(!pid_file.exists());
}
