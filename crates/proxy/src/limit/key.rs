//! Who a request is from, as its limits tell clients apart.

use std::net::IpAddr;

use plimsoll_config::LimitKey;
use plimsoll_core::ClientKey;

use super::table::Limit;
use crate::http1::fields::{Field, same_variable};
use crate::http1::{Reject, cookies};

/// A browser sends two or three cookies of one name, where paths or domains of theirs have changed. Who sends more wants to
/// count as somebody else each time.
const MOST_COOKIES: usize = 4;

/// Which of them a server goes by, nobody can tell.
const SEVERAL_FIELDS: Reject =
    Reject::bad("a field that clients are told apart by comes more than once, with different values");
const MANY_COOKIES: Reject = Reject::bad("a cookie that clients are told apart by comes with more than four values");

/// Whom a request counts for in one limit: nobody where it does not show what is counted by, several where it shows several.
pub(super) type Keys = [Option<ClientKey>; MOST_COOKIES];

/// A request and its client.
pub(super) struct Asker<'a> {
    /// `None` is a client on a Unix socket.
    pub(super) address: Option<IpAddr>,
    pub(super) head: &'a [u8],
    pub(super) fields: &'a [Field],
}

impl Limit {
    /// Which clients of this limit it is; in the error why that cannot be told.
    pub(super) fn keys(&self, asker: &Asker<'_>) -> Result<Keys, Reject> {
        match &self.rules.key {
            LimitKey::Client => Ok([asker.address.map(|address| self.address_key(address)), None, None, None]),
            LimitKey::Header(name) => self.of_values(asker.values(name), 1).ok_or(SEVERAL_FIELDS),
            LimitKey::Cookie(name) => {
                let values = cookies::named(asker.head, asker.fields, name).map(unquoted);
                self.of_values(values, MOST_COOKIES).ok_or(MANY_COOKIES)
            }
            LimitKey::Route => Ok(Keys::default()),
        }
    }

    /// The clients that send these values; `None` where those are more than `most` different ones.
    fn of_values<'a>(&self, values: impl Iterator<Item = &'a [u8]>, most: usize) -> Option<Keys> {
        let mut found: [Option<&[u8]>; MOST_COOKIES] = Default::default();
        for value in values {
            let place = found.iter_mut().take(most).find(|found| found.is_none_or(|found| found == value))?;
            *place = Some(value);
        }
        Some(found.map(|value| value.map(|value| ClientKey::named(value, self.seed))))
    }
}

impl<'a> Asker<'a> {
    /// The values of a field, in their order, and of those that some servers take for it.
    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let (head, fields) = (self.head, self.fields);
        let named = move |field: &&Field| same_variable(field.name.slice(head), name.as_bytes());
        fields.iter().filter(named).map(move |field| field.value.slice(head))
    }
}

/// The value of a cookie without the quotes that it may stand in (RFC 6265, section 4.1.1), which mean nothing.
fn unquoted(value: &[u8]) -> &[u8] {
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_around_a_cookie_are_not_part_of_it() {
        let shown = ["x", "\"x\"", "\"x", "x\"", "\"", "\"\"", ""].map(|value| unquoted(value.as_bytes()));
        assert_eq!(shown, [&b"x"[..], b"x", b"\"x", b"x\"", b"\"", b"", b""]);
    }
}
