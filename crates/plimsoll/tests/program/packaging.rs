//! What `packaging/` brings: units that systemd takes, and a recipe whose parts are there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::kit::{Folder, run, stderr};

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging")
}

fn read(name: &str) -> String {
    fs::read_to_string(packaging().join(name)).expect("it is there")
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let folder = Folder::new();
    // It looks whether the program is there, which is not installed here.
    let service = read("plimsoll.service").replace("/usr/bin/plimsoll", env!("CARGO_BIN_EXE_plimsoll"));
    assert!(service.contains(env!("CARGO_BIN_EXE_plimsoll")));
    let units = [folder.file("plimsoll.service", &service), folder.file("plimsoll.socket", &read("plimsoll.socket"))];
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&units).output();
    let output = output.expect("systemd-analyze starts");
    assert!(output.status.success() && stderr(&output).is_empty(), "{}", stderr(&output));
}

#[test]
fn systemd_finds_the_service_well_confined() {
    let unit = packaging().join("plimsoll.service");
    let analyze = ["security", "--offline=yes", "--threshold=20", "--no-pager"];
    let output = Command::new("systemd-analyze").args(analyze).arg(unit).output().expect("systemd-analyze starts");
    assert!(output.status.success(), "exposure above 2.0: {}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_configuration_to_begin_with_is_good() {
    let file = packaging().join("plimsoll.toml");
    let output = run(&["check", file.to_str().expect("the path is UTF-8")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn the_image_is_made_of_what_is_there_and_runs_as_nobody_of_note() {
    let (recipe, ignored) = (read("Dockerfile"), read("Dockerfile.dockerignore"));
    let root = packaging().join("..");
    let lines =
        recipe.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from="));
    let mut copied = 0;
    for line in lines {
        let parts: Vec<&str> = line.split_whitespace().collect();
        for source in &parts[..parts.len() - 1] {
            assert!(root.join(source).exists(), "{source} is copied and not there");
            assert!(
                ignored.lines().any(|kept| kept.strip_prefix('!') == Some(source)),
                "{source} is left out of the context"
            );
            copied += 1;
        }
    }
    assert!(copied >= 5, "only {copied} sources were found");
    // What the workspace needs to be built must be there.
    for member in ["crates", "bench"] {
        assert!(recipe.contains(&format!("COPY {member} ")), "{member}");
    }
    let last_stage = recipe.rsplit("\nFROM ").next().expect("there is one");
    let user = last_stage.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user is named");
    assert!(user.split(':').all(|number| number.parse::<u32>().is_ok_and(|number| number > 0)), "{user}");
}
