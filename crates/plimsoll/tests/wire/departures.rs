//! Clients and servers that leave in the middle: the other side hears of it, and the count is true afterwards.

use crate::kit::{Config, Gate, Program, Server, get, ok, until};

/// Ten in a row, wherever they go.
fn shares(program: &Program, servers: &[Server]) -> Vec<usize> {
    let counts = || servers.iter().map(Server::count).collect::<Vec<_>>();
    let before = counts();
    let mut client = program.client();
    for _ in 0..10 {
        assert_eq!(client.ask(get("/")).status, 200);
    }
    counts().iter().zip(before).map(|(after, before)| after - before).collect()
}

/// Fails unless nothing is in flight any more, as far as the next picks show.
fn assert_settles(program: &Program, servers: &[Server]) {
    until("both servers count as idle", || shares(program, servers) == [5, 5]);
}

fn config(servers: &[Server]) -> Config {
    let addresses: Vec<_> = servers.iter().map(Server::address).collect();
    Config::to(&addresses)
}

#[test]
fn a_client_that_leaves_while_it_waits_ends_the_work_at_the_server() {
    for reset in [false, true] {
        let servers = [0, 1].map(|_| {
            Server::start(|talk| {
                while let Some(request) = talk.request() {
                    if request.target() == "/wait" {
                        talk.await_end();
                        return;
                    }
                    talk.send(ok("x"));
                }
            })
        });
        let program = config(&servers).start();
        let mut client = program.client();
        client.send(get("/wait"));
        until("one server works", || servers.iter().map(Server::count).sum::<usize>() == 1);
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        until("its connection ends", || servers.iter().all(|server| server.open() == 0));
        assert_settles(&program, &servers);
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_body_leaves_no_whole_request_behind() {
    for (framing, part) in [("Content-Length: 10", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n")] {
        for reset in [false, true] {
            let servers = [Server::saying("x"), Server::saying("x")];
            let program = config(&servers).start();
            let mut client = program.client();
            client.send(format!("POST /half HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{part}"));
            until("the first part has come", || servers.iter().any(|server| server.received().contains("hello")));
            if reset {
                client.reset();
            } else {
                drop(client);
            }
            until("the connection ends", || servers.iter().all(|server| server.open() == 0));
            assert_eq!(servers[0].count() + servers[1].count(), 0);
            assert_settles(&program, &servers);
        }
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_answer_frees_the_server() {
    let servers = [0, 1].map(|_| {
        Server::start(|talk| {
            while let Some(request) = talk.request() {
                if request.target() == "/endless" {
                    talk.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                    while talk.send("5\r\nhello\r\n") {}
                    return;
                }
                talk.send(ok("x"));
            }
        })
    });
    let program = config(&servers).start();
    let mut client = program.client();
    client.send(get("/endless"));
    client.bytes(100_000);
    client.reset();
    until("the server is let go", || servers.iter().all(|server| server.open() == 0));
    assert_settles(&program, &servers);
}

#[test]
fn a_server_that_leaves_before_it_answers_is_502_and_not_busy() {
    for reset in [false, true] {
        let servers = [0, 1].map(|_| {
            Server::start(move |talk| {
                while let Some(request) = talk.request() {
                    if request.target() == "/die" {
                        if reset {
                            talk.end_with_reset();
                        }
                        return;
                    }
                    talk.send(ok("x"));
                }
            })
        });
        let program = config(&servers).start();
        for _ in 0..5 {
            assert_eq!(program.ask("POST /die HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").status, 502);
        }
        assert_settles(&program, &servers);
    }
}

/// A request and its answer, cut off by the client behind every single byte.
#[test]
fn wherever_a_client_leaves_the_count_returns_to_zero() {
    let servers = [0, 1].map(|_| {
        Server::answering(|request| {
            let body = std::str::from_utf8(&request.body).unwrap().repeat(2);
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len().max(1)
            )
            .replace("1\r\n\r\n0", "1\r\nx\r\n0")
        })
    });
    let mut config = Config::to(&[]).workers(1);
    for server in &servers {
        config = config.server(server.address(), "max_connections = 1");
    }
    let mut program = config.start();
    let request = "POST /cut HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcabc\r\n0\r\n\r\n";
    for reset in [false, true] {
        for cut in 0..=request.len() {
            let mut client = program.client();
            client.send(&request[..cut]);
            if reset {
                client.reset();
            }
        }
        for cut in 1..answer.len() {
            let mut client = program.client();
            // The places may be taken by those that leave just now.
            client.send(request);
            let begin = client.bytes(cut);
            if !begin.starts_with(b"HTTP/1.1 503") && cut >= 12 {
                assert!(begin.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&begin));
            }
            if reset {
                client.reset();
            }
        }
    }
    assert_ten_of_ten(&program, &servers);
    program.assert_well();
}

/// Both servers, one place each, take their part: no place is lost.
fn assert_ten_of_ten(program: &Program, servers: &[Server]) {
    until("both places are free", || {
        let before: Vec<_> = servers.iter().map(Server::count).collect();
        let mut client = program.client();
        let served = (0..10).filter(|_| client.ask(get("/")).status == 200).count();
        let after: Vec<_> = servers.iter().map(Server::count).collect();
        served == 10 && (after[0] - before[0], after[1] - before[1]) == (5, 5)
    });
}

#[test]
fn clients_that_leave_at_every_stage_at_once_leave_nothing_behind() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let slow = move |gate: Gate| {
        Server::answering(move |request| {
            if request.target() == "/held" {
                gate.pass();
            }
            ok("x")
        })
    };
    let servers = [slow(theirs.clone()), slow(theirs)];
    let program = config(&servers).start();
    let mut leaving = Vec::new();
    for number in 0..60 {
        let mut client = program.client();
        match number % 3 {
            0 => client.send("GET /half HTTP/1.1\r\nHo"),
            1 => client.send(get("/held")),
            _ => client.send("POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"),
        }
        leaving.push(client);
    }
    until("those that can be are under way", || servers.iter().map(Server::count).sum::<usize>() >= 20);
    drop(leaving);
    gate.open();
    assert_settles(&program, &servers);
}
