//! `WebSocket` connections through the balancer, with a real library at both ends.

use std::net::TcpStream;

use tungstenite::{Message, WebSocket};

use crate::kit::{Client, Config, PATIENCE, Program, Server, echo_messages, field, get, until};

type Socket = WebSocket<TcpStream>;

fn connect(program: &Program) -> Socket {
    let stream = TcpStream::connect(program.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (socket, response) = tungstenite::client(format!("ws://{}/chat", program.address()), stream).unwrap();
    assert_eq!(response.status(), 101);
    socket
}

#[track_caller]
fn echo(socket: &mut Socket, message: &Message) {
    socket.send(message.clone()).unwrap();
    assert!(socket.read().unwrap() == *message, "another message came back");
}

fn close(mut socket: Socket) {
    socket.close(None).unwrap();
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => break,
            Err(error) => panic!("the closing handshake broke: {error}"),
        }
    }
}

#[test]
fn messages_of_all_kinds_come_back() {
    let server = Server::start(echo_messages);
    let mut program = Config::to(&[server.address()]).start();
    let mut socket = connect(&program);
    echo(&mut socket, &Message::text("gr\u{fc}\u{df} dich"));
    echo(&mut socket, &Message::binary((0..=255).collect::<Vec<u8>>()));
    let large: Vec<u8> = (0..1_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    echo(&mut socket, &Message::binary(large));
    socket.send(Message::Ping("are you there".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("are you there".into()));
    for number in 0..100 {
        echo(&mut socket, &Message::text(number.to_string()));
    }
    close(socket);
    until("the server's end is closed too", || server.open() == 0);
    program.assert_well();
}

#[test]
fn an_open_websocket_holds_its_place_to_the_end() {
    let servers = [Server::start(echo_messages), Server::start(echo_messages)];
    let program = Config::to(&[servers[0].address(), servers[1].address()]).start();
    let mut socket = connect(&program);
    echo(&mut socket, &Message::text("hello"));
    let with = usize::from(servers[0].count() == 0);
    let mut client = program.client();
    let mut share = || {
        let before = servers[with].count();
        for _ in 0..10 {
            assert_eq!(client.ask(get("/")).text(), "plain");
        }
        servers[with].count() - before
    };
    assert_eq!(share(), 0);
    echo(&mut socket, &Message::text("still here"));
    assert_eq!(share(), 0);
    close(socket);
    until("the place is free again", || share() == 5);
}

#[test]
fn a_websocket_that_is_cut_off_frees_its_place() {
    let server = Server::start(echo_messages);
    let program = Config::to(&[]).workers(1).server(server.address(), "max_connections = 1").start();
    for _ in 0..3 {
        let mut socket = None;
        until("there is a place", || {
            let stream = TcpStream::connect(program.address()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            socket = tungstenite::client("ws://test/chat", stream).ok();
            socket.is_some()
        });
        echo(&mut socket.unwrap().0, &Message::text("hello"));
    }
    until("the place is free again", || program.ask(get("/")).status == 200);
}

#[test]
fn the_server_may_say_no() {
    let server = Server::saying("no");
    let program = Config::to(&[server.address()]).start();
    let mut client = program.client();
    for _ in 0..2 {
        let response = client.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        assert_eq!((response.text().as_str(), response.field("connection")), ("no", None));
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn bytes_sent_along_with_the_upgrade_are_not_lost() {
    let server = Server::start(|talk| {
        talk.head();
        talk.send("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly ");
        let said = talk.body(5).unwrap();
        talk.send(said);
    });
    let program = Config::to(&[server.address()]).start();
    let mut client = program.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello");
    let response = client.response();
    assert_eq!((response.status, field(&response.head, "upgrade")), (101, Some("echo")));
    assert_eq!(client.bytes(11), b"early hello");
    client.assert_closed();
}

#[test]
fn each_side_of_a_tunnel_may_finish_by_itself() {
    let server = Server::start(|talk| {
        talk.head();
        talk.send("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        talk.await_end();
        talk.send("heard you out");
    });
    let program = Config::to(&[server.address()]).start();
    let mut client = program.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(client.response().status, 101);
    client.send("long story");
    client.finish_sending();
    assert_eq!(client.rest().0, b"heard you out");
    assert!(server.received().ends_with("long story"));
}

#[test]
fn a_quiet_tunnel_ends_after_its_time() {
    let server = Server::start(echo_messages);
    let program = Config::to(&[server.address()]).pool("timeout = { tunnel = \"300ms\" }").start();
    let mut socket = connect(&program);
    echo(&mut socket, &Message::text("hello"));
    assert!(socket.read().is_err());
    until("the server's end is closed too", || server.open() == 0);
}

/// The value of a line of `/metrics`, once it is there.
fn metric(program: &Program, name: &str) -> Option<f64> {
    let admin = program.admin();
    let page = Client::connect(admin).ask(format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\n\r\n")).text();
    page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[test]
fn how_long_a_connection_lives_is_no_response_time() {
    let greeting = Server::start(|talk| {
        talk.request();
        talk.send("welcome");
        talk.await_end();
    });
    let servers = [Server::start(echo_messages), greeting];
    for (server, listener) in servers.iter().zip(["", "protocol = \"tcp\""]) {
        let config = Config::to(&[server.address()]).listen(listener).pool("timeout = { tunnel = \"1s\" }");
        let program = config.top("[admin]\nbind = \"127.0.0.1:0\"").start();
        if listener.is_empty() {
            let mut socket = connect(&program);
            echo(&mut socket, &Message::text("hello"));
            assert!(socket.read().is_err(), "it ends once it was quiet for its time");
        } else {
            let mut client = program.client();
            client.send(get("/"));
            assert_eq!(client.rest().0, b"welcome");
        }
        let ended = r#"plimsoll_pool_outcomes_total{pool="app",outcome="success"}"#;
        until("its end is counted", || metric(&program, ended) == Some(1.0));
        let seconds = metric(&program, r#"plimsoll_pool_response_seconds_sum{pool="app"}"#).unwrap();
        assert!(seconds > 0.0 && seconds < 0.9, "{seconds} {listener}");
    }
}
