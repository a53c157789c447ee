//! Ranges of addresses as people write them: an address alone, or with the number of bits that count; and sets of them.

mod file;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::json;

use crate::address_text::{Fault, read_text};
use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape};

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// All whose first bits are those of an address; bits beyond are zero.
    Ip {
        /// The address.
        address: IpAddr,
        /// How many bits count.
        bits: u8,
    },
    /// Whoever comes over a Unix socket.
    Unix,
}

impl Network {
    /// Whether `address` is in it; `None` is a client on a Unix socket. An IPv4 address inside an IPv6 one is taken for
    /// what it is.
    pub fn contains(&self, address: Option<IpAddr>) -> bool {
        match (self, address.map(|address| address.to_canonical())) {
            (Self::Unix, None) => true,
            (Self::Ip { address: IpAddr::V4(own), bits }, Some(IpAddr::V4(other))) => {
                let apart = u32::from(*own) ^ u32::from(other);
                apart.checked_shr(32 - u32::from(*bits)).unwrap_or(0) == 0
            }
            (Self::Ip { address: IpAddr::V6(own), bits }, Some(IpAddr::V6(other))) => {
                let apart = u128::from(*own) ^ u128::from(other);
                apart.checked_shr(128 - u32::from(*bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    /// Writes it as the file says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip { address, bits } if *bits == if address.is_ipv4() { 32 } else { 128 } => write!(f, "{address}"),
            Self::Ip { address, bits } => write!(f, "{address}/{bits}"),
            Self::Unix => f.write_str("unix"),
        }
    }
}

impl Setting for Network {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        if item.get_ref().as_str().is_none() {
            return reader.unfit(item, place, HELP);
        }
        read_text(item, place, reader, network)
    }

    fn shape() -> Shape {
        Shape {
            expects: "an IP address, a network such as \"10.0.0.0/8\" or \"unix\"".to_owned(),
            schema: json!({ "type": "string", "pattern": "^([0-9A-Fa-f:.]+(/[0-9]{1,3})?|unix)$" }),
            table: None,
        }
    }
}

const HELP: &str = "write \"10.0.0.0/8\", \"192.168.1.7\", \"2001:db8::/32\" or \"unix\"";

/// The range that `text` says.
fn network(text: &str) -> Result<Network, Fault> {
    if text == "unix" {
        return Ok(Network::Unix);
    }
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else {
        return Fault::new("is no IP address and no network", HELP);
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits.map(|bits| (bits.parse::<u8>(), bits.bytes().all(|byte| byte.is_ascii_digit()))) {
        None => most,
        Some((Ok(bits), true)) if bits <= most => bits,
        Some(_) => {
            return Fault::new(
                "does not end in a number of bits",
                format!("write a number from 0 to {most} after the slash"),
            );
        }
    };
    check_mapped(address, bits)?;
    let masked = masked(address, bits);
    if masked != address {
        return Fault::new(
            format!("has bits that are set beyond the first {bits}"),
            format!("write \"{masked}/{bits}\" for the network, or \"{address}\" for this address alone"),
        );
    }
    Ok(Network::Ip { address, bits })
}

/// Addresses of clients inside IPv6 are taken for the IPv4 that they are, so that such a network would hold nobody.
fn check_mapped(address: IpAddr, bits: u8) -> Result<(), Fault> {
    /// Before these many bits all mapped addresses are the same (RFC 4291, section 2.5.5.2).
    const PREFIX: u8 = 96;
    let IpAddr::V6(v6) = address else { return Ok(()) };
    match (v6.to_ipv4_mapped(), bits.checked_sub(PREFIX)) {
        (Some(v4), Some(bits)) => {
            let plain = masked(v4.into(), bits);
            let bits = if bits == 32 { String::new() } else { format!("/{bits}") };
            Fault::new("is an IPv4 address written as IPv6", format!("write \"{plain}{bits}\""))
        }
        _ => Ok(()),
    }
}

/// `address` with all but its first `bits` bits zero.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            Ipv4Addr::from(u32::from(v4) & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            Ipv6Addr::from(u128::from(v6) & mask).into()
        }
    }
}

/// Any number of ranges, asked in a time that grows with the logarithm of their number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkSet {
    /// First and last address of each, in order and apart from each other.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
    unix: bool,
}

impl NetworkSet {
    /// Whether `address` is in one of them; `None` is a client on a Unix socket. An IPv4 address inside an IPv6 one is taken
    /// for what it is.
    pub fn contains(&self, address: Option<IpAddr>) -> bool {
        match address.map(|address| address.to_canonical()) {
            None => self.unix,
            Some(IpAddr::V4(address)) => around(&self.v4, u32::from(address)).is_some(),
            Some(IpAddr::V6(address)) => around(&self.v6, u128::from(address)).is_some(),
        }
    }

