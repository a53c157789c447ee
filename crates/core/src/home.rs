//! What the servers of one pool share, and the pick itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::alive::{Alive, Step};
use crate::budget::Budget;
use crate::events::Events;
use crate::guard::Guard;
use crate::judge::Rates;
use crate::live::Live;
use crate::lock::{lock, try_lock};
use crate::queue::Queue;
use crate::rank::Ranking;
use crate::rebalance::Rebalancer;
use crate::recorder::{Before, Recorder};
use crate::refused::Refusals;
use crate::seat::Seat;
use crate::sight::Sight;
use crate::slots::Claim;
use crate::snapshot::{Moment, Snapshot};
use crate::tournament::Reach;
use crate::turn::{Clock, stride};
use crate::view::Bounds;
use crate::{Ask, HealthState, Permit, Refused, Server, Time};

/// The current snapshot of a pool and what else is alive about it. Servers hold it, so that a permit can be dropped
/// without knowing its pool; the pool empties it when it goes, which breaks the circle.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) current: ArcSwap<Snapshot>,
    pub(crate) clock: Clock,
    pub(crate) guard: Guard,
    /// When the next server may be tried again, in nanoseconds.
    trial_due: AtomicU64,
    /// Picks that came while somebody warmed up.
    pub(crate) arrivals: AtomicU64,
    pub(crate) queue: Queue,
    pub(crate) refusals: Refusals,
    pub(crate) budget: Mutex<Budget>,
    pub(crate) rates: Mutex<Rates>,
    pub(crate) events: Events,
    /// The pool's permits, counted apart from the slots of its servers.
    pub(crate) alive: Alive,
    pub(crate) recorder: Recorder,
    pub(crate) rebalancer: Rebalancer,
    /// Lets one change in at a time.
    pub(crate) change: Mutex<Leaving>,
}

/// Servers no longer listed that may still have requests in flight, so that one that is listed again
/// comes back with its counts.
pub(crate) type Leaving = Vec<Arc<Server>>;

/// How soon a trial that could not begin is looked at again.
const TRIAL_DELAY: Duration = Duration::from_millis(100);

impl Home {
    pub(crate) fn new(snapshot: Snapshot, now: Time) -> Self {
        Self {
            current: ArcSwap::from_pointee(snapshot),
            clock: Clock::default(),
            guard: Guard::new(),
            trial_due: AtomicU64::new(u64::MAX),
            arrivals: AtomicU64::new(0),
            queue: Queue::new(),
            refusals: Refusals::default(),
            budget: Mutex::new(Budget::new(now)),
            rates: Mutex::new(Rates::new(now)),
            events: Events::default(),
            alive: Alive::new(),
            recorder: Recorder::new(),
            rebalancer: Rebalancer::default(),
            change: Mutex::default(),
        }
    }

    /// Chooses a server and claims a slot on it.
    #[inline]
    pub(crate) fn pick(&self, ask: &Ask<'_>) -> Result<Permit, Refused> {
        let step = self.alive.picking(Seat::mine());
        let snapshot = self.current.load();
        let plain = !self.is_trial_due(ask.now)
            && !self.guard.charging(ask.now)
            && !snapshot.is_bounded()
            && ask.tried.is_empty()
            && ask.stick.is_none()
            && !self.recorder.is_due(ask.now);
        if !plain {
            drop(snapshot);
            return self.pick_closely(ask, step);
        }
        let server = snapshot.claim(ask, self, Bounds::NONE)?;
        Ok(Permit::new(Arc::clone(server), ask.now, step))
    }

    /// The same while somebody is due for a trial, charged for failures or warming up, for retries and clients that are
    /// stuck, and while picks are recorded.
    #[cold]
    fn pick_closely(&self, ask: &Ask<'_>, step: Step<'_>) -> Result<Permit, Refused> {
        let servers = || self.current.load().members.len();
        if self.recorder.takes(ask.now, servers) {
            self.pick_recorded(ask, step)
        } else {
            self.pick_with_care(ask, step)
        }
    }

