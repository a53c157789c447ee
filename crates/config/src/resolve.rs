//! From raw to resolved: what no setting can know alone.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};

use plimsoll_core::PoolRules;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::probe::{Conditions, StatusSet};
use crate::quantity::show_bytes;
use crate::raw;
use crate::reader::Reader;
use crate::resolved::{
    ClientTimeouts, Config, Forward, KeepAlive, Listener, OnDown, Pool, Retry, Server, ServerTimeouts, Unavailable,
};
use crate::setting::{Field, Place, Setting};
use crate::value::Entry;
use crate::wording::{listed, nearest, quoted};

/// Turns what the file says into what holds, and reports what does not go together. What is given back is right
/// only if nothing was reported, here or before.
pub(crate) fn resolve(file: &raw::File, reader: &mut Reader) -> Config {
    let (listen, pool) = (&file.listen.value.0, &file.pool.value.0);
    check_pool_names(listen, pool, reader);
    check_binds(listen, reader);
    Config {
        workers: file.workers.as_ref().and_then(|workers| NonZeroUsize::new(workers.value.0 as usize)),
        shutdown_timeout: file.shutdown_timeout.value.0,
        listeners: listen
            .iter()
            .filter_map(|entry| Some(listener(&entry.name, entry.table.as_ref()?, reader)))
            .collect(),
        pools: pool.iter().filter_map(|entry| Some(pool_of(entry, entry.table.as_ref()?, reader))).collect(),
    }
}

/// Every pool a listener names must be there, and every pool must be named by one.
fn check_pool_names(listen: &[Entry<raw::Listener>], pool: &[Entry<raw::Pool>], reader: &mut Reader) {
    let names: Vec<_> = pool.iter().map(|pool| pool.name.as_str()).collect();
    let known: HashSet<_> = names.iter().copied().collect();
    let wanted: Vec<_> = listen.iter().filter_map(|entry| Some(&entry.table.as_ref()?.pool)).collect();
    for wanted in &wanted {
        let name = wanted.value.0.as_str();
        if known.contains(name) || reader.is_full() {
            continue;
        }
        let help = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("the pools are: {}", listed(&names)),
        };
        reader.report(wanted.span.clone(), format!("there is no pool {}", quoted(name)), help);
    }
    let used: HashSet<_> = wanted.iter().map(|wanted| wanted.value.0.as_str()).collect();
    // Where a listener could not be read, or names no pool there is, it may have meant any of them.
    if wanted.len() < listen.len() || !used.is_subset(&known) {
        return;
    }
    for pool in pool.iter().filter(|pool| !used.contains(pool.name.as_str())) {
        let name = quoted(&pool.name);
        let help = format!("name {name} as the `pool` of a listener, or remove it");
        reader.report(pool.span.clone(), format!("no listener uses pool {name}"), help);
    }
}

/// No two binds may want the same address.
fn check_binds(listen: &[Entry<raw::Listener>], reader: &mut Reader) {
    let mut taken: HashMap<u16, Vec<(SocketAddr, &str)>> = HashMap::new();
    let all = listen.iter().filter_map(|entry| {
        let table = entry.table.as_ref()?;
        Some(table.bind.value.0.iter().map(|bind| (entry.name.as_str(), bind)))
    });
    for (listener, bind) in all.flatten() {
        let address = bind.value.0;
        // The system gives each of these a port of its own.
        if address.port() == 0 {
            continue;
        }
        let others = taken.entry(address.port()).or_default();
        if let Some((other, owner)) = others.iter().find(|(other, _)| overlap(*other, address)) {
            let message = if *other == address {
                format!("{address} is listened on twice")
            } else {
                format!("{address} overlaps {other}, as one of them is every address")
            };
            let help = format!("listener {} has {other} already: remove one, or change a port", quoted(owner));
            reader.report(bind.span.clone(), message, help);
        } else if others.len() < MOST_BINDS_OF_A_PORT {
            others.push((address, listener));
        }
    }
}

/// How many binds of one port are compared with each other: more than any machine has addresses in use, and few
/// enough that a hostile file costs no time.
const MOST_BINDS_OF_A_PORT: usize = 1000;

