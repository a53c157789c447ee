//! TLS connections that go through as they are, to the pool that is for the name they ask for.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use plimsoll_config::{Config, ServerName, Target};
use rcgen::CertifiedKey;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::kit::{Lines, Live, Server, hears, is_reset, passes, tcp};

/// One certificate for all names, and the key to it.
static PAIR: LazyLock<(CertifiedKey<rcgen::KeyPair>, Arc<ClientConfig>)> = LazyLock::new(|| {
    let names = ["a.example.com", "*.example.com", "example.com", "x.b.example.com"].map(str::to_owned);
    let pair = rcgen::generate_simple_self_signed(names).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    (pair, Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
});

/// Accepts one connection and says `word` by TLS.
fn answer(server: &Server, word: &'static str) -> thread::JoinHandle<()> {
    let (pair, _) = &*PAIR;
    let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
    let certs = vec![pair.cert.der().clone()];
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(certs, key).unwrap();
    let conn = server.accept();
    thread::spawn(move || {
        let tls = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(tls, conn);
        stream.write_all(word.as_bytes()).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        // Until the client closes.
        let _ = stream.sock.read(&mut [0; 64]);
    })
}

/// A client that speaks TLS and asks for `name`.
fn ask(live: &Live, name: &'static str) -> StreamOwned<ClientConnection, TcpStream> {
    let (_, config) = &*PAIR;
    let tls = ClientConnection::new(Arc::clone(config), name.try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(tls, live.connect());
    stream.conn.write_tls(&mut stream.sock).unwrap();
    stream
}

/// `a.example.com` goes to the first pool, other names under `example.com` to the second, all else to the third if there
/// is one.
fn by_name(servers: &[Server; 3], with_other: bool, listen: &'static str) -> Config {
    let more = format!(
        "[listen.unused]\nbind = '127.0.0.1:0'\npool = 'b'\n[listen.too]\nbind = '127.0.0.1:0'\npool = 'other'\n\
         [pool.b]\nservers = ['{}']\n[pool.other]\nservers = ['{}']",
        servers[1].address, servers[2].address
    );
    let mut config = tcp(&[servers[0].address], &Lines { listen, more, ..Lines::default() });
    let names = vec![
        (ServerName::Wildcard("example.com".to_owned()), "b".to_owned()),
        (ServerName::Exact("a.example.com".to_owned()), "app".to_owned()),
    ];
    config.listeners[0].target = Target::Sni { names, other: with_other.then(|| "other".to_owned()) };
    config
}

fn servers() -> [Server; 3] {
    [Server::start(), Server::start(), Server::start()]
}

#[test]
fn the_name_decides_and_the_handshake_is_the_servers_own() {
    let servers = servers();
    let live = Live::start(&by_name(&servers, true, ""));
    let cases =
        [("a.example.com", 0), ("c.example.com", 1), ("example.com", 2), ("x.b.example.com", 2), ("a.example.com", 0)];
    for (name, server) in cases {
        let mut client = ask(&live, name);
        let answering = answer(&servers[server], "hello from there");
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "hello from there", "{name}");
        drop(client);
        answering.join().unwrap();
    }
    assert_eq!(live.settled()[0].successes, 2);
    live.end();
}

#[test]
fn what_is_no_tls_goes_where_all_else_goes() {
    let servers = servers();
    let live = Live::start(&by_name(&servers, true, ""));
    let mut client = live.connect();
    client.write_all(b"plain text").unwrap();
    let mut held = servers[2].accept();
    hears(&mut held, "plain text");
    passes(&mut held, &mut client, "answer");
}

#[test]
fn without_a_pool_for_it_a_name_is_unrecognized_and_what_is_no_tls_is_reset() {
    let servers = servers();
    let live = Live::start(&by_name(&servers, false, ""));
    let mut client = ask(&live, "example.com");
    let refused = client.read(&mut [0]).unwrap_err().to_string();
    assert!(refused.ends_with("alert: UnrecognisedName"), "{refused}");
    let mut client = live.connect();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    is_reset(&mut client);
    assert!(live.servers().iter().all(|server| server.picks == 0));
    live.end();
}

#[test]
fn a_broken_handshake_gets_an_alert() {
    let live = Live::start(&by_name(&servers(), true, ""));
    let mut client = live.connect();
    client.write_all(&[22, 3, 1, 0, 4, 2, 0, 0, 0]).unwrap();
    let mut alert = Vec::new();
    client.read_to_end(&mut alert).unwrap();
    // A fatal alert in a record of its own.
    assert_eq!((&alert[..6], alert.len()), (&[21, 3, 3, 0, 2, 2][..], 7));
    live.end();
}

#[test]
fn a_handshake_that_does_not_come_in_time_is_not_waited_for() {
    let mut config = by_name(&servers(), true, "");
    config.listeners[0].timeouts.head = Duration::from_millis(200);
    let live = Live::start(&config);
    let (mut silent, mut slow) = (live.connect(), live.connect());
    slow.write_all(&[22, 3, 1]).unwrap();
    is_reset(&mut silent);
    is_reset(&mut slow);
    assert!(live.servers().iter().all(|server| server.picks == 0));
    live.end();
}
