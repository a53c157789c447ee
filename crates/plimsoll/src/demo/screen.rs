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
        Self {
            terminal: io::stdout().is_terminal(),
            lines: 0,
        }
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
        // A line that wraps, or a table higher than the screen, would leave remains of the one before.
        // One that does not know its size says that it has none.
        let known = size().ok().filter(|&(width, height)| width > 0 && height > 0);
        let (width, height) = known.unwrap_or((80, 24));
        let fitting = table.lines().take(usize::from(height).saturating_sub(1));
        self.lines = 0;
        for line in fitting {
            let cut: String = line.chars().take(usize::from(width)).collect();
            writeln!(out, "{cut}")?;
            self.lines += 1;
        }
        out.flush()
    }
}
