//! `random`: drawn by weight, blind to load.
//!
//! The simplest rule that needs no state, and a baseline to measure others against: its loads spread as
//! chance has it.
//!
//! All idle: no difference. There are no ties. Servers that cannot take a request are drawn again, so the
//! others keep their shares relative to each other.

use crate::{Ask, Choice, Policy, PolicyKind, View};

#[derive(Debug)]
pub(super) struct Random;

impl Policy for Random {
    fn name(&self) -> &str {
        PolicyKind::Random.name()
    }

    fn choose(&self, view: &View<'_>, ask: &Ask<'_>) -> Option<Choice> {
        view.draw(ask)
    }
}
