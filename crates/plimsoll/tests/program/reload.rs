//! `plimsoll serve` takes a new file: on HUP, and by itself with `--watch`.

use std::fs;
use std::net::SocketAddr;

use rustix::process::Signal;

use super::kit::{Client, Folder, Origin, Running, plimsoll};

fn config(server: SocketAddr, more: &str) -> String {
    format!("[listen.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n[pool.app]\nservers = [\"{server}\"]\n{more}")
}

#[test]
fn a_hangup_puts_the_new_file_in_force_under_open_connections() {
    let (one, two) = (Origin::quick("one"), Origin::quick("two"));
    let folder = Folder::new();
    let file = folder.file("plimsoll.toml", &config(one.address, ""));
    let mut program = Running::saying(plimsoll(&["serve", &file, "--workers", "2"]));
    let address = program.address();
    let mut kept = Client::connect(address).expect("it listens");
    assert_eq!(kept.ask().body, "one");
    fs::write(&file, config(two.address, "")).expect("the file is written");
    program.signal(Signal::HUP);
    program.line("reloaded: configuration 2 is in force");
    assert_eq!(kept.ask().body, "two", "the connection that was open goes on under the new file");
    assert_eq!(Client::connect(address).expect("it listens still").ask().body, "two");
}

#[test]
fn a_file_with_a_mistake_is_refused_and_changes_nothing() {
    let one = Origin::quick("one");
    let folder = Folder::new();
    let file = folder.file("plimsoll.toml", &config(one.address, ""));
    let mut program = Running::saying(plimsoll(&["serve", &file]));
    let address = program.address();
    fs::write(&file, config(one.address, "polcy = \"random\"\n")).expect("the file is written");
    program.signal(Signal::HUP);
    program.line("not reloaded, everything stays as it was");
    program.line("unknown setting `polcy`");
    assert_eq!(Client::connect(address).expect("it listens").ask().body, "one");
}

#[test]
fn a_port_that_is_taken_refuses_the_reload() {
    let one = Origin::quick("one");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port();
    let folder = Folder::new();
    let file = folder.file("plimsoll.toml", &config(one.address, ""));
    let mut program = Running::saying(plimsoll(&["serve", &file]));
    let address = program.address();
    let more = format!("[listen.more]\nbind = \"127.0.0.1:{port}\"\npool = \"app\"\n");
    fs::write(&file, config(one.address, &more)).expect("the file is written");
    program.signal(Signal::HUP);
    program.line("the port is in use");
    assert_eq!(Client::connect(address).expect("it listens").ask().body, "one");
}

#[test]
fn a_watched_file_is_followed() {
    let (one, two) = (Origin::quick("one"), Origin::quick("two"));
    let folder = Folder::new();
    let file = folder.file("plimsoll.toml", &config(one.address, ""));
    let mut program = Running::saying(plimsoll(&["serve", &file, "--watch"]));
    let address = program.address();
    // By another file in its place, as editors and Kubernetes do it.
    let new = folder.file("new.toml", &config(two.address, ""));
    fs::rename(new, &file).expect("the file is replaced");
    program.line("reloaded: configuration 2 is in force");
    assert_eq!(Client::connect(address).expect("it listens").ask().body, "two");
}

#[test]
fn what_takes_effect_at_the_next_start_is_told() {
    let one = Origin::quick("one");
    let folder = Folder::new();
    let file = folder.file("plimsoll.toml", &config(one.address, ""));
    let mut program = Running::saying(plimsoll(&["serve", &file]));
    program.address();
    fs::write(&file, format!("workers = 3\n{}", config(one.address, ""))).expect("the file is written");
    program.signal(Signal::HUP);
    program.line("`workers` takes effect at the next start");
}
