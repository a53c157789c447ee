//! What nobody would see who does not look at numbers: a worker that died, lines of the log that are lost, permits and
//! slots that are apart. It is told in the journal.

use std::time::Duration;

use plimsoll_core::Time;

use crate::api::EventKind;
use crate::journal::{Happened, Journal};
use crate::plane::{LogStats, PlaneStats};

/// Losses that go on are told at most this often.
const BETWEEN_LOSSES: Duration = Duration::from_secs(10);

/// What has been told.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    dead: usize,
    lost: LogStats,
    told_losses: Option<Time>,
    apart: u64,
}

impl Alarm {
    /// Tells what is new at `now`: of the data plane, and of the permits and slots, which have been so far `apart`.
    pub(crate) fn look(&mut self, plane: &PlaneStats, apart: u64, journal: &Journal, now: Time) {
        let warnings = [self.dead(plane), self.losses(plane, now), self.apart(apart)];
        for warning in warnings.into_iter().flatten() {
            journal.add(Happened::new(EventKind::Warning, warning));
        }
    }

    fn dead(&mut self, plane: &PlaneStats) -> Option<String> {
        let dead: Vec<String> =
            plane.workers.iter().enumerate().filter(|(_, worker)| !worker.alive).map(|(n, _)| n.to_string()).collect();
        let before = std::mem::replace(&mut self.dead, dead.len());
        (dead.len() > before).then(|| {
            let of = plane.workers.len();
            format!("worker {} died; {} of {of} serve on. Restart soon", dead.join(", "), of - dead.len())
        })
    }

    fn losses(&mut self, plane: &PlaneStats, now: Time) -> Option<String> {
        let LogStats { dropped, errors, .. } = plane.log?;
        // After a reload the log may be another, which counts from nothing.
        self.lost.dropped = self.lost.dropped.min(dropped);
        self.lost.errors = self.lost.errors.min(errors);
        let (lines, failures) = (dropped - self.lost.dropped, errors - self.lost.errors);
        let just_now = self.told_losses.is_some_and(|told| now.saturating_since(told) < BETWEEN_LOSSES);
        if just_now || (lines == 0 && failures == 0) {
            return None;
        }
        (self.lost.dropped, self.lost.errors, self.told_losses) = (dropped, errors, Some(now));
        Some(format!("access log: {lines} lines were dropped, {failures} writes failed"))
    }

    fn apart(&mut self, apart: u64) -> Option<String> {
        let before = std::mem::replace(&mut self.apart, apart);
        (apart > before).then(|| {
            format!("permits and slots of servers are {apart} apart: a bug of Plimsoll. Please report it, and restart")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::WorkerStats;

    fn plane(alive: &[bool], log: Option<(u64, u64)>) -> PlaneStats {
        let workers = alive.iter().map(|&alive| WorkerStats { alive, ..WorkerStats::default() }).collect();
        let log = log.map(|(dropped, errors)| LogStats { written: 9, dropped, errors });
        PlaneStats { workers, log, ..PlaneStats::default() }
    }

    /// What is told at each look, a second after the other.
    fn told(looks: &[(PlaneStats, u64)]) -> Vec<Vec<String>> {
        let (mut alarm, journal) = (Alarm::default(), Journal::new(|_| {}));
        let mut seen = 0;
        let mut look = |(second, (plane, apart)): (usize, &(PlaneStats, u64))| {
            alarm.look(plane, *apart, &journal, Time::ZERO + Duration::from_secs(second as u64));
            let events = journal.since(seen, usize::MAX);
            seen += events.len() as u64;
            events.into_iter().map(|event| event.message).collect()
        };
        looks.iter().enumerate().map(&mut look).collect()
    }

    #[test]
    fn a_worker_that_died_is_told_once() {
        let looks =
            [(plane(&[true, true], None), 0), (plane(&[true, false], None), 0), (plane(&[true, false], None), 0)];
        let told = told(&looks);
        assert_eq!(told[1], ["worker 1 died; 1 of 2 serve on. Restart soon"]);
        assert!(told[0].is_empty() && told[2].is_empty());
    }

    #[test]
    fn losses_are_summed_up_while_they_go_on() {
        let look = |dropped| (plane(&[], Some((dropped, 1))), 0);
        let looks: Vec<_> = (0..12).map(|second| look(second * 5)).chain([look(0), look(0)]).collect();
        let told = told(&looks);
        let all: Vec<(usize, &String)> =
            told.iter().enumerate().flat_map(|(at, told)| told.iter().map(move |m| (at, m))).collect();
        let first = "access log: 0 lines were dropped, 1 writes failed".to_owned();
        let later = "access log: 50 lines were dropped, 0 writes failed".to_owned();
        assert_eq!(all, [(0, &first), (10, &later)]);
    }

    #[test]
    fn what_is_apart_is_told_when_it_becomes_more() {
        let looks: Vec<_> = [0, 2, 2, 5, 0, 5].map(|apart| (plane(&[], None), apart)).into();
        let told = told(&looks);
        let at: Vec<usize> = (0..told.len()).filter(|&at| !told[at].is_empty()).collect();
        assert_eq!(at, [1, 3, 5]);
        assert!(told[1][0].starts_with("permits and slots of servers are 2 apart"), "{told:?}");
    }
}
