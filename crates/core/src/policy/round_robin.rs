//! `round-robin`: each in its turn, by weight, blind to load.
//!
//! The baseline that users come from. It is right when every request costs the same; when a server slows down
//! it goes on getting its share.
//!
//! All idle: no difference, since load is not looked at. In one round of as many picks as the weights add up
//! to, each server that could take requests throughout gets exactly as many as its weight, and a heavy
//! server's turns are spread over the round.
//!
//! Ties, when two turns are due at the same instant, go to the one listed first; its next turn is then due
//! later (see `turn.rs`).

use crate::{Ask, Choice, Policy, PolicyKind, Ranking, View};

#[derive(Debug)]
pub(super) struct RoundRobin;

impl Policy for RoundRobin {
    fn name(&self) -> &str {
        PolicyKind::RoundRobin.name()
    }

    fn choose(&self, view: &View<'_>, _: &Ask<'_>) -> Option<Choice> {
        view.least(Ranking::Turn)
    }

    fn ranking(&self) -> Option<Ranking> {
        Some(Ranking::Turn)
    }
}
