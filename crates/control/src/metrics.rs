//! What Prometheus reads: everything counted, in one page of text.
//!
//! The page is written anew at each scrape from what pools, workers and samples tell; nothing is counted twice. `page`
//! writes families of metrics, `servers`, `pools`, `workers` and `process` are what there is, and `plain` turns the page into
//! the older format.
//!
//! How much there is, is bounded by the configuration: labels are names of pools, servers and listeners, numbers of
//! workers, and words of ours; nothing that a client sends. A pool with more servers than are to be shown has its sums only.
//! Distributions with buckets are of whole pools: of a thousand servers they would be forty thousand lines, and quantiles
//! that cannot be added up; each server has the sum and the count of its times, for the mean.

mod limits;
mod page;
mod plain;
mod pools;
mod process;
mod servers;
#[cfg(test)]
mod tests;
mod workers;

use std::fmt;

use plimsoll_core::Audit;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::shared::Shared;
use crate::webhook::counts::Told;
use limits::Limits;
use page::Page;
use pools::Pools;
use process::Process;
use workers::Workers;

/// The content type of what Prometheus asks for first.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The content type of the older format, which tools and people read.
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page of metrics and its content type.
#[derive(Clone, Debug)]
pub(crate) struct Exposition {
    pub(crate) content_type: &'static str,
    pub(crate) text: String,
}

/// Everything there is to tell, as `accept`, the field of the request, wants it: `OpenMetrics` 1.0 where it is named, the
/// format of Prometheus 0.0.4 elsewhere. Takes some tens of milliseconds with thousands of servers, in which no worker waits.
pub(crate) fn render(shared: &Shared, accept: Option<&str>) -> Exposition {
    let most_servers = shared.published().config.admin.as_ref().map_or(0, |admin| admin.metrics_servers);
    let plane = shared.plane.stats();
    let limits = plane.limits.clone();
    let scene = Scene {
        limits,
        pools: Pools { all: shared.samples.read(&shared.pools, shared.plane.now()), most_servers },
        workers: Workers::new(plane, &shared.samples),
        process: Process::new(shared),
        permits: shared.samples.permits(),
        webhook: shared.webhook.read(),
    };
    let text = text(scene);
    if accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
        return Exposition { content_type: OPEN_METRICS, text };
    }
    Exposition { content_type: PLAIN, text: plain::from_open_metrics(&text) }
}

/// The page in `OpenMetrics`.
fn text(scene: Scene) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scene));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

/// What one scrape tells.
#[derive(Debug)]
struct Scene {
    pools: Pools,
    workers: Workers,
    process: Process,
    permits: Audit,
    webhook: Told,
    limits: Limits,
}

impl Collector for Scene {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page::new(encoder);
        process::write(&mut page, &self.process)?;
        workers::write(&mut page, &self.workers)?;
        permits(&mut page, self.permits)?;
        webhook(&mut page, self.webhook)?;
        limits::write(&mut page, &self.limits)?;
        pools::write(&mut page, &self.pools)?;
        servers::write(&mut page, &self.pools)
    }
}

fn permits(page: &mut Page<'_>, Audit { permits_alive, in_flight, apart }: Audit) -> fmt::Result {
    let gauges = [
        ("plimsoll_permits_alive", "Permits given and not ended, at the last look.", permits_alive),
        ("plimsoll_permits_in_flight", "What all servers together had in flight, at the last look.", in_flight),
        (
            "plimsoll_permits_apart",
            "By how much the two have been apart beyond what moved while they were read; anything but 0 is a bug of Plimsoll.",
            apart,
        ),
    ];
    for (name, help, value) in gauges {
        page.gauges((name, help), [([], value as f64)])?;
    }
    Ok(())
}

fn webhook(page: &mut Page<'_>, told: Told) -> fmt::Result {
    let counters = [
        ("plimsoll_webhook_events_delivered", "Events that the webhook's receiver took.", told.delivered),
        ("plimsoll_webhook_events_dropped", "Events that the receiver was not told of.", told.dropped),
        ("plimsoll_webhook_failures", "Tries to tell the receiver that failed.", told.failures),
    ];
    for (name, help, count) in counters {
        page.counters((name, help), [([], count)])?;
    }
    page.gauges(("plimsoll_webhook_events_waiting", "Events that wait to be told."), [([], told.waiting as f64)])
}
