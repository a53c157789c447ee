//! TLS as everyone's tools see it: curl and openssl before the program, certificates of `plimsoll cert`.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use rustix::process::Signal;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tungstenite::Message;

use super::kit::{Folder, Origin, PATIENCE, Running, plimsoll, run, stderr, stdout};

/// Makes `NAME.pem` and `NAME.key` in `folder`.
fn certificate(folder: &Folder, name: &str, more: &[&str]) {
    let out = folder.path().to_str().expect("the path is UTF-8");
    let made = run(&[&["cert", "--out", out, "--force", "--name", name], more].concat());
    assert!(made.status.success(), "{}", stderr(&made));
}

/// A file with a listener of these settings before `server`.
fn config(folder: &Folder, server: SocketAddr, settings: &str) -> String {
    let text = format!(
        "[listen.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n{settings}\n[pool.app]\nservers = [\"{server}\"]\n"
    );
    folder.file("plimsoll.toml", &text)
}

/// The program on this file, and where it listens by TLS.
fn serve(file: &str) -> (Running, SocketAddr) {
    let mut program = Running::saying(plimsoll(&["serve", file, "--workers", "2"]));
    let line = program.line("https://127.0.0.1:");
    let (_, rest) = line.split_once("https://").expect("the line was looked for");
    let address = rest.split(' ').next().and_then(|address| address.parse().ok());
    (program, address.expect("an address follows"))
}

fn curl(arguments: &[&str]) -> Output {
    let always = ["--silent", "--show-error", "--max-time", "30", "--noproxy", "*"];
    Command::new("curl").args(always).args(arguments).output().expect("curl is installed")
}

/// What openssl says about a connection over which it asks once.
fn openssl(address: SocketAddr, arguments: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-ign_eof", "-connect", &address.to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    // It may be gone before it has read that.
    let _ =
        child.stdin.take().expect("it is piped").write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let output = child.wait_with_output().expect("openssl ends");
    stdout(&output) + &stderr(&output)
}

#[test]
fn curl_is_served_with_the_certificate_of_the_name_it_asks_for() {
    let (origin, folder) = (Origin::quick("app"), Folder::new());
    certificate(&folder, "a.example", &[]);
    certificate(&folder, "*.b.example", &[]);
    let tls = "tls = [{ cert = \"a.example.pem\", key = \"a.example.key\" }, \
               { cert = \"wildcard.b.example.pem\", key = \"wildcard.b.example.key\" }]\nhsts = \"365d\"";
    let (program, address) = serve(&config(&folder, origin.address, tls));
    for (name, trusted, good) in [
        ("a.example", "a.example.pem", true),
        ("x.b.example", "wildcard.b.example.pem", true),
        ("x.b.example", "a.example.pem", false),
        ("c.example", "a.example.pem", false),
    ] {
        let port = address.port();
        let trusted = folder.path().join(trusted);
        let told = curl(&[
            "--include",
            "--cacert",
            trusted.to_str().expect("the path is UTF-8"),
            "--resolve",
            &format!("{name}:{port}:127.0.0.1"),
            &format!("https://{name}:{port}/"),
        ]);
        assert_eq!(told.status.success(), good, "{name}: {}", stderr(&told));
        let answer = stdout(&told).to_ascii_lowercase();
        assert_eq!(answer.contains("strict-transport-security: max-age=31536000"), good, "{name}: {answer}");
    }
    let plain = curl(&[&format!("http://{address}/")]);
    assert!(stdout(&plain).contains("400 Bad Request: this port speaks TLS: use https://"), "{}", stdout(&plain));
    program.signal(Signal::TERM);
    assert_eq!(program.end().0, Some(0));
}

#[test]
fn openssl_resumes_its_sessions_gets_the_stapled_answer_and_no_old_version() {
    let (origin, folder) = (Origin::quick("app"), Folder::new());
    certificate(&folder, "a.example", &[]);
    // The status `successful`, with nothing behind it.
    fs::write(folder.path().join("a.ocsp"), [0x30, 3, 0x0a, 1, 0]).expect("a file can be written");
    let with = |options: &str| {
        let tls = "tls = { cert = \"a.example.pem\", key = \"a.example.key\", ocsp = \"a.ocsp\" }";
        config(&folder, origin.address, &format!("{tls}\n{options}"))
    };
    let session = folder.path().join("session");
    let session = session.to_str().expect("the path is UTF-8");
    let (program, address) = serve(&with(""));
    for version in ["-tls1_2", "-tls1_3"] {
        let first = openssl(address, &[version, "-status", "-sess_out", session]);
        assert!(first.contains("New, TLS") && first.contains("200 OK"), "{first}");
        assert!(first.contains("OCSP Response Status: successful (0x0)"), "{first}");
        let second = openssl(address, &[version, "-sess_in", session]);
        assert!(second.contains("Reused, TLS") && second.contains("200 OK"), "{second}");
    }
    drop(program);
    let (_program, address) = serve(&with("tls_options = { min_version = \"1.3\", unknown_name = \"refuse\" }"));
    let old = openssl(address, &["-tls1_2", "-servername", "a.example"]);
    assert!(old.contains("alert protocol version"), "{old}");
    let unknown = openssl(address, &["-servername", "b.example"]);
    assert!(unknown.contains("unrecognized name"), "{unknown}");
    assert!(openssl(address, &["-servername", "a.example"]).contains("200 OK"));
}

/// The fingerprint of a certificate in a file.
fn fingerprint(file: &Path) -> String {
    let told = Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(file).output();
    stdout(&told.expect("openssl runs"))
}

