//! The data plane: worker threads, listeners, and the access log.

use std::fmt;
use std::time::Duration;

use super::page::Page;
use crate::plane::{LogStats, PlaneStats, StickyStats, WorkerStats};
use crate::samples::Samples;

/// What there is to tell of the data plane.
#[derive(Debug)]
pub(super) struct Workers {
    all: Vec<Worker>,
    plane: PlaneStats,
}

#[derive(Debug)]
struct Worker {
    number: String,
    load: f64,
    worst_lag: Duration,
    stats: WorkerStats,
}

impl Workers {
    pub(super) fn new(plane: PlaneStats, samples: &Samples) -> Self {
        let worker = |(number, stats): (usize, &WorkerStats)| Worker {
            number: number.to_string(),
            load: samples.worker_load(number),
            worst_lag: samples.worker_worst_lag(number).max(stats.worst_lag),
            stats: *stats,
        };
        Self { all: plane.workers.iter().enumerate().map(worker).collect(), plane }
    }
}

/// Writes what there is to tell.
pub(super) fn write(page: &mut Page<'_>, workers: &Workers) -> fmt::Result {
    let stopping = ("plimsoll_stopping", "Whether a graceful stop is under way.");
    page.gauges(stopping, [([], f64::from(u8::from(workers.plane.stopping)))])?;
    clients(page, &workers.plane)?;
    worker_gauges(page, &workers.all)?;
    worker_counters(page, &workers.all)?;
    listeners(page, &workers.plane)?;
    sticky(page, &workers.plane.sticky)?;
    workers.plane.log.map_or(Ok(()), |log| access_log(page, log))
}

fn clients(page: &mut Page<'_>, plane: &PlaneStats) -> fmt::Result {
    let open = ("plimsoll_client_connections", "Client connections of all listeners open.");
    page.gauges(open, [([], plane.clients as f64)])?;
    let limit = (
        "plimsoll_client_connections_limit",
        "The most of them at once: as configured, or as descriptors leave room for.",
    );
    page.gauges(limit, [([], plane.clients_limit as f64)])?;
    let shortages =
        ("plimsoll_descriptor_shortages", "Times that no descriptor or memory was left for another connection.");
    page.counters(shortages, [([], plane.shortages)])
}

fn sticky(page: &mut Page<'_>, all: &[StickyStats]) -> fmt::Result {
    let results = all.iter().flat_map(|pool| {
        pool.results().map(|(result, count)| ([("pool", pool.pool.as_str()), ("result", result)], count))
    });
    let about =
        ("plimsoll_pool_sticky", "Answers of pools whose clients stick, by what became of the server they had.");
    page.counters(about, results)?;
    let learnt = all.iter().filter_map(|pool| Some(([("pool", pool.pool.as_str())], pool.learnt? as f64)));
    page.gauges(("plimsoll_pool_sticky_learnt", "Values of which the server is remembered."), learnt)
}

fn worker_gauges(page: &mut Page<'_>, all: &[Worker]) -> fmt::Result {
    type Of = fn(&Worker) -> f64;
    let gauges: [(&str, &str, Of); 6] = [
        ("plimsoll_worker_alive", "Whether the worker serves; 0 when it has died.", |worker| {
            f64::from(u8::from(worker.stats.alive))
        }),
        ("plimsoll_worker_load_ratio", "The share of the last second in which the worker was busy.", |worker| {
            worker.load
        }),
        ("plimsoll_worker_worst_lag_seconds", "How late the worker was at worst, over the last minute.", |worker| {
            worker.worst_lag.as_secs_f64()
        }),
        ("plimsoll_worker_client_connections", "Client connections open.", |worker| worker.stats.open as f64),
        ("plimsoll_worker_server_connections_idle", "Connections to servers kept for the next request.", |worker| {
            worker.stats.idle as f64
        }),
        ("plimsoll_worker_tunnels", "Tunnels open, such as WebSockets.", |worker| worker.stats.tunnels as f64),
    ];
    for (name, help, of) in gauges {
        page.gauges((name, help), all.iter().map(|worker| ([("worker", worker.number.as_str())], of(worker))))?;
    }
    Ok(())
}

fn worker_counters(page: &mut Page<'_>, all: &[Worker]) -> fmt::Result {
    type Of = fn(&WorkerStats) -> u64;
    let counters: [(&str, &str, Of); 6] = [
        ("plimsoll_worker_client_connections_accepted", "Client connections accepted.", |stats| stats.accepted),
        ("plimsoll_worker_requests", "Requests read.", |stats| stats.requests),
        ("plimsoll_worker_client_received_bytes", "Bytes read from clients.", |stats| stats.received),
        ("plimsoll_worker_client_sent_bytes", "Bytes written to clients.", |stats| stats.sent),
        ("plimsoll_worker_server_connections_opened", "Connections to servers opened.", |stats| stats.opened),
        ("plimsoll_worker_server_connections_reused", "Requests sent on a kept connection.", |stats| stats.reused),
    ];
    for (name, help, of) in counters {
        page.counters(
            (name, help),
            all.iter().map(|worker| ([("worker", worker.number.as_str())], of(&worker.stats))),
        )?;
    }
    page.seconds(
        ("plimsoll_worker_busy_seconds", "Time the worker spent working."),
        all.iter().map(|worker| ([("worker", worker.number.as_str())], worker.stats.busy)),
    )
}

