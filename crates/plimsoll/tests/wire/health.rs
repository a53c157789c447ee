//! Servers that fail are left out for a while, found out about by a single request, and taken back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::kit::{Client, Config, Gate, Program, Server, Talk, answer, get, ok, until};

/// Nothing but failures leaves a server out, and when it is out it stays so.
const LONG: &str = "eject = { time = \"1h\", max_time = \"1h\", max_share = \"100%\" }";

/// A server whose status can be changed.
fn moody(status: u16) -> (Arc<AtomicU16>, Server) {
    let mood = Arc::new(AtomicU16::new(status));
    let theirs = Arc::clone(&mood);
    (mood, Server::answering(move |_| answer(theirs.load(Ordering::SeqCst))))
}

/// Asks until the program has said something.
fn ask_until_said(program: &Program, part: &str) {
    let mut client = program.client();
    until(&format!("the program says {part:?}"), || {
        client.ask(get("/"));
        program.said_times(part) > 0
    });
}

#[test]
fn five_failures_in_a_row_eject_a_server() {
    let (_, bad) = moody(500);
    let good = Server::saying("good");
    let program = Config::to(&[bad.address(), good.address()]).pool(LONG).start();
    let said = format!(
        "pool app: server {} is ejected (was up): 5 requests in a row failed, the last one: rejected",
        bad.address()
    );
    ask_until_said(&program, &said);
    assert_eq!(bad.count(), 5);
    let mut client = program.client();
    for _ in 0..100 {
        assert_eq!(client.ask(get("/")).text(), "good");
    }
    assert_eq!(bad.count(), 5);
    assert_eq!(program.said_times("is ejected"), 1);
}

#[test]
fn a_success_in_between_starts_the_count_anew() {
    let count = AtomicUsize::new(0);
    let uneven = Server::answering(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        answer(if number % 5 == 4 { 200 } else { 500 })
    });
    // The share of failures is of no matter where there is nobody to compare with.
    let program = Config::to(&[uneven.address()]).pool(LONG).start();
    let mut client = program.client();
    for number in 0..50 {
        assert_eq!(client.ask(get("/")).status, if number % 5 == 4 { 200 } else { 500 });
    }
    assert_eq!(program.said_times("is ejected"), 0);
}

#[test]
fn a_server_that_fails_more_than_the_others_is_ejected() {
    let count = AtomicUsize::new(0);
    let uneven = Server::answering(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        answer(if number % 4 == 3 { 200 } else { 500 })
    });
    let good = Server::saying("good");
    let program = Config::to(&[uneven.address(), good.address()]).pool(LONG).start();
    ask_until_said(&program, &format!("server {} is ejected (was up): 7", uneven.address()));
}

#[test]
fn one_request_tries_a_server_whose_time_is_over() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let count = AtomicUsize::new(0);
    let ill = Server::answering(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) < 2 {
            return answer(500);
        }
        theirs.pass();
        ok("recovered")
    });
    let good = Server::saying("good");
    let program = Config::to(&[ill.address(), good.address()])
        .pool("eject = { failures = 2, time = \"200ms\" }\nwarm_up = \"off\"")
        .start();
    ask_until_said(&program, "is ejected");
    // Somebody's request is the trial, and hangs there.
    let mut clients: Vec<Client> = Vec::new();
    until("the trial has begun", || {
        let mut client = program.client();
        client.send(get("/"));
        program.fence();
        clients.push(client);
        ill.count() == 3
    });
    program.await_said("is trial (was ejected): its time out is over: one request tries it");
    let mut client = program.client();
    for _ in 0..50 {
        assert_eq!(client.ask(get("/")).text(), "good");
    }
    assert_eq!(ill.count(), 3);
    gate.open();
    let answers: Vec<_> = clients.iter_mut().map(|client| client.response().text()).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "recovered").count(), 1);
    program.await_said("is up (was trial): the trial request succeeded");
    until("it has its share again", || {
        client.ask(get("/"));
        ill.count() > 10
    });
}

