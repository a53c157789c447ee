//! Cookies in the fields of a request (RFC 6265, section 5.4): found by name, and cut out.

use super::fields::{Field, Kind};
use super::put;

/// The values of the cookies of this name, as they stand.
pub(crate) fn named<'a>(head: &'a [u8], fields: &'a [Field], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let cookies = fields.iter().filter(|field| field.kind == Kind::Cookie);
    cookies.flat_map(move |field| pairs(field.value.slice(head))).filter_map(move |pair| value_of(pair, name))
}

/// Whether a `Cookie` value has cookies of these names.
pub(crate) fn has_any(value: &[u8], names: &[String]) -> bool {
    pairs(value).any(|pair| is_any(pair, names))
}

/// Writes a `Cookie` line without the cookies of these names. What stays is as it came, and where nothing stays there is no
/// line.
pub(crate) fn write_without(out: &mut Vec<u8>, (name, value): (&[u8], &[u8]), names: &[String]) {
    let mut written = false;
    for pair in pairs(value).filter(|pair| !is_any(pair, names)) {
        if std::mem::replace(&mut written, true) {
            put(out, &[b";", pair]);
        } else {
            put(out, &[name, b": ", pair.trim_ascii_start()]);
        }
    }
    if written {
        put(out, &[b"\r\n"]);
    }
}

fn pairs(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b';')
}

fn is_any(pair: &[u8], names: &[String]) -> bool {
    names.iter().any(|name| value_of(pair, name).is_some())
}

/// The value of a pair, if that has this name. Names of cookies are told apart by case.
fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let pair = pair.trim_ascii();
    let rest = pair.strip_prefix(name.as_bytes())?;
    Some(rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(value: &str, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            has_any(value.as_bytes(), &names),
            value.split(';').any(|pair| names.iter().any(|name| value_of(pair.as_bytes(), name).is_some()))
        );
        let mut out = Vec::new();
        write_without(&mut out, (b"cookie", value.as_bytes()), &names);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_stays_is_as_it_came() {
        assert_eq!(without("a=1; srv=x; b=2", &["srv"]), "cookie: a=1; b=2\r\n");
        assert_eq!(without("srv=x; b=\"2;  c = 3", &["srv"]), "cookie: b=\"2;  c = 3\r\n");
        assert_eq!(without("a=1;srv=x", &["srv"]), "cookie: a=1\r\n");
        assert_eq!(without("a=1; srv=x;b=2; srv = y ; t=3", &["srv", "t"]), "cookie: a=1;b=2\r\n");
        assert_eq!(
            without("a=srv=x; SRV=x; xsrv=1; srvx=2; srv", &["srv"]),
            "cookie: a=srv=x; SRV=x; xsrv=1; srvx=2; srv\r\n"
        );
    }

    #[test]
    fn nothing_left_is_no_line() {
        assert_eq!(without("srv=x", &["srv"]), "");
        assert_eq!(without("srv=; srv=y", &["srv"]), "");
    }
}
