//! The statuses of gRPC: read from answers, and told where an answer is ours.

use std::fmt;

use h2::Reason;
use plimsoll_config::GrpcStatusSet;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(u8);

impl Status {
    pub(crate) const OK: Self = Self(0);
    pub(crate) const CANCELLED: Self = Self(1);
    pub(crate) const UNKNOWN: Self = Self(2);
    pub(crate) const DEADLINE_EXCEEDED: Self = Self(4);
    pub(crate) const NOT_FOUND: Self = Self(5);
    pub(crate) const PERMISSION_DENIED: Self = Self(7);
    pub(crate) const RESOURCE_EXHAUSTED: Self = Self(8);
    pub(crate) const UNIMPLEMENTED: Self = Self(12);
    pub(crate) const INTERNAL: Self = Self(13);
    pub(crate) const UNAVAILABLE: Self = Self(14);
    pub(crate) const DATA_LOSS: Self = Self(15);
    pub(crate) const UNAUTHENTICATED: Self = Self(16);

    /// The value of `grpc-status`. One that is none is unknown, to clients too.
    pub(crate) fn read(value: &[u8]) -> Self {
        match *value {
            [digit @ b'0'..=b'9'] => Self(digit - b'0'),
            [b'1', digit @ b'0'..=b'6'] => Self(10 + digit - b'0'),
            _ => Self::UNKNOWN,
        }
    }

    /// What trailers tell of it, which end in an empty line.
    pub(super) fn among(trailers: &[u8]) -> Option<Self> {
        const NAME: &[u8] = b"grpc-status:";
        let told = |line: &[u8]| {
            let (name, value) = line.split_at_checked(NAME.len())?;
            name.eq_ignore_ascii_case(NAME).then(|| Self::read(value.trim_ascii()))
        };
        trailers.split(|byte| *byte == b'\n').find_map(told)
    }

    /// What a client makes of an answer that has a status of HTTP only (gRPC's "HTTP to gRPC Status Code Mapping").
    pub(crate) fn of_http(status: u16) -> Self {
        match status {
            400 => Self::INTERNAL,
            401 => Self::UNAUTHENTICATED,
            403 => Self::PERMISSION_DENIED,
            404 => Self::UNIMPLEMENTED,
            429 | 502 | 503 | 504 => Self::UNAVAILABLE,
            _ => Self::UNKNOWN,
        }
    }

    /// What an answer of ours is told as, which would have this status of HTTP: the same, but for what gRPC has better words.
    pub(crate) fn of_ours(status: u16) -> Self {
        match status {
            408 => Self::DEADLINE_EXCEEDED,
            413 => Self::RESOURCE_EXHAUSTED,
            _ => Self::of_http(status),
        }
    }

    /// What a stream's end by this code means (gRPC over HTTP/2, "Errors").
    pub(crate) fn of_reset(reason: Reason) -> Self {
        match reason {
            Reason::REFUSED_STREAM => Self::UNAVAILABLE,
            Reason::CANCEL => Self::CANCELLED,
            Reason::ENHANCE_YOUR_CALM => Self::RESOURCE_EXHAUSTED,
            Reason::INADEQUATE_SECURITY => Self::PERMISSION_DENIED,
            _ => Self::INTERNAL,
        }
    }

    pub(crate) fn number(self) -> u8 {
        self.0
    }

    pub(crate) fn is_in(self, set: GrpcStatusSet) -> bool {
        set.contains(self.0)
    }

    /// Whether the call failed on the server's side: what tracing by OpenTelemetry counts as an error of a server, and a
    /// server that is at its limit.
    pub(crate) fn is_failure_of_server(self) -> bool {
        matches!(
            self,
            Self::UNKNOWN
                | Self::DEADLINE_EXCEEDED
                | Self::RESOURCE_EXHAUSTED
                | Self::UNIMPLEMENTED
                | Self::INTERNAL
                | Self::UNAVAILABLE
                | Self::DATA_LOSS
        )
    }

    /// Writes the fields that tell of it, without an empty line: `grpc-status`, and `message` as `grpc-message`.
    pub(crate) fn write(self, out: &mut Vec<u8>, message: &str) {
        out.extend_from_slice(b"grpc-status: ");
        crate::http1::decimal(out, self.0.into());
        out.extend_from_slice(b"\r\ngrpc-message: ");
        for byte in message.bytes() {
            match byte {
                b' '..=b'~' if byte != b'%' => out.push(byte),
                _ => {
                    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
                    out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
                }
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl fmt::Display for Status {
    /// Writes its name as gRPC does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 17] = [
            "OK",
            "CANCELLED",
            "UNKNOWN",
            "INVALID_ARGUMENT",
            "DEADLINE_EXCEEDED",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
            "ABORTED",
            "OUT_OF_RANGE",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
            "UNAUTHENTICATED",
        ];
        f.write_str(NAMES[usize::from(self.0)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_all_else_is_unknown() {
        for number in 0..=16 {
            assert_eq!(Status::read(number.to_string().as_bytes()).number(), number);
        }
        for wrong in ["", "17", "20", "00", "-1", "1 ", "x", "100"] {
            assert_eq!(Status::read(wrong.as_bytes()), Status::UNKNOWN, "{wrong:?}");
        }
    }

    #[test]
    fn trailers_tell_of_it_or_not() {
        assert_eq!(
            Status::among(b"x: 1\r\ngrpc-status: 8\r\ngrpc-message: no\r\n\r\n"),
            Some(Status::RESOURCE_EXHAUSTED)
        );
        assert_eq!(Status::among(b"grpc-status-details-bin: 8\r\n\r\n"), None);
        assert_eq!(Status::among(b""), None);
    }

    #[test]
    fn ends_without_a_status_have_the_one_that_clients_make_of_them() {
        let http = |status: u16| Status::of_http(status).number();
        assert_eq!([400, 401, 403, 404, 429, 500, 502, 503, 504].map(http), [13, 16, 7, 12, 14, 2, 14, 14, 14]);
        assert_eq!([408, 413, 503].map(|status| Status::of_ours(status).number()), [4, 8, 14]);
        let reset = |reason: Reason| Status::of_reset(reason).number();
        let reasons = [
            Reason::NO_ERROR,
            Reason::REFUSED_STREAM,
            Reason::CANCEL,
            Reason::ENHANCE_YOUR_CALM,
            Reason::INADEQUATE_SECURITY,
            Reason::INTERNAL_ERROR,
        ];
        assert_eq!(reasons.map(reset), [13, 14, 1, 8, 7, 13]);
    }

    #[test]
    fn a_message_is_written_in_visible_ascii() {
        let mut out = Vec::new();
        Status::UNAVAILABLE.write(&mut out, "50% of ~all\nü");
        assert_eq!(out, b"grpc-status: 14\r\ngrpc-message: 50%25 of ~all%0A%C3%BC\r\n");
    }
}
