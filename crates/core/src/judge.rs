//! From outcomes and probes to what is believed of a server, and from that to whom the pool picks.
//!
//! Only failures come here, the first success after one, trials and probes; a success among successes costs a pick
//! nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::health::{Health, Transition};
use crate::home::Home;
use crate::live::Live;
use crate::lock::{lock, try_lock};
use crate::record::Record;
use crate::snapshot::Snapshot;
use crate::{Eject, HealthState, Outcome, OutcomeKind, ProbeResult, Reason, Server, Time};

/// What servers had finished and failed when the window of failure shares began.
#[derive(Debug)]
pub(crate) struct Rates {
    began: Time,
    compared: Time,
}

/// Shares are compared at most this often, since that walks the pool.
const COMPARED_EVERY: Duration = Duration::from_millis(100);

impl Rates {
    pub(crate) fn new(now: Time) -> Self {
        Self { began: now, compared: now }
    }
}

impl Home {
    /// Takes in the end of a request that failed, succeeded after a failure, or was a trial.
    #[cold]
    pub(crate) fn judge(&self, server: &Server, outcome: &Outcome, now: Time, trial: bool) {
        let snapshot = self.current.load_full();
        let live = &server.live;
        let kind = if outcome.excused { OutcomeKind::Success } else { outcome.kind };
        // A trial may have been overtaken, by probes that brought the server back or by a change of its address.
        let trial = trial && live.health(|health| health.is_on_trial());
        match (trial, &snapshot.rules.eject) {
            (true, Some(rule)) => self.end_trial(server, kind, rule, now),
            _ if kind == OutcomeKind::Aborted => {}
            _ if kind == OutcomeKind::Success => {
                live.health(Health::succeeded);
                live.charge.clear();
            }
            (_, rule) => {
                live.tally.blamed.fetch_add(1, Ordering::Relaxed);
                let streak = live.health(Health::failed);
                if snapshot.rules.black_hole_guard {
                    self.guard.failed(&live.charge, (outcome.total, streak), &snapshot, now);
                }
                if let Some(rule) = rule.as_ref().filter(|_| live.state() == HealthState::Up) {
                    self.consider_ejection(server, (kind, streak), (rule, &snapshot), now);
                }
            }
        }
    }

    /// Takes in what a probe found.
    pub(crate) fn probed(&self, server: &Server, result: ProbeResult, now: Time) {
        let snapshot = self.current.load_full();
        let Some(rule) = &snapshot.rules.probe else { return };
        if self.alter(server, now, |health| health.probed(result, rule, now)) {
            server.live.charge.clear();
            self.refresh(now);
            self.serve_queue(now);
        }
    }

    /// Changes what is believed of a server and tells of it, before anybody else can change it again: events stand in the
    /// order of the changes. False when its state stays.
    pub(crate) fn alter(
        &self,
        server: &Server,
        now: Time,
        change: impl FnOnce(&mut Health) -> Option<Transition>,
    ) -> bool {
        server.live.health(|health| {
            let transition = change(health);
            let changed = transition.is_some();
            if let Some(transition) = transition {
                if transition.to == HealthState::Up {
                    // What failed before it came back has had its consequence.
                    health.window = record_of(&server.live);
                }
                self.events.add(server.id(), transition, now);
            }
            changed
        })
    }

    /// Ends a trial well before its request ends.
    #[cold]
    pub(crate) fn pass_trial(&self, server: &Server, now: Time) {
        let snapshot = self.current.load_full();
        let Some(rule) = &snapshot.rules.eject else { return };
        self.end_trial(server, OutcomeKind::Success, rule, now);
        if self.queue.is_waited_in() {
            self.serve_queue(now);
        }
    }

    fn end_trial(&self, server: &Server, kind: OutcomeKind, rule: &Eject, now: Time) {
        if self.alter(server, now, |health| health.tried(kind, rule, now)) {
            server.live.charge.clear();
            // Whoever waits is served by the release that follows, if one does.
            self.refresh(now);
        }
    }

    fn consider_ejection(
        &self,
        server: &Server,
        (kind, streak): (OutcomeKind, u32),
        (rule, snapshot): (&Eject, &Snapshot),
        now: Time,
    ) {
        // When it may not be ejected for the sake of the others, it is not asked at every failure.
        if streak.is_multiple_of(rule.failures.get()) {
            self.eject(server, Reason::FailuresInARow(streak, kind), rule, now);
        } else if let Some(reason) = self.fails_more(server, rule, snapshot, now) {
            self.eject(server, reason, rule, now);
        }
    }

    /// Whether a server fails more than the others of its pool, in the window of now.
    fn fails_more(&self, server: &Server, rule: &Eject, snapshot: &Snapshot, now: Time) -> Option<Reason> {
        // Otherwise another caller is comparing.
        let mut rates = try_lock(&self.rates)?;
        if now.saturating_since(rates.compared) < COMPARED_EVERY {
            return None;
        }
        rates.compared = now;
        let mut own = Record::default();
        let mut others = Record::default();
        let window = now.saturating_since(rates.began);
        let renew = window >= rule.interval;
        // Nobody failed for so long that the window holds what was before, too.
        let stale = window >= rule.interval.saturating_mul(2);
        for member in &snapshot.members {
            let ever = record_of(&member.live);
            let lately = ever.since(member.live.health(|health| health.window));
            if std::ptr::eq(&raw const *member.live, &raw const *server.live) {
                own = lately;
            } else {
                others = others.plus(lately);
            }
            if renew {
                member.live.health(|health| health.window = ever);
            }
        }
        if renew {
            rates.began = now;
        }
        let enough = u64::from(rule.min_requests.get());
        let (own_share, others_share) = (own.share(), others.share());
        let much_more = own_share.as_u8() >= others_share.as_u8().saturating_add(rule.rate.as_u8());
        (!stale && own.finished() >= enough && others.finished() >= enough && much_more)
            .then_some(Reason::FailsMore(own_share, others_share))
    }

    /// Leaves a server out for a while, if as many as may be are not out already.
    fn eject(&self, server: &Server, reason: Reason, rule: &Eject, now: Time) {
        let change = lock(&self.change);
        let snapshot = self.current.load();
        let is_it = |live: &Live| std::ptr::eq(live, &raw const *server.live);
        let Some(backup) = snapshot.members.iter().find(|member| is_it(&member.live)).map(|member| member.backup)
        else {
            return;
        };
        let tier = snapshot.members.iter().zip(&snapshot.details);
        let tier = tier.filter(|(member, details)| member.backup == backup && details.wanted(member.weight));
        let (mut all, mut out) = (0, 0);
        for (member, _) in tier {
            all += 1;
            out += u64::from(member.live.state() != HealthState::Up);
        }
        if out + 1 > rule.max_share.of(all) {
            return;
        }
        if self.alter(server, now, |health| health.eject(reason, rule, now)) {
            self.refresh_locked(now);
        }
        drop(change);
    }
}

/// All that a server did ever.
fn record_of(live: &Live) -> Record {
    let (in_flight, picks) = live.slots.in_flight_and_picks();
    Record::new(picks - u64::from(in_flight), live.tally.blamed.load(Ordering::Relaxed))
}
