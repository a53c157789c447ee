//! Too few descriptors: fewer clients are let in, and what runs out all the same is waited for. Nothing hangs, and all recovers.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, prlimit};

use super::kit::{Client, Folder, Origin, PATIENCE, Running, until};

fn config(origin: &Origin, top: &str) -> String {
    let address = origin.address;
    format!("{top}\n[listen.web]\nbind = '127.0.0.1:0'\npool = 'app'\n[pool.app]\nservers = ['{address}']\n")
}

/// The program under a limit that it cannot raise: root without that capability is as powerless as anybody.
fn limited(files: u64, arguments: &[&str]) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={files}:{files}"));
    command.args(["setpriv", "--bounding-set=-sys_resource", env!("CARGO_BIN_EXE_plimsoll")]).args(arguments);
    command
}

#[test]
fn under_a_low_limit_fewer_clients_are_let_in_and_the_others_wait_their_turn() {
    let origin = Origin::quick("one");
    let folder = Folder::new();
    let file = folder.file("plimsoll.toml", &config(&origin, "workers = 2\nmax_connections = 500"));
    let mut program = Running::saying(limited(144, &["serve", &file]));
    // Two workers with one address each, and the rest, leave 144 - 2 * 10 - 64 for pairs.
    let line = program.line("note: ");
    for part in
        ["500 clients are allowed for", "up to 1084 open files", "limit is 144", "at most 30 clients", "LimitNOFILE="]
    {
        assert!(line.contains(part), "no {part} in {line}");
    }
    let address = program.address();
    let mut clients: Vec<Client> = (0..120).map(|_| Client::connect(address).expect("the kernel accepts")).collect();
    for client in &mut clients {
        client.send().expect("the request can be sent");
    }
    // Each that has its answer makes room for one behind it. In which order they are let in is the kernel's to say.
    let answered: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || client.answer().expect("an answer comes").expect("the connection stays").status)
        })
        .collect();
    let statuses: Vec<u16> = answered.into_iter().map(|one| one.join().expect("nothing hangs")).collect();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

/// Descriptors that the program has open.
fn open(program: &Running) -> u64 {
    let folder = format!("/proc/{}/fd", program.pid().as_raw_nonzero());
    std::fs::read_dir(&folder).expect("it runs").count() as u64
}

/// Leaves the program so many descriptors beside those that it has open, as if somebody else had used them up: so much was not
/// known at the start. Gives the limit.
fn leave(program: &Running, room: u64) -> u64 {
    let most = open(program) + room;
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    prlimit(Some(program.pid()), Resource::Nofile, limit).expect("it can be lowered");
    most
}

#[test]
fn clients_cannot_take_the_descriptors_that_they_need_to_be_served() {
    let origin = Origin::quick("one");
    let folder = Folder::new();
    let top = "workers = 1\nmax_connections = 40\n[admin]\nbind = '127.0.0.1:0'";
    let file = folder.file("plimsoll.toml", &config(&origin, top));
    let mut program = Running::saying(limited(4096, &["serve", &file]));
    let address = program.address();
    // What tells of it runs once it answers. The connection stays, so that none is given back in between.
    let mut overseer = Client::connect(program.address()).expect("it listens");
    let heard = overseer.ask().status;
    let most = leave(&program, 10);
    let clients: Vec<Client> = (0..100).map(|_| Client::connect(address).expect("the kernel accepts")).collect();
    let told = program.line("ran out of descriptors");
    assert!(told.contains("raise the limit on open files"), "{told}");
    // Each that has its answers makes room for one behind it.
    let ask = |mut client: Client| thread::spawn(move || [client.ask().status, client.ask().status]);
    let asked: Vec<_> = clients.into_iter().map(ask).collect();
    let statuses: Vec<_> = asked.into_iter().map(|asked| asked.join().expect("nothing hangs")).collect();
    assert!(statuses.iter().all(|both| *both == [200, 200]), "{statuses:?}");
    until("all descriptors are given back", || open(&program) < most - 5);
    assert_eq!(Client::connect(address).expect("it listens").ask().status, 200);
    assert_eq!(program.said().matches("ran out of descriptors").count(), 1, "{}", program.said());
    assert_eq!(overseer.ask().status, heard, "the admin API was heard all the while");
}

