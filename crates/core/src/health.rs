//! What is believed of a server: the state machine that probes and outcomes feed.
//!
//! Two judges speak, and both must be content for the server to be up. Probes ask it directly: `fall` failures in a row
//! take it down, `rise` passes bring it back. Ejection watches what becomes of its requests: a server that keeps failing
//! is left out for a while, then gets a single request as a trial. The time out doubles with each repetition and falls
//! by a doubling for each interval of good behaviour. A recovery that probes have seen (down, then up) ends an ejection too, and
//! `rise` passes end one that connections were the reason for; of errors and slowness a probe says nothing.
//!
//! Nothing here knows a clock or a pool: events come in with their time, and transitions go out. Whether there is room
//! for one more ejection is the pool's to say.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::record::Record;
use crate::{Eject, Initial, OutcomeKind, Percent, ProbeRule, Time};

/// What is believed of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HealthState {
    /// It takes requests.
    Up,
    /// Its probes fail.
    Down,
    /// Its requests failed; it is left out for a while.
    Ejected,
    /// It was ejected, and a single request is finding out whether it works again.
    Trial,
}

/// Why a server is believed to be in its state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing spoke against it yet.
    Presumed,
    /// It is down until its first probe passes.
    NotProbed,
    /// So many probes in a row failed, the last one so.
    ProbesFailed(u32, String),
    /// So many probes in a row passed.
    ProbesPassed(u32),
    /// Probes were turned off.
    NotProbedAnyMore,
    /// So many requests in a row failed, the last one so.
    FailuresInARow(u32, OutcomeKind),
    /// Its share of failures was this, and that of the pool's other servers that.
    FailsMore(Percent, Percent),
    /// Its time out is over.
    TimeServed,
    /// The trial went well.
    TrialPassed,
    /// The trial failed so.
    TrialFailed(OutcomeKind),
    /// The trial was left by its client and showed nothing.
    TrialLeft,
    /// Ejection was turned off.
    NotEjectedAnyMore,
    /// The server has another address.
    Moved,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    /// How long the probe took.
    pub took: Duration,
    /// Why it failed; `None` when it passed.
    pub failure: Option<String>,
}

/// One probe, as remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// When it ended.
    pub at: Time,
    /// What it found.
    pub result: ProbeResult,
}

/// What is believed of a server, since when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthReport {
    /// The state.
    pub state: HealthState,
    /// Since when.
    pub since: Time,
    /// Why.
    pub reason: Reason,
    /// The last probes, the latest last.
    pub probes: Vec<Probed>,
    /// Failures in a row, of its requests.
    pub failures_in_a_row: u32,
    /// How often it was ejected.
    pub ejections: u64,
    /// Until when it is out, when it is ejected.
    pub ejected_until: Option<Time>,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transition {
    pub(crate) from: HealthState,
    pub(crate) to: HealthState,
    pub(crate) reason: Reason,
}

/// Probes remembered: enough to see a pattern.
const REMEMBERED: usize = 8;

/// An ejection can double so often; by then any `max_time` is reached.
const MOST_DOUBLINGS: u32 = 16;

/// The health of one server.
#[derive(Debug)]
pub(crate) struct Health {
    probes_content: bool,
    passes: u32,
    falls: u32,
    standing: Standing,
    failures: u32,
    /// How often the time out has doubled, as of `doubled_at`.
    doublings: u32,
    doubled_at: Time,
    ejections: u64,
    since: Time,
    reason: Reason,
    /// When it last came in from the cold.
    warming_since: Option<Time>,
    probes: VecDeque<Probed>,
    /// What it had done when the pool's window of failure shares began.
    pub(crate) window: Record,
}

/// Whether its requests let it stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    In,
    Out {
        until: Time,
        /// It was connections that failed, and those are what a probe shows to work again.
        unreachable: bool,
    },
    Trial,
}

impl Health {
    /// Of a server nothing is known of.
    pub(crate) fn new(probe: Option<ProbeRule>, now: Time) -> Self {
        let waits = probe.is_some_and(|rule| rule.initial == Initial::Down);
        Self {
            probes_content: !waits,
            passes: 0,
            falls: 0,
            standing: Standing::In,
            failures: 0,
            doublings: 0,
            doubled_at: now,
            ejections: 0,
            since: now,
            reason: if waits { Reason::NotProbed } else { Reason::Presumed },
            warming_since: None,
            probes: VecDeque::new(),
            window: Record::default(),
        }
    }

