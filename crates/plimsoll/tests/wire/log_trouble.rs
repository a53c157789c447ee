//! The access log when its disk is full, its reader stuck or gone, its file moved away; and the daemons it can go to.
//! Requests never notice.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, pipe};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::access_log::LogFile;
use crate::kit::{Config, PATIENCE, Program, Server, get, until};

/// A program that logs as these settings say.
fn logging(server: &Server, settings: &str) -> Config {
    Config::to(&[server.address()]).top(&format!("access_log = {{ {settings} }}"))
}

/// Asks `count` times on one connection, and is answered.
#[track_caller]
fn ask(program: &Program, count: usize) {
    let mut client = program.client();
    for number in 0..count {
        assert_eq!(client.ask(get(&format!("/{number}"))).status, 200);
    }
}

#[test]
fn a_full_disk_costs_lines_and_no_request() {
    let server = Server::saying("hello");
    let mut program = logging(&server, "to = \"/dev/full\"").start();
    ask(&program, 100);
    program.await_said("access log (/dev/full): ");
    program.await_said("No space left on device");
    ask(&program, 100);
    program.assert_well();
}

#[test]
fn a_reader_that_is_stuck_costs_lines_and_no_request() {
    let server = Server::saying("hello");
    let (reader, writer) = pipe().unwrap();
    let program = logging(&server, "buffer = \"64KiB\"").start_with_stdout(writer);
    // A pipe holds 64 KiB, as much waits, and a line has some 400 bytes.
    ask(&program, 2000);
    program.await_said("it does not take lines as fast as they come");
    let mut lines = BufReader::new(reader).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["target"], "/0");
    // Once the reader goes on, so do the lines, each of them whole.
    let seen = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
            assert!(lines.any(|line| line["target"] == "/again"), "no line comes any more");
            seen.store(true, Ordering::SeqCst);
        });
        until("a new line is read", || {
            program.ask(get("/again"));
            seen.load(Ordering::SeqCst)
        });
    });
}

#[test]
fn a_stop_does_not_wait_for_a_reader_that_is_stuck() {
    let server = Server::saying("hello");
    let (_reader, writer) = pipe().unwrap();
    let mut program = logging(&server, "buffer = \"64KiB\"").start_with_stdout(writer);
    ask(&program, 2000);
    program.terminate();
    assert!(program.ended().success());
}

#[test]
fn a_stop_leaves_no_line_behind() {
    let server = Server::saying("hello");
    let (reader, writer) = pipe().unwrap();
    let mut program = logging(&server, "format = \"$target\"").start_with_stdout(writer);
    ask(&program, 50);
    program.terminate();
    assert!(program.ended().success());
    let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
    assert_eq!(lines, (0..50).map(|number| format!("/{number}")).collect::<Vec<_>>());
}

#[test]
fn a_reader_that_has_left_costs_lines_and_not_the_program() {
    let server = Server::saying("hello");
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut program = logging(&server, "").start_with_stdout(writer);
    ask(&program, 10);
    program.await_said("Broken pipe");
    ask(&program, 10);
    program.assert_well();
}

#[test]
fn a_file_that_is_moved_or_removed_is_made_anew_and_no_line_is_lost() {
    let server = Server::saying("hello");
    let (log, moved) = (LogFile::new(), LogFile::new());
    let program = Config::to(&[server.address()]).top(&log.settings("format = \"$target\"")).start();
    program.ask(get("/first"));
    log.lines(1);
    let mode = fs::metadata(&log.0).unwrap().permissions().mode();
    assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
    fs::rename(&log.0, &moved.0).unwrap();
    let mut asked = 1;
    until("there is a new file with a line in it", || {
        program.ask(get("/more"));
        asked += 1;
        !log.text().is_empty()
    });
    until("all lines are there", || moved.text().lines().count() + log.text().lines().count() == asked);
    fs::remove_file(&log.0).unwrap();
    until("there is a third file with a line in it", || {
        program.ask(get("/third"));
        log.text().contains("/third")
    });
}

#[test]
fn a_pipe_that_nobody_reads_is_told_at_the_start() {
    let fifo = LogFile::new();
    assert!(Command::new("mkfifo").arg(&fifo.0).status().unwrap().success());
    let mut plimsoll = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    let config = LogFile::new();
    let text = format!(
        "{}\n[listen.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n[pool.app]\nservers = [\"127.0.0.1:9\"]\n",
        fifo.settings("")
    );
    fs::write(&config.0, text).unwrap();
    let output = plimsoll.arg("serve").arg(&config.0).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("nobody reads this pipe"), "{said}");
    // With a reader it serves, and the pipe gets the lines.
    let server = Server::saying("hello");
    let path = fifo.0.clone();
    let reader = thread::spawn(move || BufReader::new(File::open(path).unwrap()).lines().next().unwrap().unwrap());
    let config = Config::to(&[server.address()]).top(&fifo.settings("format = \"$target\""));
    let held = fs::OpenOptions::new().write(true).open(&fifo.0).unwrap();
    let program = config.start();
    drop(held);
    program.ask(get("/piped"));
    assert_eq!(reader.join().unwrap(), "/piped");
}

/// The parts of a message of RFC 5424 with nothing but a text.
#[track_caller]
fn syslog_text(message: &[u8]) -> String {
    let message = String::from_utf8(message.to_vec()).unwrap();
    let parts: Vec<_> = message.splitn(8, ' ').collect();
    let [head, time, host, name, pid, id, data, text] = parts[..] else { panic!("{message}") };
    assert_eq!((head, name, id, data), ("<190>1", "plimsoll", "access", "-"), "{message}");
    assert!(time.ends_with('Z') && time.len() == 24, "{message}");
    assert!(!host.is_empty() && pid.parse::<u32>().is_ok(), "{message}");
    text.to_owned()
}

#[test]
fn syslog_daemons_get_a_message_a_line() {
    let server = Server::saying("hello");
    let mut bytes = vec![0; 64 * 1024];
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let to = format!("to = \"syslog://{}\"", udp.local_addr().unwrap());
    let program = logging(&server, &to).start();
    ask(&program, 3);
    for number in 0..3 {
        let length = udp.recv(&mut bytes).unwrap();
        let line: Value = serde_json::from_str(&syslog_text(&bytes[..length])).unwrap();
        assert_eq!(line["target"], format!("/{number}"));
    }

    let path = LogFile::new();
    let bind = || {
        let socket = UnixDatagram::bind(&path.0).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let socket = bind();
    let settings = format!("to = \"syslog:{}\", format = \"$target\"", path.0.display());
    let mut program = logging(&server, &settings).start();
    ask(&program, 1);
    let length = socket.recv(&mut bytes).unwrap();
    assert_eq!(syslog_text(&bytes[..length]), "/0");
    // A daemon that is started again is found again.
    drop(socket);
    ask(&program, 1);
    program.await_said("access log (syslog at ");
    fs::remove_file(&path.0).unwrap();
    let socket = bind();
    ask(&program, 1);
    let length = socket.recv(&mut bytes).unwrap();
    assert_eq!(syslog_text(&bytes[..length]), "/0");
    program.assert_well();
}
