//! `HAProxy` and nginx before us and behind us: what they write we read, and what we write they read.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plimsoll_config::{Config, Host, Network, ProxyFrom, ProxyVersion};

use crate::kit::{Folder, Lines, Live, PATIENCE, Server, hears, nobody, passes, speak_http, tcp, until};

/// Another program, which ends with the test.
struct Program(Child);

impl Program {
    /// Starts it, and waits until it takes connections at each of `sockets`.
    fn start(command: &mut Command, sockets: &[&Path]) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut program = Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
        until("it takes connections", || {
            assert!(program.0.try_wait().unwrap().is_none(), "{command:?} has ended");
            sockets.iter().all(|path| UnixStream::connect(path).is_ok())
        });
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn haproxy(folder: &Folder, sections: &str, sockets: &[&Path]) -> Program {
    let file = folder.file("haproxy.cfg");
    let head = "defaults\n timeout connect 20s\n timeout client 20s\n timeout server 20s\n";
    fs::write(&file, format!("{head}{sections}")).unwrap();
    Program::start(Command::new("haproxy").arg("-db").arg("-f").arg(file), sockets)
}

fn nginx(folder: &Folder, server: &str, sockets: &[&Path]) -> Program {
    let file = folder.file("nginx.conf");
    let at = folder.0.display();
    let text = format!(
        "daemon off; master_process off; pid {at}/nginx.pid; error_log {at}/nginx.log;\n\
         events {{ }}\nhttp {{ access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b;\n\
         fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;\n{server} }}\n"
    );
    fs::write(&file, text).unwrap();
    Program::start(Command::new("nginx").arg("-p").arg(&folder.0).arg("-c").arg(file), sockets)
}

/// HTTP to a server at `path` that is told of clients in this version.
fn towards(path: PathBuf, version: ProxyVersion) -> Config {
    let mut config = tcp(&[nobody()], &Lines::default());
    speak_http(&mut config);
    let pool = &mut config.pools[0];
    pool.send_proxy = Some(version);
    (pool.servers[0].host, pool.servers[0].port) = (Host::Unix(path), 0);
    config
}

/// Asks twice over one connection, and expects its own address as the answer.
#[track_caller]
fn is_known(live: &Live) {
    let mut client = live.connect();
    let own = client.local_addr().unwrap().to_string();
    for last in [false, true] {
        let more = if last { "Connection: close\r\n" } else { "" };
        client.write_all(format!("GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(format!("client {own}.").as_bytes()) {
            let mut byte = [0];
            assert_eq!(client.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&answer));
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn haproxy_learns_who_the_client_is() {
    let folder = Folder::new();
    let path = folder.file("haproxy.sock");
    let answer = "http-request return status 200 content-type text/plain lf-string \"client %[src]:%[src_port].\"";
    let section = format!("frontend app\n mode http\n bind unix@{} accept-proxy\n {answer}\n", path.display());
    let _haproxy = haproxy(&folder, &section, &[&path]);
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        is_known(&Live::start(&towards(path.clone(), version)));
    }
}

#[test]
fn nginx_learns_who_the_client_is() {
    let folder = Folder::new();
    let path = folder.file("nginx.sock");
    let answer = "location / { return 200 \"client $proxy_protocol_addr:$proxy_protocol_port.\"; }";
    let server = format!("server {{ listen unix:{} proxy_protocol; {answer} }}", path.display());
    let _nginx = nginx(&folder, &server, &[&path]);
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        is_known(&Live::start(&towards(path.clone(), version)));
    }
}

#[test]
fn haproxy_tells_us_who_the_client_is() {
    let server = Server::start();
    let mut config = tcp(&[server.address], &Lines::default());
    let from = vec![Network::Ip { address: "127.0.0.1".parse().unwrap(), bits: 32 }];
    config.listeners[0].proxy_protocol = Some(ProxyFrom { from, timeout: Duration::from_secs(20) });
    config.pools[0].send_proxy = Some(ProxyVersion::V1);
    let live = Live::start(&config);
    let forms =
        ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id", "send-proxy-v2-ssl-cn"];
    let folder = Folder::new();
    let sockets: Vec<_> = (0..forms.len()).map(|number| folder.file(&format!("{number}.sock"))).collect();
    let section = |(path, form): (&PathBuf, &str)| {
        let (name, path, us) = (form.len(), path.display(), live.address());
        let bind = format!("bind unix@{path} accept-proxy\n unique-id-format %pid");
        format!("listen l{name}\n mode tcp\n {bind}\n server us {us} {form}\n")
    };
    let sections: Vec<_> = sockets.iter().zip(forms).map(section).collect();
    let _haproxy = haproxy(&folder, &sections.concat(), &sockets.iter().map(|path| &**path).collect::<Vec<_>>());
    for (path, form) in sockets.iter().zip(forms) {
        for line in ["PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n", "PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n"]
        {
            let mut client = UnixStream::connect(path).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(format!("{line}hello").as_bytes()).unwrap();
            let mut held = loop {
                // Those that only looked whether HAProxy is there sent no header, and HAProxy none to us.
                let mut held = server.accept();
                let mut heard = vec![0; line.len()];
                if held.read_exact(&mut heard).is_ok() && heard == line.as_bytes() {
                    break held;
                }
            };
            hears(&mut held, "hello");
            passes(&mut held, &mut client, form);
        }
    }
}