    pub(crate) fn state(&self) -> HealthState {
        match (self.probes_content, self.standing) {
            (false, _) => HealthState::Down,
            (true, Standing::In) => HealthState::Up,
            (true, Standing::Out { .. }) => HealthState::Ejected,
            (true, Standing::Trial) => HealthState::Trial,
        }
    }

    /// Until when it is out, if it is ejected and probes do not keep it down.
    pub(crate) fn ejected_until(&self) -> Option<Time> {
        match self.standing {
            Standing::Out { until, .. } if self.probes_content => Some(until),
            _ => None,
        }
    }

    /// Counts it as cold from now on, for a reason that health does not know.
    pub(crate) fn warm_from(&mut self, now: Time) {
        self.warming_since = Some(now);
    }

    /// When it last came in from the cold, if it did.
    pub(crate) fn warming_since(&self) -> Option<Time> {
        self.warming_since
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Takes in what a probe found.
    pub(crate) fn probed(&mut self, result: ProbeResult, rule: &ProbeRule, now: Time) -> Option<Transition> {
        let from = self.state();
        let failure = result.failure.clone();
        if self.probes.len() == REMEMBERED {
            self.probes.pop_front();
        }
        self.probes.push_back(Probed { at: now, result });
        if let Some(failure) = failure {
            (self.passes, self.falls) = (0, self.falls.saturating_add(1));
            if !self.probes_content || self.falls < rule.fall.get() {
                return None;
            }
            self.probes_content = false;
            return self.changed(from, Reason::ProbesFailed(self.falls, failure), now);
        }
        (self.passes, self.falls) = (self.passes.saturating_add(1), 0);
        // One that has never been probed needs one pass to be believed, and not a row of them.
        let enough = if self.reason == Reason::NotProbed { 1 } else { rule.rise.get() };
        let reached = matches!(self.standing, Standing::Out { unreachable: true, .. });
        if (self.probes_content && !reached) || self.passes < enough {
            return None;
        }
        self.probes_content = true;
        self.failures = 0;
        self.standing = Standing::In;
        self.changed(from, Reason::ProbesPassed(self.passes), now)
    }

    /// Takes in a success of an ordinary request.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Takes in a failure of an ordinary request, and tells how many there are in a row.
    pub(crate) fn failed(&mut self) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.failures
    }

    /// Leaves it out for a while, if it stands.
    pub(crate) fn eject(&mut self, reason: Reason, rule: &Eject, now: Time) -> Option<Transition> {
        if self.standing != Standing::In {
            return None;
        }
        let good = now.saturating_since(self.doubled_at).as_nanos() / rule.interval.as_nanos().max(1);
        self.doublings = self.doublings.saturating_sub(u32::try_from(good).unwrap_or(u32::MAX));
        self.put_out(reason, rule, now)
    }

    /// Lets the trial begin, if its time out is over.
    pub(crate) fn try_again(&mut self, now: Time) -> Option<Transition> {
        let from = self.state();
        match self.standing {
            Standing::Out { until, .. } if until <= now && self.probes_content => {
                self.standing = Standing::Trial;
                self.changed(from, Reason::TimeServed, now)
            }
            _ => None,
        }
    }

