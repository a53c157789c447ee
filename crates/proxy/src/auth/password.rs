//! Whether a password is the one that a hash was made from: bcrypt, or Argon2 as it is written down (the PHC string format).

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq as _;

/// Whether `hash`, of one of the forms that a file of users has, was made from `password`. This takes long, and not longer for
/// one that is nearly right.
pub(super) fn is_right(password: &[u8], hash: &str) -> bool {
    if hash.starts_with("$argon2") {
        return argon2(password, hash).unwrap_or(false);
    }
    // Like every bcrypt it looks at the first 72 bytes, and compares in constant time.
    bcrypt::verify(password, hash).unwrap_or(false)
}

/// `None` where the hash is none.
fn argon2(password: &[u8], hash: &str) -> Option<bool> {
    let mut parts = hash.strip_prefix('$')?.split('$').peekable();
    let algorithm = Algorithm::new(parts.next()?).ok()?;
    let version = match parts.next_if(|part| part.starts_with("v=")) {
        // Before the version was written down there was but one.
        None | Some("v=16") => Version::V0x10,
        Some("v=19") => Version::V0x13,
        Some(_) => return None,
    };
    let mut costs = parts.next()?.split(',');
    let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.parse::<u32>().ok();
    let (memory, passes, lanes) = (cost("m=")?, cost("t=")?, cost("p=")?);
    let salt = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
    let wanted = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
    let params = Params::new(memory, passes, lanes, Some(wanted.len())).ok()?;
    let mut found = vec![0; wanted.len()];
    Argon2::new(algorithm, version, params).hash_password_into(password, &salt, &mut found).ok()?;
    Some(found.ct_eq(&wanted).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `swordfish`, by `htpasswd`, by OpenBSD's library as Python has it, and by the reference implementation of Argon2.
    const HASHES: [&str; 9] = [
        "$2y$04$U89yt1oIOMKget4U2SQK7eOcx/RNwSFhPYYAjQ..G.FMwVzdQZmGG",
        "$2b$04$55OWq6l0aoCL3b9Pb/GWrebkweS69F6DDw6G1Vc.mcDbOJggIfKeq",
        "$argon2id$v=16$m=32,t=1,p=2$cGluY2ggb2Ygc2FsdA$LBthMedGdpWgu/U6AmK29rcH3Qdy/RoY",
        "$argon2id$v=19$m=32,t=1,p=2$cGluY2ggb2Ygc2FsdA$CUxbwup245ZFqD4LIXQIUSwbdw1+mJzu",
        "$argon2i$v=16$m=32,t=1,p=2$cGluY2ggb2Ygc2FsdA$yHU0p25DIpvVSpoAkUf+PkTX8cfTVPoI",
        "$argon2i$v=19$m=32,t=1,p=2$cGluY2ggb2Ygc2FsdA$KC2NJLih0ReEry0nKWbGWdCiLPHEKWyC",
        "$argon2d$v=16$m=32,t=1,p=2$cGluY2ggb2Ygc2FsdA$On1CiU5b7SXaEp0mcSQ3T61ar5Vci7xg",
        "$argon2d$v=19$m=32,t=1,p=2$cGluY2ggb2Ygc2FsdA$cYadHEypu9qOXjRPAOXwuU4AOYGWRCDA",
        "$argon2id$v=19$m=8,t=1,p=1$OCBieXRlcyE$Fa2BWA",
    ];

    #[test]
    fn the_hashes_of_others_are_understood() {
        for hash in HASHES {
            assert!(is_right(b"swordfish", hash), "{hash}");
            for wrong in [&b"swordfisH"[..], b"swordfish ", b"swordfis", b""] {
                assert!(!is_right(wrong, hash), "{hash}");
            }
        }
        // Written before there was another version.
        assert!(is_right(b"swordfish", &HASHES[2].replace("v=16$", "")));
    }

    #[test]
    fn no_password_is_right_for_what_is_no_hash() {
        for hash in ["", "$2y$", "$2y$99$x", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=2$OCBieXRlcyE$Fa2BWA", "swordfish"]
        {
            assert!(!is_right(b"swordfish", hash) && !is_right(b"", hash), "{hash}");
        }
    }
}