    /// The widest of them that `address` is in.
    pub fn network_of(&self, address: Option<IpAddr>) -> Option<Network> {
        // Of two networks one is in the other or they have nothing in common, so that what was put together is one of them.
        match address.map(|address| address.to_canonical()) {
            None => self.unix.then_some(Network::Unix),
            Some(IpAddr::V4(address)) => around(&self.v4, u32::from(address)).map(|(first, last)| Network::Ip {
                address: Ipv4Addr::from(first).into(),
                bits: (first ^ last).leading_zeros() as u8,
            }),
            Some(IpAddr::V6(address)) => around(&self.v6, u128::from(address)).map(|(first, last)| Network::Ip {
                address: Ipv6Addr::from(first).into(),
                bits: (first ^ last).leading_zeros() as u8,
            }),
        }
    }

    /// All whom this or `other` holds.
    pub(crate) fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.v4.extend(&other.v4);
        both.v6.extend(&other.v6);
        both.unix |= other.unix;
        join(&mut both.v4);
        join(&mut both.v6);
        both
    }

    /// Whether it holds everybody in `network`.
    pub(crate) fn holds(&self, network: &Network) -> bool {
        match range(network) {
            None => self.unix,
            Some(Range::V4(range)) => holds(&self.v4, range, |end| end.checked_add(1)),
            Some(Range::V6(range)) => holds(&self.v6, range, |end| end.checked_add(1)),
        }
    }

    /// Whether it holds anybody in `network`.
    pub(crate) fn meets(&self, network: &Network) -> bool {
        match range(network) {
            None => self.unix,
            Some(Range::V4((first, last))) => self.v4.iter().any(|own| own.0 <= last && first <= own.1),
            Some(Range::V6((first, last))) => self.v6.iter().any(|own| own.0 <= last && first <= own.1),
        }
    }

    /// Whether it holds all whom `other` holds, who must be somebody.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        !other.is_empty()
            && (self.unix || !other.unix)
            && other.v4.iter().all(|range| holds(&self.v4, *range, |end| end.checked_add(1)))
            && other.v6.iter().all(|range| holds(&self.v6, *range, |end| end.checked_add(1)))
    }

    /// Everybody; with `unix` also those on a Unix socket.
    pub(crate) fn everybody(unix: bool) -> Self {
        Self { v4: vec![(0, u32::MAX)], v6: vec![(0, u128::MAX)], unix }
    }

    /// Whether it holds all addresses of one of the versions.
    pub(crate) fn holds_a_whole_version(&self) -> bool {
        let v4 = Self { v4: vec![(0, u32::MAX)], ..Self::default() };
        let v6 = Self { v6: vec![(0, u128::MAX)], ..Self::default() };
        self.covers(&v4) || self.covers(&v6)
    }

    /// Whether it holds nobody.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty() && !self.unix
    }
}

impl FromIterator<Network> for NetworkSet {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        let mut set = Self::default();
        for network in networks {
            match range(&network) {
                None => set.unix = true,
                Some(Range::V4(range)) => set.v4.push(range),
                Some(Range::V6(range)) => set.v6.push(range),
            }
        }
        join(&mut set.v4);
        join(&mut set.v6);
        set
    }
}

/// The first and the last address of a network.
enum Range {
    V4((u32, u32)),
    V6((u128, u128)),
}

/// The addresses of a network; `None` is the clients on Unix sockets, which have none.
fn range(network: &Network) -> Option<Range> {
    Some(match *network {
        Network::Unix => return None,
        Network::Ip { address: IpAddr::V4(address), bits } => {
            let first = u32::from(address);
            Range::V4((first, first | u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0)))
        }
        Network::Ip { address: IpAddr::V6(address), bits } => {
            let first = u128::from(address);
            Range::V6((first, first | u128::MAX.checked_shr(u32::from(bits)).unwrap_or(0)))
        }
    })
}

/// Whether ranges, which are in order and apart, leave no gap from `first` to `last`.
fn holds<T: Ord + Copy>(ranges: &[(T, T)], (first, last): (T, T), after: impl Fn(T) -> Option<T>) -> bool {
    let mut missing = first;
    for (begin, end) in ranges.iter().filter(|(_, end)| *end >= first) {
        if *begin > missing {
            return false;
        }
        match after(*end).filter(|_| *end < last) {
            Some(next) => missing = next,
            None => return true,
        }
    }
    false
}