#[test]
fn idle_clients_leave_for_those_who_find_no_descriptor() {
    let origin = Origin::quick("one");
    let folder = Folder::new();
    let file = folder.file("plimsoll.toml", &config(&origin, "workers = 1\n[admin]\nbind = '127.0.0.1:0'"));
    let mut program = Running::saying(limited(4096, &["serve", &file]));
    let address = program.address();
    // What tells of it runs once it answers.
    Client::connect(program.address()).expect("it listens").ask();
    leave(&program, 10);
    let mut staying = Vec::new();
    for number in 0..30 {
        let mut client = Client::connect(address).expect("the kernel accepts");
        assert_eq!(client.ask().status, 200, "client {number}");
        staying.push(client);
    }
}

#[test]
fn who_gets_no_descriptor_in_time_is_told_when_to_come_back_and_no_server_is_blamed() {
    let origin = Origin::silent();
    let folder = Folder::new();
    let top = "workers = 1\n[admin]\nbind = '127.0.0.1:0'";
    let file = folder.file("plimsoll.toml", &(config(&origin, top) + "timeout = { connect = '1s' }\n"));
    let mut program = Running::saying(limited(4096, &["serve", &file]));
    let address = program.address();
    // What tells of it runs once it answers.
    Client::connect(program.address()).expect("it listens").ask();
    let most = leave(&program, 40);
    let clients: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(address).expect("the kernel accepts")).collect();
    program.line("ran out of descriptors");
    // More are in by now than can have a server, which keeps those that have it.
    let (tell, told) = channel();
    for client in &clients {
        let (mut client, tell) = (client.try_clone().expect("it is open"), tell.clone());
        thread::spawn(move || {
            client.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect("it can be sent");
            let mut head = String::new();
            let mut lines = BufReader::new(client);
            while lines.read_line(&mut head).is_ok_and(|count| count > 0) && !head.ends_with("\r\n\r\n") {}
            // Nobody listens any more once enough was told.
            let _ = tell.send(head);
        });
    }
    for _ in 0..5 {
        let answer = told.recv_timeout(PATIENCE).expect("an answer comes");
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: 1\r\n"), "{answer}");
    }
    assert!(!program.said().contains("ejected") && !program.said().contains("is down"), "{}", program.said());
    for client in clients {
        client.shutdown(Shutdown::Both).expect("it is open");
    }
    until("all descriptors are given back", || open(&program) < most - 30);
}

/// Connections that stand to this address, as the kernel lists them. What else the program has open comes and goes.
fn connections_to(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else { panic!("{address} is IPv4") };
    let remote = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    let list = std::fs::read_to_string("/proc/net/tcp").expect("the kernel tells");
    let stands = |line: &&str| line.split_whitespace().skip(2).take(2).eq([&*remote, "01"]);
    list.lines().filter(stands).count()
}

#[test]
fn idle_connections_to_servers_go_first_when_descriptors_run_out() {
    let origin = Origin::quick("one");
    let folder = Folder::new();
    let file = folder.file("plimsoll.toml", &config(&origin, "workers = 1"));
    let mut program = Running::saying(limited(4096, &["serve", &file]));
    let address = program.address();
    // Eight at once leave several connections to the server behind.
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(address).expect("it listens")).collect();
    let idle = || connections_to(origin.address);
    let until = Instant::now() + PATIENCE;
    while idle() < 3 {
        for client in &mut clients {
            client.send().expect("it can be sent");
        }
        for client in &mut clients {
            client.answer().expect("an answer comes").expect("the connection stays");
        }
        assert!(Instant::now() < until, "no connection to the server was kept");
    }
    let most = leave(&program, 0);
    let mut late = Client::connect(address).expect("the kernel accepts");
    assert_eq!(late.ask().status, 200);
    assert!(open(&program) <= most);
}
