//! What is changed on the way, and what is not.

use crate::kit::{Config, Gate, Program, Request, Response, Server, get, ok, until};

fn program(server: &Server) -> Program {
    Config::to(&[server.address()]).start()
}

/// What a server gets when a client sends `request` through a listener with the line `rule`.
fn through(rule: &str, request: &str) -> Request {
    let server = Server::saying("");
    let program = Config::to(&[server.address()]).listen(rule).start();
    assert_eq!(program.ask(request).status, 200);
    server.request()
}

/// What a client gets when a server answers with `answer`.
fn back(request: &str, answer: &'static str) -> Response {
    let server = Server::answering(move |_| answer);
    let program = program(&server);
    let mut client = program.client();
    client.send(request);
    let response = client.try_response(request.starts_with("HEAD")).unwrap();
    if !response.until_close && response.field("connection") != Some("close") {
        // The connection is good for more, so the end of this answer was found where it is.
        client.send(get("/again"));
        assert_eq!(client.try_response(false).unwrap().status, response.status);
    }
    response
}

const OFF: &str = "forward = { x_forwarded_for = \"off\", x_forwarded_proto = \"off\", x_forwarded_host = \"off\" }";

#[test]
fn heads_are_written_anew_with_names_and_order_kept() {
    let sent = "PATCH /a/../b%20c?d=e&&f HTTP/1.1\r\nx-FIRST:1\r\nHost:  Example.com:80 \r\nACCEPT:\t*/*  \r\n\
                x-First: 2\r\nEmpty:\r\nX-Bytes: \u{fc}\r\n\r\n";
    let got = through(OFF, sent);
    let expected = "PATCH /a/../b%20c?d=e&&f HTTP/1.1\r\nx-FIRST: 1\r\nHost: Example.com:80\r\nACCEPT: */*\r\n\
                    x-First: 2\r\nEmpty: \r\nX-Bytes: \u{c3}\u{bc}\r\n\r\n";
    assert_eq!(got.head, expected);
}

#[test]
fn answers_are_written_anew_with_names_and_order_kept() {
    let answer = "HTTP/1.1 299 Fine  thing\r\nb-SECOND:1\r\nContent-LENGTH: 002\r\nset-cookie: a=b\r\nSet-Cookie: c=d\r\n\
                  Empty:\r\n\r\nhi";
    let response = back(&get("/"), answer);
    let expected = "HTTP/1.1 299 Fine  thing\r\nb-SECOND: 1\r\nContent-Length: 2\r\nset-cookie: a=b\r\n\
                    Set-Cookie: c=d\r\nEmpty: \r\n\r\n";
    assert_eq!((response.head.as_str(), response.text().as_str()), (expected, "hi"));
}

#[test]
fn a_status_line_without_a_reason_is_fine() {
    for answer in ["HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"] {
        assert_eq!(back(&get("/"), answer).status, 200);
    }
}

