//! `plimsoll serve`: requests through it, and why it may not start.

use std::net::TcpListener;
use std::process::Command;

use rustix::process::{Pid, Signal};

use super::kit::{Client, Folder, Origin, Running, plimsoll, run, stderr, until};

#[test]
fn options_alone_make_a_balancer() {
    let (big, small) = (Origin::quick("big"), Origin::quick("small"));
    let to = [format!("{},weight=2", big.address), small.address.to_string()];
    let arguments = ["serve", "--listen", "0", "--to", &to[0], "--to", &to[1], "--workers", "1"];
    let mut program = Running::saying(plimsoll(&arguments));
    let line = program.line("listening on http://127.0.0.1:");
    assert!(line.ends_with(" -> pool app (2 servers, least-connections)"), "{line}");
    let address = line.split(['/', ' ']).find_map(|word| word.parse().ok()).expect("the line has an address");
    let mut client = Client::connect(address).expect("it listens");
    for _ in 0..9 {
        let answer = client.ask();
        assert_eq!(answer.status, 200);
        assert!(["big", "small"].contains(&answer.body.as_str()), "{answer:?}");
    }
    assert_eq!((big.requests(), small.requests()), (6, 3), "idle servers share by weight");
}

#[test]
fn the_usual_file_serves_every_listener_and_policy_it_names() {
    let (first, second) = (Origin::quick("first"), Origin::quick("second"));
    let folder = Folder::new();
    let text = format!(
        "[listen.one]\nbind = \"127.0.0.1:0\"\npool = \"one\"\n[listen.two]\nbind = \"127.0.0.1:0\"\npool = \"two\"\n\
         [pool.one]\nservers = [\"{}\"]\n[pool.two]\npolicy = \"random\"\nservers = [\"localhost:{}\"]\n",
        first.address,
        second.address.port()
    );
    folder.file("plimsoll.toml", &text);
    let mut command = plimsoll(&["serve"]);
    command.current_dir(folder.path());
    let mut program = Running::saying(command);
    for (name, ending) in
        [("first", "-> pool one (1 server, least-connections)"), ("second", "-> pool two (1 server, random)")]
    {
        let line = program.line("listening on ");
        assert!(line.ends_with(ending), "{line}");
        let address = line.split(['/', ' ']).find_map(|word| word.parse().ok()).expect("the line has an address");
        assert_eq!(Client::connect(address).expect("it listens").ask().body, name);
    }
}

#[test]
fn the_options_set_policy_and_workers() {
    let origin = Origin::quick("one");
    let to = origin.address.to_string();
    let arguments = ["serve", "--listen", "0", "--to", &to, "--policy", "two-choices", "--workers", "3"];
    let mut program = Running::saying(plimsoll(&arguments));
    let line = program.line("listening on ");
    assert!(line.ends_with("(1 server, two-choices)"), "{line}");
    let pid = program.pid();
    until("three workers run", || workers(pid) == 3);
}

/// Threads of the program called `worker-…`.
fn workers(pid: Pid) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).expect("the program runs");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("worker-")).count()
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    for arguments in
        [&["serve", "--listen", &address, "--to", "127.0.0.1:9001"][..], &["demo", "--listen", &address, "--for", "1s"]]
    {
        let output = run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("cannot listen on {address}: the port is in use")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_port_that_takes_privilege_is_one_clear_line() {
    let first_free = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if first_free.is_ok_and(|port| port.trim() == "0") {
        eprintln!("not tested: on this machine everybody may listen on every port");
        return;
    }
    let arguments = ["serve", "--listen", "127.0.0.1:1", "--to", "127.0.0.1:9001"];
    let mut command = plimsoll(&arguments);
    if rustix::process::geteuid().is_root() {
        // Root without the capability is as powerless as anybody.
        command = Command::new("setpriv");
        command.args(["--bounding-set=-net_bind_service", env!("CARGO_BIN_EXE_plimsoll")]);
        command.args(arguments);
    }
    let output = command.output().expect("the program starts");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot listen on 127.0.0.1:1: permission denied"), "{said}");
}

#[test]
fn an_unknown_host_name_is_one_clear_line() {
    let arguments = ["serve", "--listen", "0", "--to", "127.0.0.1:9001", "--to", "nowhere.invalid:80,name=far"];
    // A name server that does not answer is not waited for.
    let mut command = plimsoll(&arguments);
    let output = command.env("RES_OPTIONS", "timeout:1 attempts:1").output().expect("the program starts");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["server `far` of pool `app`", "`nowhere.invalid` has no address", "check its spelling"] {
        assert!(said.contains(part), "no {part} in {said}");
    }
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_hangup_without_a_file_changes_nothing() {
    let origin = Origin::quick("one");
    let to = origin.address.to_string();
    let mut program = Running::saying(plimsoll(&["serve", "--listen", "0", "--to", &to]));
    let address = program.address();
    program.signal(Signal::HUP);
    program.line("there is no file to reload");
    assert_eq!(Client::connect(address).expect("it listens").ask().body, "one");
}
