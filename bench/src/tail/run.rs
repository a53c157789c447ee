//! One run: one proxy in one scenario, with servers, counts and a start of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::fleet::{self, Fleet, Record};
use super::scenarios::{Configuration, Course, FAULTY, SERVERS, Scenario, Step};
use super::server::{self, WARMING, WORKERS};
use crate::accounting::{self, CpuSnapshot};
use crate::interrupt;
use crate::machine::Cores;
use crate::open_loop::arrivals::Arrivals;
use crate::open_loop::client::Clients;
use crate::open_loop::tally::{Ending, Tally, Window};
use crate::process::Scratch;
use crate::proxies::{Installed, Name, Pool, Rules, Running};

/// What all runs have in common.
pub(super) struct Stage {
    pub(super) cores: Cores,
    pub(super) scratch: Scratch,
    /// How long the counted part of a run is.
    pub(super) counted: Duration,
    /// Decides arrivals and service times; the same for all proxies.
    pub(super) seed: u64,
    /// The text of the example for Plimsoll.
    pub(super) example: String,
}

/// How often the servers are asked for their counts.
const COUNT_EVERY: Duration = Duration::from_millis(200);

/// What came of a run.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) proxy: Name,
    /// Why there is nothing to see.
    pub(super) failure: Option<String>,
    pub(super) windows: Vec<Counted>,
    /// The first thing that went wrong with a request, where it was not an answer.
    pub(super) first_error: Option<String>,
    /// What the server that was cold did when it had been warm for between three and five seconds, by an even share.
    pub(super) warm_share: Option<f64>,
    pub(super) cores: Option<CoreUse>,
}

/// One window of a run.
#[derive(Debug, Serialize)]
pub(super) struct Counted {
    pub(super) window: Window,
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) endings: BTreeMap<Ending, u64>,
    /// Of all requests, in ms; `None` where requests that were not served are reached.
    pub(super) p50: Option<f64>,
    pub(super) p90: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) p999: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) served_per_second: f64,
    /// How late the requests began, in ms.
    pub(super) late_p99: f64,
    pub(super) late_max: f64,
    /// What each server answered, by what all did.
    pub(super) shares: Vec<f64>,
}

/// How much of the cores was used, from just before the counting to its end; 1 is a whole core.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct CoreUse {
    pub(super) proxy: f64,
    /// By the clients and the servers.
    pub(super) load: f64,
    /// Of both cores, by what is no part of the run.
    pub(super) others: f64,
    /// How late the servers' answers left, on average, in ms.
    pub(super) servers_late: f64,
}

impl Run {
    /// One that could not be made.
    fn failed(proxy: Name, error: &anyhow::Error) -> Self {
        Self {
            proxy,
            failure: Some(format!("{error:#}")),
            windows: Vec::new(),
            first_error: None,
            warm_share: None,
            cores: None,
        }
    }

    /// Makes it. A proxy that cannot do it gives a run that says so; an error is the user's wish to stop.
    pub(super) fn make(scenario: &Scenario, installed: &Installed, stage: &Stage) -> anyhow::Result<Self> {
        let run = make(scenario, installed, stage);
        interrupt::check()?;
        Ok(run.unwrap_or_else(|error| Self::failed(installed.name, &error)))
    }
}

fn make(scenario: &Scenario, installed: &Installed, stage: &Stage) -> anyhow::Result<Run> {
    let course = scenario.course(stage.counted);
    let place = fleet::Place { core: stage.cores.load, scratch: &stage.scratch };
    let fleet = Fleet::start(SERVERS, course.absent, stage.seed, place)?;
    let example = stage.example.as_str();
    let rules = match scenario.configuration {
        Configuration::Defaults => Rules::Plain,
        Configuration::Guarded => Rules::Guarded { example },
        Configuration::Queued => Rules::Queued { example, at_a_server: WORKERS },
    };
    let room = stage.scratch.room(&format!("{}-{}", scenario.name, installed.name.title()))?;
    let pool = Pool { servers: &fleet.ports(), rules };
    let running = Running::start(installed, pool, stage.cores.proxy, &room)?;
    let tallies: anyhow::Result<Vec<Tally>> = course.windows.iter().map(|window| Tally::new(*window)).collect();
    let arrivals = Arrivals::new(stage.seed, &course.legs);
    let mut clients = Clients::start(running.address(), arrivals, tallies?)?;
    let mut director = Director::new(&course, fleet, running, stage.cores);
    while !clients.is_done() {
        interrupt::check()?;
        let next = director.act(clients.now())?;
        clients.turn(next)?;
    }
    let (tallies, first_error) = clients.finish();
    director.conclude(&tallies, first_error, installed.name)
}

