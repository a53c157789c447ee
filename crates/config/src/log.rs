//! Where the access log goes and how its lines look: what the file writes, and what it stands for.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde_json::json;

use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape};
use crate::template::{Fault, Token, named, tokens};
use crate::wording::{listed, nearest};

/// Where lines of the access log go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, or a named pipe, to whose end they are written. Its folder was there when the configuration was read.
    File(PathBuf),
    /// A Unix datagram socket that takes syslog messages.
    SyslogSocket(PathBuf),
    /// A syslog daemon on the network, by UDP.
    SyslogUdp(SocketAddr),
}

impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => path.display().fmt(f),
            Self::SyslogSocket(path) => write!(f, "syslog at {}", path.display()),
            Self::SyslogUdp(address) => write!(f, "syslog at {address}"),
        }
    }
}

/// How a line of the access log looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFormat {
    /// A JSON object with every one of [`LogVariable::JSON`].
    Json,
    /// These pieces one after the other.
    Text(Vec<LogPiece>),
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPiece {
    /// This text, which has no control character in it.
    Literal(String),
    /// What the variable stands for in the request.
    Variable(LogVariable),
}

/// Declares the variables of a line once: what the program calls them, and what people write.
macro_rules! variables {
    ($($(#[doc = $doc:literal])+ $variable:ident = $name:literal;)+) => {
        /// What a line of the access log can tell of a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum LogVariable {
            $($(#[doc = $doc])+ $variable,)+
        }

        impl LogVariable {
            /// Every variable; those before [`LogVariable::Request`] are in JSON too, in this order.
            pub const ALL: &[Self] = &[$(Self::$variable),+];

            /// Its name in a format, and in JSON.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variable => $name,)+
                }
            }
        }
    };
}

variables! {
    /// When the answer was over: RFC 3339 in UTC, with milliseconds.
    Time = "time";
    /// The listener's name.
    Listener = "listener";
    /// The client's address.
    ClientIp = "client_ip";
    /// The client's port.
    ClientPort = "client_port";
    /// The name that the client has shown with the right password, where `basic_auth` asks for one.
    User = "user";
    /// The method.
    Method = "method";
    /// The target as the client sent it.
    Target = "target";
    /// `HTTP/1.1`, say.
    Protocol = "protocol";
    /// The value of `Host`, or the authority of the target where there is none.
    Host = "host";
    /// The value of `User-Agent`.
    UserAgent = "user_agent";
    /// The value of `Referer`.
    Referer = "referer";
    /// The status that the client was given; 0 when it left before that.
    Status = "status";
    /// The status of the gRPC call, 0 to 16; absent where the request was none, or ended without one.
    GrpcStatus = "grpc_status";
    /// Bytes of the request: its head, and its body without the framing of chunks.
    BytesIn = "bytes_in";
    /// Bytes written to the client.
    BytesOut = "bytes_out";
    /// The route that the request had.
    Route = "route";
    /// The pool that served the request, or was asked last.
    Pool = "pool";
    /// The server that was tried last.
    Server = "server";
    /// How many tries were made.
    Tries = "tries";
    /// Milliseconds from the request to the pick of the last try that were not spent on other tries.
    QueueMs = "queue_ms";
    /// Milliseconds from the last pick until a connection was at hand.
    ConnectMs = "connect_ms";
    /// Milliseconds from the last pick to the head of the answer.
    FirstByteMs = "first_byte_ms";
    /// Milliseconds from the request to the end of the answer.
    DurationMs = "duration_ms";
    /// How the last try ended.
    Outcome = "outcome";
    /// What the server had in flight at the last pick, this request included.
    InFlight = "in_flight";
    /// Why no server took the request.
    Reason = "reason";
    /// The request's id.
    RequestId = "request_id";
    /// The id of its trace, where the request belongs to one.
    TraceId = "trace_id";
    /// The request line: method, target and protocol.
    Request = "request";
    /// When the answer was over, as the common log format writes it: in UTC, to the second.
    TimeLocal = "time_local";
    /// Bytes written to the client behind the head of the answer.
    BodyBytesOut = "body_bytes_out";
}

impl LogVariable {
    /// What a line of JSON has, in this order. The others say the same in another way.
    pub const JSON: &[Self] = Self::ALL.split_at(Self::Request as usize).0;
}

/// The common log format of NCSA's server; nobody is ever identified by the protocol of its second column.
const COMMON: &str = r#"$client_ip - $user [$time_local] "$request" $status $body_bytes_out"#;

/// The same with the two fields that Apache's combined format adds.
const COMBINED: &str =
    r#"$client_ip - $user [$time_local] "$request" $status $body_bytes_out "$referer" "$user_agent""#;

const WORDS: [&str; 3] = ["common", "combined", "json"];

/// The longest format, in bytes, which keeps one line far below what waits for the writer.
const LONGEST_FORMAT: usize = 1024;

impl Setting for LogFormat {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let Some(text) = item.get_ref().as_str() else {
            return reader.unfit(item, place, "write \"json\"");
        };
        let text = match text {
            "json" => return Some(Self::Json),
            "common" => COMMON,
            "combined" => COMBINED,
            _ if text.contains('$') => text,
            _ => {
                let help = nearest(text, WORDS.into_iter()).map(|near| format!("did you mean \"{near}\"?"));
                return reader.unfit(item, place, help.unwrap_or_default());
            }
        };
        if text.chars().any(char::is_control) {
            return reader.wrong(item, place, "has a control character in it", "write it in one line");
        }
        if text.len() > LONGEST_FORMAT {
            return reader.wrong(item, place, &format!("is longer than {LONGEST_FORMAT} bytes"), "");
        }
        match pieces(text) {
            Ok(pieces) => Some(Self::Text(pieces)),
            Err(Fault { what, help }) => reader.wrong(item, place, &what, help),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: format!("\"{}\" or a text with $variables", WORDS.join("\", \"")),
            schema: json!({ "anyOf": [{ "enum": WORDS }, { "type": "string", "pattern": "\\$", "maxLength": LONGEST_FORMAT }] }),
            table: None,
        }
    }
}

