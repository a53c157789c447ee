//! What a client takes of the content codings that its route offers (RFC 9110, section 12.5.3).

use plimsoll_config::{Algorithm, Compress};

use crate::http1::fields::list;
use crate::http1::request::RequestHead;

/// What is wanted of an answer, as far as compression goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// How it is to be compressed, if it may be; `None` is not at all.
    pub(super) coding: Option<Algorithm>,
    /// The client knows an answer by a tag that says of itself that it is weak, as those that we have compressed do.
    pub(super) by_weak_tag: bool,
}

impl Wish {
    /// What the client says in the `head` of its request, where `rule` holds.
    pub(crate) fn read(head: &[u8], request: &RequestHead, rule: &Compress) -> Self {
        let mut weights = Weights::default();
        let (mut keep, mut by_weak_tag) = (false, false);
        for field in &request.fields {
            let (name, value) = (field.name.slice(head), field.value.slice(head));
            match name.len() {
                15 if name.eq_ignore_ascii_case(b"Accept-Encoding") => weights.add(value),
                13 if name.eq_ignore_ascii_case(b"Cache-Control") => keep |= says_no_transform(value),
                13 if name.eq_ignore_ascii_case(b"If-None-Match") => by_weak_tag |= list(value).any(is_weak),
                _ => {}
            }
        }
        // A body whose length is not known beforehand can only be sent to HTTP/1.0 as one that may be cut short unseen.
        let possible = request.minor_version >= 1 && !keep;
        Self { coding: weights.choose(&rule.algorithms).filter(|_| possible), by_weak_tag }
    }
}

/// Whether `Cache-Control` asks that nobody on the way changes the content.
pub(super) fn says_no_transform(value: &[u8]) -> bool {
    list(value).any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

/// Whether an entity tag is a weak one (RFC 9110, section 8.8.3).
pub(super) fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

/// How much a client wants each coding, in thousandths; `None` is what it has not named.
#[derive(Default)]
struct Weights {
    gzip: Option<u16>,
    brotli: Option<u16>,
    zstd: Option<u16>,
    identity: Option<u16>,
    /// What is not named.
    any: Option<u16>,
}

impl Weights {
    /// Takes one `Accept-Encoding` value in.
    fn add(&mut self, value: &[u8]) {
        for member in list(value) {
            let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(weight).unwrap_or(Some(1000)).unwrap_or(0);
            let known = match name.to_ascii_lowercase().as_slice() {
                b"gzip" | b"x-gzip" => &mut self.gzip,
                b"br" => &mut self.brotli,
                b"zstd" => &mut self.zstd,
                b"identity" => &mut self.identity,
                b"*" => &mut self.any,
                _ => continue,
            };
            *known = Some(weight);
        }
    }

    /// The most wanted of those offered, and of several the first; none where the client would rather have it as it is.
    fn choose(&self, offered: &[Algorithm]) -> Option<Algorithm> {
        let mut best = None;
        let mut most = self.identity.unwrap_or(0).max(1);
        for algorithm in offered {
            let named = match algorithm {
                Algorithm::Gzip => self.gzip,
                Algorithm::Brotli => self.brotli,
                Algorithm::Zstd => self.zstd,
            };
            let weight = named.or(self.any).unwrap_or(0);
            if weight > most || (weight == most && best.is_none()) {
                (best, most) = (Some(*algorithm), weight);
            }
        }
        best
    }
}

/// The weight that a parameter tells, if it is one that tells a weight; a weight that is none is `Some(None)`.
#[expect(clippy::option_option, reason = "another parameter is passed over, a wrong weight is not")]
fn weight(parameter: &[u8]) -> Option<Option<u16>> {
    let number = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let (whole, fraction) = number.split_at(number.len().min(1));
    let digits = match fraction {
        [] => fraction,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return Some(None),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return Some(None);
    }
    let thousandths =
        (0..3).fold(0, |sum, place| sum * 10 + digits.get(place).map_or(0, |digit| u16::from(digit - b'0')));
    Some(match whole {
        b"0" => Some(thousandths),
        b"1" if thousandths == 0 => Some(1000),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::request::HeadRules;

    const ALL: [Algorithm; 3] = [Algorithm::Zstd, Algorithm::Brotli, Algorithm::Gzip];

    fn wish(fields: &str) -> Wish {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut request = RequestHead::default();
        request.parse(head.as_bytes(), HeadRules { max_target: 100, bare_lf: false }).unwrap();
        let rule = Compress { algorithms: ALL.to_vec(), types: Vec::new(), min_size: 0 };
        Wish::read(head.as_bytes(), &request, &rule)
    }

    fn chosen(accepted: &str) -> Option<Algorithm> {
        wish(&format!("Accept-Encoding: {accepted}\r\n")).coding
    }

    #[test]
    fn the_most_wanted_is_chosen_and_among_equals_our_first() {
        assert_eq!(chosen("gzip, deflate, br, zstd"), Some(Algorithm::Zstd));
        assert_eq!(chosen("gzip, deflate, br"), Some(Algorithm::Brotli));
        assert_eq!(chosen("GZIP"), Some(Algorithm::Gzip));
        assert_eq!(chosen("x-gzip"), Some(Algorithm::Gzip));
        assert_eq!(chosen("zstd;q=0.5, gzip ; q=0.501, br;q=0.2"), Some(Algorithm::Gzip));
        assert_eq!(chosen("*"), Some(Algorithm::Zstd));
        assert_eq!(chosen("zstd;q=0, *;q=0.1"), Some(Algorithm::Brotli));
        assert_eq!(chosen("gzip;x=1;q=1.000"), Some(Algorithm::Gzip));
        assert_eq!(wish("Accept-Encoding: gzip\r\naccept-encoding: br\r\n").coding, Some(Algorithm::Brotli));
    }

    #[test]
    fn nothing_is_chosen_that_the_client_did_not_name_or_refused() {
        assert_eq!(wish("").coding, None, "who says nothing may understand nothing");
        for accepted in ["", "deflate", "identity", "gzip;q=0", "gzip;q=0.000", "*;q=0", "gzip;q=2", "gzip;q=1.001"] {
            assert_eq!(chosen(accepted), None, "{accepted}");
        }
        for wrong in ["gzip;q=", "gzip;q=-1", "gzip;q=0.5555", "gzip;q=a", "gzip;q=.5", "gzip;q=0,5"] {
            assert_eq!(chosen(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_client_that_would_rather_have_it_as_it_is_gets_it_so() {
        assert_eq!(chosen("gzip;q=0.5, identity"), None);
        assert_eq!(chosen("gzip;q=0.5, identity;q=0.5"), Some(Algorithm::Gzip));
        assert_eq!(chosen("gzip;q=0.5, br;q=0.6, identity;q=0.5"), Some(Algorithm::Brotli));
        assert_eq!(wish("Accept-Encoding: gzip\r\nCache-Control: max-age=0, No-Transform\r\n").coding, None);
    }

    #[test]
    fn it_is_noted_that_a_client_knows_an_answer_by_a_weak_tag() {
        assert!(wish("If-None-Match: \"a\", W/\"b\"\r\n").by_weak_tag);
        assert!(!wish("If-None-Match: \"a\", \"W/\"\r\n").by_weak_tag);
    }
}
