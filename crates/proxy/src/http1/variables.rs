//! What the variables of a template stand for in a request.

use std::borrow::Cow;

use plimsoll_config::{Piece, Template, Variable};

use super::forwarding::{ClientFacts, write_address};
use super::request::RequestHead;
use super::target::host_of;
use super::{decimal, put};

/// A request, as far as templates can tell of it.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    /// The head as it was read, which `request` was parsed from.
    pub(crate) head: &'a [u8],
    pub(crate) request: &'a RequestHead,
    /// Path and query as they are told where a part of the path is cut off or put before it; empty is as they came.
    pub(crate) target: &'a [u8],
    pub(crate) client: &'a ClientFacts,
    /// The request's id; empty where there is none.
    pub(crate) id: &'a [u8],
    /// The name of its route.
    pub(crate) route: &'a str,
    /// The name of the pool that serves it; empty where none does.
    pub(crate) pool: &'a str,
    /// Likewise.
    pub(crate) server: &'a str,
}

impl Values<'_> {
    /// Appends what `template` says of the request. That can stand in a field of a head, whatever the request holds: there
    /// is no control character in it, and no white space before or after it.
    pub(crate) fn write(&self, out: &mut Vec<u8>, template: &Template) {
        let start = out.len();
        for piece in &template.0 {
            match piece {
                Piece::Literal(text) => put(out, &[text.as_bytes()]),
                Piece::Variable(variable) => self.write_one(out, *variable),
            }
        }
        for byte in &mut out[start..] {
            // A head that was parsed has none of these in what is told of it. A name in the file might.
            *byte = if byte.is_ascii_control() { b' ' } else { *byte };
        }
        let trimmed = out[start..].trim_ascii();
        let (length, before) = (trimmed.len(), out[start..].len() - out[start..].trim_ascii_start().len());
        out.drain(start..start + before);
        out.truncate(start + length);
    }

    fn write_one(&self, out: &mut Vec<u8>, variable: Variable) {
        let (path, query) = self.target();
        match variable {
            Variable::ClientIp => {
                if let Some(address) = self.client.address() {
                    write_address(out, address);
                }
            }
            Variable::Host => put(out, &[host_of(self.request.host.map_or(b"", |host| host.slice(self.head)))]),
            Variable::Port => {
                if let Some(port) = self.client.port() {
                    decimal(out, port.into());
                }
            }
            Variable::Scheme => put(out, &[self.client.scheme().as_bytes()]),
            Variable::Method => put(out, &[self.request.method.slice(self.head)]),
            Variable::Path => put(out, &[path]),
            Variable::Query => put(out, &[query.unwrap_or_default()]),
            Variable::Target => {
                put(out, &[path]);
                if let Some(query) = query {
                    put(out, &[b"?", query]);
                }
            }
            Variable::RequestId => put(out, &[self.id]),
            Variable::Route => put(out, &[self.route.as_bytes()]),
            Variable::Pool => put(out, &[self.pool.as_bytes()]),
            Variable::Server => put(out, &[self.server.as_bytes()]),
        }
    }

    /// Path and query. `OPTIONS *` asks for no path.
    fn target(&self) -> (&[u8], Option<&[u8]>) {
        if self.head.is_empty() {
            // What came was no request, and asked for none.
            return (b"", None);
        }
        let came = self.request.target.path.slice(self.head);
        let (path, query) = split_query(if self.target.is_empty() { came } else { self.target });
        (if path.is_empty() || path == b"*" { b"/" } else { path }, query)
    }
}

/// The path in front of a query, and the query without its question mark where there is one.
pub(crate) fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
        None => (target, None),
    }
}

/// Whether what `template` says depends on the head of the request.
pub(crate) fn names_request(template: &Template) -> bool {
    const OF_HEAD: [Variable; 5] =
        [Variable::Host, Variable::Method, Variable::Path, Variable::Query, Variable::Target];
    OF_HEAD.iter().any(|variable| template.names(*variable))
}

/// Whether it depends on the server.
pub(crate) fn names_server(template: &Template) -> bool {
    template.names(Variable::Server) || template.names(Variable::Pool)
}

/// The address that a request is sent to by `to`. What is said of a request's path can begin with two slashes, and what
/// begins so names another host to a browser, as does a backslash in place of either: only the file says where to go.
pub(crate) fn location(to: &Template, values: &Values<'_>) -> String {
    let mut location = Vec::new();
    values.write(&mut location, to);
    let ours = matches!(to.0.first(), Some(Piece::Literal(text)) if !is_root(text));
    let slashes = location.iter().take_while(|byte| matches!(byte, b'/' | b'\\')).count();
    if !ours && slashes > 1 {
        location.drain(1..slashes);
    }
    if !ours && slashes > 0 {
        location[0] = b'/';
    }
    Cow::into_owned(String::from_utf8_lossy(&location))
}