/// The pieces of a text with `$name`, `${name}`, and `$$` for a dollar sign.
fn pieces(text: &str) -> Result<Vec<LogPiece>, Fault> {
    let pieces = tokens(text, "status")?.into_iter().map(|token| match token {
        Token::Text(text) => Ok(LogPiece::Literal(text)),
        Token::Name(name) => named(name, LogVariable::ALL, LogVariable::name).map(LogPiece::Variable),
    });
    pieces.collect()
}

/// Where the local syslog daemon listens.
const DEV_LOG: &str = "/dev/log";

/// The port of syslog by UDP (RFC 5426, section 3.3).
const SYSLOG_PORT: u16 = 514;

const TARGETS: [&str; 3] = ["stdout", "stderr", "syslog"];

impl Setting for LogTarget {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let Some(text) = item.get_ref().as_str() else {
            return reader.unfit(item, place, "write \"stdout\"");
        };
        if text.contains('\0') || text.ends_with('/') {
            return reader.wrong(item, place, "is no path of a file", "write \"/var/log/plimsoll/access.log\"");
        }
        match (text, text.strip_prefix("syslog:")) {
            ("stdout", _) => Some(Self::Stdout),
            ("stderr", _) => Some(Self::Stderr),
            ("syslog", _) => Some(Self::SyslogSocket(DEV_LOG.into())),
            (_, Some(daemon)) => syslog(daemon).map_or_else(|help| reader.unfit(item, place, help), Some),
            // A word alone is more likely a slip than a file.
            _ if !text.contains(['/', '.']) => {
                let near = nearest(text, TARGETS.into_iter());
                let help = near.map_or_else(
                    || format!("write \"./{}\" for a file of that name", text.escape_debug()),
                    |near| format!("did you mean \"{near}\"?"),
                );
                reader.unfit(item, place, help)
            }
            _ => Some(Self::File(text.into())),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "\"stdout\", \"stderr\", \"syslog\", \"syslog://ADDRESS:PORT\" or the path of a file".to_owned(),
            schema: json!({ "type": "string", "pattern": "^(stdout|stderr|syslog|.*[./].*)$" }),
            table: None,
        }
    }
}

