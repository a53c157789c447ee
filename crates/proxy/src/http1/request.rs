//! Request heads: parsed, held to the rules, and turned into what the balancer needs to know.

use std::mem::MaybeUninit;

use super::fields::{self, ConnectionOptions, Field, Kind, MAX_FIELDS};
use super::framing::{BodyLength, Framing};
use super::target::{Target, same_authority, valid_authority};
use super::{Reject, Span};

/// A request head. Spans refer to the bytes it was parsed from.
#[derive(Debug, Default)]
pub(crate) struct RequestHead {
    pub(crate) method: Span,
    pub(crate) target: Target,
    pub(crate) minor_version: u8,
    /// It came as a stream of HTTP/2 and was written as text.
    pub(crate) http2: bool,
    /// In the order they came, without those that `Connection` names.
    pub(crate) fields: Vec<Field>,
    /// The value of `Host`, or the authority of the target where there is none.
    pub(crate) host: Option<Span>,
    pub(crate) body: BodyLength,
    pub(crate) method_kind: MethodKind,
    /// The client's connection may carry another request after this one.
    pub(crate) persistent: bool,
    /// The client asks to speak another protocol (RFC 9110, section 7.8).
    pub(crate) upgrade: bool,
    /// Which one that is, where it is asked for.
    pub(crate) upgrade_to: UpgradeTo,
}

/// A protocol that a client asks to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UpgradeTo {
    /// That and nothing else.
    WebSocket,
    #[default]
    Other,
}

/// What matters about a method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MethodKind {
    /// The answer has no body.
    Head,
    /// Sending it twice has the effect of sending it once (RFC 9110, section 9.2.2).
    Idempotent,
    /// Any other, known or not.
    #[default]
    Other,
}

impl MethodKind {
    fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"GET" | b"PUT" | b"DELETE" | b"OPTIONS" | b"TRACE" => Self::Idempotent,
            _ => Self::Other,
        }
    }

    /// May be sent again when it is not known whether the server has acted on it.
    pub(crate) fn idempotent(self) -> bool {
        self != Self::Other
    }
}

/// What a listener allows of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadRules {
    /// The longest target, in bytes.
    pub(crate) max_target: usize,
    /// A line may end in LF alone.
    pub(crate) bare_lf: bool,
}

impl RequestHead {
    /// Reads the head at the front of `bytes` into this one, whose memory is reused. Returns the length of the head,
    /// or `None` when it is not whole yet.
    pub(crate) fn parse(&mut self, bytes: &[u8], rules: HeadRules) -> Result<Option<usize>, Reject> {
        // The parser would overlook an empty line here, and a bare LF is one to it.
        if bytes.first() == Some(&b'\n') {
            return Err(fields::BARE_LF);
        }
        let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        let head = match parsed.parse_with_uninit_headers(bytes, &mut storage) {
            Ok(httparse::Status::Complete(length)) => &bytes[..length],
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(explain(error, bytes)),
        };
        let method = parsed.method.unwrap_or_default().as_bytes();
        let target = parsed.path.unwrap_or_default().as_bytes();
        if target.len() > rules.max_target {
            return Err(Reject { status: 414, reason: "the target is too long" });
        }
        if method == b"CONNECT" {
            return Err(Reject { status: 405, reason: "CONNECT is not served here" });
        }
        self.minor_version = parsed.version.unwrap_or(1);
        self.method = Span::of(head, method);
        self.method_kind = MethodKind::of(method);
        self.target = Target::parse(head, method, target)?;
        fields::take_over(head, parsed.headers, rules.bare_lf, &mut self.fields)?;
        self.read_fields(head)?;
        Ok(Some(head.len()))
    }

