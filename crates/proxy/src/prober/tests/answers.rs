//! What servers answer, and what is made of it.

use super::*;

const OK: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"status\":\"healthy\"}";

/// A server that reads a request, says this and closes.
fn answer(text: &'static str) -> SocketAddr {
    serve(move |mut stream| {
        read_head(&mut stream);
        write(&mut stream, text.as_bytes());
    })
}

/// A server that reads a request, says `text`, then `more` again and again until the client has gone.
fn endless(text: &'static str, more: &'static str) -> SocketAddr {
    let more = more.repeat(1 + 8192 / more.len());
    serve(move |mut stream| {
        read_head(&mut stream);
        write(&mut stream, text.as_bytes());
        while write(&mut stream, more.as_bytes()) {}
    })
}

/// A server that reads a request, says `text` and then nothing until the client has gone.
fn silent_after(text: &'static str) -> SocketAddr {
    serve(move |mut stream| {
        read_head(&mut stream);
        write(&mut stream, text.as_bytes());
        wait_for_end(&mut stream);
    })
}

/// An address at which nobody listens, as long as the result lives: a port that is taken but not opened.
fn nobody() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

#[track_caller]
fn passes(address: SocketAddr, settings: &str) {
    assert_eq!(first(address, settings).failure, None, "{settings}");
}

#[track_caller]
fn fails(address: SocketAddr, settings: &str, reason: &str) {
    assert_eq!(first(address, settings).failure.as_deref(), Some(reason), "{settings}");
}

#[test]
fn a_connection_is_enough_where_nothing_else_is_asked() {
    passes(serve(|mut stream| wait_for_end(&mut stream)), "tcp = true");
    let (_held, dead) = nobody();
    for settings in ["tcp = true", "http = '/'", "expect = 'x'", "send = 'x', expect = 'x'"] {
        fails(dead, settings, "connection refused");
    }
}

#[test]
fn an_exchange_passes_as_soon_as_the_expected_has_come() {
    let greeting = || {
        serve(|mut stream| {
            write(&mut stream, b"220 mail.exa");
            write(&mut stream, b"mple.com ESMTP\r\n");
            wait_for_end(&mut stream);
        })
    };
    passes(greeting(), "expect = '^220 .* ESMTP'");
    let redis = serve(|mut stream| {
        let mut command = [0; 6];
        stream.read_exact(&mut command).unwrap();
        write(&mut stream, if &command == b"PING\r\n" { b"+PONG\r\n" } else { b"-ERR\r\n" });
        wait_for_end(&mut stream);
    });
    passes(redis, "send = \"PING\\r\\n\", expect = '^\\+PONG'");
    fails(
        redis,
        "send = \"HELO\\r\\n\", expect = '^\\+PONG', timeout = '200ms'",
        "the answer was not complete within 200ms",
    );
    fails(serve(drop), "expect = 'x'", "the connection was closed without an answer");
    let other = serve(|mut stream| {
        write(&mut stream, b"no");
    });
    fails(other, "expect = 'x'", "the answer does not match");
}

#[test]
fn an_exchange_is_bounded_in_what_it_reads() {
    let babbler = serve(|mut stream| while write(&mut stream, &[b'a'; 4096]) {});
    fails(babbler, "expect = 'b'", "the answer does not match");
}

#[test]
fn an_answer_is_judged_by_status_header_and_body() {
    let server = answer(OK);
    passes(server, "http = '/'");
    passes(
        server,
        "http = '/', status = 200, header = { content-type = 'json$' }, body = '\"status\":\\s*\"healthy\"'",
    );
    fails(server, "http = '/', status = [204, '5xx']", "status 200");
    fails(server, "http = '/', header = { content-type = '^text' }", "header content-type: no match");
    fails(server, "http = '/', header = { x-version = '.' }", "header x-version: missing");
    fails(server, "http = '/', body = 'sick'", "the body does not match");
    passes(server, "http = '/', body = '^..status.:$', body_limit = '10B'");
    fails(server, "http = '/', body = 'healthy', body_limit = '10B'", "the body does not match");
    fails(answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), "http = '/'", "status 503");
    // Another status, not another place to ask.
    let moved = answer("HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
    passes(moved, "http = '/'");
    fails(moved, "http = '/', status = 200", "status 301");
}