    fn pick_recorded(&self, ask: &Ask<'_>, step: Step<'_>) -> Result<Permit, Refused> {
        Sight::with(self, ask, |sight| {
            let before = Before::of(sight);
            let picked = self.pick_with_care(ask, step);
            // Whoever waits is tried for at every chance, and is not refused where there is none.
            if picked.is_ok() || !self.queue.is_waited_in() {
                let before = match &picked {
                    Ok(permit) => before.headed_by(permit, sight),
                    Err(_) => before,
                };
                self.recorder.keep(&picked, before, (ask.now, !ask.tried.is_empty()));
            }
            picked
        })
    }

    fn pick_with_care(&self, ask: &Ask<'_>, step: Step<'_>) -> Result<Permit, Refused> {
        if let Some(server) = self.claim_stuck(ask) {
            return Ok(Permit::new(server, ask.now, step));
        }
        if let Some(server) = self.begin_trial(ask) {
            return Ok(Permit::new(server, ask.now, step).on_trial());
        }
        let snapshot = self.warm_snapshot(ask.now);
        let arrivals = if snapshot.is_bounded() { self.arrive() } else { 0 };
        for bounds in self.bounds(ask, arrivals) {
            if let Ok(server) = snapshot.claim(ask, self, bounds) {
                return Ok(Permit::new(Arc::clone(server), ask.now, step));
            }
        }
        Err(snapshot.why_none())
    }

    /// The current snapshot, made anew when somebody has warmed up.
    pub(crate) fn warm_snapshot(&self, now: Time) -> arc_swap::Guard<Arc<Snapshot>> {
        let snapshot = self.current.load();
        if !snapshot.warmed_up(now) {
            return snapshot;
        }
        drop(snapshot);
        self.refresh(now);
        self.current.load()
    }

