//! Heads of HTTP/2 as text of HTTP/1 and back.
//!
//! A head has one form in this crate: the bytes of an HTTP/1 head and offsets into them. What comes as frames is written so
//! and then held to the same rules as any other, which makes one place judge whether a head can be forwarded safely,
//! whatever it came by and whatever it leaves by (RFC 9113, sections 8.2 and 10.3).

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version, request, response};

/// The bytes of a nonce of a WebSocket (RFC 6455, section 4.1).
const NONCE: usize = 16;

/// Why a head cannot be carried on, so that its stream is reset (RFC 9113, section 8.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Writes the head of a request; `ended` says that it has no body.
pub(crate) fn of_request(parts: &request::Parts, ended: bool) -> Result<Vec<u8>, Malformed> {
    let mut text = Vec::with_capacity(512);
    let upgrade = upgrade_of(parts)?;
    let method = if upgrade.is_some() { &Method::GET } else { &parts.method };
    if parts.uri.scheme_str().is_some_and(str::is_empty) {
        return Err(Malformed);
    }
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let target = match parts.uri.path_and_query() {
        _ if *method == Method::CONNECT => authority.unwrap_or_default(),
        Some(path) => path.as_str().as_bytes(),
        None => return Err(Malformed),
    };
    // That nothing comes is only believed once the end has come: what is forwarded before could not be taken back.
    let empty = !ended
        && parts.headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes().iter().all(|byte| *byte == b'0'));
    put(&mut text, &[method.as_str().as_bytes(), b" ", target, b" HTTP/1.1\r\n"]);
    put_host(&mut text, authority, &parts.headers)?;
    if let Some(protocol) = upgrade {
        let nonce = BASE64.encode(std::array::from_fn::<u8, NONCE, _>(|_| fastrand::u8(..)));
        put(&mut text, &[b"connection: upgrade\r\nupgrade: ", protocol.as_bytes(), b"\r\n"]);
        put(&mut text, &[b"sec-websocket-key: ", nonce.as_bytes(), b"\r\n"]);
    } else if empty || !parts.headers.contains_key(CONTENT_LENGTH) {
        let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
        match (ended, expects_body) {
            (false, _) => put(&mut text, &[b"transfer-encoding: chunked\r\n"]),
            // A request of such a method without a length would leave its server in doubt (RFC 9110, section 8.6).
            (true, true) => put(&mut text, &[b"content-length: 0\r\n"]),
            (true, false) => {}
        }
    }
    put_fields(&mut text, &parts.headers, |name| empty && *name == CONTENT_LENGTH)?;
    Ok(text)
}

/// Writes the head of a response, or of an interim one. Where it answers a request to switch protocols with `nonce`, 200 is
/// what 101 is in HTTP/1 (RFC 8441, section 5.1).
pub(crate) fn of_response(parts: &response::Parts, nonce: Option<&str>) -> Result<Vec<u8>, Malformed> {
    let mut text = Vec::with_capacity(512);
    match nonce.filter(|_| parts.status == StatusCode::OK) {
        Some(nonce) => {
            let accept = super::websocket::accept(nonce);
            put(&mut text, &[b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"]);
            put(&mut text, &[b"sec-websocket-accept: ", accept.as_bytes(), b"\r\n"]);
        }
        None => put(&mut text, &[b"HTTP/1.1 ", parts.status.as_str().as_bytes(), b" \r\n"]),
    }
    put_fields(&mut text, &parts.headers, |_| false)?;
    Ok(text)
}

/// Writes a trailer section.
pub(crate) fn of_trailers(trailers: &HeaderMap) -> Result<Vec<u8>, Malformed> {
    let mut text = Vec::new();
    put_fields(&mut text, trailers, |_| false)?;
    Ok(text)
}

/// The protocol that an extended CONNECT asks for (RFC 8441). Only `websocket` is known to HTTP/1 in this way.
fn upgrade_of(parts: &request::Parts) -> Result<Option<&str>, Malformed> {
    match parts.extensions.get::<Protocol>().map(Protocol::as_str) {
        None => Ok(None),
        Some("websocket") if parts.method == Method::CONNECT => Ok(Some("websocket")),
        Some(_) => Err(Malformed),
    }
}

/// `:authority` is the host; a `host` beside it must say the same (RFC 9113, section 8.3.1).
fn put_host(text: &mut Vec<u8>, authority: Option<&[u8]>, headers: &HeaderMap) -> Result<(), Malformed> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (authority, hosts.next(), hosts.next()) {
        (_, _, Some(_)) => return Err(Malformed),
        (Some(authority), Some(host), None) if !authority.eq_ignore_ascii_case(host.as_bytes()) => {
            return Err(Malformed);
        }
        (Some(authority), ..) => authority,
        (None, Some(host), None) => host.as_bytes(),
        (None, None, None) => return Ok(()),
    };
    put(text, &[b"host: ", host, b"\r\n"]);
    Ok(())
}

/// Writes all fields but `host` and those to `leave_out`, and the empty line. Several `cookie` fields become one (RFC 9113, section 8.2.3).
fn put_fields(
    text: &mut Vec<u8>,
    headers: &HeaderMap,
    leave_out: impl Fn(&HeaderName) -> bool,
) -> Result<(), Malformed> {
    for (name, value) in headers.iter().filter(|(name, _)| **name != HOST && **name != COOKIE && !leave_out(name)) {
        put(text, &[name.as_str().as_bytes(), b": ", checked(value)?, b"\r\n"]);
    }
    let mut cookies = headers.get_all(COOKIE).iter();
    if let Some(first) = cookies.next() {
        put(text, &[b"cookie: ", checked(first)?]);
        for more in cookies {
            put(text, &[b"; ", checked(more)?]);
        }
        put(text, &[b"\r\n"]);
    }
    put(text, &[b"\r\n"]);
    Ok(())
}

/// A value neither begins nor ends with white space (RFC 9113, section 8.2.1); the library sees to all else.
fn checked(value: &HeaderValue) -> Result<&[u8], Malformed> {
    let bytes = value.as_bytes();
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if blank(bytes.first()) || blank(bytes.last()) { Err(Malformed) } else { Ok(bytes) }
}

fn put(text: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        text.extend_from_slice(part);
    }
}

