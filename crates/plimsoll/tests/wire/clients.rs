//! Who a client is: a proxy in front is believed about whom it serves, and nobody else is. The machine's own addresses play
//! all of them: 127.0.0.1 is the proxy, 127.0.0.2 a client that comes without one.

use std::process::Command;

use crate::kit::{Client, Config, Program, Server, get};

const PROXY: [u8; 4] = [127, 0, 0, 1];
const STRANGER: [u8; 4] = [127, 0, 0, 2];
const TRUSTED: &str = "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\", \"2001:db8:1::/48\"]";

/// Says what the server was told of the client: in `X-Forwarded-For`, in `X-Forwarded-Proto` and by a rule for fields.
fn telling() -> Server {
    Server::answering(|request| {
        let all = ["x-forwarded-for", "x-forwarded-proto", "x-client", "x-real-ip", "forwarded", "x-forwarded-host"]
            .map(|name| request.fields(name).join("|"));
        let body = all.join(" ");
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    })
}

fn config(server: &Server, forward: &str) -> Config {
    Config::to(&[server.address()])
        .listen(TRUSTED)
        .listen(&format!("forward = {{ {forward} }}"))
        .listen("request_headers = { set = { X-Client = \"$client_ip,$scheme\" } }")
}

/// What a request with these lines is answered with, from this address.
fn ask(program: &Program, from: [u8; 4], lines: &str) -> (u16, String) {
    let mut client = Client::connect_from(from, program.address());
    let response = client.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
    (response.status, response.text())
}

#[test]
fn who_is_no_trusted_proxy_is_not_believed() {
    let server = telling();
    let program = config(&server, "x_forwarded_host = \"off\"").start();
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "30", "--noproxy", "*", "--interface", "127.0.0.2"])
        .args(["-H", "X-Forwarded-For: 10.1.1.1", "-H", "X-Forwarded-Proto: https", "-H", "X_Forwarded_For: 10.1.1.1"])
        .args(["-H", "Forwarded: for=10.1.1.1", "-H", "X-Real-IP: 10.1.1.1"])
        .arg(format!("http://{}/", program.address()))
        .output()
        .expect("curl is installed");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "127.0.0.2 http 127.0.0.2,http   ");
}

#[test]
fn the_last_in_the_list_that_is_no_proxy_is_the_client() {
    let server = telling();
    let program = config(&server, "x_forwarded_host = \"off\", x_real_ip = \"set\", forwarded = \"set\"").start();
    let told = |lines: &str| ask(&program, PROXY, lines).1;
    let expected = |address: &str, scheme: &str| {
        let node = if address.contains(':') { format!("\"[{address}]\"") } else { address.to_owned() };
        format!("{address} {scheme} {address},{scheme} {address} for={node};proto={scheme};host=\"a\" ")
    };
    assert_eq!(told(""), expected("127.0.0.1", "http"));
    assert_eq!(told("X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"), expected("192.0.2.7", "https"));
    assert_eq!(told("X-Forwarded-For: 6.6.6.6, 192.0.2.7,10.9.9.9:80\r\n"), expected("192.0.2.7", "http"));
    assert_eq!(
        told("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: [2001:db8::7]:1\r\n"),
        expected("2001:db8::7", "http")
    );
    assert_eq!(told("X-Forwarded-For: 2001:db8::7, 2001:db8:1::9\r\n"), expected("2001:db8::7", "http"));
    assert_eq!(told("X-Forwarded-For: 192.0.2.7, unknown, 10.1.1.1\r\n"), expected("10.1.1.1", "http"));
}

#[test]
fn a_list_goes_on_with_who_handed_us_the_request() {
    let server = telling();
    let append = "x_forwarded_for = \"append\", forwarded = \"append\", x_forwarded_host = \"set\"";
    let program = config(&server, append).start();
    let lines = "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-Host: evil\r\nForwarded: for=192.0.2.7\r\n";
    let expected =
        "6.6.6.6, 192.0.2.7, 127.0.0.1 http 192.0.2.7,http  for=192.0.2.7, for=127.0.0.1;proto=http;host=\"a\" a";
    assert_eq!(ask(&program, PROXY, lines).1, expected);
}

