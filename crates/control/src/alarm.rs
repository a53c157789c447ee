//! What nobody would see who does not look at numbers: a worker that died, permits and slots that are apart. It is told
//! in the journal.

use crate::api::EventKind;
use crate::journal::{Happened, Journal};
use crate::plane::PlaneStats;

/// What has been told.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    dead: usize,
    apart: u64,
}

impl Alarm {
    /// Tells what is new: of the data plane, and of the permits and slots, which have been so far `apart`.
    pub(crate) fn look(&mut self, plane: &PlaneStats, apart: u64, journal: &Journal) {
        let warnings = [self.dead(plane), self.apart(apart)];
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

    fn plane(alive: &[bool]) -> PlaneStats {
        let workers = alive.iter().map(|&alive| WorkerStats { alive, ..WorkerStats::default() }).collect();
        PlaneStats { workers, ..PlaneStats::default() }
    }

    /// What is told at each look.
    fn told(looks: &[(PlaneStats, u64)]) -> Vec<Vec<String>> {
        let (mut alarm, journal) = (Alarm::default(), Journal::new(|_| {}));
        let mut seen = 0;
        let mut look = |(plane, apart): &(PlaneStats, u64)| {
            alarm.look(plane, *apart, &journal);
            let events = journal.since(seen, usize::MAX);
            seen += events.len() as u64;
            events.into_iter().map(|event| event.message).collect()
        };
        looks.iter().map(&mut look).collect()
    }

    #[test]
    fn a_worker_that_died_is_told_once() {
        let looks = [(plane(&[true, true]), 0), (plane(&[true, false]), 0), (plane(&[true, false]), 0)];
        let told = told(&looks);
        assert_eq!(told[1], ["worker 1 died; 1 of 2 serve on. Restart soon"]);
        assert!(told[0].is_empty() && told[2].is_empty());
    }

    #[test]
    fn what_is_apart_is_told_when_it_becomes_more() {
        let looks: Vec<_> = [0, 2, 2, 5, 0, 5].map(|apart| (plane(&[]), apart)).into();
        let told = told(&looks);
        let at: Vec<usize> = (0..told.len()).filter(|&at| !told[at].is_empty()).collect();
        assert_eq!(at, [1, 3, 5]);
        assert!(told[1][0].starts_with("permits and slots of servers are 2 apart"), "{told:?}");
    }
}
