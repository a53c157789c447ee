//! Who is heard: requests under a name of ours, from our own page or from no page at all, with the token where one is due.
//!
//! A browser on the machine of an operator reaches what the operator reaches, on behalf of any page it shows. Such a page
//! cannot choose the Host under which it asks, unless its own name is made to point here (DNS rebinding); so names that
//! are not ours are refused. It can ask across sites; browsers say so (`Sec-Fetch-Site`, `Origin`), and a page of another
//! site cannot send JSON without being asked first, which we never allow.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use plimsoll_config::Secret;
use subtle::ConstantTimeEq;
use tokio::time::sleep;

use super::answer::finish;
use super::ask::is_json;
use super::desk::Desk;
use super::page;
use crate::api::Problem;

/// By which door a request came.
#[derive(Clone, Debug)]
pub(super) struct Via {
    /// Our address, as the client connected to it; `None` of a Unix socket.
    pub(super) address: Option<IpAddr>,
    /// The client's address.
    pub(super) peer: Option<IpAddr>,
    /// Whether other machines reach it, so that a token is due.
    pub(super) open: bool,
}

/// What a wrong token costs. With the bound on connections it leaves a thousand guesses a second to all of them together,
/// against at least 2^64 tokens.
const PENALTY: Duration = Duration::from_millis(100);

/// Hears a request or refuses it, and finishes the answer.
pub(super) async fn guard(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let mut response = match admit(&desk, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        sleep(PENALTY).await;
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    finish(response.headers_mut());
    response
}

fn admit(desk: &Desk, request: &Request) -> Result<(), Problem> {
    let Some(via) = request.extensions().get::<Via>() else {
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "nobody knows by which door this came"));
    };
    let (method, uri, fields) = (request.method(), request.uri(), request.headers());
    let setup = desk.shared.gate.setup();
    check_host(via, uri, fields, &setup.hosts)?;
    check_site(method, uri, fields)?;
    if via.open && !page::is_public(uri.path()) && !shows(fields, setup.token.as_ref()) {
        desk.intruders.tell(&desk.shared.journal, via.peer, fields);
        let detail = "this address requires a token: send `Authorization: Bearer TOKEN`";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
    }
    let kind = fields.get(header::CONTENT_TYPE);
    if changes(method) && kind.is_some_and(|kind| !is_json(kind.as_bytes())) {
        let detail = "write `Content-Type: application/json`, and the body in JSON";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    Ok(())
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// The request must call us by a name of ours: an address of ours, localhost, or a name that the configuration has.
fn check_host(via: &Via, uri: &Uri, fields: &HeaderMap, hosts: &[String]) -> Result<(), Problem> {
    let mut named = fields.get_all(header::HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "a request must have one Host"));
    };
    // By a socket in the file system no page of whatever name comes.
    let Some(address) = via.address else { return Ok(()) };
    let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    let known = |authority: &Authority| is_ours(authority, address, hosts);
    let ours = host.as_ref().is_some_and(known) && uri.authority().is_none_or(known);
    if ours {
        return Ok(());
    }
    let name = host.map_or_else(|| "that name".to_owned(), |host| format!("{:?}", host.host()));
    let detail = format!("this is not {name}; to reach it by that name, add it to `hosts` of `[admin]`");
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail))
}

fn is_ours(authority: &Authority, address: IpAddr, hosts: &[String]) -> bool {
    let host = authority.host();
    if authority.as_str().contains('@') {
        return false;
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == address) {
        return true;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
}

/// The request must come from our own page, or from none: a program, or the address bar.
fn check_site(method: &Method, uri: &Uri, fields: &HeaderMap) -> Result<(), Problem> {
    let refused = || {
        let detail = "this request comes from a page of another site; such are not heard";
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    };
    let field = |name: &str| fields.get(name).map(HeaderValue::as_bytes);
    // A link from elsewhere may lead to the page, which is the same for everyone; nothing can be framed.
    let link = *method == Method::GET
        && page::is_public(uri.path())
        && field("sec-fetch-mode") == Some(b"navigate")
        && field("sec-fetch-dest") == Some(b"document");
    let from = field("sec-fetch-site");
    if !link && !matches!(from, None | Some(b"same-origin" | b"none")) {
        return refused();
    }
    let mut origins = fields.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return Ok(()) };
    let host = fields.get(header::HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    let same = [&b"http://"[..], b"https://"]
        .into_iter()
        .any(|scheme| origin.as_bytes().strip_prefix(scheme).is_some_and(|origin| origin.eq_ignore_ascii_case(host)));
    if same && origins.next().is_none() { Ok(()) } else { refused() }
}

/// Whether the request shows the token. Where none is set nothing is heard, rather than everything.
fn shows(fields: &HeaderMap, token: Option<&Secret>) -> bool {
    let mut shown = fields.get_all(header::AUTHORIZATION).iter();
    let (Some(shown), None, Some(token)) = (shown.next(), shown.next(), token) else { return false };
    let Some((scheme, credentials)) = shown.as_bytes().split_at_checked("Bearer ".len()) else { return false };
    // The time this takes tells the length of the token at most, and nothing of what is in it.
    scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(credentials.trim_ascii().ct_eq(token.bytes()))
}
