//! What systemd is told, and what is taken from it: with a socket such as its own, and with its own `systemd-socket-activate`.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use rustix::process::Signal;

use super::kit::{Client, Folder, Origin, PATIENCE, Running, plimsoll};

fn config(origin: &Origin, bind: &str) -> String {
    let address = origin.address;
    format!("[listen.web]\nbind = '{bind}'\npool = 'app'\n[pool.app]\nservers = ['{address}']\n")
}

/// Where systemd would listen.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &str) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket can be made");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is open");
        Self(socket)
    }

    /// The next message that is no sign of life.
    fn told(&self) -> String {
        loop {
            let message = self.next();
            if message != "WATCHDOG=1" {
                return message;
            }
        }
    }

    fn next(&self) -> String {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).expect("something is told");
        String::from_utf8_lossy(&message[..length]).into_owned()
    }
}

#[test]
fn it_is_told_when_the_service_is_ready_reloads_and_stops() {
    let (one, two) = (Origin::quick("one"), Origin::quick("two"));
    let folder = Folder::new();
    let manager_at = folder.path().join("notify");
    let manager = Manager::at(manager_at.to_str().expect("the path is UTF-8"));
    let file = folder.file("plimsoll.toml", &config(&one, "127.0.0.1:0"));
    let mut command = plimsoll(&["serve", &file, "--workers", "2"]);
    command.env("NOTIFY_SOCKET", &manager_at);
    let mut program = Running::saying(command);
    assert_eq!(manager.told(), "READY=1\nSTATUS=serving: listeners 1, pools 1, workers 2");
    // Ready means that whoever comes now is served.
    assert_eq!(Client::connect(program.address()).expect("it listens").ask().body, "one");
    fs::write(&file, config(&two, "127.0.0.1:0")).expect("the file is written");
    program.signal(Signal::HUP);
    let reloading = manager.told();
    let time = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")?.parse::<u64>().ok());
    assert!(reloading.starts_with("RELOADING=1\n") && time.is_some_and(|time| time > 0), "{reloading}");
    assert_eq!(manager.told(), "READY=1\nSTATUS=reloaded");
    fs::write(&file, "nonsense").expect("the file is written");
    program.signal(Signal::HUP);
    assert!(manager.told().starts_with("RELOADING=1\n"));
    assert_eq!(manager.told(), "READY=1\nSTATUS=not reloaded: the file has mistakes");
    let taken = two.address.to_string();
    fs::write(&file, config(&two, &taken)).expect("the file is written");
    program.signal(Signal::HUP);
    assert!(manager.told().starts_with("RELOADING=1\n"));
    let told = manager.told();
    assert!(told.starts_with("READY=1\nSTATUS=not reloaded: ") && told.contains(&taken), "{told}");
    assert_eq!(told.lines().count(), 2, "{told}");
    program.signal(Signal::TERM);
    assert!(manager.told().starts_with("STOPPING=1\n"));
    assert_eq!(program.end().0, Some(0));
}

#[test]
fn signs_of_life_come_while_the_workers_live() {
    let origin = Origin::quick("one");
    let folder = Folder::new();
    let manager_at = folder.path().join("notify");
    let manager = Manager::at(manager_at.to_str().expect("the path is UTF-8"));
    let file = folder.file("plimsoll.toml", &config(&origin, "127.0.0.1:0"));
    let mut command = plimsoll(&["serve", &file]);
    command.env("NOTIFY_SOCKET", &manager_at).env("WATCHDOG_USEC", "900000");
    let program = Running::saying(command);
    let signs = (0..6).filter(|_| manager.next() == "WATCHDOG=1").count();
    assert!(signs >= 4, "only {signs}");
    drop(program);
}

#[test]
fn a_place_that_nobody_can_be_told_at_is_one_clear_line() {
    let output = plimsoll(&["serve", "--listen", "0", "--to", "127.0.0.1:1"]).env("NOTIFY_SOCKET", "notify").output();
    let output = output.expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    let said = super::kit::stderr(&output);
    assert!(said.contains("NOTIFY_SOCKET names notify, which is no socket to tell"), "{said}");
}

/// An address that was free a moment ago: systemd's tool does not tell the port it was given.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free").to_string()
}

/// The program started by systemd's own tool once somebody connects to one of these.
fn activated(sockets: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new("systemd-socket-activate");
    command.args(sockets.iter().map(|socket| format!("--listen={socket}")));
    command.arg(env!("CARGO_BIN_EXE_plimsoll")).args(arguments);
    command
}

#[test]
fn sockets_that_systemd_opened_are_served_and_not_bound_again() {
    let origin = Origin::quick("one");
    let folder = Folder::new();
    let (address, path) = (free_address(), folder.path().join("web.sock"));
    let path = path.to_str().expect("the path is UTF-8");
    let binds = format!("bind = ['{address}', 'unix:{path}']");
    let text = config(&origin, &address).replace(&format!("bind = '{address}'"), &binds);
    let file = folder.file("plimsoll.toml", &text);
    let mut program = Running::saying(activated(&[&address, path], &["serve", &file, "--workers", "2"]));
    program.line("Listening on");
    program.line("Listening on");
    // Who comes first makes systemd start the program, and waits for it.
    let mut first = Client::connect(address.parse().expect("an address")).expect("systemd listens");
    assert_eq!(first.ask().body, "one");
    for _ in 0..20 {
        assert_eq!(Client::connect(address.parse().expect("an address")).expect("it listens").ask().body, "one");
    }
    std::os::unix::net::UnixStream::connect(path).expect("the Unix socket is served too");
    let text = fs::read_to_string(&file).expect("it is there");
    fs::write(&file, format!("shutdown_timeout = '5s'\n{text}")).expect("the file is written");
    program.signal(Signal::HUP);
    program.line("reloaded: configuration 2 is in force");
    assert_eq!(first.ask().body, "one");
    program.signal(Signal::TERM);
    assert_eq!(program.end().0, Some(0));
    assert!(fs::exists(path).expect("it can be looked at"), "the socket is systemd's to remove");
}

#[test]
fn a_socket_that_no_listener_wants_is_one_clear_line() {
    let origin = Origin::quick("one");
    let folder = Folder::new();
    let address = free_address();
    let file = folder.file("plimsoll.toml", &config(&origin, "127.0.0.1:0"));
    let mut program = Running::saying(activated(&[&address], &["serve", &file]));
    program.line("Listening on");
    let _first = std::net::TcpStream::connect(&address).expect("systemd listens");
    let line = program.line("error: ");
    assert!(line.contains(&format!("no listener has `bind = \"{address}\"`")), "{line}");
    assert_eq!(program.end().0, Some(1));
}

#[test]
fn sockets_that_are_for_another_process_are_left_alone() {
    let mut command = plimsoll(&["serve", "--listen", "0", "--to", "127.0.0.1:1"]);
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    Running::saying(command).line("listening on ");
}