fn listeners(page: &mut Page<'_>, plane: &PlaneStats) -> fmt::Result {
    // One that is being left and one that came may have the same name; they are one to whoever watches.
    let mut all: Vec<(&str, [u64; 4])> = Vec::new();
    for listener in &plane.listeners {
        let counts = [listener.open, listener.limit, listener.accepted, listener.denied];
        match all.iter_mut().find(|(name, _)| *name == listener.name) {
            Some((_, sums)) => sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count),
            None => all.push((&listener.name, counts)),
        }
    }
    let lines = |which: usize| all.iter().map(move |(name, counts)| ([("listener", *name)], counts[which]));
    let gauge = |which| lines(which).map(|(labels, count)| (labels, count as f64));
    page.gauges(("plimsoll_listener_connections", "Client connections open."), gauge(0))?;
    page.gauges(("plimsoll_listener_connections_limit", "Client connections that may be open."), gauge(1))?;
    page.counters(("plimsoll_listener_connections_accepted", "Client connections accepted."), lines(2))?;
    let denied = "Client connections closed, or requests without a route refused, for the client's address.";
    page.counters(("plimsoll_listener_denied", denied), lines(3))?;
    routes(page, plane)?;
    mirrors(page, plane)?;
    handshakes(page, plane)?;
    proxy_headers(page, plane)
}

fn mirrors(page: &mut Page<'_>, plane: &PlaneStats) -> fmt::Result {
    if plane.mirrors.is_empty() {
        return Ok(());
    }
    let results = plane.mirrors.iter().flat_map(|mirror| {
        mirror.results.iter().map(|(result, count)| ([("pool", &*mirror.pool), ("result", *result)], *count))
    });
    page.counters(("plimsoll_mirror", "Copies of requests to a pool that gets some, by what became of them."), results)
}

fn routes(page: &mut Page<'_>, plane: &PlaneStats) -> fmt::Result {
    let requests = plane.listeners.iter().flat_map(|listener| {
        let of_listener = listener.routes.iter();
        of_listener.map(|route| ([("listener", &*listener.name), ("route", &*route.name)], route.requests))
    });
    let mut requests = requests.peekable();
    if requests.peek().is_none() {
        return Ok(());
    }
    page.counters(("plimsoll_route_requests", "Requests that were the route's own."), requests)?;
    // Of the thousands there can be only those that ever refused anyone.
    let denied = plane.listeners.iter().flat_map(|listener| {
        listener.routes.iter().filter(|route| route.denied.iter().any(|(_, count)| *count > 0)).flat_map(|route| {
            let labels = |reason| [("listener", &*listener.name), ("route", &*route.name), ("reason", reason)];
            route.denied.iter().map(move |(reason, count)| (labels(*reason), *count))
        })
    });
    let mut denied = denied.peekable();
    if denied.peek().is_none() {
        return Ok(());
    }
    page.counters(("plimsoll_route_denied", "Requests refused for the client's address, or its password."), denied)
}

fn proxy_headers(page: &mut Page<'_>, plane: &PlaneStats) -> fmt::Result {
    let refused = plane.listeners.iter().flat_map(|listener| {
        let of_listener = listener.proxy_headers_refused.iter();
        of_listener.map(|(reason, count)| ([("listener", &*listener.name), ("reason", *reason)], *count))
    });
    let mut refused = refused.peekable();
    if refused.peek().is_none() {
        return Ok(());
    }
    let family = ("plimsoll_listener_proxy_headers_refused", "Client connections refused for their PROXY header.");
    page.counters(family, refused)
}

fn handshakes(page: &mut Page<'_>, plane: &PlaneStats) -> fmt::Result {
    // One that is gone and finishes what it has counts none any more.
    let with_tls =
        || plane.listeners.iter().filter_map(|listener| Some((&*listener.name, listener.handshakes.as_ref()?)));
    if with_tls().next().is_none() {
        return Ok(());
    }
    page.counters(
        ("plimsoll_listener_tls_handshakes", "TLS handshakes with clients that went well."),
        with_tls().map(|(name, handshakes)| ([("listener", name)], handshakes.done)),
    )?;
    let failed = with_tls().flat_map(|(name, handshakes)| {
        handshakes.failed.iter().map(move |(reason, count)| ([("listener", name), ("reason", *reason)], *count))
    });
    page.counters(("plimsoll_listener_tls_handshake_failures", "TLS handshakes with clients that failed."), failed)
}

fn access_log(page: &mut Page<'_>, log: LogStats) -> fmt::Result {
    page.counters(("plimsoll_log_lines_written", "Lines of the access log written."), [([], log.written)])?;
    page.counters(
        ("plimsoll_log_lines_dropped", "Lines of the access log dropped because their reader was too slow."),
        [([], log.dropped)],
    )?;
    page.counters(("plimsoll_log_errors", "Failures to write the access log."), [([], log.errors)])
}
