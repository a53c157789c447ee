//! The client everyone has.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::kit::{Config, Program, Server, get};

/// Echoes the body, and says in fields what it got.
fn server() -> Server {
    Server::answering(|request| {
        let body: String = request.body.iter().map(|byte| char::from(*byte)).collect();
        let expect = request.field("expect").unwrap_or("nothing");
        let framing = request.field("transfer-encoding").unwrap_or("length");
        format!(
            "HTTP/1.1 200 OK\r\nX-Expect: {expect}\r\nX-Framing: {framing}\r\nContent-Length: {}\r\n\r\n{body}",
            if request.method() == "HEAD" { 7 } else { body.len() }
        )
        .split_inclusive("\r\n\r\n")
        .take(if request.method() == "HEAD" { 1 } else { 2 })
        .collect::<String>()
    })
}

/// What curl prints, and what it says with -v.
fn curl(program: &Program, arguments: &[&str], input: &[u8]) -> (String, String) {
    let mut child = Command::new("curl")
        .args(["--silent", "--show-error", "--verbose", "--max-time", "30", "--noproxy", "*"])
        .args(arguments)
        .arg(format!("http://{}/curl", program.address()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl is installed");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn curl_gets_posts_and_puts() {
    let server = server();
    let program = Config::to(&[server.address()]).start();
    let (_, said) = curl(&program, &[], b"");
    assert!(said.contains("< HTTP/1.1 200 OK") && said.contains("left intact"), "{said}");
    let (body, _) = curl(&program, &["--http1.0"], b"");
    assert_eq!(body, "");
    let (body, said) = curl(&program, &["--data-binary", "a=b&c"], b"");
    assert_eq!(body, "a=b&c");
    assert!(said.contains("X-Framing: length"), "{said}");
    let (body, said) = curl(&program, &["--upload-file", "-"], b"streamed");
    assert_eq!(body, "streamed");
    assert!(said.contains("X-Framing: chunked"), "{said}");
    let (head, _) = curl(&program, &["--head"], b"");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("Content-Length: 7\r\n"), "{head}");
}

#[test]
fn curl_that_expects_continue_sends_its_body_in_the_end() {
    let server = server();
    let program = Config::to(&[server.address()]).start();
    let arguments = ["--header", "Expect: 100-continue", "--expect100-timeout", "0.2", "--data-binary", "patient"];
    let (body, said) = curl(&program, &arguments, b"");
    assert_eq!(body, "patient");
    assert!(said.contains("X-Expect: 100-continue"), "{said}");
}

#[test]
fn curl_keeps_its_connection() {
    let server = server();
    let program = Config::to(&[server.address()]).start();
    let second = format!("http://{}/again", program.address());
    let (_, said) = curl(&program, &[&second], b"");
    assert!(said.contains("Re-using existing connection"), "{said}");
    assert_eq!(program.ask(get("/")).status, 200);
    assert_eq!(server.connections(), 1);
}
