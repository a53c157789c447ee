//! The same behind TLS.

use std::process::Command;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::kit::{REST, Stand, folder, until, write};

/// A certificate of these names and its key, in PEM.
fn certificate(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).expect("it can be made");
    (cert.pem(), signing_key.serialize_pem())
}

const SETTINGS: &str = "bind = \"127.0.0.1:0\"\ntls = { cert = \"admin.pem\", key = \"admin.key\" }";

/// What curl gets, trusting this certificate.
fn curl(stand: &Stand, trusted: &str) -> String {
    let url = format!("https://{}/healthz", stand.address());
    let trusted = stand.folder.join(trusted);
    let output = Command::new("curl").args(["-sS", "--max-time", "30", "--cacert"]).arg(trusted).arg(url).output();
    let output = output.expect("curl runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn it_is_served_by_tls_and_follows_a_new_certificate() {
    let folder = folder();
    let (cert, key) = certificate(&["127.0.0.1"]);
    write(&folder.join("admin.pem"), &cert);
    write(&folder.join("first.pem"), &cert);
    write(&folder.join("admin.key"), &key);
    let stand = Stand::start_in(folder, SETTINGS).expect("it starts");
    assert!(stand.control().admin_addresses()[0].starts_with("https://"));
    assert_eq!(curl(&stand, "first.pem"), "ok\n");
    let (cert, key) = certificate(&["127.0.0.1"]);
    write(&stand.folder.join("admin.pem"), &cert);
    write(&stand.folder.join("admin.key"), &key);
    stand.control().reload().expect("it is good");
    assert_eq!(curl(&stand, "admin.pem"), "ok\n");
    assert_ne!(curl(&stand, "first.pem"), "ok\n", "the old one is not used any more");
    write(&stand.folder.join("admin.key"), "nothing");
    let refused = stand.control().reload().expect_err("there is no key").to_string();
    assert!(refused.contains("admin.key cannot be used: there is no private key in it"), "{refused}");
    assert_eq!(curl(&stand, "admin.pem"), "ok\n");
}

/// Waits until this has been told.
fn wait_for_told(stand: &Stand, part: &str) {
    until(part, || stand.told.lock().expect("nobody panicked").join("\n").contains(part));
}

#[test]
fn a_certificate_that_is_put_in_its_file_is_taken_up_by_itself_and_nothing_else_of_the_file() {
    let folder = folder();
    let (cert, key) = certificate(&["127.0.0.1"]);
    write(&folder.join("admin.pem"), &cert);
    write(&folder.join("first.pem"), &cert);
    write(&folder.join("admin.key"), &key);
    let stand = Stand::start_in(folder, SETTINGS).expect("it starts");
    wait_for_told(&stand, "a certificate expires soon");
    stand.write("nonsense", REST);
    let (cert, key) = certificate(&["127.0.0.1"]);
    write(&stand.folder.join("admin.pem"), &cert);
    wait_for_told(&stand, "the new certificates were not taken, the ones before stay: ");
    assert_eq!(curl(&stand, "first.pem"), "ok\n");
    write(&stand.folder.join("admin.key"), &key);
    wait_for_told(&stand, "certificates were read anew: configuration 2 is in force");
    assert_eq!(curl(&stand, "admin.pem"), "ok\n");
}

#[test]
fn a_certificate_that_does_not_fit_is_told() {
    let folder = folder();
    let ((cert, _), (_, key)) = (certificate(&["127.0.0.1"]), certificate(&["127.0.0.1"]));
    write(&folder.join("admin.pem"), &cert);
    write(&folder.join("admin.key"), &key);
    let error = Stand::start_in(folder.clone(), SETTINGS).err().expect("it does not fit");
    assert!(error.contains("admin.pem cannot be used: "), "{error}");
    write(&folder.join("admin.pem"), REST);
    let error = Stand::start_in(folder.clone(), SETTINGS).err().expect("it is none");
    assert!(error.contains("there is no certificate in it"), "{error}");
    std::fs::remove_dir_all(folder).expect("it can be removed");
}