/// The daemon that stands behind `syslog:`, or what to write instead.
fn syslog(daemon: &str) -> Result<LogTarget, String> {
    let Some(address) = daemon.strip_prefix("//") else {
        let help = || "write \"syslog://10.0.0.5:514\"".to_owned();
        return daemon.starts_with('/').then(|| LogTarget::SyslogSocket(daemon.into())).ok_or_else(help);
    };
    let alone = || address.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| SocketAddr::new(ip, SYSLOG_PORT));
    match address.parse::<SocketAddr>().or_else(|_| alone()) {
        Ok(address) if address.port() != 0 => Ok(LogTarget::SyslogUdp(address)),
        Ok(_) => Err("the port is a number from 1 to 65535".to_owned()),
        Err(_) => Err("write the IP address and the port, such as \"syslog://10.0.0.5:514\"".to_owned()),
    }
}

/// The name of a field that is ours to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldName(pub(crate) String);

/// The longest name of a field, in bytes.
const LONGEST_FIELD_NAME: usize = 64;

/// Fields that frame a message, name its host or belong to one hop: Plimsoll writes them as they must be.
const OWNED: [&str; 13] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "expect",
    "te",
    "trailer",
    "keep-alive",
    "proxy-connection",
    "traceparent",
    "tracestate",
    "date",
];

impl Setting for FieldName {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let Some(text) = item.get_ref().as_str() else {
            return reader.unfit(item, place, "write \"X-Request-Id\"");
        };
        if !crate::http::is_token(text) || text.len() > LONGEST_FIELD_NAME {
            return reader.unfit(item, place, "write \"X-Request-Id\"");
        }
        if OWNED.iter().any(|owned| owned.eq_ignore_ascii_case(text)) || is_forwarding(text) {
            let help = format!("choose another than {}", listed(&[text]));
            return reader.wrong(item, place, "is a field with a meaning of its own", help);
        }
        Some(Self(text.to_owned()))
    }

    fn shape() -> Shape {
        Shape {
            expects: "the name of a field".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "maxLength": LONGEST_FIELD_NAME }),
            table: None,
        }
    }
}

/// Whether the field is one that `forward` sets, which tells of the client.
fn is_forwarding(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    name.starts_with("x-forwarded-") || name == "forwarded" || name == "x-real-ip"
}

/// Where spans are sent: an HTTP address with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(pub(crate) String);

/// The longest one, in bytes.
const LONGEST_ENDPOINT: usize = 1024;

impl Setting for Endpoint {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        const HELP: &str = "write \"http://127.0.0.1:4318/v1/traces\"";
        let Some(text) = item.get_ref().as_str() else {
            return reader.unfit(item, place, HELP);
        };
        let behind = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let Some((authority, _)) = behind.and_then(|behind| behind.split_once('/')) else {
            return reader.unfit(item, place, HELP);
        };
        let visible = text.len() <= LONGEST_ENDPOINT && text.bytes().all(|byte| byte.is_ascii_graphic());
        if authority.is_empty() || !visible || authority.contains('@') || text.contains('#') {
            return reader.unfit(item, place, HELP);
        }
        Some(Self(text.to_owned()))
    }

    fn shape() -> Shape {
        Shape {
            expects: "a URL with a path".to_owned(),
            schema: json!({ "type": "string", "pattern": "^https?://[^/@#\\s]+/[^#\\s]*$", "maxLength": LONGEST_ENDPOINT }),
            table: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<LogPiece> {
        pieces(text).unwrap_or_else(|fault| panic!("{text}: {}", fault.what))
    }

    #[test]
    fn a_text_is_literals_and_variables() {
        let literal = |text: &str| LogPiece::Literal(text.to_owned());
        let variable = LogPiece::Variable;
        assert_eq!(
            text("$pool/${server}s: $$5"),
            [variable(LogVariable::Pool), literal("/"), variable(LogVariable::Server), literal("s: $5")]
        );
        assert_eq!(text("$status"), [variable(LogVariable::Status)]);
    }

    #[test]
    fn the_known_formats_are_texts() {
        assert_eq!(text(COMMON).len(), 11, "six variables and what stands between them");
        assert!(text(COMBINED).len() > text(COMMON).len());
        assert!(!LogVariable::JSON.contains(&LogVariable::Request));
        assert_eq!(LogVariable::JSON.last(), Some(&LogVariable::TraceId));
    }
}