    /// The number of one more arrival, while somebody warms up.
    pub(crate) fn arrive(&self) -> u64 {
        self.arrivals.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What to look at, from the strictest to what must do when nobody else can: a request is not refused for the sake
    /// of a warm-up, nor given to a backup, and a retry goes to a backup before it goes to who was tried.
    pub(crate) fn bounds(&self, ask: &Ask<'_>, arrivals: u64) -> [Bounds; 4] {
        let charged = self.guard.charging(ask.now);
        let all = Bounds { charged, arrival: Some(arrivals), tried: true, backups: false };
        let cold = Bounds { arrival: None, ..all };
        let backups = Bounds { backups: true, ..cold };
        [all, cold, backups, Bounds { tried: false, ..backups }]
    }

    /// Whether somebody may have served his time, so that a trial can begin.
    #[inline]
    pub(crate) fn is_trial_due(&self, now: Time) -> bool {
        now.as_nanos() >= self.trial_due.load(Ordering::Relaxed)
    }

    /// Claims a slot for a trial on a server whose time out is over, if there is one.
    fn begin_trial(&self, ask: &Ask<'_>) -> Option<Arc<Server>> {
        if !self.is_trial_due(ask.now) {
            return None;
        }
        // Whoever is changing the pool now will not be waited for.
        let _change = try_lock(&self.change)?;
        let snapshot = self.current.load();
        let begun = self.trial_candidate(&snapshot, ask).and_then(|i| {
            let details = &snapshot.details[i];
            // Its limit, as the snapshot has no room for one that is ejected.
            if details.server.live.slots.claim(u32::MAX, details.limit) != Claim::Taken {
                return None;
            }
            let server = snapshot.claimed(i, ask, self);
            self.alter(server, ask.now, |health| health.try_again(ask.now));
            Some(Arc::clone(server))
        });
        self.schedule_trials(&snapshot, ask.now + TRIAL_DELAY);
        begun
    }

    /// Whom a pick with this ask would try again.
    pub(crate) fn trial_candidate(&self, snapshot: &Snapshot, ask: &Ask<'_>) -> Option<usize> {
        if !self.is_trial_due(ask.now) {
            return None;
        }
        let served = (0..snapshot.primaries).any(|i| snapshot.members[i].admits());
        (0..snapshot.members.len()).find(|&i| {
            let (member, details) = (&snapshot.members[i], &snapshot.details[i]);
            let over = |until| until <= ask.now;
            details.wanted(member.weight)
                && !(member.backup && served)
                && member.live.state() == HealthState::Ejected
                && member.live.health(|health| health.ejected_until()).is_some_and(over)
                && !ask.has_tried(&member.live)
                && member.live.slots.in_flight() < details.limit
        })
    }

    /// Sets when the next trial is to be looked for, not before `earliest`.
    pub(crate) fn schedule_trials(&self, snapshot: &Snapshot, earliest: Time) {
        let ejected = snapshot.members.iter().filter(|member| member.live.state() == HealthState::Ejected);
        let ends = ejected.filter_map(|member| member.live.health(|health| health.ejected_until()));
        let next = ends.min().map_or(u64::MAX, |end| end.max(earliest).as_nanos());
        self.trial_due.store(next, Ordering::Relaxed);
    }

    /// The servers of one moment: those listed, and those no longer listed. Whoever reads them at length holds nobody up.
    pub(crate) fn members(&self) -> (Arc<Snapshot>, Leaving) {
        let leaving = lock(&self.change);
        (self.current.load_full(), leaving.clone())
    }

    /// Makes the snapshot anew after what is believed of a server has changed.
    pub(crate) fn refresh(&self, now: Time) {
        let change = lock(&self.change);
        self.refresh_locked(now);
        drop(change);
    }

    /// The same for who has the lock of changes.
    pub(crate) fn refresh_locked(&self, now: Time) {
        let old = self.current.load_full();
        let new = Arc::new(old.renewed(now));
        for (before, after) in old.members.iter().zip(&new.members) {
            if after.admits() && !before.admits() {
                after.live.turn.join(&self.clock, stride(after.weight), (0, 1));
                after.live.admitted.begin(self.arrivals.load(Ordering::Relaxed));
            }
        }
        self.put_in_force(&new, std::iter::empty(), now);
    }

    /// Publishes a snapshot and tells every server its place, in the order that
    /// [`Place`](crate::place::Place) asks for.
    pub(crate) fn put_in_force<'a>(&self, new: &Arc<Snapshot>, gone: impl Iterator<Item = &'a Arc<Server>>, now: Time) {
        let measured = new.policy.ranking() == Some(Ranking::ResponseTime);
        for member in &new.members {
            member.live.tally.measured.store(measured, Ordering::Relaxed);
        }
        new.repair_all(self.moment(now));
        self.current.store(Arc::clone(new));
        for (i, member) in new.members.iter().enumerate() {
            if new.is_indexed() {
                member.live.place.set(new.generation, i);
            } else {
                member.live.place.leave();
            }
        }
        for server in gone {
            server.live.place.leave();
        }
        new.repair_all(self.moment(now));
        self.schedule_trials(new, now);
    }

    /// What an index must know of the time.
    #[inline]
    pub(crate) fn moment(&self, now: Time) -> Moment {
        Moment { now, charged: self.guard.charging(now) }
    }

    /// Brings the index, if there is one, up to date with a server whose rank has just changed.
    #[inline]
    pub(crate) fn repair(&self, live: &Live, reach: Reach, now: Time) {
        if let Some((generation, index)) = live.place.read() {
            let snapshot = self.current.load();
            // A snapshot newer than the place is being put in force, and will repair this place once it
            // is; one older than the place cannot be met (see `place.rs`).
            if snapshot.generation == generation {
                snapshot.repair(index, reach, self.moment(now));
            }
        }
    }
}
