//! nginx, as its own documentation advises for a proxy with keep-alive on both sides, with `least_conn` over shared
//! counts (`zone`).

use std::ffi::OsString;
use std::path::Path;

use super::{Proxy, Rules, Setup, server_lines};

pub(super) struct Nginx;

impl Proxy for Nginx {
    fn program(&self) -> &'static str {
        "nginx"
    }

    fn variable(&self) -> &'static str {
        "NGINX_BIN"
    }

    fn remedy(&self) -> &'static str {
        "apt-get install nginx"
    }

    fn version_argument(&self) -> &'static str {
        "-v"
    }

    /// The limits on requests and idle time of a connection are out of reach, so that no window has reconnects; the
    /// idle connections it may keep to servers are enough for each server and each client at once. Fields are set as
    /// Plimsoll sets them by default.
    fn configuration(&self, setup: &Setup<'_>) -> anyhow::Result<String> {
        let room = setup.room.display();
        let port = setup.port;
        let server = server_words(setup.pool.rules);
        let servers = server_lines(setup.pool.servers, |_, port| format!("    server 127.0.0.1:{port}{server};"));
        let retries = if matches!(setup.pool.rules, Rules::Plain | Rules::Watched) { "" } else { RETRIES };
        let idle = setup.pool.servers.len() * 2 + 256;
        // A master that is root gives its worker to a user that may not reach the scratch directory.
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        Ok(format!(
            "{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {room}/pid;
error_log stderr error;
events {{
  worker_connections 8192;
}}
http {{
  access_log off;
  client_body_temp_path {room}/client;
  proxy_temp_path {room}/proxy;
  fastcgi_temp_path {room}/fastcgi;
  uwsgi_temp_path {room}/uwsgi;
  scgi_temp_path {room}/scgi;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  upstream app {{
    zone app 8m;
    least_conn;
{servers}
    keepalive {idle};
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
{retries}    }}
  }}
}}
"
        ))
    }

    fn arguments(&self, configuration: &Path) -> Vec<OsString> {
        // Until it has read its file it would log to the system's log.
        ["-e", "stderr", "-c"].map(OsString::from).into_iter().chain([configuration.into()]).collect()
    }
}

/// The timeouts and retries of the example: a try fails when nothing comes for 150 ms, as nginx has no timeout for the
/// first byte alone.
const RETRIES: &str = "      proxy_connect_timeout 1s;
      proxy_read_timeout 150ms;
      proxy_next_upstream error timeout http_500 http_502 http_503;
      proxy_next_upstream_tries 3;
      proxy_next_upstream_timeout 5s;
";

/// nginx has no probes and no line of waiting requests to configure. It ejects a server for `fail_timeout` after
/// `max_fails` failures within it. The defaults, one failure and ten seconds, do not go with a timeout that a sound
/// server exceeds once in two thousand requests: all servers are soon out, and 19 of 20 requests get a 502. Ten
/// failures, as HAProxy has it, and a second serve it best.
fn server_words(rules: Rules<'_>) -> String {
    match rules {
        Rules::Plain | Rules::Watched => String::new(),
        Rules::Guarded { .. } => " max_fails=10 fail_timeout=1s".to_owned(),
        Rules::Queued { at_a_server, .. } => format!(" max_fails=10 fail_timeout=1s max_conns={at_a_server}"),
    }
}
