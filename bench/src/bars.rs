//! The bars Plimsoll is held to, in one table, and the verdict on a run.

use serde::Serialize;

use crate::proxies::Name;
use crate::scenarios::{Outcome, Row};
use crate::statistics::Spread;

/// What Plimsoll's value is compared with.
#[derive(Clone, Copy, Debug)]
enum Against {
    /// The same proxy-independent work done by that peer.
    Peer(Name),
    /// Whichever peer has the lower median. Both must have run.
    BetterPeer,
    /// Plimsoll's own value with the fewest servers; the value is the one with the most.
    FewestServers,
    /// The same with routes.
    FewestRoutes,
    /// The same without a front.
    NoFront,
    /// Nothing: the limit is in the scenario's own unit.
    Itself,
}

struct Bar {
    scenario: &'static str,
    against: Against,
    at_most: f64,
}

const BARS: &[Bar] = &[
    bar("small", Against::Peer(Name::Nginx), 0.78),
    bar("small", Against::Peer(Name::Haproxy), 0.60),
    bar("64k", Against::BetterPeer, 0.75),
    bar("1m", Against::Peer(Name::Haproxy), 0.95),
    bar("connect", Against::Peer(Name::Nginx), 0.85),
    bar("tls", Against::Peer(Name::Nginx), 0.75),
    bar("tls-connect", Against::Peer(Name::Nginx), 0.60),
    bar("http2", Against::Peer(Name::Nginx), 0.75),
    bar("http2", Against::Peer(Name::Haproxy), 0.55),
    bar("tcp", Against::Peer(Name::Haproxy), 1.0),
    bar("servers", Against::FewestServers, 1.1),
    bar("routes", Against::FewestRoutes, 1.05),
    bar("front", Against::NoFront, 1.15),
    bar("front-64k", Against::NoFront, 1.15),
    bar("front-connect", Against::NoFront, 1.15),
    bar("idle-memory", Against::Itself, 1.5),
    bar("idle-tls", Against::Itself, 12.0),
    bar("idle-http2", Against::Itself, 16.0),
];

const fn bar(scenario: &'static str, against: Against, at_most: f64) -> Bar {
    Bar { scenario, against, at_most }
}

/// One bar and how the run did.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) scenario: &'static str,
    /// What is compared with what.
    pub(crate) what: String,
    pub(crate) at_most: f64,
    /// `None` when a row that is needed is missing or has failed.
    pub(crate) measured: Option<Spread>,
}

impl Verdict {
    /// Whether the median keeps the bar; `None` when there is nothing to judge.
    pub(crate) fn kept(&self) -> Option<bool> {
        self.measured.map(|spread| spread.median <= self.at_most)
    }
}

/// The verdicts on all bars of the scenarios that ran.
pub(crate) fn judge(outcomes: &[Outcome]) -> Vec<Verdict> {
    let of_scenario = |bar: &Bar| outcomes.iter().find(|outcome| outcome.scenario == bar.scenario);
    BARS.iter().filter_map(|bar| of_scenario(bar).map(|outcome| verdict(bar, outcome))).collect()
}

fn verdict(bar: &Bar, outcome: &Outcome) -> Verdict {
    let rows = |name| sound_rows(outcome, name);
    let ours = rows(Name::Plimsoll);
    let size = |row: &&&Row| row.variant;
    let few = ours.iter().min_by_key(size).copied();
    let many = ours.iter().max_by_key(size).copied();
    let versus = |peer: Option<&Row>| Spread::of_ratios(&few?.values(), &peer?.values());
    let peer = |name| rows(name).into_iter().min_by_key(|row| row.variant);
    let (what, measured) = match bar.against {
        Against::Peer(name) => (format!("Plimsoll / {}", name.title()), versus(peer(name))),
        Against::BetterPeer => {
            let better = better(peer(Name::Nginx), peer(Name::Haproxy));
            let name = better.map_or("the better peer", |row| row.proxy.title());
            (format!("Plimsoll / {name}"), versus(better))
        }
        Against::FewestServers | Against::FewestRoutes | Against::NoFront => {
            let ratio = many
                .zip(few)
                .filter(|(many, few)| size(&many) > size(&few))
                .and_then(|(many, few)| Spread::of_ratios(&many.values(), &few.values()));
            let what = match bar.against {
                Against::FewestRoutes => "Plimsoll, most / fewest routes",
                Against::NoFront => "Plimsoll, with / without",
                _ => "Plimsoll, most / fewest servers",
            };
            (what.to_owned(), ratio)
        }
        Against::Itself => {
            let values = few.and_then(|row| Spread::of(&row.values()));
            ("Plimsoll, KiB a connection".to_owned(), values)
        }
    };
    Verdict { scenario: bar.scenario, what, at_most: bar.at_most, measured }
}

