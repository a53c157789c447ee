//! How the servers of a pool are probed.

use std::ops::Range;
use std::time::Duration;

use plimsoll_core::ProbeRule;

use super::lists::statuses;
use crate::address_text::Host;
use crate::pattern::Regex;
use crate::pool::Server;
use crate::probe::{Check, Http, Probe};
use crate::protocol::ServerProtocol;
use crate::raw;
use crate::reader::Reader;
use crate::setting::Field;
use crate::wording::quoted;

/// The probe of a pool and how its results are judged; `None` where there is none, or where what it asks could not be
/// told, which was reported. `sound` is whether all settings of the pool, which has `servers`, could be read.
pub(super) fn resolve(
    pool: &raw::Pool,
    servers: &[Server],
    sound: bool,
    reader: &mut Reader,
) -> Option<(Probe, ProbeRule)> {
    let raw = pool.probe.value.0.as_ref()?;
    let Some(kind) = kind(raw, sound, reader) else {
        // Where something could not be read, it may have been what is missing.
        if sound {
            let help = "add `http = \"/health\"`, `grpc = \"\"`, `tcp = true` or `expect = 'a regular expression'`";
            reader.report(pool.probe.span.clone(), "`probe` does not say what to ask".to_owned(), help);
        }
        return None;
    };
    if sound {
        check_pool_fits(pool, raw, reader);
        check_place(raw, servers, reader);
    }
    let check = check(raw, &kind, reader);
    let by_tls = raw.tls.as_ref().map_or(!matches!(kind, Kind::Connect), |tls| tls.value);
    let interval = raw.interval.value.0;
    let probe = Probe {
        check,
        interval,
        interval_down: raw.interval_down.as_ref().map_or(interval.min(USUAL_INTERVAL_DOWN), |field| field.value.0),
        timeout: raw.timeout.value.0,
        address: raw.address.as_ref().map(|field| field.value),
        port: raw.port.as_ref().map(|field| field.value.0 as u16),
        tls: by_tls && pool.tls.value.0.is_some(),
        send_proxy: raw.send_proxy.value,
    };
    let rule = ProbeRule { fall: raw.fall.value.count(), rise: raw.rise.value.count(), initial: raw.initial.value.0 };
    Some((probe, rule))
}

/// A server that is down serves nobody, so that its return is worth more than the cost of asking.
const USUAL_INTERVAL_DOWN: Duration = Duration::from_secs(1);

/// What is asked.
enum Kind<'a> {
    Http(&'a str),
    Grpc(&'a str),
    Connect,
    Expect(&'a Regex),
}

/// What the settings say is to be asked; where they say several things the first, and that is reported. `sound` is
/// whether all of them could be read: if not, what is missing may be what could not.
fn kind<'a>(raw: &'a raw::Probe, sound: bool, reader: &mut Reader) -> Option<Kind<'a>> {
    let http = raw.http.as_ref().map(|field| ("http", &field.span, Kind::Http(&field.value.0)));
    let grpc = raw.grpc.as_ref().map(|field| ("grpc", &field.span, Kind::Grpc(&field.value.0)));
    let tcp = raw.tcp.as_ref().map(|field| ("tcp", &field.span, Kind::Connect));
    let expect = raw.expect.as_ref().map(|field| ("expect", &field.span, Kind::Expect(&field.value)));
    if let Some(tcp) = raw.tcp.as_ref().filter(|tcp| !tcp.value) {
        let help = "remove it, or write `tcp = true` to only connect";
        reader.report(tcp.span.clone(), "`tcp = false` has no effect".to_owned(), help);
    }
    let mut kinds = [http, grpc, expect, tcp].into_iter().flatten();
    let first = kinds.next();
    if let (Some((one, ..)), Some((other, span, _))) = (&first, kinds.next()) {
        let message = format!("`{one}` and `{other}` are two kinds of probe, of which a pool has one");
        reader.report(span.clone(), message, "remove one; each of them connects first");
    }
    let first = first.map(|(_, _, kind)| kind);
    match &raw.send {
        Some(send) if raw.expect.is_none() && sound => {
            let message = "`send` needs `expect`, or nothing of the answer is looked at".to_owned();
            let help = "write what must come back, such as `expect = 'PONG'`";
            reader.report(send.span.clone(), message, help);
            // What was meant is clear, so nothing more is said about it.
            first.or(Some(Kind::Connect))
        }
        _ => first,
    }
}

fn check(raw: &raw::Probe, kind: &Kind<'_>, reader: &mut Reader) -> Check {
    let limit = raw.body_limit.value.0 as usize;
    match kind {
        Kind::Http(path) => Check::Http(http(raw, path, reader)),
        Kind::Grpc(service) => {
            report_no_effect("body_limit", raw.body_limit.where_given(), GRPC_ALONE, reader);
            check_http_only(raw, GRPC_ALONE, reader);
            let host = raw.host.as_ref().map(|host| host.value.0.clone());
            Check::Grpc { service: (*service).to_owned(), host }
        }
        Kind::Connect => {
            // Beside `send` that lacks its `expect` the bound on what is read may be right.
            let bound = raw.body_limit.where_given().filter(|_| raw.send.is_none());
            report_no_effect("body_limit", bound, "nothing is read", reader);
            check_host_only(raw, reader);
            check_http_only(raw, NO_HTTP, reader);
            Check::Connect
        }
        Kind::Expect(expect) => {
            check_host_only(raw, reader);
            check_http_only(raw, NO_HTTP, reader);
            let send = raw.send.as_ref().map_or(Vec::new(), |send| send.value.0.clone().into_bytes());
            Check::Exchange { send, expect: expect.0.clone(), limit }
        }
    }
}

