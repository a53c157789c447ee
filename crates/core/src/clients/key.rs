//! Who a client is to the table: 16 bytes that can be shown, and of a secret only what its keyed hash tells.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU128;

/// One client, as a table of limits knows it: an address, a network of addresses, or a value without its text.
///
/// The three highest bits tell which. IPv6 addresses begin with 000, 001 or 111, as nothing else has been given out:
///
/// | bits | the rest |
/// |---|---|
/// | 000, 001, 111 | a network: its address, and after the last bit of the prefix one more that is set |
/// | 010, 011, 101 | one address, which begins with 000, 001 or 111; IPv4 is within `::ffff:0:0/96` |
/// | 100 | 125 bits of a hash |
/// | 110 | a network that begins otherwise, as in the first row but three bits to the right |
///
/// So zero is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey(NonZeroU128);

/// Where those three bits stand.
const CLASS: u32 = 125;
const NAMED: u128 = 0b100;
const ELSEWHERE: u128 = 0b110;

/// A prefix must not end within the three highest bits.
const SHORTEST: u8 = 3;

/// The longest prefix of a network that moves three bits to the right.
const LONGEST_ELSEWHERE: u8 = 124;

impl ClientKey {
    /// The client at an address. An IPv6 one counts with all that share its first `ipv6_prefix` bits: 64 is usual,
    /// since one host has that many; 128 keeps each address apart, less than 3 is taken as 3. An IPv4 address counts by
    /// itself, also one that is mapped into IPv6. Addresses that nobody can have yet (outside `0000::/3`, `2000::/3`
    /// and `e000::/3`) are told apart by 124 bits at most.
    pub fn address(address: IpAddr, ipv6_prefix: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::of(whole(address.to_ipv6_mapped().to_bits()).unwrap_or_default()),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                let prefix = ipv6_prefix.max(SHORTEST);
                Self::of(match whole(bits) {
                    Some(whole) if prefix >= 128 => whole,
                    Some(_) => network(bits, prefix),
                    None => ELSEWHERE << CLASS | network(bits, prefix.min(LONGEST_ELSEWHERE)) >> 3,
                })
            }
        }
    }

    /// The client that sends `value` in a header or a cookie, or the route of that name. The value may be a secret, so
    /// that it is not kept: the key is two passes of `SipHash` (Aumasson and Bernstein, 2012) over a secret seed and
    /// the value. Who does not know the seed can neither guess values by it nor find two with one key.
    pub fn named(value: &[u8], seed: u64) -> Self {
        let pass = |number: u8| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(seed);
            hasher.write_u8(number);
            hasher.write(value);
            u128::from(hasher.finish())
        };
        let hash = pass(0) << 64 | pass(1);
        Self::of(NAMED << CLASS | hash & LOW)
    }

    /// The key as people read it: `192.0.2.1`, `2001:db8::/64`, or `#` and 12 hexadecimal digits for a value.
    pub fn shown(&self) -> impl fmt::Display + use<> {
        Shown(*self)
    }

    /// The bits to hash and compare.
    pub(super) fn bits(self) -> u128 {
        self.0.get()
    }

    /// Zero cannot come, as the table above tells; it would be a client like any other.
    fn of(bits: u128) -> Self {
        Self(NonZeroU128::new(bits).unwrap_or(NonZeroU128::MAX))
    }
}

/// All bits but the three highest.
const LOW: u128 = u128::MAX >> 3;

/// The key of one IPv6 address, unless it begins as none does.
fn whole(bits: u128) -> Option<u128> {
    let class = match bits >> CLASS {
        0b000 => 0b010,
        0b001 => 0b011,
        0b111 => 0b101,
        _ => return None,
    };
    Some(class << CLASS | bits & LOW)
}

/// The address of a network with a prefix below 128, and the bit that ends it.
fn network(bits: u128, prefix: u8) -> u128 {
    let prefix = u32::from(prefix.min(127));
    bits & !(u128::MAX >> prefix) | 1 << (127 - prefix)
}

