//! Trailer sections (RFC 9110, section 6.5): held to the rules of a head, and written anew.

use super::Reject;
use super::fields::{Kind, MAX_FIELDS};

/// Writes `section`, which ends in an empty line, anew; what is left of it ends in an empty line too.
///
/// Fields that the balancer has an opinion about are left out: a recipient that takes trailers for part of the
/// head must not find another length, host or client address there (RFC 9110, section 6.5.1).
pub(crate) fn rewrite(section: &[u8]) -> Result<Vec<u8>, Reject> {
    if section == b"\r\n" {
        return Ok(section.to_vec());
    }
    let mut storage = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let fields = match httparse::parse_headers(section, &mut storage) {
        Ok(httparse::Status::Complete((length, fields))) if length == section.len() => fields,
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Reject { status: 431, reason: "the trailers have more than 128 fields" });
        }
        _ => return Err(Reject::bad("a line of the trailers is not a field")),
    };
    let mut out = Vec::with_capacity(section.len());
    for field in fields {
        if Kind::of(field.name.as_bytes()) == Kind::Other {
            for part in [field.name.as_bytes(), b": ", field.value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_anew_without_what_belongs_into_a_head() {
        let section = b"X-Sum:1 \r\nContent-Length: 5\r\nhost: b\r\nX-Forwarded-For: 1.2.3.4\r\ny:\t2\r\n\r\n";
        assert_eq!(rewrite(section).unwrap(), b"X-Sum: 1\r\ny: 2\r\n\r\n");
        assert_eq!(rewrite(b"\r\n").unwrap(), b"\r\n");
        assert_eq!(rewrite(b"Connection: x\r\n\r\n").unwrap(), b"\r\n");
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for wrong in [
            "GET / HTTP/1.1\r\n\r\n",
            "A: b\r\n c\r\n\r\n",
            "A : b\r\n\r\n",
            ": b\r\n\r\n",
            "A: b\rC: d\r\n\r\n",
            "A: b\0\r\n\r\n",
        ] {
            assert_eq!(rewrite(wrong.as_bytes()).unwrap_err().status, 400, "{wrong:?}");
        }
        assert_eq!(rewrite(&[&b"A: b\r\n".repeat(129)[..], b"\r\n"].concat()).unwrap_err().status, 431);
    }
}
