//! Clients told apart by what the application tells them apart by.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Three, set_by, with};
use crate::kit::{Config, Server, get, ok};

/// A server that gives each client of `/login` a session of its own.
fn application(name: &'static str) -> Server {
    let sessions = AtomicUsize::new(0);
    Server::answering(move |request| match request.target() {
        "/login" => {
            let session = sessions.fetch_add(1, Ordering::SeqCst);
            ok(name).replace("200 OK", &format!("200 OK\r\nSet-Cookie: JSESSIONID={name}{session}; Path=/; HttpOnly"))
        }
        _ => ok(name),
    })
}

#[test]
fn a_session_of_the_application_is_learnt_from_its_answer_and_a_reload_forgets_none() {
    let servers = ["a", "b", "c"].map(application);
    let config = Config::to(&servers.each_ref().map(Server::address)).workers(2);
    let config = config.pool("sticky = { learn_cookie = \"JSESSIONID\" }");
    let program = config.start();
    let sessions: Vec<(String, String)> = (0..6)
        .map(|_| {
            let response = program.ask(get("/login"));
            (response.text(), set_by(&response))
        })
        .collect();
    let names: BTreeSet<&String> = sessions.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 3);
    for round in 0..4 {
        for (name, cookie) in &sessions {
            assert_eq!(program.ask(with(&format!("a=b; {cookie}"))).text(), *name);
        }
        if round == 1 {
            program.reload(&config.clone().pool("retry = { tries = 2 }"));
        }
    }
    let seen = servers.each_ref().map(Server::requests).concat();
    let session = |field: Option<&str>| field.is_some_and(|cookies| cookies.starts_with("a=b; JSESSIONID="));
    assert_eq!(seen.iter().filter(|request| session(request.field("cookie"))).count(), 24, "it is the application's");
}

#[test]
fn a_session_that_nobody_knows_belongs_to_the_server_that_it_meets() {
    let three = Three::new();
    let program = three.config("sticky = { learn_cookie = \"sid\", entries = 2 }").start();
    let name = |cookie: &str| program.ask(with(cookie)).text();
    let (one, two) = (name("sid=1"), name("sid=2"));
    assert_ne!(one, two);
    assert_eq!([name("sid=1"), name("sid=2"), name("sid=1")], [one.clone(), two, one.clone()]);
    name("sid=3");
    assert_eq!(name("sid=1"), one, "the one that was not seen for longest made room");
}

#[test]
fn a_table_that_grows_or_shrinks_at_a_reload_forgets_nobody_whom_it_has_room_for() {
    let three = Three::new();
    let config = |entries: usize| three.config(&format!("sticky = {{ learn_cookie = \"sid\", entries = {entries} }}"));
    let program = config(100).start();
    let name = |session: usize| program.ask(with(&format!("sid={session}"))).text();
    let firsts: Vec<String> = (0..9).map(name).collect();
    assert_eq!(firsts.iter().collect::<BTreeSet<_>>().len(), 3);
    for entries in [4096, 100_000, 1000] {
        program.reload(&config(entries));
        // In another order, in which the policy alone would give them other servers.
        let mut again: Vec<String> = (0..9).rev().map(name).collect();
        again.reverse();
        assert_eq!(again, firsts, "{entries}");
    }
}

#[test]
fn a_field_of_requests_is_learnt() {
    let three = Three::new();
    let program = three.config("sticky = { header = \"X-Session\" }").start();
    let name =
        |session: usize| program.ask(format!("GET / HTTP/1.1\r\nHost: test\r\nx-session: {session}\r\n\r\n")).text();
    let firsts: Vec<String> = (0..9).map(name).collect();
    assert_eq!(firsts.iter().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!((0..9).map(name).collect::<Vec<String>>(), firsts);
}
