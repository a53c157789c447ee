//! The key that the policy `hash` goes by. It depends on the request alone, so that it is the same after a restart and in
//! another balancer.

use std::net::IpAddr;

use plimsoll_config::HashOn;

use crate::http1::cookies;
use crate::http1::fields::Field;
use crate::http1::request::RequestHead;
use crate::http1::variables::split_query;

/// What is known of a request before it has a server.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The head as it was read, and what it says; of a connection that is balanced as a whole there is none.
    pub(crate) head: Option<(&'a [u8], &'a RequestHead)>,
    /// Path and query that servers are asked for, where those are not the ones that came; else empty.
    pub(crate) target: &'a [u8],
    /// Who the client is; `None` is one on a Unix socket.
    pub(crate) client: Option<IpAddr>,
}

/// The key of what is asked; `None` where it has none of what the key is made of.
pub(super) fn of(on: &HashOn, asked: &Asked<'_>) -> Option<u64> {
    match (on, asked.head) {
        (HashOn::Client { ipv6_prefix }, _) => asked.client.map(|client| of_client(client, *ipv6_prefix)),
        (HashOn::Header(name), Some((head, request))) => field(head, &request.fields, name).map(hash),
        (HashOn::Cookie(name), Some((head, request))) => cookies::named(head, &request.fields, name).next().map(hash),
        (HashOn::Path, Some((head, request))) => {
            // What servers get, so that however a path is written it is one key.
            let target = if asked.target.is_empty() { request.target.path.slice(head) } else { asked.target };
            let (path, _) = split_query(target);
            Some(hash(if path.is_empty() { b"/" } else { path }))
        }
        (HashOn::Header(_) | HashOn::Cookie(_) | HashOn::Path, None) => None,
    }
}

fn of_client(client: IpAddr, ipv6_prefix: u8) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => hash(&address.octets()),
        IpAddr::V6(address) => {
            let rest = u128::BITS.saturating_sub(u32::from(ipv6_prefix));
            let network = u128::MAX.checked_shl(rest).unwrap_or(0) & address.to_bits();
            hash(&network.to_be_bytes())
        }
    }
}

/// FNV-1a (Fowler, Noll, Vo, 1991): who makes up requests may well make their keys meet, and the bound on the load is for that.
fn hash(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

/// The value of the first field of this name.
pub(super) fn field<'a>(head: &'a [u8], fields: &[Field], name: &str) -> Option<&'a [u8]> {
    let found = fields.iter().find(|field| field.name.slice(head).eq_ignore_ascii_case(name.as_bytes()))?;
    Some(found.value.slice(head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::request::HeadRules;

    fn key(on: &HashOn, head: &str) -> Option<u64> {
        let mut request = RequestHead::default();
        request.parse(head.as_bytes(), HeadRules { max_target: 1000, bare_lf: false }).expect("a right head");
        of(on, &Asked { head: Some((head.as_bytes(), &request)), target: &[], client: None })
    }

    fn client(address: &str, ipv6_prefix: u8) -> Option<u64> {
        let client = Some(address.parse().expect("an address"));
        of(&HashOn::Client { ipv6_prefix }, &Asked { head: None, target: &[], client })
    }

    #[test]
    fn a_client_is_its_address_or_its_network() {
        assert_eq!(client("192.0.2.1", 64), client("::ffff:192.0.2.1", 64));
        assert_ne!(client("192.0.2.1", 64), client("192.0.2.2", 64));
        assert_eq!(client("2001:db8::1", 64), client("2001:db8::ffff:1:2:3", 64));
        assert_ne!(client("2001:db8::1", 64), client("2001:db8:0:1::1", 64));
        assert_ne!(client("2001:db8::1", 128), client("2001:db8::2", 128));
        let on_unix = of(&HashOn::Client { ipv6_prefix: 64 }, &Asked { head: None, target: &[], client: None });
        assert_eq!(on_unix, None);
    }

    #[test]
    fn a_request_is_its_path_a_field_or_a_cookie() {
        let head = |path: &str, field: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n");
        let path = |path: &str| key(&HashOn::Path, &head(path, "A: b"));
        assert_eq!(path("/a?b=1"), path("/a"));
        assert_ne!(path("/a"), path("/b"));
        let header = HashOn::Header("X-Key".to_owned());
        assert_eq!(key(&header, &head("/", "x-key: 1")), key(&header, &head("/b", "X-KEY:  1")));
        assert_eq!(key(&header, &head("/", "X-Other: 1")), None);
        let cookie = HashOn::Cookie("sid".to_owned());
        assert_eq!(key(&cookie, &head("/", "Cookie: a=b; sid=7")), key(&cookie, &head("/", "cookie: sid=7")));
        assert_eq!(key(&cookie, &head("/", "Cookie: SID=7")), None);
    }

    #[test]
    fn a_key_is_the_same_in_every_version() {
        assert_eq!(client("192.0.2.1", 64), Some(0x492D_47C0_4621_4554));
    }
}
