//! A pool: its servers, and what a client is told without one.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::path::Path;

use plimsoll_core::{PoolRules, QueueRule, WhenNone};

use super::{binds, failure, probe, protocol, rebalance, sticky};
use crate::address_text::Host;
use crate::condition::Condition;
use crate::files::Files;
use crate::pool::{KeepAlive, OnDown, Pool, Server, ServerTimeouts, Unavailable};
use crate::protocol::ServerProtocol;
use crate::raw;
use crate::reader::Reader;
use crate::setting::Field;
use crate::value::Entry;
use crate::wording::quoted;

/// The pool that `raw` describes.
pub(super) fn resolve(entry: &Entry<raw::Pool>, raw: &raw::Pool, files: &mut Files<'_>, reader: &mut Reader) -> Pool {
    check_keep_alive(&raw.keep_alive.value, reader);
    let servers = servers(raw, files.folder(), reader);
    check_members(entry, raw, &servers, reader);
    check_health(raw, reader);
    if entry.sound {
        check_protocol(raw, reader);
    }
    let (probe, probe_rule) = probe::resolve(raw, &servers, entry.sound, reader).unzip();
    let (eject, eject_on) = failure::eject(&raw.eject, reader);
    let (sticky, stick_drain) = sticky::sticky(raw, files, reader);
    let (hash, hash_bound) = sticky::hash(raw, reader);
    let (retry, retry_budget) = failure::retry(&raw.retry, reader);
    Pool {
        name: entry.name.clone(),
        policy: raw.policy.value.0,
        rules: PoolRules {
            when_none: raw.when_none.value.0,
            black_hole_guard: raw.black_hole_guard.value,
            warm_up: failure::warm_up(&raw.warm_up.value),
            eject,
            probe: probe_rule,
            queue: queue(raw, &servers, entry.sound, reader),
            retry_budget,
            hash_bound,
            stick_drain,
            rebalance: rebalance::resolve(raw, reader),
        },
        hash,
        sticky,
        protocol: raw.protocol.value.0,
        http2: protocol::server_http2(&raw.http2.value),
        tls: protocol::server_tls(&raw.tls, &servers, files, reader),
        send_proxy: raw.send_proxy.value.0,
        servers,
        timeouts: server_timeouts(&raw.timeout.value),
        keep_alive: keep_alive(&raw.keep_alive.value),
        probe,
        eject_on,
        on_down: raw.on_down.value.0,
        retry,
        unavailable: unavailable(&raw.unavailable.value, files, reader),
    }
}

fn servers(raw: &raw::Pool, folder: &Path, reader: &mut Reader) -> Vec<Server> {
    let mut names = HashSet::new();
    let mut named = |field: &Field<raw::Server>| {
        let mut server = server(&field.value.0);
        // Called after what the file says, a server keeps its name wherever the file is read from.
        if let Host::Unix(path) = &mut server.host {
            *path = folder.join(&path);
            binds::check_length("address", path, &field.value.0.address.span, reader);
        }
        check_server_name(&server, field, &mut names, reader);
        server
    };
    raw.servers.value.0.iter().map(&mut named).collect()
}

/// A pool must have a server, and one that is not a backup.
fn check_members(entry: &Entry<raw::Pool>, raw: &raw::Pool, servers: &[Server], reader: &mut Reader) {
    let span = raw.servers.span.clone();
    let name = quoted(&entry.name);
    if raw.servers.value.0.is_empty() && !reader.has_problem_in(&span) {
        let message = format!("pool {name} has no servers");
        reader.report(span, message, "write at least one: `servers = [\"127.0.0.1:9001\"]`");
    } else if !servers.is_empty() && servers.iter().all(|server| server.backup) {
        let message = format!("pool {name} has only backup servers");
        let help = "remove `backup = true` from those that are to serve first";
        reader.report(span, message, help);
    }
}

/// No two servers of a pool may be called the same, or nobody could tell them apart.
fn check_server_name(server: &Server, field: &Field<raw::Server>, names: &mut HashSet<String>, reader: &mut Reader) {
    let given = field.value.0.name.as_ref();
    let span = given.map_or(&field.value.0.address.span, |name| &name.span);
    if names.insert(server.name.clone()) {
        return;
    }
    let message = format!("two servers of the pool are called {}", quoted(&server.name));
    let help = match given {
        Some(_) => "give each its own name",
        None => "remove one, or give one a `name` of its own",
    };
    reader.report(span.clone(), message, help);
}