/// Whether two addresses of the same port cannot both be bound. `[::]` takes IPv4 too.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers =
        |wide: SocketAddr, other: SocketAddr| wide.ip().is_unspecified() && (wide.is_ipv6() || other.is_ipv4());
    a.ip() == b.ip() || covers(a, b) || covers(b, a)
}

fn listener(name: &str, raw: &raw::Listener, reader: &mut Reader) -> Listener {
    check_target_fits(raw, reader);
    Listener {
        name: name.to_owned(),
        binds: raw.bind.value.0.iter().map(|bind| bind.value.0).collect(),
        pool: raw.pool.value.0.clone(),
        max_connections: raw.max_connections.value.0 as usize,
        max_head: raw.max_head.value.0 as usize,
        max_target: raw.max_target.value.0 as usize,
        max_body: raw.max_body.as_ref().map(|max| max.value.0),
        timeouts: client_timeouts(&raw.timeout.value),
        bare_lf: raw.http1.value.bare_lf.value.0,
        forward: forward(&raw.forward.value),
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

fn client_timeouts(raw: &raw::ClientTimeouts) -> ClientTimeouts {
    ClientTimeouts { head: raw.head.value.0, body: raw.body.value.0, keep_alive: raw.keep_alive.value.0 }
}

fn forward(raw: &raw::Forward) -> Forward {
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

fn pool_of(entry: &Entry<raw::Pool>, raw: &raw::Pool, reader: &mut Reader) -> Pool {
    check_keep_alive(&raw.keep_alive.value, reader);
    let retry_after = &raw.unavailable.value.retry_after;
    if retry_after.value.0.subsec_nanos() != 0 {
        reader.report(
            retry_after.span.clone(),
            "`retry_after` must be whole seconds, as the field Retry-After counts in them".to_owned(),
            format!("write \"{}s\"", retry_after.value.0.as_secs() + 1),
        );
    }
    let mut names = HashSet::new();
    let servers: Vec<_> = raw
        .servers
        .value
        .0
        .iter()
        .map(|field| {
            let server = server(&field.value.0);
            check_server_name(&server, field, &mut names, reader);
            server
        })
        .collect();
    check_members(entry, raw, &servers, reader);
    Pool {
        name: entry.name.clone(),
        policy: raw.policy.value.0,
        servers,
        timeouts: server_timeouts(&raw.timeout.value),
        keep_alive: keep_alive(&raw.keep_alive.value),
        rules: PoolRules::default(),
        probe: None,
        eject_on: Conditions {
            connect: true,
            reset: true,
            timeout: true,
            statuses: StatusSet::default().with(500, 500).with(502, 504),
        },
        on_down: OnDown::Keep,
        retry: Retry {
            on: Conditions { connect: true, ..Conditions::default() },
            tries: 3,
            within: std::time::Duration::from_secs(10),
            non_idempotent: false,
            buffer: 64 * 1024,
        },
        unavailable: Unavailable {
            status: 503,
            retry_after: retry_after.value.0,
            page: None,
            fallback: None,
            reason_header: false,
        },
    }
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
        None => server.authority(),
    };
    server
}

fn server_timeouts(raw: &raw::ServerTimeouts) -> ServerTimeouts {
    ServerTimeouts {
        connect: raw.connect.value.0,
        first_byte: raw.first_byte.value.0,
        idle: raw.idle.value.0,
        tunnel: raw.tunnel.value.0,
    }
}

fn keep_alive(raw: &raw::KeepAlive) -> KeepAlive {
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

/// A table in which the file sets nothing.
fn untouched<T: Setting>() -> T {
    let item = Spanned::new(0..0, DeValue::Table(DeTable::new()));
    let place = Place { key: String::new(), within: String::new() };
    T::read(&item, &place, &mut Reader::default()).expect("each setting of the table has a default that fits")
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        client_timeouts(&untouched())
    }
}

impl Default for Forward {
    fn default() -> Self {
        forward(&untouched())
    }
}

impl Default for ServerTimeouts {
    fn default() -> Self {
        server_timeouts(&untouched())
    }
}

impl Default for KeepAlive {
    fn default() -> Self {
        keep_alive(&untouched())
    }
}
