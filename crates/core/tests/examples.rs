//! Runs the examples as a user would and reads what they print.

use std::process::Command;

/// The output of an example. Cargo is asked to run it, since how a test is started decides whether the
/// examples are built beside it.
fn run(name: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--package", env!("CARGO_PKG_NAME"), "--example", name])
        .output()
        .expect("cargo, which built this test, can be started");
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).expect("examples print text")
}

/// A line of a table as its words.
fn row<'a>(text: &'a str, server: &str) -> Vec<&'a str> {
    let rows = text.lines().map(|line| line.trim_start_matches('>').split_whitespace().collect::<Vec<_>>());
    rows.into_iter().find(|row| row.first() == Some(&server)).expect("the server has a row")
}

#[test]
fn basic_ends_with_nothing_in_flight() {
    let text = run("basic");
    let calls: Vec<&str> = text.lines().filter(|line| line.starts_with("call ")).collect();
    assert_eq!(calls.len(), 100);
    // Twenty at a time over three servers is seven each, and a few more at the moment when all twenty start
    // at once.
    for line in &calls {
        let in_flight = line.split(['(', ' ']).rev().nth(2).and_then(|count| count.parse::<u32>().ok());
        assert!(in_flight.is_some_and(|count| (1..=10).contains(&count)), "{line}");
    }
    let counts: Vec<&str> = text.lines().filter(|line| line.starts_with("app/")).collect();
    assert_eq!(counts.len(), 3);
    assert!(counts.iter().all(|line| line.contains(": 0 in flight, ")), "{counts:?}");
    let calls_of = |line: &&str| line.split_whitespace().rev().nth(4).unwrap().parse::<u32>().unwrap();
    assert_eq!(counts.iter().map(calls_of).sum::<u32>(), 100);
}

#[test]
fn weighted_picks_by_score() {
    let text = run("weighted");
    let (before, after) = text.split_once("picked").expect("it tells what it picked");
    for (server, in_flight, weight, score) in
        [("large", "8", "4", "2.00"), ("medium", "3", "2", "1.50"), ("small", "1", "1", "1.00")]
    {
        assert_eq!(row(before, server)[1..4], [in_flight, weight, score]);
    }
    assert!(before.contains("next: small"), "{before}");
    assert!(after.starts_with(" small\npicked medium\n"), "{after}");
}

#[test]
fn limits_turn_to_the_backup_and_then_refuse() {
    let text = run("limits");
    let targets: Vec<&str> = text.lines().filter_map(|line| line.split_once("-> ")).map(|(_, to)| to).collect();
    assert_eq!(targets, ["one", "two", "one", "two", "spare", "one"]);
    assert!(text.contains("request 6 refused: every server of the pool is at its limit"), "{text}");
    assert_eq!(row(&text, "spare")[1], "1");
    assert!(text.contains("full (backup)"), "{text}");
}
