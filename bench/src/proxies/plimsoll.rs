//! Plimsoll as a user starts it, with one worker and everything else at its default.

use std::ffi::OsString;
use std::path::Path;

use super::{Proxy, Setup, server_lines};

pub(super) struct Plimsoll;

impl Proxy for Plimsoll {
    fn program(&self) -> &'static str {
        "plimsoll"
    }

    fn variable(&self) -> &'static str {
        "PLIMSOLL_BIN"
    }

    fn remedy(&self) -> &'static str {
        "cargo build --release"
    }

    fn version_argument(&self) -> &'static str {
        "--version"
    }

    fn configuration(&self, setup: &Setup<'_>) -> String {
        let port = setup.port;
        let servers = server_lines(setup.servers, |_, port| format!("  \"127.0.0.1:{port}\","));
        format!(
            "workers = 1

[listen.web]
bind = \"127.0.0.1:{port}\"
pool = \"app\"

[pool.app]
policy = \"least-connections\"
servers = [
{servers}
]
"
        )
    }

    fn arguments(&self, configuration: &Path) -> Vec<OsString> {
        vec!["serve".into(), configuration.into()]
    }
}
