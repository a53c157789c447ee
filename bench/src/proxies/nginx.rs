//! nginx, as its own documentation advises for a proxy with keep-alive on both sides, with `least_conn` over shared
//! counts (`zone`).

mod stream;

use std::ffi::OsString;
use std::path::Path;

use rustix::process::Signal;

use super::{ACCESS_LOG, Proxy, Rules, Setup, server_lines};
use crate::certificate::Files;

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

    /// It may be built without what passes bytes on, or with that as a module that may not be there.
    fn lacks(&self, program: &Path, rules: Rules<'_>) -> Option<String> {
        match rules {
            Rules::Tcp => stream::find(program).err().map(|error| format!("{error:#}")),
            Rules::Routed { .. } | Rules::Fronted { .. } => Some(super::NO_RULES.to_owned()),
            _ => None,
        }
    }

    fn configuration(&self, setup: &Setup<'_>) -> anyhow::Result<String> {
        let room = setup.room.display();
        // A master that is root gives its worker to a user that may not reach the scratch directory.
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let (module, block) = if matches!(setup.pool.rules, Rules::Tcp) {
            (stream::find(setup.program)?.load_line(), stream::block(setup))
        } else {
            (String::new(), http_block(setup))
        };
        Ok(format!(
            "{user}
{module}daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {room}/pid;
error_log stderr error;
events {{
  worker_connections 8192;
}}
{block}"
        ))
    }

    fn arguments(&self, configuration: &Path) -> Vec<OsString> {
        // Until it has read its file it would log to the system's log.
        ["-e", "stderr", "-c"].map(OsString::from).into_iter().chain([configuration.into()]).collect()
    }

    fn reload_signal(&self) -> Signal {
        Signal::HUP
    }
}

/// The limits on requests and idle time of a connection are out of reach, so that no window has reconnects; the
/// idle connections it may keep to servers are enough for each server and each client at once. Fields are set as
/// Plimsoll sets them by default.
fn http_block(setup: &Setup<'_>) -> String {
    let room = setup.room.display();
    let rules = setup.pool.rules;
    let server = |index, port| format!("    server 127.0.0.1:{port}{};", server_words(rules, index));
    let servers = server_lines(setup.pool.servers, server);
    let guarded = matches!(rules, Rules::Guarded { .. } | Rules::Queued { .. });
    let retries = if guarded { RETRIES } else { "" };
    let (log, listen, desk) = (log_lines(setup), listen_lines(setup), desk_lines(rules));
    let switches = matches!(rules, Rules::Changed { .. });
    let (map, connection) = if switches { WEBSOCKETS } else { ("", "proxy_set_header Connection \"\";") };
    let idle = setup.pool.servers.len() * 2 + 256;
    format!(
        "http {{
{log}{map}  client_body_temp_path {room}/client;
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
{listen}    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      {connection}
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
{retries}    }}
  }}
{desk}}}
"
    )
}

fn listen_lines(setup: &Setup<'_>) -> String {
    let port = setup.port;
    let Rules::Secured { certificate } = setup.pool.rules else {
        return format!("    listen 127.0.0.1:{port} backlog=4096;\n");
    };
    let Files { certificate, key, .. } = certificate.files();
    format!(
        "    listen 127.0.0.1:{port} ssl http2 backlog=4096;
    ssl_certificate {};
    ssl_certificate_key {};
    ssl_protocols TLSv1.3;
    ssl_session_tickets off;
    ssl_session_cache off;
",
        certificate.display(),
        key.display()
    )
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
fn server_words(rules: Rules<'_>, index: usize) -> String {
    match rules {
        Rules::Plain
        | Rules::Watched
        | Rules::Routed { .. }
        | Rules::Fronted { .. }
        | Rules::Secured { .. }
        | Rules::Tcp
        | Rules::Scraped { .. }
        | Rules::Logged { .. } => String::new(),
        Rules::Changed { .. } => format!(" weight={}", rules.weight(index)),
        Rules::Guarded { .. } => " max_fails=10 fail_timeout=1s".to_owned(),
        Rules::Queued { at_a_server, .. } => format!(" max_fails=10 fail_timeout=1s max_conns={at_a_server}"),
    }
}

/// What a line of Plimsoll's has and nginx knows, in the same words. It is written when 64 KiB or a second are full, which
/// is cheaper than nginx's default of a call for each line.
const JSON_LOG: &str = "  log_format json escape=json '{\"time\":\"$time_iso8601\",\"listener\":\"$server_port\",\
\"client_ip\":\"$remote_addr\",\"client_port\":$remote_port,\"method\":\"$request_method\",\
\"target\":\"$request_uri\",\"protocol\":\"$server_protocol\",\"host\":\"$http_host\",\
\"user_agent\":\"$http_user_agent\",\"referer\":\"$http_referer\",\"status\":$status,\"bytes_in\":$request_length,\
\"bytes_out\":$bytes_sent,\"server\":\"$upstream_addr\",\"connect_ms\":\"$upstream_connect_time\",\
\"first_byte_ms\":\"$upstream_header_time\",\"duration_ms\":\"$request_time\",\"request_id\":\"$request_id\"}';
";

fn log_lines(setup: &Setup<'_>) -> String {
    if matches!(setup.pool.rules, Rules::Logged { .. }) {
        let log = setup.room.join(ACCESS_LOG);
        return format!("{JSON_LOG}  access_log {} json buffer=64k flush=1s;\n", log.display());
    }
    "  access_log off;\n".to_owned()
}

/// The free edition tells its own connections and requests, and nothing of the servers.
fn desk_lines(rules: Rules<'_>) -> String {
    match rules {
        Rules::Scraped { desk } | Rules::Logged { desk } => format!(
            "  server {{
    listen 127.0.0.1:{desk};
    access_log off;
    location = /status {{
      stub_status;
    }}
  }}
"
        ),
        _ => String::new(),
    }
}

/// A map for the head of the file and the field, by which connections to servers are kept and may switch too.
const WEBSOCKETS: (&str, &str) = (
    "  map $http_upgrade $connection_upgrade {
    default upgrade;
    '' '';
  }
",
    "proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;",
);