#[test]
fn what_is_for_one_hop_stays_there() {
    let got = through(
        OFF,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Private, keep-alive\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n\
         x-private: 1\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: x\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: x\r\nX-Public: 1\r\n\r\n",
    );
    assert_eq!(got.head, "GET / HTTP/1.1\r\nHost: a\r\nX-Public: 1\r\n\r\n");
    let response = back(
        &get("/"),
        "HTTP/1.1 200 OK\r\nConnection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\
         Proxy-Connection: x\r\nX-Public: 1\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(response.head, "HTTP/1.1 200 OK\r\nX-Public: 1\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn connection_cannot_name_away_who_the_client_is() {
    let got = through("", "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For, X-Forwarded-Proto\r\n\r\n");
    assert_eq!(got.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(got.field("x-forwarded-proto"), Some("http"));
}

#[test]
fn fields_about_the_client_follow_their_modes() {
    let all = |mode: &str| {
        let names =
            ["x_forwarded_for", "x_forwarded_proto", "x_forwarded_host", "x_forwarded_port", "x_real_ip", "forwarded"];
        let pairs: Vec<_> = names.iter().map(|name| format!("{name} = \"{mode}\"")).collect();
        format!("forward = {{ {} }}", pairs.join(", "))
    };
    let sent = "GET / HTTP/1.1\r\nHost: a:80\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n\
                X-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 3.3.3.3\r\n\
                Forwarded: for=4.4.4.4\r\n\r\n";
    let names =
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip", "forwarded"];
    let values = |mode: &str| {
        let got = through(&all(mode), sent);
        names.map(|name| got.fields(name).join(" | "))
    };
    let port = {
        let set = values("set");
        assert_eq!(set[..3], ["127.0.0.1", "http", "a:80"]);
        assert_eq!(set[4..], ["127.0.0.1", "for=127.0.0.1;proto=http;host=\"a:80\""]);
        set[3].parse::<u16>().is_ok()
    };
    assert!(port);
    assert_eq!(values("keep"), ["1.1.1.1 | 2.2.2.2", "https", "h", "443", "3.3.3.3", "for=4.4.4.4"]);
    assert_eq!(values("off"), ["", "", "", "", "", ""]);
    let append = values("append");
    assert_eq!(append[0], "1.1.1.1, 2.2.2.2, 127.0.0.1");
    assert_eq!(append[5], "for=4.4.4.4, for=127.0.0.1;proto=http;host=\"a:80\"");
}

#[test]
fn appending_to_an_empty_field_leaves_no_empty_member() {
    let rule = "forward = { x_forwarded_for = \"append\" }";
    let got = through(rule, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For:\r\n\r\n");
    assert_eq!(got.field("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn host_follows_its_mode() {
    assert_eq!(through("forward = { host = \"keep\" }", &get("/")).field("host"), Some("test"));
    assert_eq!(through("forward = { host = \"site.example:81\" }", &get("/")).field("host"), Some("site.example:81"));
    let server = Server::saying("");
    let program = Config::to(&[server.address()]).listen("forward = { host = \"server\" }").start();
    program.ask(get("/"));
    let request = server.request();
    assert_eq!(request.field("host"), Some(server.address().to_string().as_str()));
    assert_eq!(request.field("x-forwarded-host"), Some("test"));
}

#[test]
fn http_1_0_without_host_gets_the_servers() {
    let server = Server::saying("");
    let program = program(&server);
    let mut client = program.client();
    client.send("GET /old HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().field("connection"), Some("close"));
    client.assert_closed();
    let request = server.request();
    assert!(request.head.starts_with("GET /old HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.field("host"), Some(server.address().to_string().as_str()));
}

#[test]
fn an_absolute_target_loses_its_authority() {
    for (target, path) in
        [("http://test/x?y", "/x?y"), ("HTTP://TEST:80/x", "/x"), ("http://test", "/"), ("http://test?q", "/?q")]
    {
        let got = through("", &format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert_eq!((got.target(), got.field("host")), (path, Some("test")));
    }
    let got = through("", "GET http://old.example/x HTTP/1.0\r\n\r\n");
    assert_eq!((got.target(), got.field("host")), ("/x", Some("old.example")));
}

#[test]
fn options_of_the_whole_server() {
    for target in ["*", "http://test"] {
        let got = through("", &format!("OPTIONS {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert!(got.head.starts_with("OPTIONS * HTTP/1.1\r\n"), "{}", got.head);
    }
}

#[test]
fn lengths_are_written_once() {
    let got = through("", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 02\r\n\r\nhi");
    assert_eq!((got.fields("content-length"), got.body.as_slice()), (vec!["2"], &b"hi"[..]));
    let got = through("", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(got.field("content-length"), Some("0"));
    for (request, body) in
        [(get("/"), "Content-Length: 0\r\nContent-Length: 00\r\n"), (get("/"), "Content-Length: 0\r\n")]
    {
        let answer: &'static str = Box::leak(format!("HTTP/1.1 200 OK\r\n{body}\r\n").into_boxed_str());
        assert_eq!(back(&request, answer).fields("content-length"), ["0"]);
    }
    let head = back(
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HTTP/1.1 304 Same\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n",
    );
    assert_eq!(head.fields("content-length"), ["7"]);
}

#[test]
fn chunks_and_trailers_go_through_both_ways() {
    let server = Server::answering(|request| {
        let sum = request.trailers.clone();
        format!(
            "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n01\r\nd\r\n0\r\n\
             {sum}X-Back:1\r\nContent-Length: 9\r\nSet-Cookie: a\r\n\r\n"
        )
    });
    let program = program(&server);
    let mut client = program.client();
    for _ in 0..2 {
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: Chunked\r\n\r\n\
             2\r\nhi\r\n4;ext=\"a\"\r\n you\r\n0\r\nX-Sum:  7\r\nX-Forwarded-For: 6.6.6.6\r\nhost: evil\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
        );
        let response = client.response();
        assert_eq!(response.text(), "abcd");
        assert_eq!(response.trailers, "X-Sum: 7\r\nX-Back: 1\r\nSet-Cookie: a\r\n");
    }
    for request in server.requests() {
        assert_eq!((request.body.as_slice(), request.trailers.as_str()), (&b"hi you"[..], "X-Sum: 7\r\n"));
        assert_eq!(request.field("transfer-encoding"), Some("chunked"));
        assert_eq!(request.field("trailer"), Some("X-Sum"));
    }
}

#[test]
fn a_client_that_expects_continue_gets_the_servers() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let server = Server::start(move |talk| {
        let head = talk.head().unwrap();
        assert!(head.contains("Expect: 100-continue\r\n"), "{head}");
        theirs.pass();
        talk.send("HTTP/1.1 100 Continue\r\n\r\n");
        let body = talk.body(5).unwrap();
        talk.send(ok(std::str::from_utf8(&body).unwrap()));
        talk.await_end();
    });
    let program = program(&server);
    let mut client = program.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    gate.open();
    let interim = client.response();
    assert_eq!((interim.status, interim.field("content-length")), (100, None));
    client.send("hello");
    let response = client.response();
    assert_eq!((response.text().as_str(), response.field("connection")), ("hello", None));
}

#[test]
fn a_final_answer_to_expect_spares_the_body() {
    let server = Server::start(|talk| {
        talk.head();
        talk.send("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
        talk.await_end();
    });
    let program = program(&server);
    let mut client = program.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let response = client.response();
    // Whether the body follows is for the client to choose, so the connection cannot go on.
    assert_eq!((response.status, response.field("connection")), (417, Some("close")));
}

#[test]
fn interim_answers_reach_clients_that_know_them() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nContent-Length: 3\r\n\r\n\
                  HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let server = Server::answering(move |_| answer);
    let program = program(&server);
    let mut client = program.client();
    for _ in 0..2 {
        client.send(get("/"));
        let hints = client.response();
        assert_eq!(hints.head, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        assert_eq!((client.response().status, client.response().text().as_str()), (102, "hi"));
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(program.ask("GET / HTTP/1.0\r\nHost: a\r\n\r\n").text(), "hi");
}

#[test]
fn answers_without_a_body_keep_their_connection() {
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    let server = Server::answering(|request| match request.target() {
        "/204" => "HTTP/1.1 204 None\r\nContent-Length: 0\r\n\r\n",
        "/304" => "HTTP/1.1 304 Same\r\nContent-Length: 10\r\nETag: x\r\n\r\n",
        "/chunked" => "HTTP/1.1 304 Same\r\nTransfer-Encoding: chunked\r\n\r\n",
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    });
    let program = program(&server);
    let mut client = program.client();
    for _ in 0..2 {
        let none = client.ask(get("/204"));
        assert_eq!((none.status, none.field("content-length")), (204, None));
        let same = client.ask(get("/304"));
        assert_eq!((same.status, same.field("content-length")), (304, Some("10")));
        let chunked = client.ask(get("/chunked"));
        assert_eq!((chunked.status, chunked.field("transfer-encoding")), (304, None));
        client.send(head);
        assert_eq!(client.response_to_head().field("content-length"), Some("10"));
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn what_ends_with_the_servers_connection_is_chunked_for_the_client() {
    for version in ["1.1", "1.0"] {
        let server = Server::once(format!("HTTP/{version} 200 OK\r\nX: y\r\n\r\nuntil the end"));
        let program = program(&server);
        let mut client = program.client();
        for _ in 0..2 {
            let response = client.ask(get("/"));
            assert_eq!(response.field("transfer-encoding"), Some("chunked"));
            assert_eq!((response.text().as_str(), response.field("connection")), ("until the end", None));
        }
        let old = program.ask("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        assert!(old.until_close && old.field("transfer-encoding").is_none());
        assert_eq!((old.text().as_str(), old.field("connection")), ("until the end", Some("close")));
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response_to_head().status, 200);
    }
}

#[test]
fn an_empty_answer_that_ends_with_the_connection() {
    let server = Server::once("HTTP/1.1 200 OK\r\n\r\n");
    let program = program(&server);
    let mut client = program.client();
    assert_eq!(client.ask(get("/")).text(), "");
    assert_eq!(client.ask(get("/")).text(), "");
}

#[test]
fn http_1_0_clients_keep_their_connection_where_they_ask_for_it() {
    let server = Server::answering(|request| match request.target() {
        "/chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n",
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    });
    let program = program(&server);
    let mut client = program.client();
    for _ in 0..3 {
        let response = client.ask("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        assert_eq!((response.text().as_str(), response.field("connection")), ("hi", Some("keep-alive")));
    }
    let response = client.ask("GET /chunked HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert!(response.until_close && response.text() == "hi", "{response:?}");
}

#[test]
fn connection_close_of_either_side_is_not_told_to_the_other() {
    let server = Server::start(|talk| {
        talk.request();
        talk.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
    });
    let program = program(&server);
    let mut client = program.client();
    for _ in 0..3 {
        assert_eq!(client.ask(get("/")).field("connection"), None);
    }
    assert_eq!(server.connections(), 3);
    let response = client.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(response.field("connection"), Some("close"));
    client.assert_closed();
    assert!(server.requests().iter().all(|request| request.field("connection").is_none()));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server =
        Server::answering(|request| ok(&(request.target().to_owned() + std::str::from_utf8(&request.body).unwrap())));
    let program = program(&server);
    let mut client = program.client();
    let request = |number: usize| match number % 3 {
        0 => get(&format!("/{number}")),
        1 => format!("POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
        _ => format!("POST /{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    };
    let all: String = (0..10).map(request).collect();
    client.send(&all);
    for number in 0..10 {
        let body = ["", "hello", "abc"][number % 3];
        assert_eq!(client.response().text(), format!("/{number}{body}"));
    }
    // However it is cut.
    for byte in all.as_bytes() {
        client.send([*byte]);
    }
    for number in 0..10 {
        assert!(client.response().text().starts_with(&format!("/{number}")));
    }
}

#[test]
fn a_stop_finishes_what_is_under_way() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let server = Server::answering(move |_| {
        theirs.pass();
        ok("late")
    });
    let mut program = program(&server);
    let mut client = program.client();
    client.send(get("/"));
    server.await_requests(1);
    program.terminate();
    until("nothing new is accepted", || std::net::TcpStream::connect(program.address()).is_err());
    gate.open();
    let response = client.response();
    assert_eq!((response.text().as_str(), response.field("connection")), ("late", Some("close")));
    client.assert_closed();
    assert!(program.ended().success());
}
