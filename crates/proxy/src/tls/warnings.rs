//! What an operator should know of certificates and keys that can be used.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use plimsoll_config::{CertPair, Config, ListenerTls, Secret};
use rustls::SignatureAlgorithm;

use super::{certificate, pem};

/// A certificate that ends within this time is told of: those that live for 90 days are usually renewed 30 days before.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What an operator should know of the certificates of `config`, a sentence each. A file that cannot be used is
/// not among it: that is an error, told elsewhere.
pub fn tls_warnings(config: &Config, now: SystemTime) -> Vec<String> {
    let mut warnings = Vec::new();
    let listeners = config.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let pools = config.pools.iter().filter_map(|pool| Some((&pool.name, pool.tls.as_ref()?)));
    let of_pools = pools.clone().filter_map(|(_, tls)| tls.cert.as_ref());
    let pairs: Vec<&CertPair> = listeners.clone().flat_map(|tls| &tls.pairs).chain(of_pools).collect();
    let admin = config.admin.iter().filter_map(|admin| admin.tls.as_ref()).map(|tls| &tls.cert);
    let certificates = pairs.iter().map(|pair| &pair.cert).chain(admin);
    warnings.extend(certificates.filter_map(|certificate| about_time(certificate, now)));
    warnings.extend(listeners.flat_map(shadowed));
    for (pool, _) in pools.filter(|(_, tls)| tls.danger_accept_any_certificate) {
        warnings.push(format!(
            "pool `{pool}` accepts any certificate: whoever is on the way can read and change what is sent to its servers"
        ));
    }
    let mut told = HashSet::new();
    warnings.retain(|warning| told.insert(warning.clone()));
    warnings
}

/// What is to be said of the time in which the certificate is valid.
fn about_time(secret: &Secret, now: SystemTime) -> Option<String> {
    let all = pem::certificates(secret).ok()?;
    let (begins, ends) = certificate::validity(all.first()?)?;
    let file = secret.source();
    let date = httpdate::fmt_http_date;
    if now >= ends {
        Some(format!("{file}: the certificate expired on {}, and nobody believes it any more; renew it", date(ends)))
    } else if now < begins {
        Some(format!(
            "{file}: the certificate is not valid before {}; is the clock of this machine right?",
            date(begins)
        ))
    } else if ends.duration_since(now).is_ok_and(|left| left < SOON) {
        Some(format!("{file}: the certificate expires on {}; renew it", date(ends)))
    } else {
        None
    }
}

/// The names of a listener's certificates for which an earlier one is taken.
fn shadowed(tls: &ListenerTls) -> Vec<String> {
    let mut first: HashMap<String, Vec<(SignatureAlgorithm, &str)>> = HashMap::new();
    let mut warnings = Vec::new();
    for pair in &tls.pairs {
        let Ok(certified) = pem::certified(pair) else { continue };
        let Some(leaf) = certified.cert.first() else { continue };
        let (algorithm, file) = (certified.key.algorithm(), pair.cert.source());
        for name in certificate::names(leaf) {
            let known = first.entry(name.clone()).or_default();
            match known.iter().find(|(other, _)| *other == algorithm) {
                Some((_, before)) => warnings
                    .push(format!("{file}: the certificate is not used for {name}, for which {before} comes first")),
                None => known.push((algorithm, file)),
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::super::tests::kit::{Authority, config, listener_tls};
    use super::*;

    #[test]
    fn certificates_out_of_their_time_are_told_of() {
        let authority = Authority::new();
        let mut parameters = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2030, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2030, 4, 1);
        let (cert, key) = authority.issue(&parameters);
        let pair = authority.pair_of(&cert, &key);
        let config = config(([127, 0, 0, 1], 1).into(), |config| {
            config.listeners[0].tls = Some(listener_tls(vec![pair]));
        });
        let day = |year, month, day| SystemTime::from(rcgen::date_time_ymd(year, month, day));
        let told = |at| tls_warnings(&config, at);
        assert!(told(day(2029, 12, 31))[0].contains("site.pem: the certificate is not valid before Tue, 01 Jan 2030"));
        assert!(told(day(2030, 1, 2)).is_empty() && told(day(2030, 3, 17)).is_empty());
        assert!(told(day(2030, 3, 19))[0].contains("site.pem: the certificate expires on Mon, 01 Apr 2030"));
        assert!(told(day(2030, 4, 1))[0].contains("site.pem: the certificate expired on Mon, 01 Apr 2030"));
    }

    #[test]
    fn a_name_that_an_earlier_certificate_has_is_told_of() {
        let authority = Authority::new();
        let named = |file: &str, names: &[&str]| {
            let (cert, key) = authority.pem(names);
            CertPair { cert: authority.secret(file, cert.as_bytes()), ..authority.pair_of(&cert, &key) }
        };
        let pairs = vec![named("one.pem", &["a.example"]), named("two.pem", &["b.example", "a.example"])];
        let told = shadowed(&listener_tls(pairs));
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("two.pem: the certificate is not used for a.example, for which"), "{told:?}");
    }
}
