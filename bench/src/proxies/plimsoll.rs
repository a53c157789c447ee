//! Plimsoll as a user starts it: with one worker and everything else at its default, or as an example has it.

mod example;

use std::ffi::OsString;
use std::path::Path;

use super::{Proxy, Rules, Setup, server_lines};

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

    fn configuration(&self, setup: &Setup<'_>) -> anyhow::Result<String> {
        let (port, servers) = (setup.port, setup.pool.servers);
        match setup.pool.rules {
            Rules::Plain => Ok(plain(port, servers)),
            Rules::Watched => Ok(plain(port, servers) + WATCHED),
            Rules::Guarded { example } => example::placed(example, port, servers),
            Rules::Queued { example, at_a_server } => {
                let placed = example::placed(example, port, servers)?;
                example::queued(&placed, servers, at_a_server)
            }
        }
    }

    fn arguments(&self, configuration: &Path) -> Vec<OsString> {
        vec!["serve".into(), configuration.into()]
    }
}

/// What is asked for beside the defaults, of which ejection, the black-hole guard and warm-up are a part. The origin
/// answers with as many bytes as the path says.
const WATCHED: &str = "probe = { http = \"/2\", status = 200 }
retry = { on = [\"connect\", \"reset\", \"timeout\", 502, 503] }
";

fn plain(port: u16, servers: &[u16]) -> String {
    let servers = server_lines(servers, |_, port| format!("  \"127.0.0.1:{port}\","));
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