#[test]
fn requests_of_one_connection_have_clients_of_their_own() {
    let server = telling();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut program = config(&server, "x_forwarded_host = \"off\"")
        .top("access_log = { to = \"stdout\", format = \"$client_ip $client_port $status\" }")
        .listen("route = [ { client = \"192.0.2.0/24\", respond = { status = 204 } } ]")
        .start_with_stdout(writer);
    let mut client = program.client();
    let port = client.stream().local_addr().unwrap().port();
    for (lines, status) in
        [("X-Forwarded-For: 192.0.2.7\r\n", 204), ("", 200), ("X-Forwarded-For: 192.0.3.7\r\n", 200), ("", 200)]
    {
        assert_eq!(client.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")).status, status, "{lines}");
    }
    client.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.3.8\r\n\r\n");
    // What is no request is told of its connection, whatever came on it before.
    client.send("none\r\n\r\n");
    client.response();
    program.terminate();
    assert!(program.ended().success());
    let log = std::io::read_to_string(reader).unwrap();
    let hop = format!("127.0.0.1 {port}");
    let expected = format!("192.0.2.7 - 204\n{hop} 200\n192.0.3.7 - 200\n{hop} 200\n192.0.3.8 - 200\n{hop} 400\n");
    assert_eq!(log, expected);
}

#[test]
fn forwarded_is_read_where_it_is_named_also_of_streams() {
    let server = telling();
    let program = Config::to(&[server.address()])
        .listen("trusted_proxies = { from = \"127.0.0.1\", field = \"forwarded\" }")
        .listen("request_headers = { set = { X-Client = \"$client_ip,$scheme\" } }")
        .listen("forward = { x_forwarded_host = \"off\" }")
        .start();
    for (field, expected) in [
        ("Forwarded: for=6.6.6.6, for=\"[2001:db8::7]\";proto=https", "2001:db8::7 https 2001:db8::7,https   "),
        ("X-Forwarded-For: 6.6.6.6", "127.0.0.1 http 127.0.0.1,http   "),
    ] {
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "30", "--noproxy", "*", "--http2-prior-knowledge", "-H", field])
            .arg(format!("http://{}/", program.address()))
            .output()
            .expect("curl is installed");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
}

#[test]
fn who_is_not_let_in_is_told_by_the_address_that_is_believed() {
    let server = telling();
    let program = config(&server, "")
        .listen("deny = \"192.0.2.7\"")
        .listen("route = [ { path = \"/inside\", allow = [\"192.0.2.0/24\", \"2001:db8::/32\"], pool = \"app\" } ]")
        .start();
    let status = |from: [u8; 4], path: &str, list: &str| {
        let mut client = Client::connect_from(from, program.address());
        client.ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {list}\r\n\r\n")).status
    };
    assert_eq!(status(PROXY, "/", "192.0.2.7"), 403);
    assert_eq!(status(PROXY, "/", "192.0.2.7, 192.0.2.8"), 200);
    assert_eq!(status(STRANGER, "/", "192.0.2.7"), 200);
    assert_eq!(status(PROXY, "/inside", "192.0.2.8"), 200);
    assert_eq!(status(PROXY, "/inside", "2001:db8::1, 10.0.0.1"), 200);
    assert_eq!(status(PROXY, "/inside", "203.0.113.1"), 403);
    for path in ["/inside", "/inside/", "//inside", "/x/../inside", "/./inside", "/%69nside", "/inside/%2e%2e/inside"] {
        assert_eq!(status(STRANGER, path, "192.0.2.8"), 403, "{path}");
    }
}

#[test]
fn a_proxy_header_tells_who_hands_us_requests() {
    let server = telling();
    let program =
        config(&server, "x_forwarded_host = \"off\"").listen("proxy_protocol = { from = \"127.0.0.1\" }").start();
    let told = |peer: &str| {
        let mut client = program.client();
        client.send(format!("PROXY TCP4 {peer} 198.51.100.1 4711 80\r\n"));
        client.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n").text()
    };
    assert_eq!(told("10.0.0.5"), "192.0.2.9 http 192.0.2.9,http   ");
    assert_eq!(told("203.0.113.5"), "203.0.113.5 http 203.0.113.5,http   ");
}

#[test]
fn servers_that_want_a_proxy_header_are_told_of_the_client() {
    let server = Server::start(|talk| {
        if talk.head().is_some() {
            talk.send(crate::kit::ok(""));
        }
    });
    let program = config(&server, "").pool("send_proxy = \"v1\"").start();
    assert_eq!(ask(&program, PROXY, "X-Forwarded-For: 192.0.2.9\r\n").0, 200);
    let port = program.address().port();
    let received = server.received();
    assert!(received.starts_with(&format!("PROXY TCP4 192.0.2.9 127.0.0.1 0 {port}\r\nGET / ")), "{received}");
}

#[test]
fn a_file_of_networks_is_read_again_at_a_reload() {
    let server = Server::saying("app");
    let file = std::env::temp_dir().join(format!("plimsoll-wire-deny-{}", std::process::id()));
    std::fs::write(&file, "192.0.2.0/24\n").unwrap();
    let config = Config::to(&[server.address()]).listen(&format!("deny_file = \"{}\"", file.display()));
    let program = config.start();
    let mut kept = program.client();
    assert_eq!(kept.ask(get("/")).status, 200);
    std::fs::write(&file, "127.0.0.0/8 # all of us\n").unwrap();
    program.reload(&config);
    assert_eq!(kept.ask(get("/")).status, 403);
    // A mistake in it changes nothing.
    std::fs::write(&file, "192.0.2.0/24\n127.0.0.1/8\n").unwrap();
    program.reload_in_vain(&config);
    assert_eq!(kept.ask(get("/")).status, 403);
    std::fs::write(&file, "192.0.2.0/24\n").unwrap();
    program.reload(&config);
    assert_eq!(kept.ask(get("/")).status, 200);
    std::fs::remove_file(&file).unwrap();
}
