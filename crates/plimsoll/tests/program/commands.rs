//! What can be typed, and what comes of it.

use std::process::Stdio;

use super::kit::{Folder, plimsoll, run, stderr, stdout};

#[test]
fn alone_it_prints_help() {
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    for command in ["serve", "demo", "check", "schema", "reference", "status", "top", "drain", "explain", "reload"] {
        assert!(said.contains(&format!("\n  {command}")), "{command} is not in\n{said}");
    }
}

#[test]
fn help_and_version_are_results() {
    let help = run(&["serve", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(stdout(&help).contains("--to 127.0.0.1:9002,weight=4"), "an example is shown");
    let version = run(&["--version"]);
    assert_eq!(stdout(&version), format!("plimsoll {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_arguments_exit_2_and_say_what_is_right() {
    let quick = ["serve", "--listen", "0", "--to", "127.0.0.1:9001"];
    let cases: [(&[&str], &str); 9] = [
        (&["sevre"], "'serve'"),
        (&["serve", "--to", "127.0.0.1:9001"], "--listen"),
        (&["serve", "--listen", "0"], "--to"),
        (&["serve", "some.toml", "--listen", "0", "--to", "127.0.0.1:9001"], "cannot be used with"),
        (&[&quick[..], &["--policy", "leastconn"]].concat(), "[possible values: least-connections,"),
        (&[&quick[..], &["--workers", "0"]].concat(), "0 is not in 1..=1024"),
        (&["demo", "--for", "5"], "500ms, 5s, 2m or 1h"),
        (&["demo", "--rate", "1001"], "1001 is not in 1..=1000"),
        (&["demo", "--listen", "127.0.0.1"], "--listen 127.0.0.1"),
    ];
    for (arguments, part) in cases {
        let output = run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
}

#[test]
fn without_a_file_it_says_what_to_type() {
    let folder = Folder::new();
    for (command, part) in [("serve", "plimsoll serve --listen 8080 --to"), ("check", "plimsoll check FILE")] {
        let output = plimsoll(&[command]).current_dir(folder.path()).output().expect("the program starts");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn the_schema_is_json_and_knows_the_settings() {
    let output = run(&["schema"]);
    assert_eq!(output.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert!(schema["properties"]["listen"].is_object(), "{schema:#}");
    assert!(schema["properties"]["pool"].is_object(), "{schema:#}");
}

#[test]
fn the_reference_is_markdown_and_knows_the_settings() {
    let output = run(&["reference"]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.starts_with("# Settings\n"), "{text}");
    for setting in ["| `bind` |", "| `policy` |", "| `max_connections` |", "| `shutdown_timeout` |"] {
        assert!(text.contains(setting), "{setting} is not in\n{text}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut child =
        plimsoll(&["schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}