#[test]
fn bodies_may_be_framed_in_any_way() {
    let body = "http = '/', body = '^healthy$'";
    passes(answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nheal\r\n3\r\nthy\r\n0\r\n\r\n"), body);
    passes(answer("HTTP/1.0 200 OK\r\n\r\nhealthy"), body);
    passes(silent_after("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhealthy"), body);
    passes(answer("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhealthy"), body);
}

#[test]
fn a_server_that_does_not_go_on_is_given_up() {
    let quick = |settings: &str| format!("{settings}, timeout = '200ms'");
    let (http, body) = (quick("http = '/'"), quick("http = '/', body = 'x'"));
    fails(silent_after(""), &http, "no answer within 200ms");
    fails(silent_after("HTTP/1.1 200 OK\r\nContent-"), &http, "the answer was not complete within 200ms");
    let unfinished = "the answer was not complete within 200ms";
    fails(silent_after("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nx"), &body, unfinished);
    fails(silent_after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"), &body, unfinished);
    fails(silent_after("HTTP/1.1 200 OK\r\n\r\nx"), &body, unfinished);
}

#[test]
fn a_server_that_drips_has_one_timeout_for_everything() {
    let dripper = serve(|mut stream| {
        read_head(&mut stream);
        write(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        // A byte every few milliseconds, as long as the client has not gone.
        stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        while stream.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            write(&mut stream, b"x");
        }
    });
    let finding = first(dripper, "http = '/', body = 'y', timeout = '300ms'");
    assert_eq!(finding.failure.as_deref(), Some("the answer was not complete within 300ms"));
    assert!(finding.took >= Duration::from_millis(200) && finding.took < LIMIT / 2, "{finding:?}");
}

#[test]
fn whoever_does_not_accept_gives_no_connection() {
    // The second connection to a backlog of none waits for the first to be accepted, which nobody does.
    let (socket, address) = nobody();
    socket.listen(0).unwrap();
    let _waiting = TcpStream::connect(address).unwrap();
    fails(address, "http = '/', timeout = '200ms'", "no connection within 200ms");
    fails(address, "tcp = true, timeout = '200ms'", "no connection within 200ms");
}

#[test]
fn an_endless_answer_is_not_read_for_ever() {
    let long = "the head of the answer is longer than 16 KiB";
    fails(endless("HTTP/1.1 200 OK\r\nA: ", "b"), "http = '/'", long);
    fails(endless("", "HTTP/1.1 100 Continue\r\n\r\n"), "http = '/'", long);
    let body = "http = '/', body = 'y'";
    fails(endless("HTTP/1.1 200 OK\r\n\r\n", "x"), body, "the body does not match");
    fails(
        endless("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n", "x"),
        body,
        "the body does not match",
    );
    let chunks = endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n");
    fails(chunks, body, "the body does not match");
    passes(chunks, "http = '/'");
}

#[test]
fn a_server_that_lies_about_length_fails_where_the_body_counts() {
    let body = "http = '/', body = 'x'";
    let cut = "the connection was closed before the end of the body";
    fails(answer("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nx"), body, cut);
    fails(answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx"), body, cut);
    let longer = answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n");
    fails(longer, body, "not HTTP: a chunk is longer than its size says");
    // What is beyond the length is no body.
    fails(answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nyx"), body, "the body does not match");
    let both = answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx");
    fails(both, "http = '/'", "not HTTP: the head has both Content-Length and Transfer-Encoding");
}

#[test]
fn garbage_and_early_ends_are_told_apart() {
    fails(answer("SSH-2.0-OpenSSH_9.9\r\n"), "http = '/'", "not HTTP: the status line is not valid");
    fails(answer("HTTP/1.1 2000 OK\r\n\r\n"), "http = '/'", "not HTTP: the status line is not valid");
    fails(answer("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "http = '/'", "status 101");
    fails(answer(""), "http = '/'", "the connection was closed without an answer");
    fails(answer("HTTP/1.1 200 OK\r\nA:"), "http = '/'", "the connection was closed within the head of the answer");
    let resets = serve(|mut stream| {
        read_head(&mut stream);
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    fails(resets, "http = '/'", "connection reset");
}

#[test]
fn another_address_and_port_may_be_probed_than_served() {
    let (_held, dead) = nobody();
    let health = answer(OK);
    passes(dead, &format!("http = '/', port = {}", health.port()));
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], health.port()));
    fails(elsewhere, "http = '/'", "connection refused");
    passes(elsewhere, "http = '/', address = '127.0.0.1'");
}

#[test]
fn of_several_addresses_one_that_passes_is_enough() {
    let (_held, dead) = nobody();
    let spec = ServerSpec { addresses: vec![dead.into(), answer(OK).into()], ..ServerSpec::new("two", dead) };
    let pool = Pool::new("app", PoolSpec { servers: vec![spec], ..PoolSpec::default() }, Time::ZERO);
    let probing = Probing::start(targets(&pool.servers(), &rule("http = '/', interval = '100ms'")));
    assert_eq!(probing.next().1.failure, None);
    probing.prober.stop();
}

#[test]
fn a_probe_by_grpc_needs_http_2_and_an_answer() {
    let http1 = serve(|mut stream| {
        write(&mut stream, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        wait_for_end(&mut stream);
    });
    fails(http1, "grpc = ''", "the server does not speak HTTP/2");
    let silent = serve(|mut stream| wait_for_end(&mut stream));
    fails(silent, "grpc = '', timeout = '300ms'", "no answer within 300ms");
}