/// The fingerprint of the certificate that is shown at `address`.
fn shown(folder: &Folder, address: SocketAddr) -> String {
    let told = openssl(address, &["-servername", "a.example"]);
    let begin = told.find("-----BEGIN CERTIFICATE-----").expect("a certificate is shown");
    let end = told.find("-----END CERTIFICATE-----").expect("it ends");
    let file = folder.file("shown.pem", &format!("{}-----END CERTIFICATE-----\n", &told[begin..end]));
    fingerprint(Path::new(&file))
}

#[test]
fn certificates_that_are_swapped_under_load_lose_nothing() {
    let (origin, folder) = (Origin::quick("app"), Folder::new());
    certificate(&folder, "a.example", &[]);
    let tls = "tls = { cert = \"a.example.pem\", key = \"a.example.key\" }";
    let file = config(&folder, origin.address, tls);
    let (mut program, address) = serve(&file);
    let pem = folder.path().join("a.example.pem");
    let before = fingerprint(&pem);
    assert_eq!(shown(&folder, address), before);
    // What is said of the rest of the file is not read.
    fs::write(&file, "nonsense").expect("a file can be written");
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load: Vec<_> = (0..2)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut codes = String::new();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let url = format!("https://{address}/[1-25]");
                    let fresh = ["--insecure", "--header", "Connection: close", "--output", "/dev/null"];
                    let told = curl(&[&fresh[..], &["--write-out", "%{http_code}\n", &url]].concat());
                    assert!(told.status.success(), "{}", stderr(&told));
                    codes += &stdout(&told);
                }
                codes
            })
        })
        .collect();
    certificate(&folder, "a.example", &[]);
    program.line("certificates were read anew: configuration 2 is in force");
    assert_ne!(fingerprint(&pem), before);
    assert_eq!(shown(&folder, address), fingerprint(&pem));
    // Half of a pair is not taken.
    let good = fs::read(&pem).expect("it is there");
    fs::write(&pem, &good[..good.len() / 2]).expect("a file can be written");
    program.line("the new certificates were not taken, the ones before stay: ");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for load in load {
        let codes = load.join().expect("every request was answered");
        assert!(codes.lines().count() >= 25 && codes.lines().all(|code| code == "200"), "{codes}");
    }
}

#[test]
fn check_says_which_pair_does_not_fit_and_which_certificate_ends_soon() {
    let (origin, folder) = (Origin::quick("app"), Folder::new());
    certificate(&folder, "a.example", &["--days", "10"]);
    certificate(&folder, "b.example", &["--name", "a.example"]);
    let pair = |cert: &str, key: &str| format!("{{ cert = \"{cert}.example.pem\", key = \"{key}.example.key\" }}");
    let good = config(&folder, origin.address, &format!("tls = [{}, {}]", pair("a", "a"), pair("b", "b")));
    let checked = run(&["check", &good]);
    let told = stderr(&checked);
    assert!(checked.status.success() && stdout(&checked).contains("the configuration is good"), "{told}");
    assert!(told.contains("a.example.pem: the certificate expires on "), "{told}");
    assert!(told.contains("b.example.pem: the certificate is not used for a.example, for which "), "{told}");
    let wrong = config(&folder, origin.address, &format!("tls = {}", pair("a", "b")));
    for command in ["check", "serve"] {
        let refused = run(&[command, &wrong]);
        let told = stderr(&refused);
        assert_ne!(refused.status.code(), Some(0));
        assert!(told.contains("the TLS of listener `web` cannot be used: "), "{told}");
        assert!(told.contains("b.example.key: the key does not belong to the certificate in "), "{told}");
    }
    assert_eq!(run(&["check", &wrong]).status.code(), Some(2));
}

/// The certificate in `folder` that `plimsoll cert` made for this name, with its key.
fn pair(folder: &Folder, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let path = |kind: &str| folder.path().join(format!("{name}.{kind}"));
    let cert = CertificateDer::from_pem_file(path("pem")).expect("there is a certificate");
    (cert, PrivateKeyDer::from_pem_file(path("key")).expect("there is a key"))
}

/// A server of `WebSocket`s by TLS that echoes messages.
fn echoing(folder: &Folder, name: &str) -> SocketAddr {
    let (cert, key) = pair(folder, name);
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![cert], key));
    let config = Arc::new(config.expect("the pair is good"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let session = ServerConnection::new(Arc::clone(&config)).expect("the configuration is good");
            std::thread::spawn(move || {
                let mut socket =
                    tungstenite::accept(StreamOwned::new(session, stream)).expect("an upgrade is asked for");
                while let Ok(message) = socket.read() {
                    if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn websockets_run_over_tls_on_both_sides() {
    let folder = Folder::new();
    certificate(&folder, "a.example", &[]);
    certificate(&folder, "app.internal", &[]);
    let server = echoing(&folder, "app.internal");
    let text = format!(
        "[listen.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n\
         tls = {{ cert = \"a.example.pem\", key = \"a.example.key\" }}\n\
         [pool.app]\nservers = [\"{server}\"]\n\
         tls = {{ server_name = \"app.internal\", ca = \"app.internal.pem\" }}\n"
    );
    let (_program, address) = serve(&folder.file("plimsoll.toml", &text));
    let mut roots = RootCertStore::empty();
    roots.add(pair(&folder, "a.example").0).expect("the certificate is good");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("these are the usual ones")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("a.example").expect("it is a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("the configuration is good");
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    let stream = StreamOwned::new(session, stream);
    let (mut socket, response) = tungstenite::client("wss://a.example/chat", stream).expect("the upgrade is granted");
    assert_eq!(response.status(), 101);
    let large: Vec<u8> = (0..1_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for message in [Message::text("hello"), Message::binary(large), Message::text("again")] {
        socket.send(message.clone()).expect("it can be sent");
        assert!(socket.read().expect("it comes back") == message, "another message came back");
    }
    socket.close(None).expect("it can be closed");
    while socket.read().is_ok() {}
}
