//! HAProxy with one thread, `leastconn` and connections to servers shared by all clients.

use std::ffi::OsString;
use std::path::Path;

use super::{Proxy, Rules, Setup, server_lines};

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

    /// Idle connections to servers are neither limited in number nor thinned out within a run. Fields are set as
    /// Plimsoll sets them by default.
    fn configuration(&self, setup: &Setup<'_>) -> anyhow::Result<String> {
        let port = setup.port;
        let servers = server_lines(setup.pool.servers, |index, port| format!("  server s{index} 127.0.0.1:{port}"));
        let rules = backend_lines(setup.pool.rules);
        Ok(format!(
            "global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-request 30s
  timeout http-keep-alive 300s
  http-reuse always
  option forwardfor
  default-server pool-max-conn -1 pool-purge-delay 300s
frontend web
  bind 127.0.0.1:{port} backlog 4096
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend app
backend app
  balance leastconn
{rules}{servers}
"
        ))
    }

    fn arguments(&self, configuration: &Path) -> Vec<OsString> {
        // In the foreground. Not quiet (-q), which would hide why it does not start.
        ["-db", "-f"].map(OsString::from).into_iter().chain([configuration.into()]).collect()
    }
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
        Rules::Plain | Rules::Watched => String::new(),
        Rules::Guarded { .. } => GUARDED.to_owned(),
        Rules::Queued { at_a_server, .. } => {
            format!("{GUARDED}{QUEUED}  default-server maxconn {at_a_server}\n")
        }
    }
}
