//! The commands that ask a running Plimsoll and change it, against the real program.

mod changes;
mod clients;
mod reach;
mod results;
mod secured;
mod terminal;
mod top;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use super::kit::{Folder, Origin, Running, plimsoll, stdout};

/// A Plimsoll that serves, with its admin API on a socket in a folder of its own.
struct Served {
    folder: Folder,
    program: Option<Running>,
    /// Where clients connect.
    address: SocketAddr,
}

impl Served {
    /// With these pools, each given as its settings; every pool has a listener.
    fn new(pools: &[(&str, &str)]) -> Self {
        let mut file = "workers = 1\n[admin]\nsocket = \"admin.sock\"\n".to_owned();
        for (name, settings) in pools {
            let listener = format!("[listen.{name}]\nbind = \"127.0.0.1:0\"\npool = \"{name}\"\n");
            file = format!("{file}{listener}[pool.{name}]\n{settings}\n");
        }
        Self::of_file(&file)
    }

    /// With this file, which has the admin API at `admin.sock`.
    fn of_file(file: &str) -> Self {
        let folder = Folder::new();
        folder.file("plimsoll.toml", file);
        let mut served = Self { folder, program: None, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        served.start();
        served
    }

    /// With a pool `app` of these servers.
    fn pool_of(servers: &[(&str, SocketAddr)]) -> Self {
        let server = |(name, address): &(&str, SocketAddr)| format!("{{ address = \"{address}\", name = \"{name}\" }}");
        let servers: Vec<String> = servers.iter().map(server).collect();
        Self::new(&[("app", &format!("servers = [{}]", servers.join(", ")))])
    }

    /// Starts the program, which must not run.
    fn start(&mut self) {
        let mut command = plimsoll(&["serve"]);
        command.current_dir(self.folder.path());
        let mut program = Running::saying(command);
        self.address = program.address();
        let socket = self.folder.path().join("admin.sock");
        // The file alone may be what one that was killed has left.
        super::kit::until("the admin socket answers", || UnixStream::connect(&socket).is_ok());
        self.program = Some(program);
    }

    /// Kills the program.
    fn kill(&mut self) {
        self.program = None;
    }

    /// A command in the folder of the program's file.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = plimsoll(arguments);
        command.current_dir(self.folder.path()).env_remove("PLIMSOLL_ADMIN").env_remove("PLIMSOLL_TOKEN");
        command.env("PLIMSOLL_ADMIN", "./admin.sock");
        command
    }

    /// What comes of it.
    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    /// What it prints, which must be without a failure.
    fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        stdout(&output)
    }

    /// The JSON it prints.
    fn json(&self, arguments: &[&str]) -> Value {
        let printed = self.prints(arguments);
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error} in {printed}"))
    }

    /// A server of pool `app`, as `status --json` shows it.
    fn server(&self, name: &str) -> Value {
        let pool = self.json(&["status", "app", "--json"]);
        let servers = pool["servers"].as_array().expect("a pool has its servers");
        let server = servers.iter().find(|server| server["name"] == name);
        server.cloned().unwrap_or_else(|| panic!("no {name} in {pool:#}"))
    }
}

/// A server that holds every request until it is told to answer, or dropped.
struct Held {
    address: SocketAddr,
    accepting: JoinHandle<Option<TcpStream>>,
}

impl Held {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let accepting = thread::spawn(move || {
            let (mut stream, _) = listener.accept().ok()?;
            let mut byte = [0];
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            Some(stream)
        });
        Self { address, accepting }
    }

    /// Answers the one request, which must have been sent.
    fn answer(self) {
        let stream = self.accepting.join().expect("nothing in it panics");
        let mut stream = stream.expect("a connection came");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("the answer can be sent");
    }
}

/// Two quick servers `s1` and `s2`.
fn two_quick() -> Served {
    let (first, second) = (Origin::quick("s1"), Origin::quick("s2"));
    Served::pool_of(&[("s1", first.address), ("s2", second.address)])
}
