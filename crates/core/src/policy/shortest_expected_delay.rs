//! `shortest-expected-delay`: the server with the least *(in flight + 1) / weight*, an idle one first.
//!
//! It counts the request to come. With weights 10 and 1 and one request on the heavy server,
//! least-connections sends the next to the light one (0 is less than 1/10); this sends it to the heavy one only
//! when none is idle. It suits very unequal weights and is what `HAProxy` calls leastconn.
//!
//! All idle: all idle servers are equal, whatever their weights. By the bare formula the heaviest would get
//! every request of a pool that is never busy; so the rule for ties decides, which is smooth weighted round
//! robin.
//!
//! Ties go to the server whose turn is due first (see `turn.rs`).
//!
//! Source: Weinrib, Shenker, 1988, for the delay; "never queue" of the Linux Virtual Server for idle servers.

use crate::{Ask, Choice, Policy, PolicyKind, Ranking, View};

#[derive(Debug)]
pub(super) struct ShortestExpectedDelay;

impl Policy for ShortestExpectedDelay {
    fn name(&self) -> &str {
        PolicyKind::ShortestExpectedDelay.name()
    }

    fn choose(&self, view: &View<'_>, _: &Ask<'_>) -> Option<Choice> {
        view.least(Ranking::ExpectedDelay)
    }

    fn ranking(&self) -> Option<Ranking> {
        Some(Ranking::ExpectedDelay)
    }
}
