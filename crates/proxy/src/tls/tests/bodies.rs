//! Bodies over TLS: large ones, and those that end where the connection does.

use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::kit::{Authority, Running, Server, answer, config, head, listener_tls, serve_tls, server_tls, until};

/// A proxy with TLS on both sides before a server that runs `script`.
fn between(authority: &Authority, script: impl Fn(Server) + Send + Sync + 'static) -> Running {
    let server = serve_tls(authority.server_config(&["app.internal"]), script);
    let config = config(server, |config| {
        config.listeners[0].tls = Some(listener_tls(vec![authority.pair(&["a.example"])]));
        config.pools[0].tls = Some(server_tls("app.internal", authority.ca()));
    });
    Running::new(&config, server)
}

/// Bytes that tell where they belong.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[test]
fn megabytes_go_both_ways_unharmed() {
    let authority = Authority::new();
    let length = 5 * 1024 * 1024 + 321;
    let running = between(&authority, move |mut stream| {
        while head(&mut stream).is_some() {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").unwrap();
            stream.write_all(&body).unwrap();
            stream.flush().unwrap();
        }
    });
    let mut client = running.client(&Arc::new(authority.client_config()), "a.example");
    let sent = pattern(length);
    for _ in 0..2 {
        write!(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n").unwrap();
        client.write_all(&sent).unwrap();
        client.flush().unwrap();
        let head = head(&mut client).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let mut body = vec![0; length];
        client.read_exact(&mut body).unwrap();
        assert!(body == sent);
    }
}

#[test]
fn a_client_that_does_not_read_stops_the_server_and_gets_all_in_the_end() {
    const PIECES: u64 = 512;
    let authority = Authority::new();
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let running = between(&authority, move |mut stream| {
        if head(&mut stream).is_none() {
            return;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let piece = vec![7; 64 * 1024];
        for _ in 0..PIECES {
            if write!(stream, "{:x}\r\n", piece.len()).is_err() || stream.write_all(&piece).is_err() {
                return;
            }
            stream.write_all(b"\r\n").unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        stream.flush().unwrap();
    });
    let mut client = running.client(&Arc::new(authority.client_config()), "a.example");
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    client.flush().unwrap();
    let server = running.pools.pool("app").unwrap().servers()[0].addresses()[0].ip().unwrap();
    let listener = client.sock.peer_addr().unwrap();
    until("nobody may send any more", || [server, listener].into_iter().all(may_not_send));
    assert!(sent.load(Ordering::Relaxed) < PIECES, "the server was never stopped");
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert!(all.ends_with(b"\r\n0\r\n\r\n"));
    // Nothing else of the answer holds this byte.
    let sevens: u64 = all.iter().map(|byte| u64::from(*byte == 7)).sum();
    assert_eq!(sevens, PIECES * 64 * 1024);
}

/// Whether the connection that was accepted at `local` has more to send than its other end has room for: the kernel then only
/// asks now and then whether there is room again.
fn may_not_send(local: SocketAddr) -> bool {
    const ESTABLISHED: &str = "01";
    const ASKS_FOR_ROOM: &str = "04";
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", local.port());
    table.lines().any(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let [_, local, _, state, _, timer, ..] = columns[..] else { return false };
        local.ends_with(&port) && state == ESTABLISHED && timer.starts_with(ASKS_FOR_ROOM)
    })
}

/// Sends a body that ends where the connection does, and then either says so or just leaves.
fn until_close(mut stream: Server, says_so: bool) {
    if head(&mut stream).is_none() {
        return;
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf or whole").unwrap();
    if says_so {
        stream.conn.send_close_notify();
    }
    stream.flush().unwrap();
}

#[test]
fn a_body_that_ends_with_the_connection_is_whole_only_if_the_server_says_so() {
    for says_so in [true, false] {
        let authority = Authority::new();
        let running = between(&authority, move |stream| until_close(stream, says_so));
        let client_config = Arc::new(authority.client_config());
        let ask = |version: &str| {
            let mut client = running.client(&client_config, "a.example");
            write!(client, "GET / HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
            client.flush().unwrap();
            let mut all = Vec::new();
            let end = client.read_to_end(&mut all);
            (String::from_utf8(all).unwrap(), end)
        };
        let (chunked, end) = ask("1.1");
        assert!(chunked.contains("half or whole"), "{chunked}");
        assert_eq!((chunked.ends_with("\r\n0\r\n\r\n"), end.is_ok()), (says_so, true), "{chunked}");
        // This one can tell by the end of the connection only.
        let (plain, end) = ask("1.0");
        assert_eq!(end.is_ok(), says_so, "{plain} {end:?}");
    }
}

#[test]
fn a_complete_answer_is_fine_however_the_server_leaves() {
    let authority = Authority::new();
    let running = between(&authority, |mut stream| {
        if head(&mut stream).is_some() {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            stream.flush().unwrap();
        }
    });
    let mut client = running.client(&Arc::new(authority.client_config()), "a.example");
    for _ in 0..3 {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let (head, body) = answer(&mut client).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok", "{head}");
    }
}

#[test]
fn what_follows_a_change_of_protocols_goes_both_ways() {
    let authority = Authority::new();
    let running = between(&authority, |mut stream| {
        if head(&mut stream).is_none() {
            return;
        }
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello")
            .unwrap();
        stream.flush().unwrap();
        let mut piece = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            stream.write_all(&piece[..count]).unwrap();
            stream.flush().unwrap();
        }
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    let mut client = running.client(&Arc::new(authority.client_config()), "a.example");
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").unwrap();
    client.flush().unwrap();
    assert!(head(&mut client).unwrap().starts_with("HTTP/1.1 101 "));
    let mut greeting = [0; 5];
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"hello");
    for round in 0..3 {
        let said = [round; 700];
        client.write_all(&said).unwrap();
        client.flush().unwrap();
        let mut heard = [9; 700];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(heard, said);
    }
    client.conn.send_close_notify();
    client.flush().unwrap();
    assert_eq!(client.read(&mut [0; 16]).map_err(|error: io::Error| error.to_string()), Ok(0));
}