/// Does what the course says beside the requests.
struct Director<'a> {
    course: &'a Course,
    fleet: Fleet<'a>,
    running: Running,
    cores: Cores,
    steps: usize,
    counts: u32,
    before: Option<Account>,
    after: Option<Account>,
}

/// What has been used until some moment.
struct Account {
    at: Duration,
    proxy: CpuSnapshot,
    clients: Duration,
    /// Of both cores, by whomever.
    cores: Duration,
}

/// The account is taken so long before the counting, as it keeps the clients waiting for some milliseconds.
const BEFORE_COUNTING: Duration = Duration::from_millis(100);

impl<'a> Director<'a> {
    fn new(course: &'a Course, fleet: Fleet<'a>, running: Running, cores: Cores) -> Self {
        Self { course, fleet, running, cores, steps: 0, counts: 0, before: None, after: None }
    }

    /// Does what is due; gives when something will be again.
    fn act(&mut self, now: Duration) -> anyhow::Result<Duration> {
        while let Some((at, step)) = self.course.steps.get(self.steps).filter(|(at, _)| *at <= now) {
            self.steps += 1;
            self.perform(*step).with_context(|| format!("at {at:?}"))?;
        }
        if self.next_count() <= now {
            self.counts += 1;
            self.fleet.ask_for_counts(now)?;
        }
        let (begins, ends) = self.accounted();
        if self.before.is_none() && begins <= now {
            self.before = Some(self.account(now)?);
        }
        if self.after.is_none() && ends <= now {
            self.after = Some(self.account(now)?);
        }
        let step = self.course.steps.get(self.steps).map_or(Duration::MAX, |(at, _)| *at);
        let account = [(&self.before, begins), (&self.after, ends)];
        let account = account.into_iter().filter(|(taken, _)| taken.is_none()).map(|(_, at)| at).min();
        Ok(step.min(self.next_count()).min(account.unwrap_or(Duration::MAX)))
    }

    fn next_count(&self) -> Duration {
        COUNT_EVERY * self.counts
    }

    /// The first window, which is the whole of it but for an overload's recovery.
    fn accounted(&self) -> (Duration, Duration) {
        let window = &self.course.windows[0];
        (window.from.saturating_sub(BEFORE_COUNTING), window.until)
    }

    fn perform(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Set(server, fault) => self.fleet.set(server, fault),
            Step::Kill(server) => self.fleet.kill(server),
            Step::Start(server, fault) => self.fleet.revive(server, fault),
        }
    }

    fn account(&self, now: Duration) -> anyhow::Result<Account> {
        Ok(Account {
            at: now,
            proxy: CpuSnapshot::read(self.running.pid())?,
            clients: server::cpu_used(),
            cores: accounting::work_of_both(self.cores)?,
        })
    }

    /// Ends the servers and sums up.
    fn conclude(mut self, tallies: &[Tally], first_error: Option<String>, proxy: Name) -> anyhow::Result<Run> {
        self.running.check()?;
        let after = match self.after.take() {
            Some(after) => after,
            // A course whose window ends with the last request.
            None => self.account(self.accounted().1)?,
        };
        let before = self.before.take();
        let records = self.fleet.finish()?;
        let cores = before.map(|before| core_use(&before, &after, &records)).transpose()?;
        let windows = tallies.iter().map(|tally| Counted::of(tally, &records)).collect();
        let warm_share = self.course.absent.and_then(|_| warm_share(&records));
        Ok(Run { proxy, failure: None, windows, first_error, warm_share, cores })
    }
}

fn core_use(before: &Account, after: &Account, records: &[Vec<Record>]) -> anyhow::Result<CoreUse> {
    let length = after.at.saturating_sub(before.at).as_secs_f64();
    let lives = || records.iter().flatten().map(|life| (life.at(before.at), life.at(after.at)));
    let servers: Duration = lives().map(|(first, last)| last.cpu.saturating_sub(first.cpu)).sum();
    let late: Duration = lives().map(|(first, last)| last.late.saturating_sub(first.late)).sum();
    let answered: u64 = lives().map(|(first, last)| last.answered - first.answered).sum();
    let proxy = after.proxy.since(&before.proxy)?;
    let load = servers + after.clients.saturating_sub(before.clients);
    let all = after.cores.saturating_sub(before.cores);
    Ok(CoreUse {
        proxy: proxy.as_secs_f64() / length,
        load: load.as_secs_f64() / length,
        others: all.saturating_sub(proxy + load).as_secs_f64() / length / 2.0,
        servers_late: late.as_secs_f64() * 1e3 / answered.max(1) as f64,
    })
}

