//! Long-lived connections that are closed so that they spread over a server that joined: `WebSocket`s by a library of other
//! people, TCP, HTTP/2 passed on as it is. Clients connect again at once.

mod mixed;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use crate::kit::{Config, PATIENCE, Program, Server, Talk, until, web_socket};

/// What clients saw.
#[derive(Default)]
struct Seen {
    /// Those that have a connection on which the server has spoken.
    served: AtomicUsize,
    /// The connections that were closed as they should.
    closed: AtomicUsize,
    /// What was not as it should be.
    wrong: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Seen {
    fn wrong(&self, what: String) {
        if !self.over.load(Ordering::SeqCst) {
            self.wrong.lock().unwrap().push(what);
        }
    }

    fn closed(&self) -> usize {
        self.closed.load(Ordering::SeqCst)
    }
}

/// Clients that connect again whenever they were closed, a thread each.
struct Clients {
    seen: Arc<Seen>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    /// `live` goes through the life of one connection: false when it broke.
    fn start(count: usize, to: SocketAddr, live: fn(SocketAddr, &Seen) -> Result<(), String>) -> Self {
        let seen = Arc::new(Seen::default());
        let client = |_| {
            let seen = Arc::clone(&seen);
            thread::spawn(move || {
                while !seen.over.load(Ordering::SeqCst) {
                    match live(to, &seen) {
                        Ok(()) => _ = seen.closed.fetch_add(1, Ordering::SeqCst),
                        Err(what) => return seen.wrong(what),
                    }
                }
            })
        };
        let threads = (0..count).map(client).collect();
        let clients = Self { seen, threads };
        until("all clients are served", || {
            assert_eq!(*clients.seen.wrong.lock().unwrap(), Vec::<String>::new());
            clients.seen.served.load(Ordering::SeqCst) == count
        });
        clients
    }

