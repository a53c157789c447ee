//! `plimsoll demo`.

use rustix::process::Signal;

use super::kit::{Client, Running, plimsoll, run, stderr, stdout};

/// The cells of the row called `name` in the last table of `text`.
fn last_row<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let mut rows = text.lines().filter(|line| line.trim_start_matches([' ', '>']).starts_with(name));
    let row = rows.next_back().unwrap_or_else(|| panic!("no row {name} in\n{text}"));
    row.trim_start_matches([' ', '>']).split_whitespace().collect()
}

/// The numbers in the line about the load: answered, failed.
fn load(text: &str) -> Vec<u64> {
    let line = text.lines().rfind(|line| line.starts_with("the load was answered"));
    let words = line.unwrap_or_else(|| panic!("no line about the load in\n{text}")).split(' ');
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn it_ends_by_itself_with_the_final_table_and_nothing_in_flight() {
    let output = run(&["demo", "--for", "2s"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!text.contains('\u{1b}'), "no escapes where there is no terminal: {text:?}");
    let weights = [("fast", "4"), ("middle", "2"), ("slow", "1")];
    for (name, weight) in weights {
        let row = last_row(&text, name);
        assert_eq!(row[1..4], [weight, "0", "0.00"], "weight, in flight and score of {name}:\n{text}");
        assert_eq!(row.last(), Some(&"0"), "no errors at {name}:\n{text}");
    }
    assert_eq!(last_row(&text, "all")[1], "0", "nothing in flight:\n{text}");
    let [answered, failed] = load(&text)[..] else {
        panic!("{text}");
    };
    assert_eq!(failed, 0, "{text}");
    // 100 a second are asked for; a machine with much else to do may send fewer.
    assert!((20..=201).contains(&answered), "{text}");
}

#[test]
fn it_answers_who_tries_it_and_ends_on_a_signal() {
    // The end of its terminal is the end of a show.
    for signal in [Signal::INT, Signal::HUP] {
        let mut program = Running::printing(plimsoll(&["demo", "--rate", "20", "--policy", "round-robin"]));
        program.line("three servers, round-robin, 20 requests/s");
        let address = program.address();
        let answer = Client::connect(address).expect("it listens").ask();
        assert_eq!(answer.status, 200);
        assert!(answer.body.starts_with("Hello from `"), "{answer:?}");
        assert!(answer.body.ends_with(" ms on this.\n"), "{answer:?}");
        program.signal(signal);
        let (code, text) = program.end();
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(last_row(&text, "all")[1], "0", "nothing in flight:\n{text}");
        assert_eq!(load(&text)[1], 0, "{text}");
    }
}
