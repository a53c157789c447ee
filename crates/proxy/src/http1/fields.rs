//! The fields of a head: recognised once, then only compared by kind.

use super::{Reject, Span};

/// Fields of a head beyond this number are refused: more than any browser or server sends.
pub(crate) const MAX_FIELDS: usize = 128;

/// The field names that the balancer has an opinion about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Other,
    Authorization,
    /// What we tell of the certificate of a client.
    ClientCert,
    Connection,
    ContentLength,
    Cookie,
    Expect,
    Forwarded,
    Host,
    /// Meant for the next hop only and of no use to it: removed.
    Hop,
    Referer,
    TraceParent,
    TraceState,
    TransferEncoding,
    Upgrade,
    UserAgent,
    XForwardedFor,
    XForwardedHost,
    XForwardedPort,
    XForwardedProto,
    XRealIp,
}

/// The fields that tell a server of the certificate that a client showed: who it is for, and which one it is.
pub(super) const CLIENT_CERT_SUBJECT: &str = "X-Client-Cert-Subject";
pub(super) const CLIENT_CERT_FINGERPRINT: &str = "X-Client-Cert-Fingerprint";

impl Kind {
    pub(crate) fn of(name: &[u8]) -> Self {
        let Some(first) = name.first() else { return Self::Other };
        let (known, kind) = match (name.len(), first | 0x20) {
            (2, b't') => ("TE", Self::Hop),
            (4, b'h') => ("Host", Self::Host),
            (6, b'c') => ("Cookie", Self::Cookie),
            (6, b'e') => ("Expect", Self::Expect),
            (7, b'r') => ("Referer", Self::Referer),
            (7, b'u') => ("Upgrade", Self::Upgrade),
            (9, b'f') => ("Forwarded", Self::Forwarded),
            (9, b'x') => ("X-Real-IP", Self::XRealIp),
            (10, b'c') => ("Connection", Self::Connection),
            (10, b't') => ("tracestate", Self::TraceState),
            (10, b'u') => ("User-Agent", Self::UserAgent),
            (11, b't') => ("traceparent", Self::TraceParent),
            (10, b'k') => ("Keep-Alive", Self::Hop),
            (13, b'a') => ("Authorization", Self::Authorization),
            (14, b'c') => ("Content-Length", Self::ContentLength),
            (14, b'h') => ("HTTP2-Settings", Self::Hop),
            (15, b'x') => ("X-Forwarded-For", Self::XForwardedFor),
            (16, b'p') => ("Proxy-Connection", Self::Hop),
            (16, b'x') if name[12] | 0x20 == b'p' => ("X-Forwarded-Port", Self::XForwardedPort),
            (16, b'x') => ("X-Forwarded-Host", Self::XForwardedHost),
            (17, b'x') => ("X-Forwarded-Proto", Self::XForwardedProto),
            (21, b'x') => (CLIENT_CERT_SUBJECT, Self::ClientCert),
            (25, b'x') => (CLIENT_CERT_FINGERPRINT, Self::ClientCert),
            (17, b't') => ("Transfer-Encoding", Self::TransferEncoding),
            (18, b'p') => ("Proxy-Authenticate", Self::Hop),
            (19, b'p') => ("Proxy-Authorization", Self::Hop),
            _ => return Self::Other,
        };
        // Nearly everyone writes the names as the standard does, and the same bytes are compared faster.
        let same = name == known.as_bytes() || name.eq_ignore_ascii_case(known.as_bytes());
        if same || (kind.tells_of_client() && same_variable(name, known.as_bytes())) { kind } else { Self::Other }
    }

    /// Whether `Connection` may name such a field: nothing depends on its getting through.
    fn may_be_named(self) -> bool {
        matches!(
            self,
            Self::Other
                | Self::Authorization
                | Self::Cookie
                | Self::Referer
                | Self::TraceParent
                | Self::TraceState
                | Self::UserAgent
        )
    }

    /// Whether a rule for fields may touch it: neither where a message ends nor what a connection is depends on it.
    pub(super) fn is_editable(self) -> bool {
        !matches!(
            self,
            Self::Connection
                | Self::ContentLength
                | Self::Expect
                | Self::Host
                | Self::Hop
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }

    /// Whether such a field tells a server who the client is.
    fn tells_of_client(self) -> bool {
        matches!(
            self,
            Self::ClientCert
                | Self::Forwarded
                | Self::XForwardedFor
                | Self::XForwardedHost
                | Self::XForwardedPort
                | Self::XForwardedProto
                | Self::XRealIp
        )
    }
}

/// Whether two names become one variable in a server that follows CGI (RFC 3875, section 4.1.18), where `_` stands for
/// `-`. A client must not be able to say `X_Forwarded_For` past a rule for `X-Forwarded-For`.
pub(crate) fn same_variable(name: &[u8], known: &[u8]) -> bool {
    let folded = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.iter().map(folded).eq(known.iter().map(folded))
}

/// One field line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) kind: Kind,
    /// The line reads exactly `name: value` and CRLF, as we write it ourselves.
    pub(crate) plain: bool,
    pub(crate) name: Span,
    pub(crate) value: Span,
}