/// The head of a request that is to be sent as frames, out of the text that we wrote for its server.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) request: Request<()>,
    /// What the client's `Sec-WebSocket-Key` said, where it asks for a WebSocket.
    pub(crate) nonce: Option<String>,
    /// It asks for another protocol, of which HTTP/2 knows nothing, and so goes without. Such a request has no body.
    pub(crate) declined: bool,
}

impl Question {
    /// Reads a head as `http1::write` wrote it; `scheme` is `http` or `https`.
    pub(crate) fn read(text: &[u8], scheme: &str) -> io::Result<Self> {
        let (line, fields) = split(text)?;
        let mut words = line.split(|byte| *byte == b' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (headers, mut apart) = read_fields(fields)?;
        let upgrade = apart.websocket.then(|| apart.nonce.take()).flatten();
        let authority = std::str::from_utf8(apart.host.unwrap_or_default()).map_err(|_| invalid())?;
        let target = std::str::from_utf8(target).map_err(|_| invalid())?;
        // `OPTIONS *` is written with a path of `*` (RFC 9113, section 8.3.1).
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(target).build();
        let mut request = Request::new(());
        *request.uri_mut() = uri.map_err(|_| invalid())?;
        *request.method_mut() = match upgrade {
            Some(_) => Method::CONNECT,
            None => Method::from_bytes(method).map_err(|_| invalid())?,
        };
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = headers;
        // We take trailers from every server, whatever the client said.
        request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        if upgrade.is_some() {
            request.extensions_mut().insert(Protocol::from_static("websocket"));
        }
        Ok(Self { request, declined: apart.upgrade && upgrade.is_none(), nonce: upgrade })
    }
}

/// The head of a response that is to be sent as frames, out of the text that we wrote for its client. Where the client asked
/// for a WebSocket, 101 becomes 200; whether that is so is told too.
pub(crate) fn to_response(text: &[u8]) -> io::Result<(Response<()>, bool)> {
    let (line, fields) = split(text)?;
    let status = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let status = StatusCode::from_bytes(status).map_err(|_| invalid())?;
    let mut response = Response::new(());
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    *response.status_mut() = if switches { StatusCode::OK } else { status };
    *response.version_mut() = Version::HTTP_2;
    *response.headers_mut() = read_fields(fields)?.0;
    Ok((response, switches))
}

/// A trailer section that is to be sent as a frame.
pub(crate) fn to_trailers(text: &[u8]) -> io::Result<HeaderMap> {
    Ok(read_fields(text)?.0)
}

/// What of a head does not stand among its fields in HTTP/2.
#[derive(Default)]
struct Apart<'a> {
    host: Option<&'a [u8]>,
    upgrade: bool,
    websocket: bool,
    nonce: Option<String>,
}

