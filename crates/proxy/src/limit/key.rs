//! Who a request is from, as its limits tell clients apart.

use std::net::IpAddr;

use plimsoll_config::LimitKey;
use plimsoll_core::ClientKey;

use super::Limit;
use crate::http1::fields::Field;

/// A request and its client.
pub(super) struct Asker<'a> {
    /// `None` is a client on a Unix socket.
    pub(super) address: Option<IpAddr>,
    pub(super) head: &'a [u8],
    pub(super) fields: &'a [Field],
}

impl Limit {
    /// Which client of this limit it is; `None` where it does not show what is counted by.
    pub(super) fn key(&self, asker: &Asker<'_>) -> Option<ClientKey> {
        match &self.rules.key {
            LimitKey::Client => asker.address.map(|address| self.address_key(address)),
            LimitKey::Header(name) => asker.values(name).next().map(|value| ClientKey::named(value, self.seed)),
            LimitKey::Cookie(name) => {
                let value = asker.values("cookie").find_map(|cookies| cookie(cookies, name.as_bytes()));
                value.map(|value| ClientKey::named(value, self.seed))
            }
            LimitKey::Route => None,
        }
    }

    /// The client at an address.
    pub(super) fn address_key(&self, address: IpAddr) -> ClientKey {
        ClientKey::address(address, self.rules.ipv6_prefix)
    }
}

impl<'a> Asker<'a> {
    /// The values of a field, in their order.
    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let (head, fields) = (self.head, self.fields);
        let named = move |field: &&Field| field.name.slice(head).eq_ignore_ascii_case(name.as_bytes());
        fields.iter().filter(named).map(move |field| field.value.slice(head))
    }
}

/// The value of the first cookie of this name in a `Cookie` field (RFC 6265, section 4.2.1).
fn cookie<'a>(cookies: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    cookies.split(|byte| *byte == b';').find_map(|pair| {
        let (own, value) = pair.trim_ascii().split_at_checked(name.len())?;
        let value = value.trim_ascii_start().strip_prefix(b"=")?;
        (own == name).then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let cookies = b"a=1; sid=x=y ;sid2=z; sid=late";
        let found = |name: &str| cookie(cookies, name.as_bytes()).map(|value| std::str::from_utf8(value).unwrap());
        assert_eq!(found("sid"), Some("x=y"));
        assert_eq!(found("sid2"), Some("z"));
        assert_eq!((found("si"), found("SID"), found("id")), (None, None, None));
        assert_eq!(cookie(b"sid; a", b"sid"), None);
    }
}
