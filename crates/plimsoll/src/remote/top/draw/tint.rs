//! Tints on a screen.

use ratatui::style::{Color, Modifier, Style};

use crate::remote::table::Tint;

/// A tint as a style.
pub(super) fn style(tint: Tint) -> Style {
    match tint {
        Tint::Plain => Style::new(),
        Tint::Bold => Style::new().add_modifier(Modifier::BOLD),
        Tint::Good => Style::new().fg(Color::Green),
        Tint::Odd => Style::new().fg(Color::Yellow),
        Tint::Bad => Style::new().fg(Color::Red),
    }
}
