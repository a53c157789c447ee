//! What `status`, `explain`, `events` and `diff` print.

use std::process::Stdio;

use super::super::kit::{Client, Running, stderr, stdout};
use super::{Served, two_quick};

#[test]
fn status_is_a_table_or_what_the_api_says() {
    let served = two_quick();
    assert_eq!(Client::connect(served.address).expect("it listens").ask().status, 200);
    let text = served.prints(&["status"]);
    assert!(text.starts_with(concat!("plimsoll ", env!("CARGO_PKG_VERSION"), " (process ")), "{text}");
    assert!(text.contains("\npool app (least-connections): 0 in flight, 2 of 2 servers take requests"), "{text}");
    for name in ["s1", "s2"] {
        let row = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in\n{text}"));
        assert_eq!(row.split_whitespace().collect::<Vec<_>>()[1..4], ["ready", "up", "0"], "{text}");
    }
    assert!(!text.contains('\u{1b}'), "colours are for terminals: {text:?}");
    let status = served.json(&["status", "--json"]);
    assert_eq!(status["pools"][0]["name"], "app", "{status:#}");
    let picks = ["s1", "s2"].map(|name| served.server(name)["picks"].as_u64().expect("a number"));
    assert_eq!(picks.iter().sum::<u64>(), 1);
}

#[test]
fn a_pool_that_nobody_has_gets_the_nearest_name() {
    let served = two_quick();
    for (arguments, said) in [
        (&["status", "ap"][..], "there is no pool `ap`; did you mean `app`?"),
        (&["explain", "nothing-like-it"], "the pools are: app"),
        (&["drain", "app/s3"], "pool `app` has no server `s3`; did you mean `s1`?"),
        (&["drain", "s3"], "did you mean `s1`?"),
        (&["weight", "other/s1", "2"], "there is no pool `other`"),
        (&["explain", "--tried", "s3"], "did you mean `s1`?"),
        (&["drain", "app/"], "write POOL/SERVER"),
    ] {
        let output = served.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(said), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
}

#[test]
fn with_several_pools_one_must_be_named() {
    let served = Served::new(&[
        ("app", r#"servers = [{ address = "127.0.0.1:9", name = "s1" }]"#),
        ("api", r#"servers = [{ address = "127.0.0.1:9", name = "s1" }]"#),
    ]);
    for arguments in [&["drain", "s1"][..], &["explain"]] {
        let output = served.run(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("there are several pools"), "{}", stderr(&output));
    }
    let output = served.run(&["drain", "api/s1"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(served.server("s1")["state"], "ready", "that of the other pool");
}

#[test]
fn explain_says_who_would_be_picked_and_why() {
    let served = two_quick();
    let text = served.prints(&["explain"]);
    let picked =
        text.lines().find(|line| line.starts_with("> ")).unwrap_or_else(|| panic!("none is picked in\n{text}"));
    assert!(picked.ends_with("  picked"), "{text}");
    let other = served.prints(&["explain", "app", "--tried", "s1"]);
    assert!(other.lines().any(|line| line.starts_with(">  s2")), "{other}");
    assert!(other.contains("the request was sent there before"), "{other}");
    assert_eq!(served.json(&["explain", "--json", "--tried", "s2"])["picked"], "s1");
}

#[test]
fn the_last_picks_are_recorded_when_they_are_asked_for() {
    let served = two_quick();
    let mut asking = Running::saying({
        let mut command = served.command(&["explain", "app", "--last", "3"]);
        command.stdout(Stdio::null());
        command
    });
    asking.line("picks are recorded from now on");
    let mut client = Client::connect(served.address).expect("it listens");
    for _ in 0..3 {
        assert_eq!(client.ask().status, 200);
    }
    assert_eq!(asking.end().0, Some(0), "three were made, so nothing is waited for any longer");
    let text = served.prints(&["explain", "app", "--last", "3"]);
    assert_eq!(text.lines().count(), 4, "titles and three picks:\n{text}");
}

#[test]
fn events_are_told_and_followed() {
    let served = two_quick();
    let mut following = Running::printing(served.command(&["events", "--follow"]));
    served.prints(&["drain", "app/s1"]);
    following.line("server s1 was set to state drain");
    served.prints(&["ready", "app/s1"]);
    following.line("server s1 was set to state ready");
    let all = served.prints(&["events", "--json"]);
    let last = all.lines().last().expect("something happened");
    let last: serde_json::Value = serde_json::from_str(last).expect("a line is an event");
    assert_eq!((&last["kind"], &last["server"]), (&"edit".into(), &"s1".into()));
    let number = last["number"].as_u64().expect("events have numbers");
    assert_eq!(served.prints(&["events", "--after", &number.to_string()]), "");
}

#[test]
fn following_goes_on_when_plimsoll_is_started_anew() {
    let mut served = two_quick();
    let mut following = Running::printing(served.command(&["events", "--follow"]));
    served.prints(&["weight", "s1", "2"]);
    following.line("weight 2");
    served.kill();
    served.start();
    served.prints(&["weight", "s1", "3"]);
    following.line("weight 3");
}