#[test]
fn a_trial_that_fails_puts_the_server_out_for_twice_as_long() {
    let (mood, ill) = moody(500);
    let good = Server::saying("good");
    let program = Config::to(&[ill.address(), good.address()])
        .pool("eject = { failures = 3, time = \"100ms\" }\nwarm_up = \"off\"")
        .start();
    ask_until_said(&program, "is ejected (was up)");
    let (since, mut client) = (Instant::now(), program.client());
    until("two trials have failed", || {
        client.ask(get("/"));
        program.said_times("is ejected (was trial): the trial request failed: rejected") == 2
    });
    // 100 ms to the first and 200 ms to the second, but for how late the ejection is told, a tenth of a second.
    assert!(since.elapsed() >= Duration::from_millis(100 + 200 - 100), "{:?}", since.elapsed());
    assert_eq!(ill.count(), 3 + 2);
    mood.store(200, Ordering::SeqCst);
    ask_until_said(&program, "is up (was trial)");
}

#[test]
fn what_counts_as_a_failure_is_configured() {
    let good = Server::saying("good");
    // A status that is no failure elsewhere, and one that no longer is.
    for (on, status, ejects) in [("[404]", 404, true), ("[\"connect\", 404]", 500, false), ("[\"5xx\"]", 404, false)] {
        let (_, bad) = moody(status);
        let eject = format!("eject = {{ on = {on}, time = \"1h\", max_time = \"1h\" }}");
        let program = Config::to(&[bad.address(), good.address()]).pool(&eject).start();
        if ejects {
            ask_until_said(&program, "is ejected");
            assert_eq!(bad.count(), 5, "{on}");
        } else {
            let mut client = program.client();
            until("it has failed often enough", || client.ask(get("/")).status > 0 && bad.count() > 20);
            assert_eq!(program.said_times("is ejected"), 0, "{on}");
        }
    }
}

#[test]
fn with_ejection_off_a_server_is_never_left_out() {
    let (_, bad) = moody(500);
    let program = Config::to(&[bad.address()]).pool("eject = \"off\"").start();
    let mut client = program.client();
    for _ in 0..50 {
        assert_eq!(client.ask(get("/")).text(), "500!\n");
    }
    assert_eq!(program.said_times("is ejected"), 0);
}

#[test]
fn when_all_are_out_requests_are_refused_or_all_are_tried() {
    for (when_none, tried) in [("refuse", false), ("try-all", true)] {
        let servers = [moody(500).1, moody(500).1];
        let program = Config::to(&servers.each_ref().map(Server::address))
            .pool(&format!("{LONG}\nwhen_none = \"{when_none}\"\nunavailable = {{ reason_header = true }}"))
            .start();
        let mut client = program.client();
        until("both are out", || {
            client.ask(get("/"));
            program.said_times("is ejected") == 2
        });
        let before = servers.each_ref().map(Server::count);
        let statuses = [(); 10].map(|()| {
            let response = client.ask(get("/"));
            (response.status, response.field("plimsoll-reason").map(str::to_owned))
        });
        let asked: usize = servers.iter().map(Server::count).sum::<usize>() - before.iter().sum::<usize>();
        let expected = if tried { (500, None) } else { (503, Some("all-down".to_owned())) };
        assert!(statuses.iter().all(|status| *status == expected), "{statuses:?}");
        assert_eq!(asked, if tried { 10 } else { 0 });
    }
}

#[test]
fn no_more_than_a_share_of_the_pool_is_ejected() {
    let servers = [(); 4].map(|()| moody(500).1);
    let program = Config::to(&servers.each_ref().map(Server::address))
        .pool("eject = { time = \"1h\", max_time = \"1h\", max_share = \"50%\" }")
        .start();
    let mut client = program.client();
    until("two are out", || client.ask(get("/")).status == 500 && program.said_times("is ejected") == 2);
    for _ in 0..100 {
        assert_eq!(client.ask(get("/")).text(), "500!\n");
    }
    assert_eq!(program.said_times("is ejected"), 2);
}

/// What a request that is under way on a server when that is ejected looks like.
mod under_way {
    use super::*;

    /// What a server does with a request for `/long`, once it is to fail all others.
    type Long = fn(&mut Talk);

    /// Says nothing until the connection ends.
    fn silent(talk: &mut Talk) {
        talk.await_end();
    }