fn server(raw: &raw::ServerTable) -> Server {
    let mut server = Server {
        name: String::new(),
        host: raw.address.value.host.clone(),
        port: raw.address.value.port,
        weight: raw.weight.value.0 as u16,
        max_connections: raw.max_connections.as_ref().and_then(|max| NonZeroU32::new(max.value.0 as u32)),
        backup: raw.backup.value,
        state: raw.state.value.0,
    };
    server.name = match &raw.name {
        Some(name) => name.value.0.clone(),
        None => server.address(),
    };
    server
}

pub(super) fn server_timeouts(raw: &raw::ServerTimeouts) -> ServerTimeouts {
    ServerTimeouts {
        connect: raw.connect.value.0,
        first_byte: raw.first_byte.value.0,
        idle: raw.idle.value.0,
        tunnel: raw.tunnel.value.0,
    }
}

pub(super) fn keep_alive(raw: &raw::KeepAlive) -> KeepAlive {
    KeepAlive { connections: raw.connections.value.0 as usize, timeout: raw.timeout.value.0 }
}

/// A timeout of connections that are not kept would have no effect.
fn check_keep_alive(raw: &raw::KeepAlive, reader: &mut Reader) {
    if raw.connections.value.0 == 0 && raw.timeout.given {
        reader.report(
            raw.timeout.span.clone(),
            "`timeout` has no effect, as `connections = 0` keeps none".to_owned(),
            "remove `timeout`, or keep at least one connection",
        );
    }
}

/// What belongs to HTTP/2 has no effect where HTTP/1 is spoken.
fn check_protocol(raw: &raw::Pool, reader: &mut Reader) {
    if raw.protocol.value.0 == ServerProtocol::Http2 {
        return;
    }
    if let Some(span) = raw.http2.where_given() {
        let message = "`http2` has no effect, as HTTP/1 is spoken with the servers".to_owned();
        reader.report(span, message, "add `protocol = \"http2\"`, or remove `http2`");
    }
    let eject = raw.eject.value.0.as_ref().map(|eject| &eject.on);
    let retry = raw.retry.value.0.as_ref().map(|retry| &retry.on);
    for condition in eject.into_iter().chain(retry).filter(|on| on.given).flat_map(|on| &on.value.0) {
        if matches!(condition.value, Condition::Grpc(_)) {
            let message = "this has no effect, as HTTP/1 is spoken with the servers, which carries no gRPC".to_owned();
            reader.report(condition.span.clone(), message, "add `protocol = \"http2\"` to the pool, or remove it");
        }
    }
}

/// Without probes and ejection no server ever goes down, so what happens then is never asked for.
fn check_health(raw: &raw::Pool, reader: &mut Reader) {
    if raw.probe.value.0.is_some() || raw.eject.value.0.is_some() {
        return;
    }
    // Written out at their defaults they are no slip: they say what holds.
    let close = (raw.on_down.value.0 == OnDown::Close).then(|| ("on_down", raw.on_down.span.clone()));
    let try_all = (raw.when_none.value.0 == WhenNone::TryAll).then(|| ("when_none", raw.when_none.span.clone()));
    for (key, span) in close.into_iter().chain(try_all) {
        let message = format!("`{key}` has no effect, as no server goes down without `probe` and `eject`");
        reader.report(span, message, format!("remove `{key}`, or let servers be probed or ejected"));
    }
}

fn queue(raw: &raw::Pool, servers: &[Server], sound: bool, reader: &mut Reader) -> Option<QueueRule> {
    let queue = raw.queue.value.0.as_ref()?;
    if sound && servers.iter().all(|server| server.max_connections.is_none()) {
        let message = "`queue` has no effect, as no server has `max_connections` and is ever full".to_owned();
        let help = "write how much a server may carry: `{ address = \"127.0.0.1:9001\", max_connections = 100 }`";
        reader.report(raw.queue.span.clone(), message, help);
    }
    Some(QueueRule { limit: queue.limit.value.count(), timeout: queue.timeout.value.0 })
}

fn unavailable(raw: &raw::Unavailable, files: &mut Files<'_>, reader: &mut Reader) -> Unavailable {
    let retry_after = &raw.retry_after;
    if retry_after.value.0.subsec_nanos() != 0 {
        reader.report(
            retry_after.span.clone(),
            "`retry_after` must be whole seconds, as the field Retry-After counts in them".to_owned(),
            format!("write \"{}s\"", retry_after.value.0.as_secs() + 1),
        );
    }
    Unavailable {
        status: raw.status.value.0 as u16,
        retry_after: retry_after.value.0,
        page: raw.page.as_ref().and_then(|page| files.page("page", page, reader)),
        fallback: raw.fallback.as_ref().map(|fallback| fallback.value.0.clone()),
        reason_header: raw.reason_header.value,
    }
}