/// The rows of a proxy that did not fail; a failed one proves nothing.
fn sound_rows(outcome: &Outcome, name: Name) -> Vec<&Row> {
    let is_sound = |row: &&Row| row.proxy == name && row.failure.is_none();
    outcome.rows.iter().filter(is_sound).collect()
}

fn better<'a>(one: Option<&'a Row>, other: Option<&'a Row>) -> Option<&'a Row> {
    let (one, other) = (one?, other?);
    let median = |row: &Row| Spread::of(&row.values()).map(|spread| spread.median);
    Some(if median(one)? <= median(other)? { one } else { other })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::{self, Sample, Unit, Variant};

    fn row(proxy: Name, servers: usize, values: &[f64]) -> Row {
        let sample = |value: &f64| Sample { value: *value, ok: 1, errors: 0, traffic: None };
        let variant = Variant { servers, routes: 1, fronted: false };
        Row { proxy, variant, samples: values.iter().map(sample).collect(), failure: None }
    }

    fn outcome(scenario: &'static str, rows: Vec<Row>) -> Outcome {
        Outcome { scenario, title: "", unit: Unit::CpuMicroseconds, rows }
    }

    #[test]
    fn every_bar_belongs_to_a_scenario() {
        for bar in BARS {
            assert!(scenarios::ALL.iter().any(|scenario| scenario.name == bar.scenario), "{}", bar.scenario);
        }
    }

    #[test]
    fn the_better_peer_is_the_one_with_the_lower_median() {
        let rows = vec![
            row(Name::Plimsoll, 3, &[30.0, 30.0, 30.0]),
            row(Name::Nginx, 3, &[60.0, 60.0, 60.0]),
            row(Name::Haproxy, 3, &[50.0, 50.0, 10.0]),
        ];
        let verdicts = judge(&[outcome("64k", rows)]);
        assert_eq!(verdicts.len(), 1);
        assert_eq!(verdicts[0].what, "Plimsoll / HAProxy");
        assert_eq!(verdicts[0].measured.map(|spread| spread.median), Some(0.6));
        assert_eq!(verdicts[0].kept(), Some(true));
    }

    #[test]
    fn a_failed_or_missing_row_is_not_judged() {
        let mut failed = row(Name::Plimsoll, 3, &[1.0]);
        failed.failure = Some("status 502".to_owned());
        let verdicts = judge(&[outcome("small", vec![failed, row(Name::Nginx, 3, &[20.0])])]);
        assert_eq!(verdicts.len(), 2, "one against each peer");
        assert!(verdicts.iter().all(|verdict| verdict.kept().is_none()));
    }

    #[test]
    fn many_servers_are_judged_against_few() {
        let rows = vec![
            row(Name::Plimsoll, 3, &[10.0, 20.0]),
            row(Name::Plimsoll, 1000, &[12.0, 24.0]),
            row(Name::Nginx, 3, &[1.0, 1.0]),
        ];
        let verdicts = judge(&[outcome("servers", rows)]);
        assert_eq!(verdicts[0].measured.map(|spread| spread.median), Some(1.2));
        assert_eq!(verdicts[0].kept(), Some(false));
    }
}
