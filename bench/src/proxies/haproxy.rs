//! HAProxy with one thread, `leastconn` and connections to servers shared by all clients.

use std::ffi::OsString;
use std::path::Path;

use super::{Proxy, Setup, server_lines};

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
    fn configuration(&self, setup: &Setup<'_>) -> String {
        let port = setup.port;
        let servers = server_lines(setup.servers, |index, port| format!("  server s{index} 127.0.0.1:{port}"));
        format!(
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
{servers}
"
        )
    }

    fn arguments(&self, configuration: &Path) -> Vec<OsString> {
        // In the foreground. Not quiet (-q), which would hide why it does not start.
        ["-db", "-f"].map(OsString::from).into_iter().chain([configuration.into()]).collect()
    }
}
