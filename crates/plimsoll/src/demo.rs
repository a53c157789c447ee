//! `plimsoll demo`: three servers of unequal speed, the balancer in front, a gentle load, and a table to watch.
//!
//! The balancer is the one that `serve` runs, over real sockets; `servers` and `load` are what surrounds it, `table`
//! turns what the pool says of itself into text, and `screen` shows it.

mod load;
mod messages;
mod screen;
mod servers;
mod table;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use plimsoll_config::{Admin, Config};
use plimsoll_control::{Journal, Source};
use plimsoll_core::Pool;
use plimsoll_proxy::Clock;

use crate::arguments::Demo;
use crate::failure::Failure;
use crate::plane::{Ground, Plane};
use crate::signals::{self, Asks, Hangup};

use load::Load;
use screen::Screen;
use servers::Servers;
use table::{Reading, Scene};

/// How often the table is drawn.
const REDRAW: Duration = Duration::from_secs(1);

/// Runs the demo until its time is over or the user has seen enough, and leaves the final table.
pub(crate) fn run(arguments: &Demo) -> Result<(), Failure> {
    let servers = Servers::start()?;
    let mut config = Config::quick(&arguments.listen, &servers.as_arguments())?;
    for pool in &mut config.pools {
        pool.policy = arguments.policy;
    }
    config.admin = Some(Admin::local());
    let asks = signals::watch(Hangup::Stop)?;
    let Ground { doors, admin } = Ground::bind(&config, Vec::new())?;
    let (plane, names) = Plane::start(&config, doors, None)?;
    let pools = plane.pools.all();
    // What happens is for the dashboard: lines about it would break the table.
    let journal = Journal::new(|_| {});
    let control = plane.control(admin, (config, names), Source::Arguments, journal)?;
    let show = Show {
        pool: Arc::clone(pools.first().context("there is no pool to show")?),
        clock: plane.clock,
        address: plane.local_address()?,
        dashboard: control.admin_addresses().into_iter().next().context("the dashboard has no address")?,
        rate: arguments.rate,
    };
    let load = Load::start(show.address, arguments.rate)?;
    let mut screen = Screen::new();
    show.run(&load, &mut screen, (&asks, arguments.lasts));
    // All that counts was sent until now, so rates are over the time until now.
    let sent_until = show.clock.now();
    let counts = load.stop();
    plane.stop();
    control.stop();
    let last = table::render(&show.scene(counts), &Reading::take(&show.pool, sent_until), None);
    // What a reader that has left does not see is no failure.
    let _ = screen.show(&last);
    Ok(())
}

/// What is shown.
struct Show {
    pool: Arc<Pool>,
    clock: Clock,
    address: SocketAddr,
    dashboard: String,
    rate: u32,
}

impl Show {
    /// Draws the table each second, until a stop is asked for, the time is over, or nobody looks any more.
    fn run(&self, load: &Load, screen: &mut Screen, (asks, lasts): (&Asks, Option<Duration>)) {
        let started = Instant::now();
        let mut before = self.reading();
        loop {
            let left = lasts.map_or(REDRAW, |lasts| lasts.saturating_sub(started.elapsed()));
            if left.is_zero() || asks.stop_within(left.min(REDRAW)) {
                return;
            }
            let now = self.reading();
            let table = table::render(&self.scene(load.counts()), &now, Some(&before));
            if screen.show(&table).is_err() {
                return;
            }
            before = now;
        }
    }

    fn reading(&self) -> Reading {
        Reading::take(&self.pool, self.clock.now())
    }

    fn scene(&self, load: load::Counts) -> Scene {
        Scene { address: self.address, dashboard: self.dashboard.clone(), rate: self.rate, load }
    }
}