/// Puts ranges in order, and those that overlap together.
fn join<T: Ord + Copy>(ranges: &mut Vec<(T, T)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let overlaps = next.0 <= kept.1;
        if overlaps {
            kept.1 = kept.1.max(next.1);
        }
        overlaps
    });
}

/// The range that `address` is in.
fn around<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> Option<(T, T)> {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).map(|last| ranges[last]).filter(|(_, last)| address <= *last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_network() -> impl Strategy<Value = Network> {
        let v4 = (any::<u32>(), 0_u8..=32).prop_map(|(address, bits)| (IpAddr::V4(address.into()), bits));
        let v6 = (any::<u128>(), 0_u8..=128).prop_map(|(address, bits)| (IpAddr::V6(address.into()), bits));
        let ip = prop_oneof![v4, v6].prop_map(|(address, bits)| Network::Ip { address: masked(address, bits), bits });
        prop_oneof![10 => ip, 1 => Just(Network::Unix)]
    }

    fn set(networks: &[&str]) -> NetworkSet {
        networks.iter().map(|text| network(text).unwrap()).collect()
    }

    #[test]
    fn networks_together_hold_what_is_in_none_of_them() {
        for (all, one, holds, meets) in [
            (&["10.0.0.0/9", "10.128.0.0/9"][..], "10.0.0.0/8", true, true),
            (&["10.0.0.0/9", "10.128.0.0/10"], "10.0.0.0/8", false, true),
            (&["10.0.0.0/9", "10.192.0.0/10"], "10.0.0.0/8", false, true),
            (&["10.0.0.0/8"], "10.1.0.0/16", true, true),
            (&["0.0.0.0/1", "128.0.0.0/1"], "0.0.0.0/0", true, true),
            (&["0.0.0.0/0"], "255.255.255.255", true, true),
            (&["255.255.255.255"], "255.255.255.254/31", false, true),
            (&["10.0.0.0/8", "12.0.0.0/8"], "11.0.0.0/8", false, false),
            (&["::/0", "unix"], "10.0.0.0/8", false, false),
            (&["::/1", "8000::/1"], "::/0", true, true),
            (&["::/0", "unix"], "unix", true, true),
            (&["::/0"], "unix", false, false),
            (&[], "10.0.0.1", false, false),
        ] {
            let (set, one) = (set(all), network(one).unwrap());
            assert_eq!((set.holds(&one), set.meets(&one)), (holds, meets), "{all:?} {one:?}");
        }
    }

    #[test]
    fn a_set_covers_another_whatever_it_is_put_together_from() {
        let everybody = set(&["0.0.0.0/0", "::/0", "unix"]);
        assert!(everybody.covers(&NetworkSet::everybody(true)) && everybody.holds_a_whole_version());
        let halves = set(&["128.0.0.0/1", "::/0", "0.0.0.0/1"]);
        assert!(halves.covers(&NetworkSet::everybody(false)) && !halves.covers(&NetworkSet::everybody(true)));
        let private = set(&["10.0.0.0/8", "192.168.0.0/16"]);
        assert!(!private.holds_a_whole_version() && set(&["::/0"]).holds_a_whole_version());
        assert!(private.covers(&set(&["10.1.0.0/16", "192.168.1.7"])));
        for other in [set(&["10.0.0.0/7"]), set(&["10.0.0.1", "11.0.0.1"]), set(&["::1"]), set(&["unix"]), set(&[])] {
            assert!(!private.covers(&other), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn a_set_holds_whom_one_of_its_networks_holds(
            networks in prop::collection::vec(any_network(), 0..8),
            near in any::<prop::sample::Index>(),
            (low, other) in (0_u128..3, any::<u32>()),
        ) {
            let set: NetworkSet = networks.iter().copied().collect();
            let mut asked = vec![None, Some(IpAddr::V4(other.into())), Some("::1".parse().unwrap())];
            if let Some(Network::Ip { address, .. }) = (!networks.is_empty()).then(|| near.get(&networks)) {
                asked.push(Some(match address {
                    IpAddr::V4(address) => IpAddr::V4(u32::from(*address).wrapping_add(low as u32).wrapping_sub(1).into()),
                    IpAddr::V6(address) => IpAddr::V6(u128::from(*address).wrapping_add(low).wrapping_sub(1).into()),
                }));
            }
            for address in asked {
                let held = networks.iter().any(|network| network.contains(address));
                prop_assert_eq!(set.contains(address), held, "{:?}", address);
                let network = set.network_of(address);
                prop_assert_eq!(network.is_some(), held, "{:?}", address);
                let known = |network: Network| networks.contains(&network) && network.contains(address);
                prop_assert!(network.is_none_or(known), "{:?} in {:?}", address, network);
            }
        }
    }
}
