//! `two-choices`: of two different servers drawn by weight, the one with less *in flight / weight*.
//!
//! For fleets of balancers that share servers. Each sees only its own requests, and if all took the least
//! loaded they would all take the same one, and its queue would swing; two random choices get nearly the
//! balance without the herd.
//!
//! All idle: the first drawn is taken, so each server gets its share by weight.
//!
//! Ties go to the first drawn. Servers that cannot take a request are drawn again; the second is left out
//! when only one server can.
//!
//! Source: Mitzenmacher, "The power of two choices in randomized load balancing", 2001.

use crate::{Ask, Choice, Policy, PolicyKind, View};

#[derive(Debug)]
pub(super) struct TwoChoices;

impl Policy for TwoChoices {
    fn name(&self) -> &str {
        PolicyKind::TwoChoices.name()
    }

    fn choose(&self, view: &View<'_>, ask: &Ask<'_>) -> Option<Choice> {
        let (first, second) = view.draw_two(ask)?;
        let less = second.filter(|second| view.load(second.index()) < view.load(first.index()));
        Some(less.unwrap_or(first))
    }
}
