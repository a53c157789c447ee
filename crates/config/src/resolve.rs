//! From raw to resolved: what no setting can know alone.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::page::Pages;
use crate::protocol::{Bind, ListenerProtocol, Target};
use crate::quantity::show_bytes;
use crate::raw;
use crate::reader::Reader;
use crate::resolved::{ClientTimeouts, Config, Forward, KeepAlive, Listener, ServerTimeouts};
use crate::setting::{Place, Setting};
use crate::wording::quoted;

mod admin;
mod failure;
mod log;
mod names;
mod pool;
mod probe;
mod protocol;
mod webhook;

/// Turns what the file says into what holds, and reports what does not go together. What is given back is right
/// only if nothing was reported, here or before.
pub(crate) fn resolve(file: &raw::File, pages: &mut Pages<'_>, reader: &mut Reader) -> Config {
    let (listen, pool) = (&file.listen.value.0, &file.pool.value.0);
    names::check(listen, pool, reader);
    check_binds(file, reader);
    let admin = file.admin.as_ref().map(|table| admin::resolve(table, pages.folder(), reader));
    let access_log = log::access_log(file, pages.folder(), reader);
    Config {
        workers: file.workers.as_ref().and_then(|workers| NonZeroUsize::new(workers.value.0 as usize)),
        shutdown_timeout: file.shutdown_timeout.value.0,
        admin,
        access_log,
        trace: log::trace(file),
        webhook: file.webhook.as_ref().map(|table| webhook::resolve(table, pages.folder(), reader)),
        listeners: listen
            .iter()
            .filter_map(|entry| Some(listener(&entry.name, entry.table.as_ref()?, reader)))
            .collect(),
        pools: pool
            .iter()
            .filter_map(|entry| Some(pool::resolve(entry, entry.table.as_ref()?, pages, reader)))
            .collect(),
    }
}

/// No two binds may want the same address.
fn check_binds(file: &raw::File, reader: &mut Reader) {
    let mut taken: HashMap<u16, Vec<(SocketAddr, Option<&str>)>> = HashMap::new();
    let of_listeners = file.listen.value.0.iter().filter_map(|entry| {
        let table = entry.table.as_ref()?;
        Some(table.bind.value.0.iter().map(|bind| (Some(entry.name.as_str()), bind)))
    });
    let of_admin = file.admin.as_ref().and_then(|admin| admin.value.bind.as_ref());
    let of_admin = of_admin.iter().flat_map(|binds| &binds.value.0).map(|bind| (None, bind));
    for (owner, bind) in of_listeners.flatten().chain(of_admin) {
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
            let owner = owner.map_or_else(|| "`admin`".to_owned(), |name| format!("listener {}", quoted(name)));
            let help = format!("{owner} has {other} already: remove one, or change a port");
            reader.report(bind.span.clone(), message, help);
        } else if others.len() < MOST_BINDS_OF_A_PORT {
            others.push((address, owner));
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
        binds: raw.bind.value.0.iter().map(|bind| Bind::Ip(bind.value.0)).collect(),
        protocol: ListenerProtocol::Http,
        target: Target::Pool(raw.pool.value.0.clone()),
        tls: None,
        hsts: None,
        http2: protocol::client_http2(),
        proxy_protocol: None,
        max_connections: raw.max_connections.value.0 as usize,
        max_head: raw.max_head.value.0 as usize,
        max_target: raw.max_target.value.0 as usize,
        max_body: raw.max_body.as_ref().map(|max| max.value.0),
        timeouts: client_timeouts(&raw.timeout.value),
        bare_lf: raw.http1.value.bare_lf.value.0,
        forward: forward(&raw.forward.value),
        access_log: raw.access_log.value,
        request_id: log::request_id(&raw.request_id.value),
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
        pool::server_timeouts(&untouched())
    }
}

impl Default for KeepAlive {
    fn default() -> Self {
        pool::keep_alive(&untouched())
    }
}
