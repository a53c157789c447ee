//! What happens in each scenario, and when.

use std::time::Duration;

use super::server::{Fault, MEAN, WORKERS};
use crate::open_loop::arrivals::Leg;
use crate::open_loop::tally::Window;

/// Servers in the pool.
pub(super) const SERVERS: usize = 5;

/// The one that has the fault.
pub(super) const FAULTY: usize = 0;

/// Requests a second that all servers together can do.
pub(super) fn capacity() -> f64 {
    (SERVERS * WORKERS) as f64 / MEAN.as_secs_f64()
}

/// Half of what the servers can do, so that four of them can do it too.
const RATE: f64 = 2500.0;

/// Twice what the servers can do.
const OVERLOAD: f64 = 10_000.0;

/// What is not counted at the start: connections are made and counts get to where they will be.
const LEAD_IN: Duration = Duration::from_secs(3);

/// How long the cold server is absent: time enough for three failed probes at a second's interval, the slowest way
/// here to be found absent.
const ABSENCE: Duration = Duration::from_secs(5);

/// How long after an overload all must be as before.
const RECOVERY: Duration = Duration::from_secs(1);

/// One line of the plan.
#[derive(Debug)]
pub(super) struct Scenario {
    /// As `--scenario` takes it.
    pub(super) name: &'static str,
    /// What happens, for the report.
    pub(super) title: &'static str,
    pub(super) configuration: Configuration,
    /// From how long the counted part is.
    course: fn(Duration) -> Course,
}

/// How the proxies are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Configuration {
    Defaults,
    /// As the example has it.
    Guarded,
    /// As the example has it, with limits and a queue.
    Queued,
}

/// What happens in a run.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) legs: Vec<Leg>,
    /// In order, and apart.
    pub(super) windows: Vec<Window>,
    /// In order.
    pub(super) steps: Vec<(Duration, Step)>,
    /// A server that is not there at first.
    pub(super) absent: Option<usize>,
}

/// What is done to a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    Set(usize, Fault),
    Kill(usize),
    Start(usize, Fault),
}

/// The scenario the others are compared with.
pub(super) const EVEN: &str = "even";

/// The counted window of all scenarios, or their first one.
const MAIN: &str = "all";

/// All scenarios in the order they run.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: EVEN,
        title: "five sound servers",
        configuration: Configuration::Guarded,
        course: |counted| Course::steady(counted, LEAD_IN),
    },
    Scenario {
        name: "stall",
        title: "one server stands still for 1 s in every 3",
        configuration: Configuration::Guarded,
        course: |counted| faulty(counted, Fault::Stall),
    },
    Scenario {
        name: "slow",
        title: "one server takes 20 times as long",
        configuration: Configuration::Guarded,
        course: |counted| faulty(counted, Fault::Slow),
    },
    Scenario {
        name: "error500",
        title: "one server answers 500 at once",
        configuration: Configuration::Guarded,
        course: |counted| faulty(counted, Fault::Error500),
    },
    Scenario {
        name: "error500-defaults",
        title: "one server answers 500 at once, and only servers are configured",
        configuration: Configuration::Defaults,
        course: |counted| faulty(counted, Fault::Error500),
    },
    Scenario {
        name: "cold",
        title: "one server joins, 8 times slower and warm after 3 s",
        configuration: Configuration::Guarded,
        course: cold,
    },
    Scenario {
        name: "kill",
        title: "one server is killed and stays away",
        configuration: Configuration::Guarded,
        course: kill,
    },
    Scenario {
        name: "restart",
        title: "all servers are killed and started again, one after the other",
        configuration: Configuration::Guarded,
        course: restart,
    },
    Scenario {
        name: "overload",
        title: "twice the capacity is offered, then half of it",
        configuration: Configuration::Queued,
        course: overload,
    },
];

impl Scenario {
    /// What happens, with a counted part of that length.
    pub(super) fn course(&self, counted: Duration) -> Course {
        (self.course)(counted)
    }
}

