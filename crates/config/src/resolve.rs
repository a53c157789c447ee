//! From raw to resolved: what no setting can know alone.

use std::num::NonZeroUsize;

use crate::entries::untouched;
use crate::files::Files;
use crate::pool::{KeepAlive, ServerTimeouts};
use crate::raw;
use crate::reader::Reader;
use crate::resolved::{ClientTimeouts, Config, Forward};

mod admin;
mod binds;
mod cookies;
mod coverage;
mod denied;
mod failure;
mod head;
mod limit;
mod listener;
mod lists;
mod log;
mod names;
mod pool;
mod probe;
mod process;
mod protocol;
mod rebalance;
mod redirect;
mod route;
mod rules;
mod sticky;
mod tcp;
mod webhook;

/// Turns what the file says into what holds, and reports what does not go together. What is given back is right
/// only if nothing was reported, here or before.
pub(crate) fn resolve(file: &raw::File, mut files: Files<'_>, reader: &mut Reader) -> Config {
    let listen = &file.listen.value.0;
    let pool = file.pool.as_ref().map_or(&[][..], |pool| &pool.value.0);
    // Where pools are missing and something could not be read, they may be that.
    let tcp_only =
        if file.pool.is_some() || reader.reported() == 0 { names::check(listen, pool, reader) } else { Vec::new() };
    binds::check(file, files.folder(), reader);
    let admin = file.admin.as_ref().map(|table| admin::resolve(table, &files, reader));
    let limits = limit::resolve(file, reader);
    let access_log = log::access_log(file, files.folder(), reader);
    let webhook = file.webhook.as_ref().map(|table| webhook::resolve(table, &files, reader));
    let listeners = listen
        .iter()
        .filter_map(|entry| Some(listener::resolve(entry, entry.table.as_ref()?, &mut files, reader)))
        .collect();
    let mut pools = Vec::new();
    for (entry, tcp_only) in pool.iter().zip(tcp_only) {
        let Some(raw) = &entry.table else { continue };
        if tcp_only && entry.sound {
            tcp::check_pool(raw, reader);
        }
        pools.push(pool::resolve(entry, raw, &mut files, reader));
    }
    let config = Config {
        workers: file.workers.as_ref().and_then(|workers| NonZeroUsize::new(workers.value.0 as usize)),
        process: process::resolve(file, files.folder(), reader),
        shutdown_timeout: file.shutdown_timeout.value.0,
        admin,
        access_log,
        trace: log::trace(file),
        webhook,
        limits,
        listeners,
        pools,
    };
    if reader.reported() == 0 {
        cookies::check(&config, pool, reader);
    }
    config
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        listener::client_timeouts(&untouched())
    }
}

impl Default for Forward {
    fn default() -> Self {
        listener::forward(&untouched())
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
