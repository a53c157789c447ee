//! The program as a user meets it when something is wrong.

use std::process::{Command, Output};

fn bench(arguments: &[&str], nginx: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_plimsoll-bench"))
        .args(arguments)
        .env("NGINX_BIN", nginx)
        .output()
        .expect("the program starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_unknown_scenario_is_a_wrong_argument_and_the_known_ones_are_named() {
    let output = bench(&["--scenario", "smal"], "");
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("idle-memory"), "{said}");
}

#[test]
fn a_missing_proxy_is_named_with_its_remedy() {
    let output = bench(&["--proxies", "nginx"], "/nowhere/nginx");
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    for part in ["nginx is missing", "apt-get install", "NGINX_BIN"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_proxy_that_does_not_start_fails_its_row_and_the_run() {
    let arguments = ["--proxies", "nginx", "--scenario", "small", "--quick"];
    let output = bench(&arguments, "/bin/false");
    assert_eq!(output.status.code(), Some(1));
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        assert!(stderr(&output).contains("two cores"));
        return;
    }
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains("FAILED: nginx with 3 servers: nginx ended"), "{report}");
    assert!(report.contains("not judged"), "{report}");
}

#[test]
fn a_proxy_that_does_not_start_fails_its_runs_of_the_tail() {
    // Read, but only Plimsoll is configured by it.
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/three-servers.toml");
    let arguments =
        ["tail", "--proxies", "nginx", "--scenario", "kill", "--quick", "--seed", "1", "--example", example];
    let output = bench(&arguments, "/bin/false");
    assert_eq!(output.status.code(), Some(1));
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        assert!(stderr(&output).contains("two cores"));
        return;
    }
    let report = String::from_utf8_lossy(&output.stdout);
    for part in ["seed 1.", "### even", "### kill", "FAILED: nginx: nginx ended", "not judged"] {
        assert!(report.contains(part), "{report}");
    }
}

#[test]
fn a_missing_example_is_named() {
    let output = bench(&["tail", "--proxies", "nginx", "--example", "/nowhere/example.toml"], "/bin/true");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nowhere/example.toml"));
}

#[test]
fn a_proxy_that_does_not_start_fails_its_parts_of_operating_one() {
    let arguments = ["operate", "--proxies", "nginx", "--only", "observed,reloads", "--quick", "--seed", "1"];
    let output = bench(&arguments, "/bin/false");
    assert_eq!(output.status.code(), Some(1));
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        assert!(stderr(&output).contains("two cores"));
        return;
    }
    let report = String::from_utf8_lossy(&output.stdout);
    for part in ["seed 1.", "### observed", "### reloads", "FAILED: nginx: nginx ended"] {
        assert!(report.contains(part), "{report}");
    }
}