    /// Ends the program, and with it all connections; what clients saw until then must have been right.
    #[track_caller]
    fn end(self, mut program: Program) {
        program.assert_well();
        assert_eq!(*self.seen.wrong.lock().unwrap(), Vec::<String>::new());
        self.seen.over.store(true, Ordering::SeqCst);
        drop(program);
        self.threads.into_iter().for_each(|client| client.join().unwrap());
    }
}

/// A client of a `WebSocket` that listens until it is told by a close frame to come again.
fn listen(to: SocketAddr, seen: &Seen) -> Result<(), String> {
    let stream = TcpStream::connect(to).map_err(|error| error.to_string())?;
    let (mut socket, _) = tungstenite::client(format!("ws://{to}/"), stream).map_err(|error| error.to_string())?;
    let mut code = None;
    loop {
        match socket.read() {
            Ok(Message::Text(text)) if text.as_str() == "welcome" => _ = seen.served.fetch_add(1, Ordering::SeqCst),
            Ok(Message::Ping(_)) => {}
            Ok(Message::Close(frame)) => code = frame.map(|frame| frame.code),
            Err(Error::ConnectionClosed) if code == Some(CloseCode::Restart) => break,
            other => return Err(format!("{other:?} after {code:?}")),
        }
    }
    seen.served.fetch_sub(1, Ordering::SeqCst);
    Ok(())
}

/// A server of `WebSocket`s that says something at the beginning, in two fragments with a ping between them, and counts the
/// ends with a handshake.
fn welcoming(ends: &Arc<AtomicUsize>) -> Server {
    let ends = Arc::clone(ends);
    Server::start(move |talk: &mut Talk| {
        if let Some(socket) = web_socket(talk) {
            welcome(socket, &ends);
        }
    })
}

fn welcome(mut socket: WebSocket<TcpStream>, ends: &AtomicUsize) {
    socket.get_mut().write_all(b"\x01\x04welc\x89\x01!\x80\x03ome").unwrap();
    loop {
        match socket.read() {
            Ok(Message::Close(Some(frame))) if frame.code == CloseCode::Restart => {
                _ = ends.fetch_add(1, Ordering::SeqCst);
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn to(servers: &[Server], rule: &str) -> Config {
    let addresses: Vec<SocketAddr> = servers.iter().map(Server::address).collect();
    Config::to(&addresses).workers(2).pool("warm_up = \"off\"").pool(rule)
}

fn open(servers: &[Server]) -> Vec<usize> {
    servers.iter().map(Server::open).collect()
}

#[test]
fn three_hundred_web_sockets_spread_over_a_fourth_server_and_no_more_are_closed_than_it_needs() {
    let rule = "rebalance = { budget = \"50/s\", idle = \"200ms\", settle = \"1s\" }";
    let ends = Arc::new(AtomicUsize::new(0));
    let mut servers: Vec<Server> = (0..3).map(|_| welcoming(&ends)).collect();
    let (socket, admin) = admin("three-hundred");
    let program = to(&servers, rule).top(&admin).start();
    let clients = Clients::start(300, program.address(), listen);
    assert_eq!(open(&servers), [100, 100, 100], "they weigh like any other");
    servers.push(welcoming(&ends));
    program.reload(&to(&servers, rule).top(&admin));
    program.await_said("rebalance begins: 300 long-lived connections, spread 100, 75 to be closed");
    program.await_said("rebalance ends: 75 closed, spread 100 -> ");
    until("all clients are served again", || clients.seen.served.load(Ordering::SeqCst) == 300);
    until("servers are level", || open(&servers) == [75, 75, 75, 75]);
    assert_eq!((clients.seen.closed(), ends.load(Ordering::SeqCst)), (75, 75), "by a handshake with both");
    let status = told(&socket, &["status", "app"]);
    let line = "rebalance: 300 long-lived, spread 0, last time 100 -> 0 by closing 75, 75 closed since the start";
    assert!(status.contains(line), "{status}");
    let json = told(&socket, &["status", "app", "--json"]);
    assert!(json.contains("\"long_lived\":75") && json.contains("\"phase\":\"level\""), "{json}");
    clients.end(program);
    let _ = std::fs::remove_file(socket);
}

/// A socket for commands of a test, and the setting for it.
fn admin(name: &str) -> (PathBuf, String) {
    let socket = std::env::temp_dir().join(format!("plimsoll-rebalance-{name}-{}.sock", std::process::id()));
    let setting = format!("[admin]\nsocket = \"{}\"", socket.display());
    (socket, setting)
}

/// What a command prints.
fn told(admin: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    let output = command.args(arguments).env("PLIMSOLL_ADMIN", admin).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_talks_all_the_time_is_left_alone() {
    let rule = "rebalance = { budget = \"100/s\", idle = \"1s\", settle = \"100ms\" }";
    let server = || Server::start(crate::kit::echo_messages);
    let mut servers = vec![server()];
    let program = to(&servers, rule).start();
    let talking = Clients::start(8, program.address(), |to, seen| {
        let stream = TcpStream::connect(to).unwrap();
        let (mut socket, _) = tungstenite::client(format!("ws://{to}/"), stream).map_err(|error| error.to_string())?;
        seen.served.fetch_add(1, Ordering::SeqCst);
        loop {
            let echoed = socket.send(Message::text("hello")).and_then(|()| socket.read());
            if !matches!(&echoed, Ok(message) if *message == Message::text("hello")) {
                return Err(format!("{echoed:?}"));
            }
            thread::park_timeout(std::time::Duration::from_millis(20));
        }
    });
    servers.push(server());
    let idle = Clients::start(4, program.address(), |to, seen| {
        let stream = TcpStream::connect(to).unwrap();
        let (mut socket, _) = tungstenite::client(format!("ws://{to}/"), stream).map_err(|error| error.to_string())?;
        seen.served.fetch_add(1, Ordering::SeqCst);
        let closed = socket.read();
        seen.served.fetch_sub(1, Ordering::SeqCst);
        match closed {
            Ok(Message::Close(Some(frame))) if frame.code == CloseCode::Restart => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    program.reload(&to(&servers, rule));
    program.await_said("12 long-lived connections, spread 12, 6 to be closed");
    until("the idle ones have moved", || open(&servers) == [8, 4] && idle.seen.closed() == 4);
    assert_eq!(talking.seen.closed(), 0);
    assert_eq!(*talking.seen.wrong.lock().unwrap(), Vec::<String>::new());
    idle.seen.over.store(true, Ordering::SeqCst);
    talking.end(program);
}

/// A client of TCP that says something and then waits for the end.
fn wait_for_end(to: SocketAddr, seen: &Seen) -> Result<(), String> {
    let mut stream = TcpStream::connect(to).map_err(|error| error.to_string())?;
    let mut answer = [0; 5];
    stream.write_all(b"hello").and_then(|()| stream.read_exact(&mut answer)).map_err(|error| error.to_string())?;
    seen.served.fetch_add(1, Ordering::SeqCst);
    let rest = stream.read(&mut answer);
    seen.served.fetch_sub(1, Ordering::SeqCst);
    if matches!(rest, Ok(0)) { Ok(()) } else { Err(format!("{rest:?}")) }
}

fn greeting() -> Server {
    Server::start(|talk: &mut Talk| {
        if let Some(hello) = talk.body(5) {
            talk.send(hello);
            talk.await_end();
        }
    })
}

#[test]
fn tcp_connections_end_while_nothing_is_said_and_come_back_elsewhere() {
    let rule = "rebalance = { budget = \"100/s\", idle = \"200ms\", settle = \"300ms\" }";
    let mut servers: Vec<Server> = (0..2).map(|_| greeting()).collect();
    let config = |servers: &[Server]| to(servers, rule).listen("protocol = \"tcp\"");
    let program = config(&servers).start();
    let clients = Clients::start(60, program.address(), wait_for_end);
    assert_eq!(open(&servers), [30, 30]);
    servers.push(greeting());
    program.reload(&config(&servers));
    program.await_said("rebalance ends: 20 closed, spread 30 -> ");
    until("servers are level", || open(&servers) == [20, 20, 20]);
    until("all clients are served again", || clients.seen.served.load(Ordering::SeqCst) == 60);
    assert_eq!(clients.seen.closed(), 20);
    clients.end(program);
}

#[test]
fn without_a_rule_nothing_is_closed() {
    let mut servers: Vec<Server> = (0..2).map(|_| greeting()).collect();
    let config = |servers: &[Server]| to(servers, "").listen("protocol = \"tcp\"");
    let program = config(&servers).start();
    let clients = Clients::start(10, program.address(), wait_for_end);
    servers.push(greeting());
    program.reload(&config(&servers));
    // The newcomer gets what comes from now on, and that alone.
    let more = Clients::start(5, program.address(), wait_for_end);
    assert_eq!(open(&servers), [5, 5, 5]);
    assert_eq!((clients.seen.closed(), more.seen.closed(), program.said_times("rebalance")), (0, 0, 0));
    more.seen.over.store(true, Ordering::SeqCst);
    clients.end(program);
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

#[test]
fn a_client_of_http2_that_is_passed_on_gets_a_goaway_and_leaves_when_it_is_done() {
    let rule = "rebalance = { budget = \"100/s\", idle = \"200ms\", settle = \"300ms\" }";
    let server = || {
        Server::start(|talk: &mut Talk| {
            if talk.body(PREFACE.len() + SETTINGS.len()).is_some() {
                talk.send(SETTINGS);
                while let Some(said) = talk.body(4) {
                    talk.send(said);
                }
            }
        })
    };
    let mut servers = vec![server()];
    let config = |servers: &[Server]| to(servers, rule).listen("protocol = \"tcp\"");
    let program = config(&servers).start();
    let clients = Clients::start(6, program.address(), |to, seen| {
        let failed = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect(to).map_err(failed)?;
        stream.write_all(&[PREFACE, SETTINGS].concat()).map_err(failed)?;
        let mut settings = [0; 9];
        stream.read_exact(&mut settings).map_err(failed)?;
        seen.served.fetch_add(1, Ordering::SeqCst);
        let mut goaway = [0; 17];
        let told = stream.read_exact(&mut goaway);
        seen.served.fetch_sub(1, Ordering::SeqCst);
        told.map_err(failed)?;
        // What is under way goes on.
        stream.write_all(b"more").map_err(failed)?;
        let mut echoed = [0; 4];
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.read_exact(&mut echoed).map_err(failed)?;
        let right = goaway == [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0] && &echoed == b"more";
        if right { Ok(()) } else { Err(format!("{goaway:?}, {echoed:?}")) }
    });
    servers.push(server());
    program.reload(&config(&servers));
    program.await_said("rebalance ends: 3 closed, spread 6 -> ");
    until("servers are level", || open(&servers) == [3, 3]);
    assert_eq!(clients.seen.closed(), 3);
    clients.end(program);
}
