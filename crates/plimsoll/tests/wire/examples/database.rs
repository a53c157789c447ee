//! Connections to a real database, Redis.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::kit::{Example, PATIENCE, run, until};

/// A Redis, killed when dropped.
struct Redis {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Redis {
    fn start(name: &str) -> Self {
        // The port is free as long as nobody else is given it; Redis chooses none by itself.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = std::env::temp_dir().join(format!("plimsoll-redis-{}-{name}.log", std::process::id()));
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", "", "--daemonize", "no"])
            .stdout(File::create(&log).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        until("Redis is ready", || {
            assert_eq!(child.try_wait().unwrap(), None, "{:?}", std::fs::read_to_string(&log));
            TcpStream::connect(address).is_ok()
        });
        Self { child, address, log }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

/// A connection that is held, and the port of the server that it leads to.
fn connect(to: SocketAddr) -> (BufReader<TcpStream>, u16) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"CONFIG GET port\r\n").unwrap();
    let mut stream = BufReader::new(stream);
    // Two strings: the name and the value, each after a line with its length.
    let lines: Vec<String> = stream.by_ref().lines().take(5).map(Result::unwrap).collect();
    let port = lines.last().and_then(|line| line.parse().ok());
    (stream, port.unwrap_or_else(|| panic!("{lines:?}")))
}

#[test]
fn connections_spread_over_the_replicas_and_the_backup_takes_over() {
    let [mut one, mut two, spare] = ["one", "two", "spare"].map(Redis::start);
    let mut example = Example::of("database.toml");
    for (port, server) in (9001..).zip([&one, &two, &spare]) {
        example = example.server(port, server.address);
    }
    let program = example.start();
    let held: Vec<_> = (0..10).map(|_| connect(program.address())).collect();
    let with = |redis: &Redis| held.iter().filter(|(_, port)| *port == redis.address.port()).count();
    assert_eq!((with(&one), with(&two), with(&spare)), (5, 5, 0));
    let port = program.address().port().to_string();
    let said = run("redis-cli", &["-p", &port, "PING"], b"");
    assert_eq!(said.printed, b"PONG\n", "{}", said.said);
    one.kill();
    for (mut stream, port) in held {
        if port == one.address.port() {
            assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap_or(0), 0, "its clients learn of it");
        } else {
            stream.get_mut().write_all(b"PING\r\n").unwrap();
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            assert_eq!(line, "+PONG\r\n", "the others notice nothing");
        }
    }
    assert_eq!([(); 4].map(|()| connect(program.address()).1), [two.address.port(); 4]);
    two.kill();
    program.await_said("server two is down");
    assert_eq!([(); 4].map(|()| connect(program.address()).1), [spare.address.port(); 4]);
}