    /// The protocol it came by, as people write it.
    pub(crate) fn protocol(&self) -> &'static str {
        match (self.http2, self.minor_version) {
            (true, _) => "HTTP/2.0",
            (false, 0) => "HTTP/1.0",
            (false, _) => "HTTP/1.1",
        }
    }

    fn read_fields(&mut self, head: &[u8]) -> Result<(), Reject> {
        let mut framing = Framing::default();
        let mut connection = ConnectionOptions::default();
        let (mut upgrade, mut h2c, mut websocket) = (false, false, true);
        self.host = None;
        for field in &self.fields {
            let value = field.value.slice(head);
            match field.kind {
                Kind::Host if self.host.is_some() => return Err(Reject::bad("Host is given twice")),
                Kind::Host => self.host = Some(field.value),
                Kind::ContentLength => framing.add_content_length(value)?,
                Kind::TransferEncoding => framing.add_transfer_encoding(value)?,
                Kind::Connection => connection.add(value),
                Kind::Upgrade => {
                    upgrade = true;
                    h2c |= fields::list(value).any(is_h2c);
                    websocket &= fields::list(value).all(|name| name.eq_ignore_ascii_case(b"websocket"));
                }
                _ => {}
            }
        }
        self.body = framing.request_body(self.minor_version)?;
        self.persistent = connection.persistent(self.minor_version);
        // A server that takes h2c up would speak past the balancer, out of sight of its rules.
        self.upgrade =
            upgrade && !h2c && connection.upgrade && self.minor_version >= 1 && self.body == BodyLength::None;
        self.upgrade_to = if self.upgrade && websocket { UpgradeTo::WebSocket } else { UpgradeTo::Other };
        self.check_host(head)?;
        fields::remove_named(head, connection, &mut self.fields)
    }

    fn check_host(&mut self, head: &[u8]) -> Result<(), Reject> {
        match (self.host, self.target.authority) {
            (None, _) if self.minor_version >= 1 => return Err(Reject::bad("Host is missing")),
            (None, authority) => self.host = authority,
            (Some(host), _) if !valid_authority(host.slice(head)) => {
                return Err(Reject::bad("Host is not a valid host and port"));
            }
            (Some(host), Some(authority))
                if !same_authority(host.slice(head), authority.slice(head), self.target.https) =>
            {
                return Err(Reject::bad("Host and the authority of the target disagree"));
            }
            _ => {}
        }
        Ok(())
    }
}

/// HTTP/2 without TLS, as a protocol to switch to; a version may follow its name.
fn is_h2c(protocol: &[u8]) -> bool {
    protocol.split(|byte| *byte == b'/').next().is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"h2c"))
}

/// The parser stops at the version of anything that is not HTTP/1.0 or HTTP/1.1; a line without any version is
/// not HTTP at all.
fn explain(error: httparse::Error, head: &[u8]) -> Reject {
    let first_line = head.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    let version = first_line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    let is_version = matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit());
    match error {
        httparse::Error::Version if !is_version => Reject::bad("the request line has no HTTP version"),
        // The parser looked for the version elsewhere, so there is a space too many.
        httparse::Error::Version if version == b"HTTP/1.0" || version == b"HTTP/1.1" => {
            Reject::bad("the request line is not a method, a target and a version")
        }
        _ => fields::explain(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<RequestHead, Reject> {
        let mut request = RequestHead::default();
        let rules = HeadRules { max_target: 1000, bare_lf: false };
        let length = request.parse(head.as_bytes(), rules)?;
        assert_eq!(length, Some(head.len()), "{head:?}");
        Ok(request)
    }

    fn status(head: &str) -> u16 {
        parse(head).map_or_else(|reject| reject.status, |_| 200)
    }

    #[test]
    fn a_plain_request() {
        let head = "GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n";
        let request = parse(head).unwrap();
        let text = |span: Span| std::str::from_utf8(span.slice(head.as_bytes())).unwrap();
        assert_eq!((text(request.method), text(request.target.path)), ("GET", "/x?y=1"));
        assert_eq!(text(request.host.unwrap()), "a.example");
        assert_eq!(request.body, BodyLength::None);
        assert!(request.persistent && !request.upgrade);
        assert!(request.method_kind.idempotent());
    }

    #[test]
    fn heads_are_judged_by_the_letter() {
        assert_eq!(status("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
        assert_eq!(status("PRI * HTTP/2.0\r\n\r\n"), 505);
        assert_eq!(status("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"), 405);
        assert_eq!(status(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1000))), 414);
        for wrong in [
            "GET /\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(status(wrong), 400, "{wrong:?}");
        }
    }

    #[test]
    fn connection_decides_what_stays() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Once: 1\r\nX-Keep: 1\r\nConnection: close, x-once\r\n\r\n";
        let request = parse(head).unwrap();
        assert!(!request.persistent);
        let names: Vec<_> = request
            .fields
            .iter()
            .map(|field| std::str::from_utf8(field.name.slice(head.as_bytes())).unwrap())
            .collect();
        assert_eq!(names, ["Host", "X-Keep", "Connection"]);
    }

    #[test]
    fn upgrades_but_not_to_h2c() {
        let upgrade = |to: &str| {
            parse(&format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n\r\n"))
                .unwrap()
                .upgrade
        };
        assert!(upgrade("websocket"));
        for to in ["h2c", "websocket, H2C", "h2c/2", "websocket\r\nUpgrade: h2c", "h2c\r\nUpgrade: websocket"] {
            assert!(!upgrade(to), "{to:?}");
        }
    }

    #[test]
    fn http_1_0_needs_no_host_and_ends_its_connection() {
        let request = parse("GET / HTTP/1.0\r\n\r\n").unwrap();
        assert!(request.host.is_none() && !request.persistent);
        assert!(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap().persistent);
        assert!(parse("GET http://a/ HTTP/1.0\r\n\r\n").unwrap().host.is_some());
    }
}
