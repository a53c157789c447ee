//! Ranges of addresses as people write them: an address alone, or with the number of bits that count.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::json;

use crate::address::{Fault, read_text};
use crate::protocol::Network;
use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape};

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
