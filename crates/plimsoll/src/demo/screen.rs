//! Where the table is shown: on a terminal each one replaces the last, elsewhere they follow each other.

use std::io::{self, IsTerminal, Write};

use crossterm::cursor::MoveToPreviousLine;
use crossterm::queue;
use crossterm::terminal::{Clear, ClearType, size};

/// Standard output, and what is on it.
pub(super) struct Screen {
    terminal: bool,
    /// Lines of the last table; it ends with a line end, so that the cursor is below it.
    lines: u16,
}

impl Screen {
    /// Nothing shown yet.
    pub(super) fn new() -> Self {
        Self { terminal: io::stdout().is_terminal(), lines: 0 }
    }

    /// Shows `table`, whose every line ends in a line end.
    ///
    /// # Errors
    /// Standard output does not take it, most likely because its reader has left.
    pub(super) fn show(&mut self, table: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if !self.terminal {
            let gap = if self.lines == 0 { "" } else { "\n" };
            self.lines = table.lines().count() as u16;
            write!(out, "{gap}{table}")?;
            return out.flush();
        }
        if self.lines > 0 {
            queue!(out, MoveToPreviousLine(self.lines), Clear(ClearType::FromCursorDown))?;
        }
        // One that does not know its size says that it has none.
        let known = size().ok().filter(|&(width, height)| width > 0 && height > 0);
        let shown = fitting(table, known.unwrap_or(USUAL_SIZE));
        self.lines = shown.len() as u16;
        for line in shown {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

/// Columns and rows of a terminal that does not tell.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// As much of `table` as a terminal shows: a line that wraps, or a table higher than the screen, would leave remains
/// when the next one replaces it. The cursor's line below it counts.
fn fitting(table: &str, (width, height): (u16, u16)) -> Vec<String> {
    let lines = table.lines().take(usize::from(height).saturating_sub(1));
    lines.map(|line| line.chars().take(usize::from(width)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_cut_to_the_terminal() {
        let table = "██ one\ntwo\nthree\n";
        assert_eq!(fitting(table, (4, 3)), ["██ o", "two"]);
        assert_eq!(fitting(table, USUAL_SIZE), ["██ one", "two", "three"]);
        assert!(fitting(table, (80, 1)).is_empty());
    }
}
