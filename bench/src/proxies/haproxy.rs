//! HAProxy with one thread, `leastconn` and connections to servers shared by all clients.

use std::ffi::OsString;
use std::path::Path;

use rustix::process::Signal;

use super::{OUTPUT, Proxy, Rules, Setup, server_lines};

pub(super) struct Haproxy;

impl Proxy for Haproxy {
    fn program(&self) -> &'static str {
        "haproxy"
    }

    fn variable(&self) -> &'static str {
        "HAPROXY_BIN"
    }

    fn remedy(&self) -> &'static str {
        "apt-get install haproxy"
    }

    fn version_argument(&self) -> &'static str {
        "-v"
    }

    fn lacks(&self, _program: &Path, rules: Rules<'_>) -> Option<String> {
        matches!(rules, Rules::Routed { .. } | Rules::Fronted { .. }).then(|| super::NO_RULES.to_owned())
    }

    fn configuration(&self, setup: &Setup<'_>) -> anyhow::Result<String> {
        let rules = setup.pool.rules;
        let servers = server_lines(setup.pool.servers, |index, port| {
            // By its port, so that a server that stays keeps its name when others come and go.
            format!("  server s{port} 127.0.0.1:{port} weight {}", rules.weight(index))
        });
        let (global, defaults, bind) = (global_lines(rules), defaults(rules), bind_words(rules));
        let frontend = if matches!(rules, Rules::Tcp) { String::new() } else { frontend_lines(rules) };
        let (port, desk, backend) = (setup.port, desk_lines(rules), backend_lines(rules));
        Ok(format!(
            "global
  nbthread 1
  maxconn 8000
{global}defaults
  timeout connect 5s
  timeout client 300s
  timeout server 300s
{defaults}frontend web
  bind 127.0.0.1:{port} backlog 4096{bind}
{frontend}  default_backend app
{desk}backend app
  balance leastconn
{backend}{servers}
"
        ))
    }

    fn arguments(&self, configuration: &Path) -> Vec<OsString> {
        // In the foreground. Not quiet (-q), which would hide why it does not start.
        ["-db", "-f"].map(OsString::from).into_iter().chain([configuration.into()]).collect()
    }

    fn access_log(&self) -> &'static str {
        OUTPUT
    }

    fn reload_signal(&self) -> Signal {
        Signal::USR2
    }
}

/// Idle connections to servers are neither limited in number nor thinned out within a run.
const HTTP: &str = "  mode http
  timeout http-request 30s
  timeout http-keep-alive 300s
  http-reuse always
  option forwardfor
  default-server pool-max-conn -1 pool-purge-delay 300s
";

/// Bytes go from socket to socket within the kernel where HAProxy thinks it worth while, either way.
const TCP: &str = "  mode tcp
  option splice-request
  option splice-response
";

fn defaults(rules: Rules<'_>) -> &'static str {
    if matches!(rules, Rules::Tcp) { TCP } else { HTTP }
}

fn bind_words(rules: Rules<'_>) -> String {
    match rules {
        Rules::Secured { certificate } => {
            let both = certificate.files().both.display();
            format!(" ssl crt {both} alpn h2,http/1.1 ssl-min-ver TLSv1.3 no-tls-tickets")
        }
        _ => String::new(),
    }
}

/// Fields are set as Plimsoll sets them by default.
fn frontend_lines(rules: Rules<'_>) -> String {
    let scheme = if matches!(rules, Rules::Secured { .. }) { "https" } else { "http" };
    format!(
        "  http-request set-header X-Forwarded-Proto {scheme}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
{}",
        log_lines(rules)
    )
}

/// The timeouts, retries and probes of the example. A retry goes to another server at once (`redispatch 1`). Plimsoll
/// ejects a server that fails; what HAProxy has like that is `observe layer7` with `mark-down`, after its default of
/// ten errors in a row.
const GUARDED: &str = "  timeout connect 1s
  timeout server 150ms
  timeout check 500ms
  retries 2
  option redispatch 1
  retry-on conn-failure empty-response response-timeout 500 502 503
  option httpchk GET /health
  default-server check inter 1s fall 3 rise 2 slowstart 4s observe layer7 error-limit 10 on-error mark-down
";

/// The example's queue. HAProxy's has no bound, so a rule keeps it to the same length as Plimsoll's.
const QUEUED: &str = "  timeout queue 1s
  http-request return status 503 hdr Retry-After 1 if { queue(app) ge 1000 }
";

fn backend_lines(rules: Rules<'_>) -> String {
    match rules {
        Rules::Guarded { .. } => GUARDED.to_owned(),
        Rules::Queued { at_a_server, .. } => {
            format!("{GUARDED}{QUEUED}  default-server maxconn {at_a_server}\n")
        }
        _ => String::new(),
    }
}

/// It writes no files: lines go to its standard output, which here is one. Only a master can be told to reload.
fn global_lines(rules: Rules<'_>) -> &'static str {
    match rules {
        Rules::Logged { .. } => "  log stdout format raw local0\n",
        Rules::Changed { .. } => "  master-worker\n",
        // Two for each client of a run, and more; by default as many as would need too many open files.
        Rules::Tcp => "  maxpipes 256\n",
        // No session is kept to be resumed.
        Rules::Secured { .. } => "  tune.ssl.cachesize 0\n",
        _ => "",
    }
}

/// What a line of Plimsoll's has and HAProxy knows, in the same words.
fn log_lines(rules: Rules<'_>) -> String {
    if !matches!(rules, Rules::Logged { .. }) {
        return String::new();
    }
    let quoted = |key: &str, value: &str| format!("\\\"{key}\\\":\\\"%{value}\\\"");
    let number = |key: &str, value: &str| format!("\\\"{key}\\\":%{value}");
    let fields = [
        quoted("time", "tr"),
        quoted("listener", "f"),
        quoted("client_ip", "ci"),
        number("client_port", "cp"),
        quoted("method", "HM"),
        quoted("target", "HU"),
        quoted("protocol", "HV"),
        quoted("host", "[capture.req.hdr(0),json]"),
        quoted("user_agent", "[capture.req.hdr(1),json]"),
        quoted("referer", "[capture.req.hdr(2),json]"),
        number("status", "ST"),
        number("bytes_in", "U"),
        number("bytes_out", "B"),
        quoted("pool", "b"),
        quoted("server", "s"),
        number("tries", "rc"),
        number("queue_ms", "Tw"),
        number("connect_ms", "Tc"),
        number("first_byte_ms", "Tr"),
        number("duration_ms", "Ta"),
        quoted("outcome", "tsc"),
        number("in_flight", "sc"),
        quoted("request_id", "ID"),
    ];
    format!(
        "  log global
  capture request header Host len 128
  capture request header User-Agent len 256
  capture request header Referer len 256
  unique-id-format %[uuid]
  log-format \"{{{}}}\"
",
        fields.join(",")
    )
}

/// Statistics and metrics, on a frontend of their own.
fn desk_lines(rules: Rules<'_>) -> String {
    match rules {
        Rules::Scraped { desk } | Rules::Logged { desk } => format!(
            "frontend desk
  bind 127.0.0.1:{desk}
  stats enable
  stats uri /stats
  http-request use-service prometheus-exporter if {{ path /metrics }}
"
        ),
        _ => String::new(),
    }
}