impl Counted {
    fn of(tally: &Tally, records: &[Vec<Record>]) -> Self {
        let Window { from, until, .. } = tally.window;
        Self {
            window: tally.window,
            requests: tally.requests(),
            failed: tally.failed(),
            endings: tally.endings.clone(),
            p50: tally.quantile(0.5),
            p90: tally.quantile(0.9),
            p99: tally.quantile(0.99),
            p999: tally.quantile(0.999),
            max: tally.quantile(1.0),
            served_per_second: tally.served_within as f64 / tally.window.length().as_secs_f64(),
            late_p99: tally.lateness(0.99),
            late_max: tally.lateness(1.0),
            shares: shares(records, from, until),
        }
    }

    /// Requests that ended so.
    pub(super) fn of_ending(&self, ending: Ending) -> u64 {
        self.endings.get(&ending).copied().unwrap_or_default()
    }
}

/// What each server answered between two times, by what all did.
fn shares(records: &[Vec<Record>], from: Duration, until: Duration) -> Vec<f64> {
    let answered =
        |lives: &Vec<Record>| lives.iter().map(|life| life.at(until).answered - life.at(from).answered).sum();
    let answered: Vec<u64> = records.iter().map(answered).collect();
    let all = answered.iter().sum::<u64>().max(1);
    answered.iter().map(|one| *one as f64 / all as f64).collect()
}

/// The share of the server that joined, by a fifth, over the last two of the first five seconds that it was warm.
/// `None` when the run did not go on for so long, or it never had a request.
fn warm_share(records: &[Vec<Record>]) -> Option<f64> {
    let life = records.get(FAULTY)?.last()?;
    let first = life.samples.iter().find_map(|(asked, sums)| Some(asked.saturating_sub(sums.working_for?)))?;
    let warm = first + WARMING;
    let (from, until) = (warm + Duration::from_secs(3), warm + Duration::from_secs(5));
    let (last, _) = life.samples.last()?;
    (*last >= until).then(|| shares(records, from, until)[FAULTY] * SERVERS as f64)
}

#[cfg(test)]
mod tests {
    use super::super::server::Sums;
    use super::*;

    /// A server that answers so many requests a second from its first one on, asked every 200 ms.
    fn life(first: u64, rate: u64, until: u64) -> Record {
        let sample = |ms: u64| {
            let age = ms.checked_sub(first * 1000);
            let sums = Sums {
                answered: age.unwrap_or_default() * rate / 1000,
                working_for: age.map(Duration::from_millis),
                ..Sums::default()
            };
            (Duration::from_millis(ms), sums)
        };
        Record { samples: (0..=until * 5).map(|step| sample(step * 200)).collect() }
    }

    #[test]
    fn shares_are_of_what_was_answered_in_between_by_all_lives_of_a_server() {
        let records = [vec![life(0, 100, 4), life(5, 100, 10)], vec![life(0, 300, 10)]];
        let second = |seconds| Duration::from_secs(seconds);
        assert_eq!(shares(&records, second(0), second(4)), [0.25, 0.75]);
        // From 4 to 10: the first has 500, the second 1800.
        let shares = shares(&records, second(4), second(10));
        assert!((shares[0] - 500.0 / 2300.0).abs() < 1e-9, "{shares:?}");
    }

    #[test]
    fn the_share_when_warm_is_read_between_six_and_eight_seconds_after_the_first_request() {
        let records = |rate, until| {
            let sound = || vec![life(0, 100, until)];
            [vec![life(6, rate, until)], sound(), sound(), sound(), sound()]
        };
        assert!(warm_share(&records(100, 15)).is_some_and(|share| (share - 1.0).abs() < 1e-9));
        assert!(warm_share(&records(50, 15)).is_some_and(|share| (share - 50.0 / 90.0).abs() < 1e-9));
        assert_eq!(warm_share(&records(100, 13)), None, "too short");
        assert_eq!(warm_share(&[vec![Record::default()]]), None, "it never had a request");
    }
}