impl Course {
    /// The usual rate, counted after `lead_in`, and nothing else.
    fn steady(counted: Duration, lead_in: Duration) -> Self {
        let until = lead_in + counted;
        Self {
            legs: vec![Leg { until, rate: RATE }],
            windows: vec![Window { name: MAIN, from: lead_in, until }],
            steps: Vec::new(),
            absent: None,
        }
    }
}

/// The fault begins with the counting, so that what it takes to notice it is counted too.
fn faulty(counted: Duration, fault: Fault) -> Course {
    Course { steps: vec![(LEAD_IN, Step::Set(FAULTY, fault))], ..Course::steady(counted, LEAD_IN) }
}

fn cold(counted: Duration) -> Course {
    let joins = (ABSENCE, Step::Start(FAULTY, Fault::Cold));
    Course { steps: vec![joins], absent: Some(FAULTY), ..Course::steady(counted, ABSENCE) }
}

fn kill(counted: Duration) -> Course {
    Course { steps: vec![(LEAD_IN + counted / 2, Step::Kill(FAULTY))], ..Course::steady(counted, LEAD_IN) }
}

/// Each server is away for a third of its turn: one second of three when 15 are counted.
fn restart(counted: Duration) -> Course {
    let turn = counted / SERVERS as u32;
    let steps = (0..SERVERS).flat_map(|server| {
        let begins = LEAD_IN + turn * server as u32;
        [(begins, Step::Kill(server)), (begins + turn / 3, Step::Start(server, Fault::None))]
    });
    Course { steps: steps.collect(), ..Course::steady(counted, LEAD_IN) }
}

/// Two thirds of the time are overload: ten seconds when 15 are counted.
fn overload(counted: Duration) -> Course {
    let over = LEAD_IN + counted * 2 / 3;
    let until = LEAD_IN + counted;
    let leg = |until, rate| Leg { until, rate };
    Course {
        legs: vec![leg(LEAD_IN, RATE), leg(over, OVERLOAD), leg(until, RATE)],
        windows: vec![
            Window { name: "overload", from: LEAD_IN, until: over },
            Window { name: "after it", from: over + RECOVERY, until },
        ],
        ..Course::steady(counted, LEAD_IN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTED: Duration = Duration::from_secs(15);

    #[test]
    fn every_course_is_in_order_and_counts_what_it_says() {
        for scenario in ALL {
            let course = scenario.course(COUNTED);
            assert!(course.legs.is_sorted_by_key(|leg| leg.until), "{}", scenario.name);
            assert!(course.steps.is_sorted_by_key(|(at, _)| *at), "{}", scenario.name);
            assert!(course.windows.windows(2).all(|two| two[0].until <= two[1].from), "{}", scenario.name);
            assert!(course.windows.iter().all(|window| window.from < window.until), "{}", scenario.name);
            let end = course.legs.last().map(|leg| leg.until);
            assert_eq!(course.windows.last().map(|window| window.until), end, "{}", scenario.name);
            assert!(course.steps.iter().all(|(at, _)| Some(*at) < end), "{}", scenario.name);
        }
    }

    #[test]
    fn a_restart_takes_each_server_away_once_and_only_one_at_a_time() {
        let second = |seconds| Duration::from_secs(seconds);
        let steps = restart(COUNTED).steps;
        assert_eq!(
            steps[..3],
            [(second(3), Step::Kill(0)), (second(4), Step::Start(0, Fault::None)), (second(6), Step::Kill(1)),]
        );
        assert_eq!(steps.len(), 2 * SERVERS);
    }

    #[test]
    fn the_overload_is_ten_seconds_of_twice_the_capacity() {
        let course = overload(COUNTED);
        assert!((capacity() - 5000.0).abs() < 1e-9);
        assert!((course.legs[1].rate - 2.0 * capacity()).abs() < 1e-9);
        assert_eq!(course.windows[0].length(), Duration::from_secs(10));
        assert_eq!(course.windows[1].from, Duration::from_secs(14));
    }
}
