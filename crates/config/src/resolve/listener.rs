//! A listener: where it listens, what its requests come to, and what its settings ask of each other.

use std::ops::Range;

use super::{binds, limit, log, protocol, redirect, route, rules, tcp};
use crate::files::Files;
use crate::protocol::ListenerProtocol;
use crate::quantity::show_bytes;
use crate::raw;
use crate::reader::Reader;
use crate::resolved::{ClientTimeouts, Forward, Listener, Target};
use crate::route::RouteRules;
use crate::value::Entry;
use crate::wording::quoted;

/// The listener that `raw` describes.
pub(super) fn resolve(
    entry: &Entry<raw::Listener>,
    raw: &raw::Listener,
    files: &mut Files<'_>,
    reader: &mut Reader,
) -> Listener {
    let http = raw.protocol.value.0 == ListenerProtocol::Http;
    if entry.sound {
        check_target(entry, raw, reader);
        check_needs_tls(raw, reader);
        if http {
            redirect::check(raw.redirect.as_ref(), raw.tls.is_some(), reader);
            check_forwards(raw, reader);
        } else {
            tcp::check_listener(raw, reader);
        }
    }
    if http {
        check_target_fits(raw, reader);
    }
    let access = rules::access(
        [("allow", raw.allow.as_ref()), ("deny", raw.deny.as_ref())],
        [("allow_file", raw.allow_file.as_ref()), ("deny_file", raw.deny_file.as_ref())],
        rules::by_unix(raw),
        files,
        reader,
    );
    let rules = if http { rules::of_listener(raw, &access, files, reader) } else { RouteRules::default() };
    let target = target(raw, &rules, entry.sound, files, reader);
    Listener {
        name: entry.name.clone(),
        binds: binds::resolve(raw, files.folder(), reader),
        protocol: raw.protocol.value.0,
        target,
        access,
        limits: limit::names(raw.limit.as_ref()),
        tls: protocol::listener_tls(raw, files, reader),
        hsts: protocol::hsts(&raw.hsts.value, reader),
        http2: protocol::client_http2(&raw.http2.value, reader),
        proxy_protocol: raw.proxy_protocol.as_ref().map(|field| protocol::proxy_from(&field.value)),
        trusted_proxies: raw.trusted_proxies.as_ref().map(|field| protocol::trusted_proxies(&field.value)),
        max_connections: raw.max_connections.value.0 as usize,
        max_head: raw.max_head.value.0 as usize,
        max_target: raw.max_target.value.0 as usize,
        timeouts: client_timeouts(&raw.timeout.value),
        bare_lf: raw.http1.value.bare_lf.value.0,
        forward: forward(&raw.forward.value),
        response_headers: rules.response_headers,
        errors: rules.errors,
        access_log: raw.access_log.value,
        request_id: log::request_id(&raw.request_id.value),
    }
}

/// What requests or connections come to. Where the file names nothing, which was reported, a pool without a name.
fn target(raw: &raw::Listener, rules: &RouteRules, sound: bool, files: &mut Files<'_>, reader: &mut Reader) -> Target {
    let pool = raw.pool.as_ref().map(|pool| pool.value.0.clone());
    if let Some(sni) = &raw.sni {
        let names = sni.value.0.iter().map(|entry| (entry.name.clone(), entry.pool.value.0.clone()));
        return Target::Sni { names: names.collect(), other: pool };
    }
    if raw.protocol.value.0 == ListenerProtocol::Tcp {
        return Target::Pool(pool.unwrap_or_default());
    }
    Target::Routes(route::resolve(raw, rules, sound, files, reader))
}

