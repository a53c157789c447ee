//! `drain`, `ready`, `down`, `weight`, `limit`, `add`, `remove`, `diff` and `reload`.

use super::super::kit::{Client, Origin, Running, stderr, until};
use super::{Held, Served, two_quick};

#[test]
fn states_weights_and_limits_are_set() {
    let served = two_quick();
    for (arguments, field, value) in [
        (&["drain", "app/s1"][..], "state", serde_json::json!("drain")),
        (&["down", "s1"], "state", "down".into()),
        (&["ready", "app/s1", "app/s2"], "state", "ready".into()),
        (&["weight", "app/s1", "4"], "weight", 4.into()),
        (&["limit", "app/s1", "750"], "max_connections", 750.into()),
        (&["limit", "s1", "none"], "max_connections", serde_json::Value::Null),
    ] {
        let output = served.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("app/s1: "), "{}", stderr(&output));
        assert_eq!(served.server("s1")[field], value, "{arguments:?}");
    }
}

#[test]
fn of_several_servers_none_is_changed_when_one_is_not_there() {
    let served = two_quick();
    let output = served.run(&["drain", "app/s1", "app/s9"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(served.server("s1")["state"], "ready");
}

#[test]
fn a_drain_that_waits_returns_when_nothing_is_in_flight() {
    let (held, quick) = (Held::start(), Origin::quick("s2"));
    let served = Served::pool_of(&[("s1", held.address), ("s2", quick.address)]);
    // Whichever comes first: with two at once each server has one.
    let mut clients = [0, 1].map(|_| Client::connect(served.address).expect("it listens"));
    for client in &mut clients {
        client.send().expect("the request can be sent");
    }
    until("the request is in flight", || served.server("s1")["in_flight"] == 1);
    let short = served.run(&["drain", "app/s1", "--wait", "--timeout", "300ms"]);
    assert_eq!(short.status.code(), Some(1), "{}", stderr(&short));
    assert!(
        stderr(&short).contains("still in flight after 0.3 s: 1 at app/s1; draining goes on"),
        "{}",
        stderr(&short)
    );
    let mut waiting = Running::saying(served.command(&["drain", "app/s1", "app/s2", "--wait"]));
    waiting.line("in flight: 1 at app/s1 (0 s of 60 s)");
    held.answer();
    let (code, said) = waiting.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("nothing is in flight there\n"), "{said}");
    assert_eq!(served.server("s1")["in_flight"], 0);
}

#[test]
fn a_drain_that_waits_ends_when_it_is_taken_back() {
    let held = Held::start();
    let served = Served::pool_of(&[("s1", held.address)]);
    let mut client = Client::connect(served.address).expect("it listens");
    client.send().expect("the request can be sent");
    until("the request is in flight", || served.server("s1")["in_flight"] == 1);
    let mut waiting = Running::saying(served.command(&["drain", "s1", "--wait"]));
    waiting.line("in flight: 1");
    served.prints(&["ready", "s1"]);
    let (code, said) = waiting.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("app/s1 is ready again"), "{said}");
}

#[test]
fn servers_come_and_go() {
    let served = two_quick();
    let output = served.run(&["add", "app", "127.0.0.1:9,name=third,weight=0", "127.0.0.1:10,backup=true"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(served.server("third")["weight"], 0);
    assert_eq!(served.server("127.0.0.1:10")["backup"], true);
    let again = served.run(&["add", "app", "127.0.0.1:9,name=third"]);
    assert_eq!(again.status.code(), Some(1), "{}", stderr(&again));
    assert!(stderr(&again).contains("has a server"), "{}", stderr(&again));
    served.prints(&["remove", "app/third", "s2"]);
    let pool = served.json(&["status", "app", "--json"]);
    let names: Vec<&str> =
        pool["servers"].as_array().expect("a list").iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(names, ["s1", "127.0.0.1:10"]);
    let last = served.run(&["remove", "s1"]);
    assert_eq!(last.status.code(), Some(1));
    assert!(stderr(&last).contains("is the last server"), "{}", stderr(&last));
}

#[test]
fn what_was_changed_is_listed_and_undone() {
    let served = two_quick();
    let same = served.run(&["diff"]);
    assert_eq!((same.status.code(), stderr(&same)), (Some(0), "nothing differs from the file\n".to_owned()));
    served.prints(&["weight", "s1", "4"]);
    let text = served.prints(&["diff"]);
    let row: Vec<&str> = text.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(row, ["app/s1", "weight", "1", "4"], "{text}");
    assert_eq!(served.json(&["diff", "--json"])[0]["setting"], "weight");
    let undone = served.run(&["diff", "--undo"]);
    assert!(stderr(&undone).starts_with("1 edit undone"), "{}", stderr(&undone));
    assert_eq!(served.server("s1")["weight"], 1);
}

#[test]
fn a_reload_tells_what_came_of_it() {
    let served = two_quick();
    let path = served.folder.path().join("plimsoll.toml");
    let file = std::fs::read_to_string(&path).expect("it was written");
    served.prints(&["weight", "s2", "4"]);
    served.folder.file("plimsoll.toml", &file.replace(r#"name = "s1" }"#, r#"name = "s1", weight = 3 }"#));
    let good = served.run(&["reload"]);
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    assert!(stderr(&good).contains("is in force\nedits that still stand: 1"), "{}", stderr(&good));
    assert_eq!(served.server("s1")["weight"], 3);
    served.folder.file("plimsoll.toml", &file.replace("name = \"s1\"", "nmae = \"s1\""));
    let bad = served.run(&["reload"]);
    assert_eq!(bad.status.code(), Some(1), "{}", stderr(&bad));
    for part in ["did you mean `name`?", "plimsoll.toml:"] {
        assert!(stderr(&bad).contains(part), "{}", stderr(&bad));
    }
    assert_eq!(served.server("s1")["weight"], 3, "nothing has changed");
}
