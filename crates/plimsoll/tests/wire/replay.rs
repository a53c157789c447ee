//! A request whose body has to be sent again: byte for byte, up to the buffer, or not at all.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::kit::{Config, Program, Server, Talk, answer, get, in_turn, ok, seed, until};

const RETRY: &str = "eject = \"off\"\nretry = { on = [\"connect\", \"reset\", 503] }";

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Known,
    Chunked,
}

const FRAMINGS: [Framing; 2] = [Framing::Known, Framing::Chunked];

impl Framing {
    fn head(self, length: usize) -> String {
        let field = match self {
            Self::Known => format!("Content-Length: {length}"),
            Self::Chunked => "Transfer-Encoding: chunked".to_owned(),
        };
        format!("PUT /put HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n")
    }

    fn piece(self, piece: &[u8]) -> Vec<u8> {
        match self {
            Self::Known => piece.to_vec(),
            Self::Chunked if piece.is_empty() => Vec::new(),
            Self::Chunked => [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat(),
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Known => "",
            Self::Chunked => "0\r\n\r\n",
        }
    }

    fn whole(self, body: &[u8]) -> Vec<u8> {
        [self.head(body.len()).as_bytes(), &self.piece(body), self.end().as_bytes()].concat()
    }
}

/// Answers each request with its body.
fn echo(talk: &mut Talk) {
    while let Some(request) = talk.request() {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if !talk.send(ok(&body)) {
            break;
        }
    }
}

fn start(servers: &[Server; 2], more: &str) -> Program {
    Config::to(&servers.each_ref().map(Server::address)).pool(RETRY).pool(more).start()
}

#[test]
fn a_body_that_comes_in_pieces_is_sent_again_from_its_beginning() {
    for framing in FRAMINGS {
        let servers: [Server; 2] = in_turn(
            |talk| {
                talk.head();
                talk.body(1);
                talk.end_with_reset();
            },
            echo,
        );
        let program = start(&servers, "");
        let mut client = program.client();
        client.send(framing.head(15));
        client.send(framing.piece(b"first"));
        let received = || servers.iter().map(Server::received).collect::<String>();
        until("the first server has failed and the second has the piece", || received().matches("first").count() == 2);
        client.send(framing.piece(b"secon"));
        until("the second piece is through", || received().contains("secon"));
        client.send(framing.piece(b"third"));
        client.send(framing.end());
        assert_eq!(client.response().text(), "firstseconthird", "{framing:?}");
        client.send(framing.whole(b"another"));
        assert_eq!(client.response().text(), "another");
    }
}

#[test]
fn a_server_that_refuses_before_it_has_the_body_is_replaced_while_the_body_still_comes() {
    for framing in FRAMINGS {
        let servers: [Server; 2] = in_turn(
            |talk| {
                talk.head();
                talk.send(answer(503));
                talk.await_end();
            },
            echo,
        );
        let program = start(&servers, "");
        let mut client = program.client();
        client.send(framing.head(10));
        client.send(framing.piece(b"first"));
        until("the second server is asked", || servers.iter().all(|server| server.received().contains("/put")));
        client.send(framing.piece(b"later"));
        client.send(framing.end());
        assert_eq!(client.response().text(), "firstlater", "{framing:?}");
        assert_eq!(client.ask(get("/")).status, 200);
    }
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked_by_the_next_server() {
    let servers: [Server; 2] = in_turn(
        |talk| {
            talk.head();
            talk.send(answer(503));
            talk.await_end();
        },
        |talk| {
            assert_eq!(crate::kit::field(&talk.head().unwrap(), "expect"), Some("100-continue"));
            talk.send("HTTP/1.1 100 Continue\r\n\r\n");
            let body = String::from_utf8(talk.body(5).unwrap()).unwrap();
            talk.send(ok(&body));
        },
    );
    let program = start(&servers, "");
    let mut client = program.client();
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(client.ask(head).status, 100);
    assert_eq!(client.ask("hello").text(), "hello");
}

#[test]
fn an_empty_body_and_one_as_large_as_the_buffer_are_sent_again() {
    for framing in FRAMINGS {
        for length in [0, 1, 1024] {
            let servers: [Server; 2] = in_turn(refuse_once_read, echo);
            let program = start(&servers, "").ask(framing.whole(&vec![b'x'; length]));
            assert_eq!((program.status, program.body.len()), (200, length), "{framing:?}");
        }
    }
}

/// Reads a whole request, and goes without an answer.
fn refuse_once_read(talk: &mut Talk) {
    talk.request();
    talk.end_with_reset();
}

#[test]
fn what_does_not_fit_the_buffer_is_sent_once() {
    for framing in FRAMINGS {
        for (length, status) in [(1024, 200), (1025, 502), (200_000, 502)] {
            let servers: [Server; 2] = in_turn(refuse_once_read, echo);
            let rule = RETRY.replace("503]", "503], buffer = \"1KiB\"");
            let program = Config::to(&servers.each_ref().map(Server::address)).pool(&rule).start();
            let response = program.ask(framing.whole(&vec![b'x'; length]));
            assert_eq!(response.status, status, "{framing:?} {length}");
            assert_eq!(servers[0].count() + servers[1].count(), if status == 200 { 2 } else { 1 });
        }
    }
}

#[test]
fn a_body_with_trailers_is_sent_once() {
    let request = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n";
    let servers: [Server; 2] = in_turn(refuse_once_read, echo);
    assert_eq!(start(&servers, "").ask(request).status, 502);
    let asked: Vec<_> = servers.iter().flat_map(Server::requests).collect();
    assert_eq!((asked.len(), asked[0].trailers.as_str()), (1, "X: y\r\n"));
}

#[test]
fn a_body_that_stalls_behind_a_retry_gets_408_and_never_looks_whole() {
    for framing in FRAMINGS {
        let servers: [Server; 2] = in_turn(
            |talk| {
                talk.head();
                talk.body(1);
                talk.end_with_reset();
            },
            echo,
        );
        let program = Config::to(&servers.each_ref().map(Server::address))
            .listen("timeout = { body = \"300ms\" }")
            .pool(RETRY)
            .start();
        let mut client = program.client();
        client.send(framing.head(10));
        client.send(framing.piece(b"first"));
        let response = client.response();
        assert_eq!((response.status, response.field("connection")), (408, Some("close")), "{framing:?}");
        until("the servers' connections end", || servers.iter().all(|server| server.open() == 0));
        assert_eq!(servers[0].count() + servers[1].count(), 0);
    }
}

/// Bodies of any length and framing, in any pieces, before servers that fail after any number of bytes: whatever a
/// server reads whole is what was sent, no more of it is read than was sent, and the next request is understood.
#[test]
fn bodies_cut_anywhere_arrive_whole_or_not_at_all() {
    const ROUNDS: usize = 60;
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let (fails, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (body, wrong) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let script = {
        let (fails, cut, body, wrong) = (Arc::clone(&fails), Arc::clone(&cut), Arc::clone(&body), Arc::clone(&wrong));
        move |talk: &mut Talk| loop {
            if fails.swap(false, Ordering::SeqCst) {
                talk.head();
                talk.body(cut.load(Ordering::SeqCst));
                return talk.end_with_reset();
            }
            let Some(request) = talk.request() else { return };
            if request.method() == "PUT" && request.body != *body.lock().unwrap() {
                wrong.store(true, Ordering::SeqCst);
            }
            talk.send(ok(request.target()));
        }
    };
    let script = Arc::new(script);
    let servers: [Server; 2] = [(); 2].map(|()| {
        let script = Arc::clone(&script);
        Server::start(move |talk| script(talk))
    });
    let rules = "keep_alive = { connections = 0 }\nretry = { on = [\"reset\"], buffer = \"8KiB\" }";
    let config = Config::to(&servers.each_ref().map(Server::address)).pool(rules);
    for round in 0..ROUNDS {
        let framing = FRAMINGS[random.usize(..2)];
        let sent: Vec<u8> = (0..random.usize(..20_000)).map(|_| random.alphanumeric() as u8).collect();
        body.lock().unwrap().clone_from(&sent);
        cut.store(random.usize(..=sent.len()), Ordering::SeqCst);
        fails.store(true, Ordering::SeqCst);
        // A new one each time, whose budget is whole.
        let program = config.start();
        let mut client = program.client();
        let mut goes_on = client.try_send(framing.head(sent.len()));
        let mut rest = sent.as_slice();
        while goes_on && !rest.is_empty() {
            let (piece, after) = rest.split_at(random.usize(1..=rest.len()));
            goes_on = client.try_send(framing.piece(piece));
            rest = after;
        }
        let _ = goes_on && client.try_send(framing.end());
        let response = client.response();
        let kept = sent.len() <= 8 * 1024;
        assert!(response.status == 200 || response.status == 502 && !kept, "round {round}: {response:?}");
        if response.status == 200 {
            assert_eq!((response.text().as_str(), client.ask(get("/next")).text().as_str()), ("/put", "/next"));
        }
        assert!(!wrong.load(Ordering::SeqCst), "round {round}: a server read another body than was sent");
    }
}