/// A listener has a pool, or names to choose one by, or sends everyone elsewhere.
fn check_target(entry: &Entry<raw::Listener>, raw: &raw::Listener, reader: &mut Reader) {
    let http = raw.protocol.value.0 == ListenerProtocol::Http;
    match (&raw.pool, &raw.redirect) {
        (None, None) if raw.sni.is_none() && (raw.route.is_none() || !http) => {
            let message = format!("listener {} has no `pool`", quoted(&entry.name));
            let or = if http {
                ", or `redirect = \"https\"` to send every request there"
            } else {
                ", or `sni = { \"a.example.com\" = \"app\" }`"
            };
            reader.report(entry.span.clone(), message, format!("write `pool = \"app\"`{or}"));
        }
        (Some(pool), Some(_)) => {
            let message = "`pool` has no effect, as `redirect` sends every request elsewhere".to_owned();
            reader.report(pool.span.clone(), message, "remove one of the two");
        }
        _ => {}
    }
    let Some(sni) = &raw.sni else { return };
    if http {
        let message = "`sni` chooses pools for connections, and this listener balances requests".to_owned();
        reader.report(sni.span.clone(), message, "add `protocol = \"tcp\"`, or remove `sni`");
    } else if raw.tls.is_some() {
        let message = "`sni` lets the TLS of clients pass through, and `tls` ends it here".to_owned();
        reader.report(sni.span.clone(), message, "remove one of the two");
    }
}

/// Of a request that is not forwarded no server hears.
fn check_forwards(raw: &raw::Listener, reader: &mut Reader) {
    let mut routes = raw.route.iter().flat_map(|routes| &routes.value.0);
    if raw.redirect.is_none() && raw.pool.is_none() && raw.route.is_none() {
        return;
    }
    if raw.pool.is_some() || routes.any(|route| route.value.redirect.is_none() && route.value.respond.is_none()) {
        return;
    }
    let why = if raw.route.is_none() { "`redirect` forwards nothing" } else { "no route forwards anything" };
    let given = [
        ("forward", raw.forward.where_given()),
        ("request_headers", raw.request_headers.as_ref().map(|field| field.span.clone())),
    ];
    for (key, span) in given {
        if let Some(span) = span {
            reader.report(span, format!("`{key}` has no effect, as {why}"), format!("remove `{key}`"));
        }
    }
}

/// Without TLS nothing about it has an effect.
fn check_needs_tls(raw: &raw::Listener, reader: &mut Reader) {
    if raw.tls.is_some() {
        return;
    }
    let hsts = raw.hsts.value.0.as_ref().filter(|_| raw.protocol.value.0 == ListenerProtocol::Http);
    let spans: [(&str, Option<Range<usize>>); 3] = [
        ("tls_options", raw.tls_options.where_given()),
        ("client_cert", raw.client_cert.as_ref().map(|field| field.span.clone())),
        ("hsts", hsts.map(|_| raw.hsts.span.clone())),
    ];
    for (key, span) in spans {
        if let Some(span) = span {
            let message = format!("`{key}` has no effect without `tls`");
            let help = format!("remove `{key}`, or add `tls = {{ cert = \"site.pem\", key = \"site.key\" }}`");
            reader.report(span, message, help);
        }
    }
}

/// The target is part of the head, so a limit at or above that of the head would never be met.
fn check_target_fits(raw: &raw::Listener, reader: &mut Reader) {
    let (head, target) = (raw.max_head.value.0, raw.max_target.value.0);
    if target < head {
        return;
    }
    let span = if raw.max_target.given { &raw.max_target.span } else { &raw.max_head.span };
    let message =
        format!("`max_target` ({}) must be smaller than `max_head` ({})", show_bytes(target), show_bytes(head));
    let help = format!("write `max_target = \"{}\"`", show_bytes(head / 2));
    reader.report(span.clone(), message, help);
}

pub(super) fn client_timeouts(raw: &raw::ClientTimeouts) -> ClientTimeouts {
    ClientTimeouts { head: raw.head.value.0, body: raw.body.value.0, keep_alive: raw.keep_alive.value.0 }
}

pub(super) fn forward(raw: &raw::Forward) -> Forward {
    Forward {
        x_forwarded_for: raw.x_forwarded_for.value.0,
        x_forwarded_proto: raw.x_forwarded_proto.value.0,
        x_forwarded_host: raw.x_forwarded_host.value.0,
        x_forwarded_port: raw.x_forwarded_port.value.0,
        x_real_ip: raw.x_real_ip.value.0,
        forwarded: raw.forwarded.value.0,
        host: raw.host.value.clone(),
    }
}
