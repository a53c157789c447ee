//! Where a body ends: the rules of RFC 9112, section 6, kept strictly and in this file only.
//!
//! Two recipients that disagree about where a message ends can be made to see different messages, which is
//! request smuggling. So whatever could be read in two ways is refused, never repaired.

use super::Reject;
use super::fields::list;

/// How long a body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// There is none.
    #[default]
    None,
    /// This many bytes, at least one.
    Known(u64),
    /// Chunks, ended by an empty one.
    Chunked,
    /// Until the server closes; responses only.
    UntilClose,
}

/// What the framing fields of a head say, taken in one by one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Framing {
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    /// Takes a `Content-Length` value in. Repeated equal lengths count as one (RFC 9112, section 6.3).
    pub(crate) fn add_content_length(&mut self, value: &[u8]) -> Result<(), Reject> {
        let length = decimal(value).ok_or(Reject::bad("Content-Length is not a plain decimal number"))?;
        if self.length.replace(length).is_some_and(|before| before != length) {
            return Err(Reject::bad("Content-Length is given twice with different values"));
        }
        Ok(())
    }

    /// Takes a `Transfer-Encoding` value in. Only `chunked`, once, is understood.
    pub(crate) fn add_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Reject> {
        if !self.chunked && value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        let final_chunked = list(value).last().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        if final_chunked && !self.chunked && list(value).filter(|c| c.eq_ignore_ascii_case(b"chunked")).count() == 1 {
            return Err(Reject { status: 501, reason: "no transfer coding other than chunked is understood" });
        }
        Err(Reject::bad("Transfer-Encoding is not a single chunked"))
    }

    /// The body of a request with these fields.
    pub(crate) fn request_body(self, minor_version: u8) -> Result<BodyLength, Reject> {
        self.check(minor_version)?;
        Ok(match self.length {
            _ if self.chunked => BodyLength::Chunked,
            None | Some(0) => BodyLength::None,
            Some(length) => BodyLength::Known(length),
        })
    }

    /// The body of a response with these fields. `bodiless` says that the request was HEAD.
    pub(crate) fn response_body(self, minor_version: u8, status: u16, bodiless: bool) -> Result<BodyLength, Reject> {
        self.check(minor_version)?;
        if bodiless || status < 200 || status == 204 || status == 304 {
            return Ok(BodyLength::None);
        }
        Ok(match self.length {
            _ if self.chunked => BodyLength::Chunked,
            None => BodyLength::UntilClose,
            Some(0) => BodyLength::None,
            Some(length) => BodyLength::Known(length),
        })
    }

    fn check(self, minor_version: u8) -> Result<(), Reject> {
        if self.chunked && self.length.is_some() {
            return Err(Reject::bad("the head has both Content-Length and Transfer-Encoding"));
        }
        if self.chunked && minor_version == 0 {
            return Err(Reject::bad("Transfer-Encoding in a message of HTTP/1.0"));
        }
        Ok(())
    }
}

/// Digits only: no sign, no white space, no overflow.
fn decimal(value: &[u8]) -> Option<u64> {
    let add = |number: u64, digit: &u8| {
        digit.is_ascii_digit().then(|| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?
    };
    if value.is_empty() { None } else { value.iter().try_fold(0, add) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(values: &[&str]) -> Result<BodyLength, Reject> {
        let mut framing = Framing::default();
        for value in values {
            framing.add_content_length(value.as_bytes())?;
        }
        framing.request_body(1)
    }

    #[test]
    fn lengths_are_plain_decimals() {
        assert_eq!(lengths(&["5"]), Ok(BodyLength::Known(5)));
        assert_eq!(lengths(&["0"]), Ok(BodyLength::None));
        assert_eq!(lengths(&["5", "5"]), Ok(BodyLength::Known(5)));
        assert_eq!(lengths(&["18446744073709551615"]), Ok(BodyLength::Known(u64::MAX)));
        for wrong in ["", "+5", "-5", "5 ", "5, 5", "0x5", "5a", "18446744073709551616", "٥"] {
            assert!(lengths(&[wrong]).is_err(), "{wrong:?}");
        }
        assert!(lengths(&["5", "6"]).is_err());
    }

    #[test]
    fn only_a_single_chunked_is_understood() {
        let coding = |values: &[&str]| {
            let mut framing = Framing::default();
            values.iter().try_for_each(|value| framing.add_transfer_encoding(value.as_bytes()))?;
            framing.request_body(1)
        };
        assert_eq!(coding(&["chunked"]), Ok(BodyLength::Chunked));
        assert_eq!(coding(&["Chunked"]), Ok(BodyLength::Chunked));
        assert_eq!(coding(&["gzip, chunked"]).unwrap_err().status, 501);
        for wrong in ["", "identity", "chunked, gzip", "xchunked", "chunked, chunked", "chunked;x=1", "\u{b}chunked"] {
            assert_eq!(coding(&[wrong]).unwrap_err().status, 400, "{wrong:?}");
        }
        assert_eq!(coding(&["chunked", "chunked"]).unwrap_err().status, 400);
    }

    #[test]
    fn both_or_chunked_before_http_1_1_is_refused() {
        let framing = Framing { length: Some(5), chunked: true };
        assert!(framing.request_body(1).is_err());
        assert!(framing.response_body(1, 200, false).is_err());
        assert!(Framing { length: None, chunked: true }.request_body(0).is_err());
    }

    #[test]
    fn responses_without_a_body() {
        let framing = Framing { length: Some(5), chunked: false };
        for (status, bodiless) in [(200, true), (100, false), (204, false), (304, false)] {
            assert_eq!(framing.response_body(1, status, bodiless), Ok(BodyLength::None));
        }
        assert_eq!(framing.response_body(1, 200, false), Ok(BodyLength::Known(5)));
        assert_eq!(Framing::default().response_body(1, 200, false), Ok(BodyLength::UntilClose));
    }
}
