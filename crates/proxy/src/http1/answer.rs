//! The answers that the balancer gives itself: small, correct, and saying what was wrong.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

/// One such answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
    /// When to come back, for 503.
    pub(crate) retry_after: Option<Duration>,
    /// The connection ends with this answer.
    pub(crate) close: bool,
    /// The request was HEAD.
    pub(crate) bodiless: bool,
}

impl Answer {
    /// Writes the whole answer to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Self { status, reason, .. } = self;
        let phrase = phrase(*status);
        let date = httpdate::fmt_http_date(SystemTime::now());
        let body = format!("{status} {phrase}: {reason}.\n");
        let length = body.len();
        // Writing to a Vec cannot fail, here and below.
        let _ = write!(
            out,
            "HTTP/1.1 {status} {phrase}\r\nDate: {date}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Cache-Control: no-store\r\nContent-Length: {length}\r\n"
        );
        if let Some(after) = self.retry_after {
            // Whole seconds, and never sooner than was meant.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            let _ = write!(out, "Retry-After: {seconds}\r\n");
        }
        if *status == 405 {
            let _ = write!(out, "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
        }
        let _ = write!(out, "{}\r\n", if self.close { "Connection: close\r\n" } else { "" });
        if !self.bodiless {
            out.extend_from_slice(body.as_bytes());
        }
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_that_of_the_body() {
        for (status, bodiless) in [(400, false), (503, false), (505, true)] {
            let mut out = Vec::new();
            let answer = Answer {
                status,
                reason: "so it is",
                retry_after: Some(Duration::from_millis(1500)),
                close: true,
                bodiless,
            };
            answer.write(&mut out);
            let text = String::from_utf8(out).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let length: usize = head.split("Content-Length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
            assert_eq!(body.len(), if bodiless { 0 } else { length });
            assert!(head.contains("Retry-After: 2") && head.ends_with("Connection: close"), "{head}");
        }
    }
}
