//! `plimsoll top` in a terminal.

use rustix::process::{Pid, Signal, kill_process};

use super::super::kit::{Client, Origin, until};
use super::terminal::Terminal;
use super::{Held, Served, two_quick};

/// `top` for `served`; at its end a line says whether the terminal is as it was before, and its exit code.
fn top(served: &Served) -> Terminal {
    let program = env!("CARGO_BIN_EXE_plimsoll");
    let line = format!(
        "before=$(stty -g); sh -c 'echo $$ > top.pid; exec {program} top'; code=$?; \
         test \"$before\" = \"$(stty -g)\" && echo \"as before, exit code $code\"; exit $code"
    );
    Terminal::run(&line, |command| {
        command.current_dir(served.folder.path()).env("PLIMSOLL_ADMIN", "./admin.sock");
    })
}

/// The end of the sequences that lead back to the usual screen with its cursor.
fn is_restored(written: &str) -> bool {
    let usual = written.rfind("\u{1b}[?1049l").expect("the usual screen comes back");
    let full = written.rfind("\u{1b}[?1049h").expect("the full screen came");
    let (shown, hidden) = (written.rfind("\u{1b}[?25h"), written.rfind("\u{1b}[?25l"));
    usual > full && shown > hidden
}

#[test]
fn a_server_is_drained_by_a_key_and_the_terminal_comes_back() {
    let served = two_quick();
    let mut top = top(&served);
    top.shows("2 of 2 servers take requests");
    let text = top.shows("s2 ");
    assert!(text.contains("least-connections"), "{text}");
    top.keys("j");
    top.keys("d");
    top.shows("drain app/s2? y/n");
    assert_eq!(served.server("s2")["state"], "ready", "nothing happens without a yes");
    top.keys("y");
    top.shows("draining");
    assert_eq!(served.server("s2")["state"], "drain");
    assert_eq!(served.server("s1")["state"], "ready");
    top.shows("server s2 was set to state drain");
    top.keys("e");
    top.shows("it drains: it takes nobody new");
    top.keys("q");
    top.until("the explanation is closed", |text| !text.contains("it takes nobody new"));
    top.keys("q");
    let (code, written) = top.end();
    assert_eq!(code, Some(0));
    assert!(written.contains("as before, exit code 0"), "{written:?}");
    assert!(is_restored(&written), "{written:?}");
}

#[test]
fn a_drain_that_waits_draws_its_line_anew() {
    let held = Held::start();
    let served = Served::pool_of(&[("s1", held.address)]);
    let mut client = Client::connect(served.address).expect("it listens");
    client.send().expect("the request can be sent");
    until("the request is in flight", || served.server("s1")["in_flight"] == 1);
    let program = env!("CARGO_BIN_EXE_plimsoll");
    let mut waiting = Terminal::run(&format!("{program} drain s1 --wait"), |command| {
        command.current_dir(served.folder.path()).env("PLIMSOLL_ADMIN", "./admin.sock");
    });
    waiting.shows("in flight: 1 at app/s1 (1 s of 60 s)");
    held.answer();
    let (code, written) = waiting.end();
    assert_eq!(code, Some(0), "{written}");
    assert!(written.contains("\rin flight: 1 at app/s1 (0 s of 60 s)\u{1b}[K\rin flight: "), "{written:?}");
    assert!(written.ends_with("\r\nnothing is in flight there\r\n"), "{written:?}");
}

#[test]
fn it_lives_on_when_the_balancer_is_started_anew() {
    let mut served = two_quick();
    let mut top = top(&served);
    top.shows("s2 ");
    served.kill();
    top.shows("reconnecting: ");
    served.start();
    top.until("it is back", |text| !text.contains("reconnecting") && text.contains("2 of 2 servers"));
    top.keys("q");
    assert_eq!(top.end().0, Some(0));
}

#[test]
fn a_signal_ends_it_and_the_terminal_comes_back() {
    for signal in [Signal::TERM, Signal::HUP] {
        let served = two_quick();
        let mut top = top(&served);
        top.shows("s2 ");
        let pid = std::fs::read_to_string(served.folder.path().join("top.pid")).expect("the shell has written it");
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("it is a process id");
        kill_process(pid, signal).expect("it runs");
        let (_, written) = top.end();
        assert!(written.contains("as before, exit code 0"), "{written:?}");
        assert!(is_restored(&written), "{written:?}");
    }
}

#[test]
fn a_thousand_servers_scroll() {
    let origin = Origin::quick("all");
    let names: Vec<String> = (0..1000).map(|number| format!("server-{number:04}")).collect();
    let servers: Vec<_> = names.iter().map(|name| (&**name, origin.address)).collect();
    let served = Served::pool_of(&servers);
    let mut top = top(&served);
    top.shows("server-0000");
    top.keys("G");
    top.shows("server-0999");
    top.keys("/0500\r");
    top.until("it alone is shown", |text| text.contains("server-0500") && !text.contains("server-0999"));
    top.keys("q");
    assert_eq!(top.end().0, Some(0));
    until("the program still serves", || served.server("server-0999")["state"] == "ready");
}
