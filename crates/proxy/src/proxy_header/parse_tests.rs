//! Headers byte by byte, right ones and wrong ones.

use proptest::prelude::*;

use super::*;

fn named(source: &str, destination: &str) -> Named {
    Named::Ip { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

/// Version 2 with this command, family and rest.
fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, rest].concat()
}

const V4: &[u8] = &[192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0, 80];

/// The same header with a checksum in a field at its end.
fn with_checksum(fields: &[u8]) -> Vec<u8> {
    let mut bytes = header(0x21, 0x11, &[V4, fields, &[CRC32C, 0, 4, 0, 0, 0, 0]].concat());
    let at = bytes.len() - 4;
    let checksum = crc32c(bytes.iter().copied()).to_be_bytes();
    bytes[at..].copy_from_slice(&checksum);
    bytes
}

#[test]
fn lines_of_version_1_name_whom_they_say() {
    let cases = [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n", named("192.0.2.7:4711", "198.51.100.1:80")),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            named("255.255.255.255:65535", "255.255.255.255:65535"),
        ),
        ("PROXY TCP6 2001:db8::7 ::1 1 0\r\n", named("[2001:db8::7]:1", "[::1]:0")),
        ("PROXY UNKNOWN\r\n", Named::Nobody),
        ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Named::Nobody),
    ];
    for (line, named) in cases {
        assert_eq!(parse(line.as_bytes()), Ok(Some((named, line.len()))), "{line}");
        let more = format!("{line}PROXY ");
        assert_eq!(parse(more.as_bytes()), Ok(Some((named, line.len()))), "{line}");
    }
}

#[test]
fn what_is_not_quite_a_line_of_version_1_is_none() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(long.len(), LONGEST_LINE + 1);
    let cases = [
        "GET / HTTP/1.1\r\n",
        "proxy UNKNOWN\r\n",
        "PROXY\r\n",
        "PROXY TCP4\r\n",
        "PROXY  TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP4\t192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY \u{e9}\r\n",
        &long,
    ];
    for line in cases {
        assert_eq!(parse(line.as_bytes()), Err(Wrong), "{line}");
    }
    assert_eq!(parse(&long.as_bytes()[..LONGEST_LINE - 1]), Ok(None));
}

#[test]
fn headers_of_version_2_name_whom_they_say() {
    let v6: Vec<u8> = [&[0x20, 1, 0xd, 0xb8], &[0; 11][..], &[7], &[0; 15], &[1], &[0, 1, 0xff, 0xff]].concat();
    let fields = [4, 0, 3, 9, 9, 9, 0xee, 0, 0];
    let cases = [
        (header(0x21, 0x11, V4), named("192.0.2.7:4711", "198.51.100.1:80")),
        (header(0x21, 0x11, &[V4, &fields].concat()), named("192.0.2.7:4711", "198.51.100.1:80")),
        (header(0x21, 0x21, &v6), named("[2001:db8::7]:1", "[::1]:65535")),
        (header(0x21, 0x31, &[7; 216]), Named::Unix),
        (header(0x21, 0x00, &fields), Named::Nobody),
        (header(0x20, 0x00, &[]), Named::Nobody),
        (header(0x20, 0x11, V4), Named::Nobody),
        (header(0x20, 0xff, b"whatever"), Named::Nobody),
        (with_checksum(&fields), named("192.0.2.7:4711", "198.51.100.1:80")),
    ];
    for (bytes, named) in cases {
        assert_eq!(parse(&bytes), Ok(Some((named, bytes.len()))), "{bytes:?}");
        assert_eq!(parse(&[&bytes[..], b"more"].concat()), Ok(Some((named, bytes.len()))), "{bytes:?}");
    }
}

#[test]
fn what_is_not_quite_a_header_of_version_2_is_none() {
    let checksum_of_another = [&with_checksum(&[])[..16], &[9], &with_checksum(&[])[17..]].concat();
    let twice = [V4, &[CRC32C, 0, 4, 0, 0, 0, 0], &[CRC32C, 0, 4, 0, 0, 0, 0]].concat();
    let cases = [
        header(0x11, 0x11, V4),
        header(0x22, 0x11, V4),
        header(0x21, 0x12, V4),
        header(0x21, 0x41, V4),
        header(0x21, 0x11, &V4[..11]),
        header(0x21, 0x21, V4),
        header(0x21, 0x31, &[7; 215]),
        header(0x21, 0x11, &[V4, &[4, 0]].concat()),
        header(0x21, 0x11, &[V4, &[4, 0, 2, 1]].concat()),
        header(0x21, 0x11, &[V4, &[CRC32C, 0, 3, 1, 2, 3]].concat()),
        header(0x21, 0x11, &twice),
        header(0x21, 0x00, &[0; MOST + 1]),
        checksum_of_another,
        b"\r\n\r\n\0\r\nQUIT\r".to_vec(),
    ];
    for bytes in cases {
        assert_eq!(parse(&bytes), Err(Wrong), "{bytes:?}");
    }
}

#[test]
fn a_header_is_waited_for_to_its_last_byte() {
    let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n";
    for whole in [&line[..], &with_checksum(&[4, 0, 1, 0]), &header(0x20, 0, &[])] {
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Ok(None), "{end} of {whole:?}");
        }
    }
}

proptest! {
    #[test]
    fn nothing_breaks_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
        let _ = parse(&[&SIGNATURE[..], &bytes].concat());
        let _ = parse(&[WORD, &bytes].concat());
    }

    /// What was refused, or taken, stays so whatever comes behind.
    #[test]
    fn a_verdict_stands(
        command in 0x20..0x22_u8,
        family in prop::sample::select(vec![0_u8, 0x11, 0x21, 0x31, 0x12]),
        rest in prop::collection::vec(any::<u8>(), 0..260),
        more in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let bytes = header(command, family, &rest);
        let verdict = parse(&bytes);
        prop_assert_ne!(verdict, Ok(None));
        prop_assert_eq!(parse(&[&bytes[..], &more].concat()), verdict);
        for end in 0..bytes.len() {
            prop_assert!(matches!(parse(&bytes[..end]), Ok(None) | Err(Wrong)));
        }
    }

    #[test]
    fn addresses_of_version_1_come_out_as_they_went_in(a: [u8; 4], b: [u16; 8], ports: [u16; 2]) {
        for ip in [IpAddr::from(a), IpAddr::from(b)] {
            let family = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
            let line = format!("PROXY {family} {ip} {ip} {} {}\r\n", ports[0], ports[1]);
            let named = Named::Ip { source: SocketAddr::new(ip, ports[0]), destination: SocketAddr::new(ip, ports[1]) };
            prop_assert_eq!(parse(line.as_bytes()), Ok(Some((named, line.len()))));
        }
    }
}