    /// Begins to answer, and goes on bit by bit without an end.
    fn dripping(talk: &mut Talk) {
        talk.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while talk.send("1\r\nx\r\n") {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Switches protocols, and talks on and on.
    fn chatting(talk: &mut Talk) {
        talk.send("HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n");
        while talk.send("tick") {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// The same, but says nothing.
    fn quiet_tunnel(talk: &mut Talk) {
        talk.send("HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n");
        talk.await_end();
    }

    const LONG_REQUEST: &str = "POST /long HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";

    /// Two servers, the one that gets `/long` fails all else from then on; the program; the client of `/long`. Comes back
    /// once that server is ejected.
    fn eject_under(long: Long, on_down: &str) -> ([Server; 2], Program, Client) {
        let servers = [(); 2].map(|()| {
            let busy = AtomicBool::new(false);
            Server::start(move |talk| {
                while let Some(request) = talk.request() {
                    if request.target() == "/long" {
                        busy.store(true, Ordering::SeqCst);
                        return long(talk);
                    }
                    let status = if busy.load(Ordering::SeqCst) { 500 } else { 200 };
                    if !talk.send(answer(status)) {
                        return;
                    }
                }
            })
        });
        let rules = "policy = \"round-robin\"\neject = { failures = 1, time = \"1h\", max_time = \"1h\" }";
        let program = Config::to(&servers.each_ref().map(Server::address))
            .pool(&format!("{rules}\non_down = \"{on_down}\"\nkeep_alive = {{ connections = 0 }}"))
            .start();
        let mut client = program.client();
        client.send(LONG_REQUEST);
        until("a server has the request", || servers.iter().any(|server| server.count() == 1));
        ask_until_said(&program, "is ejected");
        (servers, program, client)
    }

    #[test]
    fn is_broken_off_where_that_is_asked_for() {
        for (number, long) in [silent, dripping, chatting, quiet_tunnel].into_iter().enumerate() {
            let (servers, mut program, mut client) = eject_under(long, "close");
            let since = Instant::now();
            if number == 0 {
                let response = client.response();
                assert_eq!(response.status, 502);
                assert!(response.text().contains("taken out of use"), "{}", response.text());
            } else {
                // A second and a little, were it not for a machine that is busy with other things.
                let ends = client.ends_before(since + Duration::from_secs(10));
                assert!(ends, "case {number} goes on");
            }
            until("the server's connection ends", || servers.iter().all(|server| server.open() == 0));
            program.assert_well();
        }
    }

    #[test]
    fn goes_to_another_server_when_it_may() {
        let hung = Arc::new(AtomicBool::new(false));
        let servers = [(); 2].map(|()| {
            let (hung, ill) = (Arc::clone(&hung), AtomicBool::new(false));
            Server::start(move |talk| {
                while let Some(request) = talk.request() {
                    if request.target() == "/long" && !hung.swap(true, Ordering::SeqCst) {
                        ill.store(true, Ordering::SeqCst);
                        return talk.await_end();
                    }
                    if !talk.send(answer(if ill.load(Ordering::SeqCst) { 500 } else { 200 })) {
                        return;
                    }
                }
            })
        });
        let rules = "policy = \"round-robin\"\neject = { failures = 1, time = \"1h\", max_time = \"1h\" }\n\
                     on_down = \"close\"\nretry = { on = [\"reset\"], within = \"1h\" }";
        let program = Config::to(&servers.each_ref().map(Server::address)).pool(rules).start();
        let mut client = program.client();
        client.send(get("/long"));
        until("a server has the request", || servers.iter().any(|server| server.count() == 1));
        ask_until_said(&program, "is ejected");
        assert_eq!(client.response().text(), "200!\n");
    }

    #[test]
    fn goes_on_otherwise() {
        let (servers, _program, mut client) = eject_under(chatting, "keep");
        let since = Instant::now();
        // Longer than it takes to be broken off.
        while since.elapsed() < Duration::from_millis(2500) {
            client.bytes(4);
        }
        assert!(servers.iter().map(Server::open).sum::<usize>() >= 1);
    }
}
