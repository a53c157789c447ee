//! `plimsoll check`.

use super::kit::{Folder, plimsoll, run, stderr, stdout};

#[test]
fn it_says_what_the_configuration_would_do() {
    let folder = Folder::new();
    let text = r#"
[listen.web]
bind = ["127.0.0.1:8080", "[::1]:8080"]
pool = "app"

[pool.app]
policy = "round-robin"
servers = [
  "127.0.0.1:9001",
  { address = "127.0.0.1:9002", backup = true },
  { address = "127.0.0.1:9003", weight = 0 },
  { address = "127.0.0.1:9004", state = "drain" },
  { address = "127.0.0.1:9005", state = "down" },
]
"#;
    folder.file("plimsoll.toml", text);
    // The usual file is found without being named.
    let output = plimsoll(&["check"]).current_dir(folder.path()).output().expect("the program starts");
    let expected = "\
listener web: http://127.0.0.1:8080, http://[::1]:8080 -> pool app
pool app: 5 servers, round-robin, 1 as backup, 1 of weight 0, 1 draining, 1 down
the configuration is good
";
    assert_eq!(stdout(&output), expected, "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_bad_configuration_names_its_line_and_exits_2() {
    let folder = Folder::new();
    let text = "[listen.web]\nbind = \"127.0.0.1:8080\"\npool = \"app\"\n\n[pool.app]\nserver = [\"127.0.0.1:9001\"]\n";
    let file = folder.file("bad.toml", text);
    for command in ["check", "serve"] {
        let output = run(&[command, &file]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for part in ["bad.toml:6:1", "`server`", "did you mean `servers`?"] {
            assert!(said.contains(part), "no {part} in {said}");
        }
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn a_file_that_is_not_there_exits_2() {
    let folder = Folder::new();
    let missing = folder.path().join("none.toml");
    let output = run(&["check", missing.to_str().expect("the path is UTF-8")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("none.toml: there is no such file"), "{}", stderr(&output));
}

#[test]
fn host_names_are_looked_up_only_when_asked_for() {
    let folder = Folder::new();
    let text = "[listen.web]\nbind = \"8080\"\npool = \"app\"\n\n[pool.app]\nservers = [\"nowhere.invalid:80\"]\n";
    let file = folder.file("names.toml", text);
    assert_eq!(run(&["check", &file]).status.code(), Some(0));
    let mut asked = plimsoll(&["check", "--look-up", &file]);
    // A name server that does not answer is not waited for.
    let output = asked.env("RES_OPTIONS", "timeout:1 attempts:1").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("nowhere.invalid"), "{}", stderr(&output));
}

#[test]
fn a_certificate_that_cannot_be_used_is_told() {
    let folder = Folder::new();
    let text = r#"
[listen.web]
bind = "127.0.0.1:8080"
pool = "app"
[pool.app]
servers = ["127.0.0.1:9001"]
[admin]
bind = "127.0.0.1:9900"
tls = { cert = "plimsoll.toml", key = "plimsoll.toml" }
"#;
    folder.file("plimsoll.toml", text);
    let output = plimsoll(&["check"]).current_dir(folder.path()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("plimsoll.toml cannot be used: there is no certificate in it"),
        "{}",
        stderr(&output)
    );
}