/// What follows this may be what makes it another host.
fn is_root(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'/' | b'\\'))
}

#[cfg(test)]
mod tests {
    use plimsoll_config::{FieldMode, Forward, HostMode};

    use super::*;
    use crate::http1::request::HeadRules;
    use crate::peer::Peer;

    fn forward() -> Forward {
        Forward {
            x_forwarded_for: FieldMode::Off,
            x_forwarded_proto: FieldMode::Off,
            x_forwarded_host: FieldMode::Off,
            x_forwarded_port: FieldMode::Off,
            x_real_ip: FieldMode::Off,
            forwarded: FieldMode::Off,
            host: HostMode::Keep,
        }
    }

    /// `template` with `$name` for variables, for a request with this line and host.
    fn said(template: &str, target: &str, host: &str) -> String {
        with_values(target, host, |values| location(&parsed(template), values))
    }

    fn parsed(template: &str) -> Template {
        let mut pieces = Vec::new();
        for (place, part) in template.split('$').enumerate() {
            let named = Variable::ALL.iter().filter(|_| place > 0).find(|variable| part.starts_with(variable.name()));
            let rest = named.map_or(part, |variable| &part[variable.name().len()..]);
            pieces.extend(named.map(|variable| Piece::Variable(*variable)));
            pieces.extend((!rest.is_empty()).then(|| Piece::Literal(rest.to_owned())));
        }
        Template(pieces)
    }

    fn with_values<T>(target: &str, host: &str, tell: impl Fn(&Values<'_>) -> T) -> T {
        let method = if target == "*" { "OPTIONS" } else { "GET" };
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut request = RequestHead::default();
        request.parse(head.as_bytes(), HeadRules { max_target: 1000, bare_lf: false }).unwrap();
        let peer = Peer {
            address: Some(([192, 0, 2, 1], 4321).into()),
            local: Some(([192, 0, 2, 9], 8080).into()),
            ..Peer::default()
        };
        let client = ClientFacts::new(&peer, &forward(), false);
        let values = Values {
            head: head.as_bytes(),
            request: &request,
            target: &[],
            client: &client,
            id: b"0af7",
            route: "shop",
            pool: "app",
            server: "one\r\nX: y",
        };
        tell(&values)
    }

    #[test]
    fn variables_tell_of_the_request() {
        let all = "$client_ip|$host|$port|$scheme|$method|$path|$query|$target|$request_id|$route|$pool|$server";
        let expected = "192.0.2.1|a.example|8080|http|GET|/x/y|q=1|/x/y?q=1|0af7|shop|app|one  X: y";
        assert_eq!(said(all, "/x/y?q=1", "a.example:80"), expected);
        assert_eq!(said("x $query ", "/x?", "a"), "x");
        assert_eq!(said("$path-$query-$target", "*", "a"), "/--/");
    }

    #[test]
    fn a_redirect_keeps_host_path_and_query_and_has_the_port_of_tls() {
        let to = |port: &str, host: &str, path: &str| said(&format!("https://$host{port}$target"), path, host);
        assert_eq!(to("", "a.example", "/x?y=1"), "https://a.example/x?y=1");
        assert_eq!(to("", "a.example:80", "//evil.example"), "https://a.example//evil.example");
        assert_eq!(to(":8443", "[::1]:8080", "http://[::1]:8080"), "https://[::1]:8443/");
        assert_eq!(to(":8443", "[::1]", "http://[::1]?q"), "https://[::1]:8443/?q");
        assert_eq!(to("", "a.example", "*"), "https://a.example/");
    }

    #[test]
    fn a_path_is_no_host_to_be_sent_to() {
        for to in ["$path", "$target", "/$path", "$query"] {
            for path in ["//evil.example/x", "/\\evil.example/x", "///evil.example/x", "/x?//evil.example/x"] {
                let location = said(to, path, "a");
                let second = location.as_bytes().get(1);
                assert!(!matches!(second, Some(b'/' | b'\\')), "{to} for {path}: {location}");
            }
        }
        assert_eq!(said("$path", "//evil.example/x", "a"), "/evil.example/x");
        assert_eq!(said("//other.example$path", "//x", "a"), "//other.example//x");
    }
}
