//! Unix sockets: to listen on, and to reach servers by.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use plimsoll_config::{Bind, Config, Host, Network, ProxyFrom, ProxyVersion};
use plimsoll_core::{HealthState, Pools};
use plimsoll_proxy::{Clock, Proxy};

use crate::kit::{Folder, Lines, Live, PATIENCE, Server, echo, hears, nobody, passes, rest, speak_http, tcp, until};

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A server at `path` that answers each connection with `answer` once it has heard something.
fn serve(path: &Path, answer: &'static str) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                while let Ok(1..) = stream.read(&mut [0; 4096]) {
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// The first server of the first pool is at `path`.
fn at(mut config: Config, path: PathBuf) -> Config {
    let server = &mut config.pools[0].servers[0];
    (server.host, server.port) = (Host::Unix(path), 0);
    config
}

fn http(mut config: Config) -> Config {
    speak_http(&mut config);
    config
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn requests_go_from_one_socket_to_another_and_curl_agrees() {
    let folder = Folder::new();
    let (web, app) = (folder.file("web.sock"), folder.file("app.sock"));
    serve(&app, OK);
    let mut config = http(at(tcp(&[nobody()], &Lines::default()), app));
    config.listeners[0].binds = vec![Bind::Unix(web.clone())];
    let live = Live::start(&config);
    assert_eq!(live.proxy.addresses()[0].1.to_string(), format!("unix:{}", web.display()));
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--unix-socket"])
        .arg(&web)
        .args(["http://any/", "http://any/again"])
        .output()
        .expect("curl is installed");
    assert!(output.status.success() && output.stdout == b"hihi", "{output:?}");
    let counts = &live.proxy.stats().workers[0];
    assert_eq!((counts.accepted, counts.conns_opened, counts.conns_reused), (1, 1, 1));
    live.end();
}

#[test]
fn connections_go_from_one_socket_to_another_each_half_by_itself() {
    let folder = Folder::new();
    let (front, back) = (folder.file("front.sock"), folder.file("back.sock"));
    let listener = UnixListener::bind(&back).unwrap();
    let mut config = at(tcp(&[nobody()], &Lines::default()), back);
    config.listeners[0].binds = vec![Bind::Unix(front.clone())];
    let live = Live::start(&config);
    let mut client = connect(&front);
    let mut held = listener.accept().unwrap().0;
    passes(&mut held, &mut client, "220 ready");
    client.write_all(b"all of it").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(&mut held), "all of it");
    held.write_all(b"answer").unwrap();
    drop(held);
    assert_eq!(rest(&mut client), "answer");
    assert_eq!(live.settled()[0].successes, 1);
    live.end();
}

#[test]
fn a_server_whose_socket_is_gone_is_passed_over_for_another() {
    let folder = Folder::new();
    let lines = Lines { pool: "retry = { on = ['connect'], tries = 2 }\npolicy = 'round-robin'", ..Lines::default() };
    let live = Live::start(&at(tcp(&[nobody(), echo()], &lines), folder.file("gone.sock")));
    for _ in 0..2 {
        let mut client = live.connect();
        client.write_all(b"hello").unwrap();
        hears(&mut client, "hello");
    }
    let stats = live.settled();
    assert!(stats[0].connect_failed >= 1 && stats[1].successes == 2, "{stats:?}");
    live.end();
}

#[test]
fn a_server_whose_queue_is_full_is_waited_for() {
    let folder = Folder::new();
    let path = folder.file("busy.sock");
    let busy = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    busy.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    busy.listen(0).unwrap();
    let filler = UnixStream::connect(&path).unwrap();
    let live = Live::start(&at(tcp(&[nobody()], &Lines::default()), path));
    let mut client = live.connect();
    client.write_all(b"hello").unwrap();
    until("it waits", || live.servers()[0].in_flight == 1);
    let busy = UnixListener::from(busy);
    drop((busy.accept().unwrap(), filler));
    let mut held = busy.accept().unwrap().0;
    hears(&mut held, "hello");
    assert_eq!(live.servers()[0].connect_failed, 0);
}

#[test]
fn a_server_at_a_socket_is_probed_there() {
    let folder = Folder::new();
    let path = folder.file("app.sock");
    serve(&path, OK);
    let probe = "probe = { http = '/health', interval = '100ms', timeout = '20s', fall = 1, rise = 1 }";
    let live = Live::start(&http(at(tcp(&[nobody()], &Lines { pool: probe, ..Lines::default() }), path.clone())));
    let pool = live.pool("app");
    let health = || pool.servers()[0].health();
    until("a probe has passed", || !pool.servers()[0].health_report().probes.is_empty() && health() == HealthState::Up);
    fs::remove_file(&path).unwrap();
    until("a probe has failed", || health() == HealthState::Down);
    live.end();
}

#[test]
fn the_file_goes_with_a_stop_and_with_a_reload_that_leaves_it_out_and_stays_else() {
    let folder = Folder::new();
    let (first, second) = (folder.file("first.sock"), folder.file("second.sock"));
    let server = Server::start();
    let bound = |paths: &[&PathBuf]| {
        let mut config = tcp(&[server.address], &Lines::default());
        config.listeners[0].binds = paths.iter().map(|path| Bind::Unix((*path).clone())).collect();
        config
    };
    // Left behind by a program that is gone.
    drop(UnixListener::bind(&first).unwrap());
    let live = Live::start(&bound(&[&first, &second]));
    let (mut client, mut held) = (connect(&first), server.accept());
    passes(&mut client, &mut held, "before");
    // One that is not put in force leaves nothing behind.
    let third = folder.file("third.sock");
    drop(live.proxy.prepare(&bound(&[&first, &third])).unwrap());
    assert!(!third.exists());
    live.follow(&bound(&[&first]));
    assert!(first.exists() && !second.exists());
    passes(&mut client, &mut held, "after");
    let (mut another, mut other_held) = (connect(&first), server.accept());
    passes(&mut another, &mut other_held, "another");
    live.proxy.stop();
    assert!(!first.exists(), "a stop leaves a file");
    passes(&mut client, &mut held, "while it stops");
    drop((client, held, another, other_held));
    assert_eq!(live.proxy.wait(), 0);
}

#[test]
fn a_path_that_is_taken_is_an_error_that_says_what_to_do() {
    let folder = Folder::new();
    let refused = |path: PathBuf| {
        let mut config = tcp(&[nobody()], &Lines::default());
        config.listeners[0].binds = vec![Bind::Unix(path)];
        Proxy::start(&config, 1, &Pools::new(), Clock::start()).unwrap_err().to_string()
    };
    let (live, text) = (folder.file("live.sock"), folder.file("text"));
    let _listener = UnixListener::bind(&live).unwrap();
    fs::write(&text, "kept").unwrap();
    let wanted = |path: &Path, why: &str| format!("listener `db` cannot listen on unix:{}: {why}", path.display());
    assert_eq!(
        refused(live.clone()),
        wanted(&live, "somebody listens there already; stop them, or choose another path")
    );
    assert_eq!(
        refused(text.clone()),
        wanted(&text, "something that is no socket is there; remove it, or choose another path")
    );
    let nowhere = folder.file("nowhere/web.sock");
    assert_eq!(refused(nowhere.clone()), wanted(&nowhere, "its folder is not there; make it first"));
}

#[test]
fn who_comes_over_a_socket_may_name_a_client_and_is_none_itself() {
    let folder = Folder::new();
    let path = folder.file("front.sock");
    let server = Server::start();
    let mut config = tcp(&[server.address], &Lines::default());
    config.listeners[0].binds = vec![Bind::Unix(path.clone())];
    config.pools[0].send_proxy = Some(ProxyVersion::V1);
    let live = Live::start(&config);
    let _client = connect(&path);
    hears(&mut server.accept(), "PROXY UNKNOWN\r\n");
    let timeout = Duration::from_secs(10);
    config.listeners[0].proxy_protocol = Some(ProxyFrom { from: vec![Network::Unix], timeout });
    live.follow(&config);
    let mut client = connect(&path);
    client.write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\nhello").unwrap();
    hears(&mut server.accept(), "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\nhello");
}
