//! `plimsoll cert`: a certificate to try TLS with, signed by itself.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

use crate::arguments::Cert;
use crate::console;
use crate::failure::Failure;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Writes the certificate and its key, and prints what to do with them.
pub(crate) fn run(arguments: &Cert) -> Result<(), Failure> {
    let names = names(&arguments.name)?;
    let stem = stem(&names[0]);
    let (cert, key) = (arguments.out.join(format!("{stem}.pem")), arguments.out.join(format!("{stem}.key")));
    if !arguments.force {
        for file in [&cert, &key] {
            if fs::symlink_metadata(file).is_ok() {
                let message = format!("{} is there already; --force replaces it", file.display());
                return Err(Failure::Arguments(message));
            }
        }
    }
    let (cert_pem, key_pem) = make(&names, arguments.days).context("the certificate cannot be made")?;
    write(&key, &key_pem, 0o600)?;
    write(&cert, &cert_pem, 0o644)?;
    console::say(format_args!(
        "{}: a certificate for {}, for {} days",
        cert.display(),
        names.join(", "),
        arguments.days
    ));
    console::say(format_args!("{}: its private key, which only you can read", key.display()));
    Ok(console::print(&to_paste(&cert, &key, &names[0]))?)
}

/// The names that were asked for, or those of this machine.
fn names(asked: &[String]) -> Result<Vec<String>, Failure> {
    if asked.is_empty() {
        return Ok(["localhost", "127.0.0.1", "::1"].map(str::to_owned).into());
    }
    asked.iter().map(|name| valid(name)).collect()
}

/// The name in lower case, if a certificate can have it.
fn valid(name: &str) -> Result<String, Failure> {
    let lower = name.to_ascii_lowercase();
    let labels = lower.strip_prefix("*.").unwrap_or(&lower);
    let good = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        plain && (1..=63).contains(&label.len())
    };
    if lower.parse::<IpAddr>().is_ok() || (labels.len() <= 253 && labels.split('.').all(good)) {
        return Ok(lower);
    }
    Err(Failure::Arguments(format!(
        "{name:?} is no name for a certificate; write a host name, *.example.com or an IP address"
    )))
}

/// What the files are called.
fn stem(name: &str) -> String {
    name.replace('*', "wildcard").replace(':', "-")
}

/// PEM of a certificate for `names`, and of its key.
fn make(names: &[String], days: u32) -> anyhow::Result<(String, String)> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, &*names[0]);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    // A client whose clock is behind is to take it too.
    parameters.not_before = epoch + now.saturating_sub(DAY);
    parameters.not_after = epoch + now + DAY * days;
    let key = KeyPair::generate()?;
    Ok((parameters.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Writes a file so that it is there whole or not at all, and never readable to more than `mode` says.
fn write(file: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = || -> io::Result<()> {
        let mut new = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        new.write_all(text.as_bytes())?;
        fs::rename(&beside, file)
    };
    written()
        .inspect_err(|_| drop(fs::remove_file(&beside)))
        .with_context(|| format!("{} cannot be written", file.display()))
}

/// What belongs into the configuration, and how to try it.
fn to_paste(cert: &Path, key: &Path, name: &str) -> String {
    let host = if name.contains(':') { format!("[{name}]") } else { name.replace('*', "www") };
    let [cert, key] = [cert, key].map(|path| path.display().to_string());
    format!(
        "[listen.web]
bind = \"0.0.0.0:8443\"
tls = {{ cert = {cert:?}, key = {key:?} }}
pool = \"app\"

# Try it: curl --cacert {cert} https://{host}:8443/
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_host_names_wildcards_and_addresses() {
        for name in ["localhost", "a.example", "*.example.com", "10.0.0.1", "::1", "A.Example", "my_host"] {
            assert_eq!(valid(name).ok(), Some(name.to_ascii_lowercase()));
        }
        for name in ["", "a b", "a..b", "*", "a.*.b", "a/b", "https://a", "a:443"] {
            assert!(valid(name).is_err(), "{name:?} was taken");
        }
        assert_eq!((stem("*.example.com").as_str(), stem("::1").as_str()), ("wildcard.example.com", "--1"));
    }
}