    /// Whether a trial is going on, also when probes have taken the server down since it began.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.standing == Standing::Trial
    }

    /// Takes in how the trial ended.
    pub(crate) fn tried(&mut self, kind: OutcomeKind, rule: &Eject, now: Time) -> Option<Transition> {
        if self.standing != Standing::Trial {
            return None;
        }
        let from = self.state();
        match kind {
            OutcomeKind::Success => {
                self.standing = Standing::In;
                self.failures = 0;
                // Good behaviour counts from here.
                self.doubled_at = now;
                self.changed(from, Reason::TrialPassed, now)
            }
            OutcomeKind::Aborted => {
                self.standing = Standing::Out { until: now, unreachable: false };
                self.changed(from, Reason::TrialLeft, now)
            }
            failure => self.put_out(Reason::TrialFailed(failure), rule, now),
        }
    }

    /// Follows a change of the rules: what no longer judges no longer holds.
    pub(crate) fn follow(&mut self, probe: Option<&ProbeRule>, eject: Option<&Eject>, now: Time) -> Option<Transition> {
        let from = self.state();
        let mut reason = Reason::Presumed;
        if probe.is_none() {
            // Should it be probed again one day, that is no continuation of today's row.
            (self.passes, self.falls) = (0, 0);
            if !self.probes_content {
                self.probes_content = true;
                reason = Reason::NotProbedAnyMore;
            }
        }
        if eject.is_none() && self.standing != Standing::In {
            self.standing = Standing::In;
            reason = Reason::NotEjectedAnyMore;
        }
        self.changed(from, reason, now)
    }

    /// Takes the place of what was believed `before` the server had another address.
    pub(crate) fn moved(&mut self, before: &Self, now: Time) -> Option<Transition> {
        self.warming_since = Some(now);
        self.ejections = before.ejections;
        self.window = before.window;
        let (from, to, reason) = (before.state(), self.state(), Reason::Moved);
        (from != to).then_some(Transition { from, to, reason })
    }

    pub(crate) fn report(&self) -> HealthReport {
        HealthReport {
            state: self.state(),
            since: self.since,
            reason: self.reason.clone(),
            probes: self.probes.iter().cloned().collect(),
            failures_in_a_row: self.failures,
            ejections: self.ejections,
            ejected_until: self.ejected_until(),
        }
    }

    fn put_out(&mut self, reason: Reason, rule: &Eject, now: Time) -> Option<Transition> {
        let from = self.state();
        let time = rule.time.saturating_mul(1 << self.doublings).min(rule.max_time);
        let unreachable = matches!(
            reason,
            Reason::FailuresInARow(_, OutcomeKind::ConnectFailed | OutcomeKind::Failed)
                | Reason::TrialFailed(OutcomeKind::ConnectFailed | OutcomeKind::Failed)
        );
        self.standing = Standing::Out { until: now + time, unreachable };
        self.passes = 0;
        self.doublings = (self.doublings + 1).min(MOST_DOUBLINGS);
        self.doubled_at = now + time;
        self.ejections += 1;
        self.failures = 0;
        self.changed(from, reason, now)
    }

    fn changed(&mut self, from: HealthState, reason: Reason, now: Time) -> Option<Transition> {
        let to = self.state();
        if from == to {
            return None;
        }
        (self.since, self.reason) = (now, reason.clone());
        if to == HealthState::Up {
            self.warming_since = Some(now);
        }
        Some(Transition { from, to, reason })
    }
}

impl HealthState {
    /// Every state, each at the place of its number.
    pub const ALL: [Self; 4] = [Self::Up, Self::Down, Self::Ejected, Self::Trial];

    /// The word for it in logs and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Trial => "trial",
        }
    }
}

impl fmt::Display for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Presumed => f.write_str("nothing speaks against it"),
            Self::NotProbed => f.write_str("its first probe has not passed yet"),
            Self::ProbesFailed(1, failure) => write!(f, "a probe failed: {failure}"),
            Self::ProbesFailed(count, failure) => write!(f, "{count} probes in a row failed: {failure}"),
            Self::ProbesPassed(1) => f.write_str("a probe passed"),
            Self::ProbesPassed(count) => write!(f, "{count} probes in a row passed"),
            Self::NotProbedAnyMore => f.write_str("it is not probed any more"),
            Self::FailuresInARow(1, kind) => write!(f, "a request failed: {kind}"),
            Self::FailuresInARow(count, kind) => write!(f, "{count} requests in a row failed, the last one: {kind}"),
            Self::FailsMore(own, others) => {
                write!(f, "{}% of its requests failed, of the other servers' {}%", own.as_u8(), others.as_u8())
            }
            Self::TimeServed => f.write_str("its time out is over: one request tries it"),
            Self::TrialPassed => f.write_str("the trial request succeeded"),
            Self::TrialFailed(kind) => write!(f, "the trial request failed: {kind}"),
            Self::TrialLeft => f.write_str("the client of the trial request left"),
            Self::NotEjectedAnyMore => f.write_str("ejection was turned off"),
            Self::Moved => f.write_str("its address changed"),
        }
    }
}
