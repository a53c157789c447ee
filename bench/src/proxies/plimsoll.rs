//! Plimsoll as a user starts it: with one worker and everything else at its default, or as an example has it.

mod example;

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::Context;
use rustix::process::Signal;

use super::{ACCESS_LOG, Proxy, Rules, Setup, server_lines};
use crate::certificate::Files;

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
            Rules::Plain => Ok(plain(setup)),
            Rules::Watched | Rules::Secured { .. } | Rules::Routed { .. } => Ok(plain(setup) + WATCHED),
            Rules::Fronted { .. } => {
                let key = setup.room.join("sticky.key");
                fs::write(&key, "k".repeat(64)).with_context(|| format!("cannot write {}", key.display()))?;
                let sticky = format!("sticky = {{ cookie = \"srv\", key = \"{}\" }}\n", key.display());
                Ok(plain(setup) + WATCHED + &sticky + LIMIT)
            }
            Rules::Tcp => Ok(plain(setup) + "probe = { tcp = true }\n"),
            Rules::Scraped { desk } => Ok(plain(setup) + WATCHED + &admin(desk)),
            Rules::Logged { desk } => {
                let log = setup.room.join(ACCESS_LOG);
                let log = format!("\n[access_log]\nto = \"{}\"\nformat = \"json\"\n", log.display());
                Ok(plain(setup) + WATCHED + &log + &admin(desk))
            }
            Rules::Changed { desk, .. } => Ok(weighted(setup) + "warm_up = \"off\"\n" + &admin(desk)),
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

    fn reload_signal(&self) -> Signal {
        Signal::HUP
    }
}

/// What is asked for beside the defaults, of which ejection, the black-hole guard and warm-up are a part. The origin
/// answers with as many bytes as the path says.
const WATCHED: &str = "probe = { http = \"/2\", status = 200 }
retry = { on = [\"connect\", \"reset\", \"timeout\", 502, 503] }
";

/// Every limit there is, out of reach of a run.
const LIMIT: &str = "
[limit.per_address]
connections = 10000000
requests = 10000000
connection_rate = \"10000000/s\"
request_rate = \"10000000/s\"
";

fn admin(desk: u16) -> String {
    format!("\n[admin]\nbind = \"127.0.0.1:{desk}\"\n")
}

fn plain(setup: &Setup<'_>) -> String {
    with_servers(setup, &server_lines(setup.pool.servers, |_, port| format!("  \"127.0.0.1:{port}\",")))
}

fn weighted(setup: &Setup<'_>) -> String {
    let rules = setup.pool.rules;
    let line = |index, port| format!("  {{ address = \"127.0.0.1:{port}\", weight = {} }},", rules.weight(index));
    with_servers(setup, &server_lines(setup.pool.servers, line))
}

fn with_servers(setup: &Setup<'_>, servers: &str) -> String {
    let (port, listener) = (setup.port, listener_lines(setup.pool.rules));
    // Where the last route takes all that is left, the listener cannot name a pool.
    let pool =
        if matches!(setup.pool.rules, Rules::Routed { .. } | Rules::Fronted { .. }) { "" } else { "pool = \"app\"\n" };
    format!(
        "workers = 1

[listen.web]
bind = \"127.0.0.1:{port}\"
{pool}{listener}
[pool.app]
policy = \"least-connections\"
servers = [
{servers}
]
"
    )
}

fn listener_lines(rules: Rules<'_>) -> String {
    match rules {
        Rules::Secured { certificate } => {
            let Files { certificate, key, .. } = certificate.files();
            format!(
                "tls = {{ cert = \"{}\", key = \"{}\" }}
tls_options = {{ session_tickets = false, min_version = \"1.3\" }}
",
                certificate.display(),
                key.display()
            )
        }
        Rules::Tcp => "protocol = \"tcp\"\n".to_owned(),
        Rules::Routed { routes } => routes_of(routes),
        Rules::Fronted { routes } => "limit = \"per_address\"\n".to_owned() + &routes_of(routes),
        _ => String::new(),
    }
}

/// So many routes, for other hosts, paths and values and for expressions of these in turn, and behind them the one that all requests have. The fields and
/// parameters that they look at are ones that requests have.
fn routes_of(count: usize) -> String {
    let other = |number: usize| match number % 7 {
        0 => format!("  {{ host = \"h{number}.example.com\", pool = \"app\" }},\n"),
        1 => format!("  {{ path = \"/p{number}/part\", pool = \"app\" }},\n"),
        2 => format!("  {{ header = {{ accept-language = \"x-{number}\" }}, pool = \"app\" }},\n"),
        3 => format!("  {{ path = \"/\", query = {{ page = \"{number}\" }}, pool = \"app\" }},\n"),
        4 => format!("  {{ path = {{ regex = \"^/r{number}/[0-9]+$\" }}, pool = \"app\" }},\n"),
        5 => format!("  {{ header = {{ user-agent = {{ regex = \"^bot-{number}/\" }} }}, pool = \"app\" }},\n"),
        _ => format!("  {{ host = \"*.h{number}.example.com\", path = \"/p\", method = \"POST\", pool = \"app\" }},\n"),
    };
    let others: String = (1..count).map(other).collect();
    format!("route = [\n{others}  {{ path = \"/\", pool = \"app\" }},\n]\n")
}
