//! nginx, as its own documentation advises for a proxy with keep-alive on both sides, with `least_conn` over shared
//! counts (`zone`).

use std::ffi::OsString;
use std::path::Path;

use super::{Proxy, Setup, server_lines};

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
    fn configuration(&self, setup: &Setup<'_>) -> String {
        let room = setup.room.display();
        let port = setup.port;
        let servers = server_lines(setup.servers, |_, port| format!("    server 127.0.0.1:{port};"));
        let idle = setup.servers.len() * 2 + 256;
        // A master that is root gives its worker to a user that may not reach the scratch directory.
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        format!(
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
    }}
  }}
}}
"
        )
    }

    fn arguments(&self, configuration: &Path) -> Vec<OsString> {
        // Until it has read its file it would log to the system's log.
        ["-e", "stderr", "-c"].map(OsString::from).into_iter().chain([configuration.into()]).collect()
    }
}
