//! Whether the counts are true: what the proxy says each server has in flight, against what is open at the servers.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::super::desk::Desk;
use crate::interrupt;
use crate::load;
use crate::origin_process::OriginProcess;
use crate::proxies::Name;

/// Looks at a proxy and its servers while nothing but WebSockets is under way.
pub(super) struct Counts<'a> {
    /// `None` for a proxy that does not tell what it has in flight.
    desk: Option<Desk>,
    origin: &'a OriginProcess,
    off: u64,
    apart: f64,
}

impl<'a> Counts<'a> {
    /// Of a proxy in front of that origin. Only Plimsoll tells: the free edition of nginx has no counts, and HAProxy's
    /// processes have each their own.
    pub(super) fn of(proxy: Name, desk: Desk, origin: &'a OriginProcess) -> Self {
        Self { desk: (proxy == Name::Plimsoll).then_some(desk), origin, off: 0, apart: 0.0 }
    }

    /// One look. Gives what is open at each server.
    pub(super) fn look(&mut self) -> anyhow::Result<Vec<u64>> {
        let open = load::websockets_open(self.origin.address())?;
        if let Some(desk) = self.desk {
            let told = in_flight(desk, self.origin.ports())?;
            self.off += open.iter().zip(&told).map(|(open, told)| open.abs_diff(*told)).sum::<u64>();
            self.apart = self.apart.max(apart(desk)?);
        }
        Ok(open)
    }

    /// A look once all clients have left and that has reached the servers and come back, or has had the time to.
    pub(super) fn look_when_all_left(&mut self, patience: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < patience && !self.is_all_over()? {
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(20));
        }
        if self.look()?.iter().any(|open| *open > 0) {
            bail!("WebSockets are open at servers after all clients have left");
        }
        Ok(())
    }

    fn is_all_over(&self) -> anyhow::Result<bool> {
        let told = self.desk.map(|desk| in_flight(desk, self.origin.ports())).transpose()?;
        let open = load::websockets_open(self.origin.address())?;
        Ok(open.iter().chain(told.iter().flatten()).all(|count| *count == 0))
    }

    /// By how much the counts were off over all looks, and the most that permits were apart from them.
    pub(super) fn finish(self) -> anyhow::Result<(Option<u64>, Option<f64>)> {
        let Some(desk) = self.desk else {
            return Ok((None, None));
        };
        Ok((Some(self.off), Some(self.apart.max(apart(desk)?))))
    }
}

/// What each server has in flight, those that only finish what they have included.
fn in_flight(desk: Desk, ports: &[u16]) -> anyhow::Result<Vec<u64>> {
    let (servers, _) = desk.json(("GET", "/api/v1/pools/app/servers"), "", 200)?;
    let mut counts = vec![0; ports.len()];
    for server in servers.as_array().context("the servers are no list")? {
        let port = server["name"].as_str().and_then(|name| name.rsplit(':').next()?.parse().ok());
        let place = ports.iter().position(|known| Some(*known) == port).context("a server nobody knows")?;
        counts[place] += server["in_flight"].as_u64().context("a server without a count")?;
    }
    Ok(counts)
}

/// By how much permits and counts are apart, as the metrics tell it.
fn apart(desk: Desk) -> anyhow::Result<f64> {
    let answer = desk.ask("GET", "/metrics", "")?;
    let page = String::from_utf8_lossy(&answer.body);
    let value = page.lines().find_map(|line| line.strip_prefix("plimsoll_permits_apart "));
    value.and_then(|value| value.parse().ok()).context("the metrics have no plimsoll_permits_apart")
}