struct Shown(ClientKey);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.bits();
        let single = |class: u128| IpAddr::V6(Ipv6Addr::from_bits(class << CLASS | bits & LOW)).to_canonical();
        let shared = |bits: u128| (Ipv6Addr::from_bits(bits & (bits - 1)), 127 - bits.trailing_zeros());
        let (address, prefix) = match bits >> CLASS {
            NAMED => return write!(f, "#{:012x}", bits & 0xffff_ffff_ffff),
            0b010 => return write!(f, "{}", single(0b000)),
            0b011 => return write!(f, "{}", single(0b001)),
            0b101 => return write!(f, "{}", single(0b111)),
            ELSEWHERE => shared(bits << 3),
            _ => shared(bits),
        };
        write!(f, "{address}/{prefix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(address: &str, prefix: u8) -> String {
        ClientKey::address(address.parse().unwrap(), prefix).shown().to_string()
    }

    #[test]
    fn a_key_is_sixteen_bytes_also_where_there_may_be_none() {
        assert_eq!(size_of::<ClientKey>(), 16);
        assert_eq!(size_of::<Option<ClientKey>>(), 16);
    }

    #[test]
    fn addresses_are_shown_as_people_write_them() {
        assert_eq!(shown("192.0.2.1", 64), "192.0.2.1");
        assert_eq!(shown("::ffff:192.0.2.1", 64), "192.0.2.1");
        assert_eq!(shown("0.0.0.0", 64), "0.0.0.0");
        assert_eq!(shown("255.255.255.255", 64), "255.255.255.255");
        assert_eq!(shown("2001:db8::1", 64), "2001:db8::/64");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6", 56), "2001:db8:1::/56");
        assert_eq!(shown("2001:db8::1", 128), "2001:db8::1");
        assert_eq!(shown("2001:db8::3", 127), "2001:db8::2/127");
        assert_eq!(shown("fe80::1:2", 128), "fe80::1:2");
        assert_eq!(shown("fd00:1::2", 48), "fd00:1::/48");
        assert_eq!(shown("::1", 128), "::1");
        assert_eq!(shown("::1", 64), "::/64");
        assert_eq!(shown("::", 128), "::");
        assert_eq!(shown("2001:db8::1", 0), "2000::/3");
        assert_eq!(shown("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 255), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        assert_eq!(shown("8000::1:1", 64), "8000::/64");
        assert_eq!(shown("4000::1:1", 128), "4000::1:0/124");
    }

    #[test]
    fn networks_of_different_length_and_single_addresses_are_never_one_client() {
        let address: IpAddr = "2001:db8::".parse().unwrap();
        let mut keys: Vec<ClientKey> = (3..=128).map(|prefix| ClientKey::address(address, prefix)).collect();
        keys.extend(
            ["2001:db8::1", "2001:db8::8000:0:0:0", "192.0.2.1", "4000::", "6000::", "8000::", "a000::", "c000::"]
                .map(|other| ClientKey::address(other.parse().unwrap(), 128)),
        );
        keys.push(ClientKey::named(b"2001:db8::", 1));
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }

    #[test]
    fn a_prefix_makes_one_client_of_those_who_share_it_and_of_nobody_else() {
        let key = |address: &str, prefix| ClientKey::address(address.parse().unwrap(), prefix);
        assert_eq!(key("2001:db8::1", 64), key("2001:db8::ffff:1:2:3", 64));
        assert_ne!(key("2001:db8::1", 64), key("2001:db8:0:1::1", 64));
        assert_eq!(key("2001:db8:0:1::1", 48), key("2001:db8::1", 48));
        assert_ne!(key("2001:db8::1", 128), key("2001:db8::2", 128));
    }

    #[test]
    fn of_a_value_only_a_hash_by_the_seed_is_left() {
        let key = ClientKey::named(b"session-1", 7);
        let text = key.shown().to_string();
        assert!(text.len() == 13 && text.starts_with('#'), "{text}");
        assert_eq!(key, ClientKey::named(b"session-1", 7));
        assert_ne!(key, ClientKey::named(b"session-2", 7));
        assert_ne!(key, ClientKey::named(b"session-1", 8));
        assert!(!format!("{key:?}").contains("session"));
    }
}
