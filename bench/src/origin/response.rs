//! The origin's responses: made once for each size and sent again and again, so that what the origin spends on a
//! request is little more than its two system calls.

use std::time::{Instant, SystemTime};

/// The largest body a request may ask for.
pub(super) const MAX_BODY: usize = 16 * 1024 * 1024;

/// The stored responses.
#[derive(Default)]
pub(super) struct Responses {
    made: Vec<(usize, Vec<u8>)>,
    dated: Option<Instant>,
}

impl Responses {
    /// Head and body of the response of that size.
    pub(super) fn of_size(&mut self, size: usize) -> &[u8] {
        let index = self.made.iter().position(|(made, _)| *made == size);
        let index = index.unwrap_or_else(|| {
            self.made.push((size, whole(&vec![b'x'; size], false)));
            self.made.len() - 1
        });
        &self.made[index].1
    }

    /// Brings the stored `Date` fields up to date once a second. A date is as long as any other, so a response
    /// that is half written stays whole.
    pub(super) fn refresh_date(&mut self) {
        let now = Instant::now();
        if self.dated.is_some_and(|dated| now.duration_since(dated).as_secs() < 1) {
            return;
        }
        self.dated = Some(now);
        let date = httpdate::fmt_http_date(SystemTime::now());
        for (_, bytes) in &mut self.made {
            bytes[DATE_AT..DATE_AT + date.len()].copy_from_slice(date.as_bytes());
        }
    }
}

const BEFORE_DATE: &str = "HTTP/1.1 200 OK\r\nDate: ";
const DATE_AT: usize = BEFORE_DATE.len();

/// A whole response with the fields an application's server usually sends.
pub(super) fn whole(body: &[u8], close: bool) -> Vec<u8> {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let length = body.len();
    let connection = if close { "Connection: close\r\n" } else { "" };
    let mut bytes = format!(
        "{BEFORE_DATE}{date}\r\nServer: origin\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Cache-Control: no-cache\r\nContent-Length: {length}\r\n{connection}\r\n"
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_date_replaces_the_old_one_and_nothing_else() {
        let mut responses = Responses::default();
        let made = responses.of_size(5).to_vec();
        responses.made[0].1[DATE_AT..DATE_AT + 29].fill(b'?');
        responses.refresh_date();
        let dated = responses.of_size(5);
        assert_eq!(dated.len(), made.len());
        assert_eq!(dated[..DATE_AT], made[..DATE_AT]);
        assert_eq!(dated[DATE_AT + 29..], made[DATE_AT + 29..]);
        assert!(dated[DATE_AT..DATE_AT + 29].ends_with(b" GMT"));
    }
}
