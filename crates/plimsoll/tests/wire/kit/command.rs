//! Programs that others have written.

use std::io::Write;
use std::process::{Command, Stdio};

/// What a command printed, byte by byte, and what it said beside that.
pub(crate) struct Output {
    pub(crate) printed: Vec<u8>,
    pub(crate) said: String,
}

/// Runs a program of somebody else with this on its standard input.
#[track_caller]
pub(crate) fn run(command: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(command)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command} cannot be run: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may be answered before it has read all of it.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    Output { printed: output.stdout, said }
}