/// What the `Connection` fields of a head ask for.
#[expect(clippy::struct_excessive_bools, reason = "each option is there or not, whatever the others are")]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectionOptions {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
    names_fields: bool,
}

impl ConnectionOptions {
    /// Takes one `Connection` value in.
    pub(crate) fn add(&mut self, value: &[u8]) {
        for option in list(value) {
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ => self.names_fields = true,
            }
        }
    }

    /// The connection outlives the message (RFC 9112, section 9.3).
    pub(crate) fn persistent(self, minor_version: u8) -> bool {
        !self.close && (minor_version >= 1 || self.keep_alive)
    }
}

/// The members of a comma-separated list, without white space and empty members.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Takes over `parsed` into `fields`, whose spans refer to `head`, a whole head.
///
/// The parser takes a lone LF for a line end; here it is one only with `bare_lf` (RFC 9112, section 2.2).
pub(crate) fn take_over(
    head: &[u8],
    parsed: &[httparse::Header<'_>],
    bare_lf: bool,
    fields: &mut Vec<Field>,
) -> Result<(), Reject> {
    fields.clear();
    let mut lines_end_well = head.ends_with(b"\r\n\r\n");
    for field in parsed {
        let (name, value) = (Span::of(head, field.name.as_bytes()), Span::of(head, field.value));
        lines_end_well &= head[..name.start()].ends_with(b"\r\n");
        let plain = head[name.end()..value.start()] == *b": " && head[value.end()..].starts_with(b"\r\n");
        fields.push(Field { kind: Kind::of(field.name.as_bytes()), plain, name, value });
    }
    if lines_end_well || bare_lf { Ok(()) } else { Err(BARE_LF) }
}

/// What a head with such a line is refused with.
pub(crate) const BARE_LF: Reject = Reject::bad("a line of the head ends in LF without CR");

/// Removes the fields that the `Connection` fields name (RFC 9110, section 7.6.1).
///
/// Naming a field that every recipient needs is an attempt to make the next hop see another message than
/// this one did, and is refused.
pub(crate) fn remove_named(head: &[u8], options: ConnectionOptions, fields: &mut Vec<Field>) -> Result<(), Reject> {
    if !options.names_fields {
        return Ok(());
    }
    let mut named: Vec<&[u8]> = Vec::new();
    for field in fields.iter().filter(|field| field.kind == Kind::Connection) {
        named.extend(list(field.value.slice(head)));
    }
    if named.iter().any(|name| matches!(Kind::of(name), Kind::Host | Kind::ContentLength | Kind::Connection)) {
        return Err(Reject::bad("Connection names a field that is not for one hop only"));
    }
    fields.retain(|field| {
        !field.kind.may_be_named() || !named.iter().any(|name| name.eq_ignore_ascii_case(field.name.slice(head)))
    });
    Ok(())
}

/// The sentence for what the parser did not like.
pub(crate) fn explain(error: httparse::Error) -> Reject {
    match error {
        httparse::Error::HeaderName => Reject::bad("a field name is empty or holds a character that is not allowed"),
        httparse::Error::HeaderValue => Reject::bad("a field value holds a character that is not allowed"),
        httparse::Error::NewLine => Reject::bad("a line of the head does not end in CR LF"),
        httparse::Error::Token => Reject::bad("the method or the target holds a character that is not allowed"),
        httparse::Error::Status => Reject::bad("the status line is not valid"),
        httparse::Error::TooManyHeaders => Reject { status: 431, reason: "the head has more than 128 fields" },
        httparse::Error::Version => Reject { status: 505, reason: "only HTTP/1.0 and HTTP/1.1 are spoken here" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_in_any_case() {
        assert_eq!(Kind::of(b"Transfer-Encoding"), Kind::TransferEncoding);
        assert_eq!(Kind::of(b"CONTENT-length"), Kind::ContentLength);
        assert_eq!(Kind::of(b"Content_Length"), Kind::Other);
        assert_eq!(Kind::of(b"X_forwarded-For"), Kind::XForwardedFor);
        assert_eq!(Kind::of(b"x_real_ip"), Kind::XRealIp);
        assert_eq!(Kind::of(b"x_client-cert_SUBJECT"), Kind::ClientCert);
        assert_eq!(Kind::of(b"X-Client-Cert-Fingerprint"), Kind::ClientCert);
        assert_eq!(Kind::of(b"te"), Kind::Hop);
    }

    #[test]
    fn connection_options_are_a_list() {
        let mut options = ConnectionOptions::default();
        options.add(b" , Keep-Alive ,X-Secret");
        assert!(options.keep_alive && options.names_fields && !options.close);
        assert!(options.persistent(0));
        options.add(b"close");
        assert!(!options.persistent(1));
    }
}
