//! `least-connections`, the default: the server with the least *in flight / weight*.
//!
//! What a server has in flight is the one sign of trouble that needs no measuring: a server that slows down
//! keeps its requests longer, its count rises, and it gets fewer. With equal service times in flight / weight
//! is even when work is.
//!
//! All idle: everyone is at 0, and the rule for ties alone decides, which is smooth weighted round robin.
//!
//! Ties go to the server whose turn is due first (see `turn.rs`): in proportion to weight, longest waiting
//! first, never by place in the list.
//!
//! The comparison is exact, by cross-multiplication; so is the claim (see `Snapshot::claim`).

use crate::{Ask, Choice, Policy, PolicyKind, Ranking, View};

#[derive(Debug)]
pub(super) struct LeastConnections;

impl Policy for LeastConnections {
    fn name(&self) -> &str {
        PolicyKind::LeastConnections.name()
    }

    fn choose(&self, view: &View<'_>, _: &Ask<'_>) -> Option<Choice> {
        view.least(Ranking::Load)
    }

    fn ranking(&self) -> Option<Ranking> {
        Some(Ranking::Load)
    }
}
