//! How the admin API is found, and what is said when it is not.

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use super::super::kit::{Folder, plimsoll, stderr, stdout};
use super::two_quick;

/// What `status` says at `place`, and its exit code.
fn status_at(place: &str, more: &[&str]) -> (Option<i32>, String) {
    let folder = Folder::new();
    let mut command = plimsoll(&[&["status", "--admin", place], more].concat());
    command.current_dir(folder.path()).env_remove("PLIMSOLL_TOKEN");
    let output = command.output().expect("the program starts");
    (output.status.code(), stderr(&output))
}

/// A server that answers so, whatever it is asked, and ends each connection.
fn answering(answer: impl AsRef<[u8]> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // What came is read first: a connection closed before that would be reset, and the answer lost.
            let mut request = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut request);
            let _ = stream.write_all(answer.as_ref());
        }
    });
    address.to_string()
}

#[test]
fn where_nobody_listens_it_says_what_to_do() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free");
    for place in [free.to_string(), format!("https://{free}"), "./no.sock".to_owned()] {
        let (code, said) = status_at(&place, &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(place.trim_start_matches("https://")), "{said}");
        for part in ["no Plimsoll answers at", "plimsoll serve FILE", "--admin HOST:PORT"] {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    }
}

#[test]
fn what_is_no_address_is_a_bad_argument() {
    for place in ["lb.example.com", "ftp://lb:21", "http://u:p@127.0.0.1:1", "127.0.0.1:99999"] {
        let (code, said) = status_at(place, &[]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("is no address of an admin API"), "{said}");
    }
}

#[test]
fn what_is_no_plimsoll_is_told_apart() {
    let page = answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    let ssh = answering(b"SSH-2.0-OpenSSH_9.2\r\n");
    let other = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\nConnection: close\r\n\r\n{\"version\":\"9.9.9\"}");
    for (place, part) in [(page, "status 404"), (ssh, "no answer in HTTP"), (other, "it is plimsoll 9.9.9 and this is")]
    {
        let (code, said) = status_at(&place, &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("is no Plimsoll of this version") && said.contains(part), "{said}");
    }
}

#[test]
fn who_speaks_no_tls_is_told() {
    let plain = answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let (code, said) = status_at(&format!("https://{plain}"), &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot agree on TLS") && said.contains("--ca FILE"), "{said}");
}

#[test]
fn what_the_api_refuses_is_told_in_its_words_and_escaped() {
    let problem = r#"{"title":"Conflict","status":409,"detail":"no \u001b[2J\nbecause ä"}"#;
    let head = "HTTP/1.1 409 Conflict\r\nContent-Type: application/problem+json\r\nConnection: close\r\n";
    let problem = answering(format!("{head}Content-Length: {}\r\n\r\n{problem}", problem.len()));
    let (code, said) = status_at(&problem, &[]);
    assert_eq!((code, &*said), (Some(1), "error: no \\u{1b}[2J\nbecause ä\n"));
    let refused = answering(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let (code, said) = status_at(&refused, &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("wants a token: give the file it is in by --token-file"), "{said}");
    let folder = Folder::new();
    let token = folder.file("token", "0123456789abcdef\n");
    let (_, said) = status_at(&refused, &["--token-file", &token]);
    assert!(said.contains("does not take this token"), "{said}");
    let broken = folder.file("broken", "01234567\n89abcdef\n");
    let (code, said) = status_at(&refused, &["--token-file", &broken]);
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = status_at(&refused, &["--token-file", "./not-there"]);
    assert!(code == Some(1) && said.contains("./not-there cannot be read"), "{said}");
    let (code, said) = status_at("https://127.0.0.1:1", &["--ca", &token]);
    assert!(code == Some(2) && said.contains("no certificate in PEM"), "{said}");
}

#[test]
fn the_file_of_the_folder_says_where_it_is() {
    let served = two_quick();
    let mut command = served.command(&["status"]);
    let output = command.env_remove("PLIMSOLL_ADMIN").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let socket = served.folder.path().join("admin.sock");
    let (code, said) = status_at(socket.to_str().expect("the path is UTF-8"), &[]);
    assert_eq!(code, Some(0), "from another folder: {said}");
}

#[test]
fn top_needs_a_terminal() {
    let output = plimsoll(&["top", "--admin", "127.0.0.1:1"]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("top needs a terminal"), "{}", stderr(&output));
}

#[test]
fn every_command_has_help_with_its_connection() {
    for command in [
        "status", "top", "drain", "ready", "down", "weight", "limit", "add", "remove", "explain", "events", "reload",
        "diff",
    ] {
        let output = plimsoll(&[command, "--help"]).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{command}");
        let help = stdout(&output);
        assert!(help.contains("--admin <ADDRESS>") && help.contains("PLIMSOLL_ADMIN"), "{help}");
    }
}