/// The fields of a head, without those that speak of the connection (RFC 9113, section 8.2.2) or are told otherwise.
fn read_fields(mut text: &[u8]) -> io::Result<(HeaderMap, Apart<'_>)> {
    let (mut headers, mut apart) = (HeaderMap::with_capacity(16), Apart::default());
    loop {
        let (line, rest) = split(text)?;
        if line.is_empty() {
            return Ok((headers, apart));
        }
        text = rest;
        let colon = memchr::memchr(b':', line).ok_or_else(invalid)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let name = HeaderName::from_bytes(name).map_err(|_| invalid())?;
        match name.as_str() {
            "host" => apart.host = Some(value),
            "upgrade" => {
                apart.upgrade = true;
                apart.websocket = value.eq_ignore_ascii_case(b"websocket");
            }
            "sec-websocket-key" => apart.nonce = String::from_utf8(value.to_vec()).ok(),
            "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "te" | "sec-websocket-accept" => {}
            _ => {
                headers.append(name, HeaderValue::from_bytes(value).map_err(|_| invalid())?);
            }
        }
    }
}

/// The first line of `text`, and what follows it.
fn split(text: &[u8]) -> io::Result<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', text).ok_or_else(invalid)?;
    Ok((text[..end].strip_suffix(b"\r").unwrap_or(&text[..end]), &text[end + 1..]))
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a head that frames cannot carry")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(request: http::request::Builder) -> request::Parts {
        request.body(()).unwrap().into_parts().0
    }

    fn text(request: http::request::Builder, ended: bool) -> Result<String, Malformed> {
        of_request(&parts(request), ended).map(|text| String::from_utf8(text).unwrap())
    }

    fn get() -> http::request::Builder {
        Request::get("https://a.example:8443/x?y=1")
    }

    #[test]
    fn a_request_becomes_text_and_frames_again() {
        let head = get().header("cookie", "a=1").header("x-one", "1").header("cookie", "b=2").header("te", "trailers");
        let head = text(head, true).unwrap();
        let lines =
            ["GET /x?y=1 HTTP/1.1", "host: a.example:8443", "x-one: 1", "te: trailers", "cookie: a=1; b=2", "", ""];
        assert_eq!(head, lines.join("\r\n"));
        let question = Question::read(head.as_bytes(), "https").unwrap();
        assert_eq!(question.request.uri(), "https://a.example:8443/x?y=1");
        let names: Vec<_> = question.request.headers().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x-one", "cookie", "te"]);
    }

    #[test]
    fn the_length_of_a_body_is_told_or_told_to_be_unknown() {
        let post = || Request::post("http://a/");
        assert!(text(post(), false).unwrap().contains("\r\ntransfer-encoding: chunked\r\n"));
        assert!(text(post(), true).unwrap().contains("\r\ncontent-length: 0\r\n"));
        assert!(!text(post().header("content-length", "5"), false).unwrap().contains("transfer-encoding"));
        assert!(!text(get(), true).unwrap().contains("content-length"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_malformed() {
        assert_eq!(text(get().header("host", "b.example"), true), Err(Malformed));
        assert_eq!(text(get().header("host", "A.example:8443").header("host", "a.example:8443"), true), Err(Malformed));
        assert!(text(get().header("host", "A.Example:8443"), true).is_ok());
        for value in [" a", "a ", "\ta"] {
            assert_eq!(text(get().header("x", value), true), Err(Malformed), "{value:?}");
        }
        assert_eq!(text(get().extension(Protocol::from_static("connect-udp")), true), Err(Malformed));
    }

    #[test]
    fn a_websocket_is_asked_for_in_the_way_of_either_version() {
        let connect = Request::connect("https://a/chat").extension(Protocol::from_static("websocket"));
        let head = text(connect.header("sec-websocket-version", "13"), false).unwrap();
        assert!(head.starts_with("GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"));
        let question = Question::read(head.as_bytes(), "http").unwrap();
        assert_eq!(question.request.method(), Method::CONNECT);
        assert_eq!(question.request.extensions().get::<Protocol>().map(Protocol::as_str), Some("websocket"));
        assert!(!question.request.headers().contains_key("sec-websocket-key"));
        let nonce = question.nonce.unwrap();
        assert_eq!(BASE64.decode(&nonce).unwrap().len(), NONCE);
        let answer = Response::new(()).into_parts().0;
        let answer = String::from_utf8(of_response(&answer, Some(&nonce)).unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("\r\nsec-websocket-accept: "), "{answer}");
        assert_eq!(to_response(answer.as_bytes()).unwrap().0.status(), StatusCode::OK);
    }

    #[test]
    fn what_speaks_of_the_connection_stays_on_it() {
        let head = "HTTP/1.1 204 No Content\r\nServer: x\r\nConnection: close\r\nKeep-Alive: 5\r\n\
                    Transfer-Encoding: chunked\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nX-Two: 2 \r\n\r\n";
        let (response, _) = to_response(head.as_bytes()).unwrap();
        let fields: Vec<_> = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(fields, [("server", &b"x"[..]), ("x-two", b"2")]);
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }
}
