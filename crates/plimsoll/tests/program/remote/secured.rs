//! An admin API that wants a token and speaks TLS. It is served from within the test, which so learns its port.

use std::sync::Arc;

use plimsoll_config::Config;
use plimsoll_control::{Beginning, Control, DataPlane, Journal, Names, PlaneStats, Prepared, Source};
use plimsoll_core::{Pools, Time};
use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::super::kit::{Folder, plimsoll, stderr};

const TOKEN: &str = "a-token-of-this-test";

const FILE: &str = r#"
[admin]
bind = "0.0.0.0:0"
token = { file = "token" }
tls = { cert = "admin.pem", key = "admin.key" }
[listen.web]
bind = "127.0.0.1:0"
pool = "app"
[pool.app]
servers = [{ address = "127.0.0.1:9", name = "s1" }]
"#;

/// A data plane that serves nobody.
struct Idle;

impl DataPlane for Idle {
    fn now(&self) -> Time {
        Time::ZERO
    }

    fn prepare(&self, _: &Config) -> Result<Box<dyn Prepared>, String> {
        Err("this one never changes".to_owned())
    }

    fn stats(&self) -> PlaneStats {
        PlaneStats::default()
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn reopen_logs(&self) {}
}

/// The API with a certificate for these names, in a folder with its files.
fn secured(names: &[&str]) -> (Folder, Control) {
    let folder = Folder::new();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).expect("it can be made");
    folder.file("admin.pem", &cert.pem());
    folder.file("admin.key", &signing_key.serialize_pem());
    folder.file("token", &format!("{TOKEN}\n"));
    folder.file("plimsoll.toml", FILE);
    let file = folder.path().join("plimsoll.toml");
    let config = plimsoll_config::load(&file).expect("it is good");
    let (pools, mut names) = (Arc::new(Pools::new()), Names::default());
    pools.apply(names.pool_specs(&config, true).expect("there are only addresses"), Time::ZERO);
    let journal = Arc::new(Journal::new(|_| {}));
    let beginning = Beginning { config, source: Source::file(&file), names, pools, plane: Arc::new(Idle), journal };
    (folder, Control::start(beginning).expect("it starts"))
}

/// Where it is reached on this machine: a token is due only where others reach it too, so it listens everywhere.
fn place(control: &Control) -> String {
    let addresses = control.admin_addresses();
    let place = addresses.first().expect("it has an address").replace("0.0.0.0", "127.0.0.1");
    assert!(place.starts_with("https://127.0.0.1:"), "{place}");
    place
}

/// What `status` with these arguments says, and its exit code.
fn status(folder: &Folder, arguments: &[&str], token: Option<&str>) -> (Option<i32>, String) {
    let mut command = plimsoll(&[&["status"], arguments].concat());
    command.current_dir(folder.path()).env_remove("PLIMSOLL_ADMIN").env_remove("PLIMSOLL_TOKEN");
    if let Some(token) = token {
        command.env("PLIMSOLL_TOKEN", token);
    }
    let output = command.output().expect("the program starts");
    (output.status.code(), stderr(&output))
}

#[test]
fn a_token_and_a_certificate_open_it() {
    let (folder, control) = secured(&["127.0.0.1"]);
    let place = place(&control);
    let trusting = ["--admin", &*place, "--ca", "admin.pem"];
    assert_eq!(status(&folder, &trusting, Some(TOKEN)), (Some(0), String::new()));
    let by_file = [&trusting[..], &["--token-file", "token"]].concat();
    assert_eq!(status(&folder, &by_file, Some("another, which the argument overrules")), (Some(0), String::new()));
    let (code, said) = status(&folder, &trusting, None);
    assert!(code == Some(1) && said.contains("wants a token: give the file"), "{said}");
    let (code, said) = status(&folder, &trusting, Some("not-the-token-of-this-test"));
    assert!(code == Some(1) && said.contains("does not take this token"), "{said}");
    let (code, said) = status(&folder, &["--admin", &place], Some(TOKEN));
    assert!(code == Some(1) && said.contains("cannot agree on TLS") && said.contains("--ca FILE"), "{said}");
    control.stop();
}

#[test]
fn a_certificate_for_another_name_does_not() {
    let (folder, control) = secured(&["lb.example.com"]);
    let place = place(&control);
    let (code, said) = status(&folder, &["--admin", &place, "--ca", "admin.pem"], Some(TOKEN));
    assert!(code == Some(1) && said.contains("cannot agree on TLS"), "{said}");
    control.stop();
}
