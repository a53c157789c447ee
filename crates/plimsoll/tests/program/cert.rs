//! `plimsoll cert`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::kit::{Folder, run, stderr, stdout};

/// What openssl says of the certificate.
fn openssl(file: &std::path::Path, arguments: &[&str]) -> String {
    let told = Command::new("openssl").args(["x509", "-noout", "-in"]).arg(file).args(arguments).output();
    stdout(&told.expect("openssl runs"))
}

#[test]
fn a_certificate_and_its_key_are_written_and_what_to_paste_is_printed() {
    let folder = Folder::new();
    let out = folder.path().to_str().expect("the path is UTF-8");
    let made = run(&["cert", "--name", "a.example", "--name", "10.0.0.1", "--days", "30", "--out", out]);
    assert!(made.status.success(), "{}", stderr(&made));
    let (cert, key) = (folder.path().join("a.example.pem"), folder.path().join("a.example.key"));
    let names = openssl(&cert, &["-ext", "subjectAltName"]);
    assert!(names.contains("DNS:a.example, IP Address:10.0.0.1"), "{names}");
    assert!(openssl(&cert, &["-subject"]).contains("CN = a.example"));
    assert!(openssl(&cert, &["-checkend", "2500000"]).contains("will not expire"));
    assert!(openssl(&cert, &["-checkend", "2600000"]).contains("will expire"));
    assert_eq!(fs::metadata(&key).expect("it is there").permissions().mode() & 0o777, 0o600);
    let told = stdout(&made);
    assert!(told.contains(&format!("tls = {{ cert = {cert:?}, key = {key:?} }}")), "{told}");
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 2);
}

#[test]
fn files_that_are_there_are_replaced_only_when_that_is_wished() {
    let folder = Folder::new();
    let out = folder.path().to_str().expect("the path is UTF-8");
    let key = folder.file("localhost.key", "precious");
    let refused = run(&["cert", "--out", out]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("localhost.key is there already; --force replaces it"), "{}", stderr(&refused));
    assert_eq!(fs::read_to_string(&key).expect("it is there"), "precious");
    assert!(run(&["cert", "--out", out, "--force"]).status.success());
    assert!(fs::read_to_string(&key).expect("it is there").contains("PRIVATE KEY"));
    assert_eq!(fs::metadata(&key).expect("it is there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_is_no_name_is_refused() {
    let refused = run(&["cert", "--name", "https://a.example"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("is no name for a certificate"), "{}", stderr(&refused));
}
