//! Files of networks, one a line.

use std::sync::Arc;

use super::{Network, NetworkSet, network};
use crate::files::{Files, Unfit, content_of};
use crate::process::Need;
use crate::reader::Reader;
use crate::secret::FilePath;
use crate::setting::Field;
use crate::wording::{quoted, quoted_path};

/// A million lines of IPv4 networks, or half as many of IPv6.
const LARGEST: u64 = 16 << 20;

impl Files<'_> {
    /// The networks in the file that the setting `key` names, or a report why they cannot be had. Each file is read once.
    pub(crate) fn networks(
        &mut self,
        key: &str,
        path: &Field<FilePath>,
        reader: &mut Reader,
    ) -> Option<Arc<NetworkSet>> {
        if let Some(known) = self.networks.get(&path.value.0) {
            return Some(Arc::clone(known));
        }
        let file = self.path(&path.value.0);
        reader.need(path.span.clone(), Need::Read(file.clone()));
        let fault = match content_of(&file, LARGEST).map(|content| read(&content)) {
            Ok(Ok(set)) => {
                let set = Arc::new(set);
                self.networks.insert(path.value.0.clone(), Arc::clone(&set));
                return Some(set);
            }
            Ok(Err(fault)) => fault,
            Err(Unfit(why)) => Fault { what: why, help: format!("it was looked for at {}", quoted_path(&file)) },
        };
        reader.report(path.span.clone(), format!("{} cannot be used: {}", quoted(key), fault.what), fault.help);
        None
    }
}

/// Why a file of networks cannot be used, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    what: String,
    help: String,
}

/// The networks in a file. Spaces, empty lines and what follows a `#` make no difference.
fn read(content: &[u8]) -> Result<NetworkSet, Fault> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let lines = content.split(|byte| *byte == b'\n').enumerate();
    lines.filter_map(|(index, line)| in_line(index + 1, line).transpose()).collect()
}

/// The network in a line, if there is one.
fn in_line(number: usize, line: &[u8]) -> Result<Option<Network>, Fault> {
    let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
    let Ok(text) = std::str::from_utf8(line) else {
        return Err(Fault { what: format!("line {number} is not UTF-8 text"), help: "save it as UTF-8".to_owned() });
    };
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let fault = |fault: crate::address_text::Fault| {
        let what = format!("in line {number} {} {}", quoted(text), fault.what);
        Fault { what, help: fault.help }
    };
    network(text).map(Some).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_network_a_line_and_comments() {
        let set =
            read(b"\xef\xbb\xbf# who is not let in\r\n10.0.0.0/8 # all of it\n\n  192.168.1.7\n2001:db8::/32").unwrap();
        let holds = |address: &str| set.contains(Some(address.parse().unwrap()));
        assert!(holds("10.1.2.3") && holds("192.168.1.7") && holds("2001:db8::1"));
        assert!(!holds("192.168.1.8") && !set.contains(None));
        assert!(read(b"").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let fault = read(b"10.0.0.0/8\n10.0.0.1/8\n").unwrap_err();
        assert_eq!(fault.what, "in line 2 `10.0.0.1/8` has bits that are set beyond the first 8");
        assert_eq!(read(b"\n\xff").unwrap_err().what, "line 2 is not UTF-8 text");
    }

    #[test]
    fn a_million_networks_are_read() {
        use std::fmt::Write;
        let mut text = String::new();
        for number in 0..1_000_000_u32 {
            writeln!(text, "{}", std::net::Ipv4Addr::from(number.wrapping_mul(2_654_435_761))).unwrap();
        }
        assert!(text.len() as u64 <= LARGEST);
        let set = read(text.as_bytes()).unwrap();
        assert!(set.contains(Some("0.0.0.0".parse().unwrap())));
    }
}