fn http(raw: &raw::Probe, path: &str, reader: &mut Reader) -> Http {
    let body_given = raw.body.as_ref().map(|body| body.span.clone());
    if raw.method.value.0 == "HEAD" {
        report_no_effect("body", body_given.clone(), "the answer to HEAD has none", reader);
    }
    if body_given.is_none() && raw.expect.is_none() {
        report_no_effect("body_limit", raw.body_limit.where_given(), "no `body` is looked for", reader);
    }
    check_owned_fields(raw, reader);
    let headers = raw.headers.as_ref().map_or(&[][..], |headers| &headers.value.0);
    let expected = raw.header.as_ref().map_or(&[][..], |header| &header.value.0);
    Http {
        method: raw.method.value.0.clone(),
        path: path.to_owned(),
        host: raw.host.as_ref().map(|host| host.value.0.clone()),
        headers: headers.iter().map(|named| (named.name.clone(), named.field.value.0.clone())).collect(),
        status: statuses(&raw.status.value.0, "status", reader),
        expect_headers: expected
            .iter()
            .map(|named| (named.name.to_ascii_lowercase(), named.field.value.0.clone()))
            .collect(),
        body: raw.body.as_ref().map(|body| body.value.0.clone()),
        body_limit: raw.body_limit.value.0 as usize,
    }
}

/// Fields of the request that a probe writes itself, and what to do instead of setting them.
const OWNED: [(&str, &str); 4] = [
    ("host", "write it as `host` beside `headers`"),
    ("content-length", "remove it: a probe sends no body"),
    ("transfer-encoding", "remove it: a probe sends no body"),
    ("connection", "remove it: how a probe's connection ends is settled"),
];

fn check_owned_fields(raw: &raw::Probe, reader: &mut Reader) {
    for named in raw.headers.iter().flat_map(|headers| &headers.value.0) {
        if let Some((_, help)) = OWNED.iter().find(|(owned, _)| owned.eq_ignore_ascii_case(&named.name)) {
            let message = format!("`{}` is written by Plimsoll itself", named.name);
            reader.report(named.span.clone(), message, *help);
        }
    }
}

const NO_HTTP: &str = "the probe speaks no HTTP";
const GRPC_ALONE: &str = "a probe by gRPC looks at nothing but the health that the server tells";

fn place<T>(field: Option<&Field<T>>) -> Option<Range<usize>> {
    field.map(|field| field.span.clone())
}

/// Where no HTTP is spoken, nobody is asked for.
fn check_host_only(raw: &raw::Probe, reader: &mut Reader) {
    report_no_effect("host", place(raw.host.as_ref()), NO_HTTP, reader);
}

/// Where the request and the answer are not the user's, nothing about them has an effect.
fn check_http_only(raw: &raw::Probe, why: &str, reader: &mut Reader) {
    for (key, span) in [
        ("method", raw.method.where_given()),
        ("headers", place(raw.headers.as_ref())),
        ("status", raw.status.where_given()),
        ("header", place(raw.header.as_ref())),
        ("body", place(raw.body.as_ref())),
    ] {
        report_no_effect(key, span, why, reader);
    }
}

/// What a probe takes from its pool must be there.
fn check_pool_fits(pool: &raw::Pool, raw: &raw::Probe, reader: &mut Reader) {
    if let Some(grpc) = raw.grpc.as_ref().filter(|_| pool.protocol.value.0 == ServerProtocol::Http1) {
        let message = "`grpc` needs HTTP/2, and HTTP/1 is spoken with the servers".to_owned();
        reader.report(grpc.span.clone(), message, "add `protocol = \"http2\"` to the pool, or probe by `http`");
    }
    if let Some(tls) = raw.tls.as_ref().filter(|tls| tls.value && pool.tls.value.0.is_none()) {
        let message = "`tls = true` has no effect, as the pool has no `tls` that tells what to believe".to_owned();
        reader.report(tls.span.clone(), message, "add `tls = true` to the pool, or remove it here");
    }
    if raw.send_proxy.value && pool.send_proxy.value.0.is_none() {
        let message = "`send_proxy` has no effect, as the pool has no `send_proxy` that tells the version".to_owned();
        reader.report(raw.send_proxy.span.clone(), message, "add `send_proxy = \"v2\"` to the pool, or remove it here");
    }
}

/// A Unix socket has neither an address nor a port that another could take the place of.
fn check_place(raw: &raw::Probe, servers: &[Server], reader: &mut Reader) {
    let Some(server) = servers.iter().find(|server| matches!(server.host, Host::Unix(_))) else { return };
    for (key, span) in [("address", place(raw.address.as_ref())), ("port", place(raw.port.as_ref()))] {
        if let Some(span) = span {
            let message = format!("`{key}` has no effect on server {}, a Unix socket", quoted(&server.name));
            reader.report(span, message, format!("remove `{key}`, or put this server into a pool of its own"));
        }
    }
}

fn report_no_effect(key: &str, span: Option<Range<usize>>, why: &str, reader: &mut Reader) {
    if let Some(span) = span {
        reader.report(span, format!("`{key}` has no effect, as {why}"), format!("remove `{key}`"));
    }
}
