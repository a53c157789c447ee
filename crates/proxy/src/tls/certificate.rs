//! What a certificate says of itself.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::aws_lc_rs::cipher_suite;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::peer::ClientCertFacts;

/// The names it is valid for, in lower case: those of its subject alternative names, or without any its common name.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = alternative.map(|names| names.value.general_names.iter());
    let dns = names.into_iter().flatten().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let names: Vec<String> = dns.collect();
    if !names.is_empty() {
        return names;
    }
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    common.map(str::to_ascii_lowercase).collect()
}

/// From when until when it is valid.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> Option<(SystemTime, SystemTime)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let validity = certificate.validity();
    let time = |time: ASN1Time| {
        let seconds = time.timestamp();
        let distance = Duration::from_secs(seconds.unsigned_abs());
        // Some end in the year 9999, and some begin before 1970.
        if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
    };
    Some((time(validity.not_before)?, time(validity.not_after)?))
}

/// Who a client is by it.
pub(super) fn client(certificate: &CertificateDer<'_>) -> ClientCertFacts {
    let fingerprint = fingerprint(certificate);
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return ClientCertFacts { fingerprint, ..ClientCertFacts::default() };
    };
    let subject = certificate.subject();
    let common_name = subject.iter_common_name().next().and_then(|name| name.as_str().ok()).map(|name| {
        let mut text = String::new();
        escape(&mut text, name);
        text
    });
    ClientCertFacts { subject: subject_text(subject), common_name, fingerprint }
}

/// The subject as RFC 4514 writes it: the last part first, `CN=client,O=Example`.
fn subject_text(subject: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = subject.iter().collect();
    for part in parts.into_iter().rev() {
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                text.push('+');
            } else if !text.is_empty() {
                text.push(',');
            }
            write_attribute(&mut text, attribute);
        }
    }
    text
}

/// `CN=client`, or the number of a kind without a name and the bytes of what is no text (RFC 4514, sections 2.3 and 2.4).
fn write_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let kind = attribute.attr_type().to_id_string();
    let known = NAMED.iter().find(|(number, _)| *number == kind);
    text.push_str(known.map_or(&*kind, |(_, name)| name));
    text.push('=');
    match attribute.as_str() {
        Ok(value) => escape(text, value),
        Err(_) => hexadecimal(text, "#", attribute.as_slice()),
    }
}

/// The kinds that RFC 4514, section 3, names, and one that everyone names.
const NAMED: [(&str, &str); 10] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// Writes a value so that it can be told from what is around it (RFC 4514, section 2.4). What is not visible ASCII is written
/// as its bytes, so that it can stand in a field of a head.
fn escape(text: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (index, character) in value.char_indices() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            '#' | ' ' if index == 0 || (index == last && character == ' ') => {
                text.push('\\');
                text.push(character);
            }
            ' '..='~' => text.push(character),
            _ => character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| hexadecimal(text, "\\", &[byte])),
        }
    }
}

fn hexadecimal(text: &mut String, before: &str, bytes: &[u8]) {
    text.push_str(before);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

/// SHA-256 of the whole certificate.
fn fingerprint(certificate: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    // The hash function comes with a cipher suite that is made of it.
    if let Some(suite) = cipher_suite::TLS13_AES_128_GCM_SHA256.tls13() {
        hexadecimal(&mut text, "", suite.common.hash_provider.hash(certificate).as_ref());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(value: &str) -> String {
        let mut text = String::new();
        escape(&mut text, value);
        text
    }

    #[test]
    fn nothing_in_a_name_can_end_a_field_or_pass_for_another_name() {
        assert_eq!(escaped("plain name"), "plain name");
        assert_eq!(escaped(" a,b+c "), "\\ a\\,b\\+c\\ ");
        assert_eq!(escaped("x\r\nX-Evil: 1"), "x\\0d\\0aX-Evil: 1");
        assert_eq!(escaped("é"), "\\c3\\a9");
        assert_eq!(escaped("#x#"), "\\#x#");
    }
}
