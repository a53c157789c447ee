//! Tables for people: as wide as the terminal allows, in colour where it shows them.

use std::env;
use std::io::{self, IsTerminal};

/// What results are printed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// Characters in a line; `None` where nobody limits them, as in a pipe.
    pub(crate) width: Option<usize>,
    /// Whether colours are shown.
    pub(crate) colours: bool,
}

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tint {
    /// Not at all.
    #[default]
    Plain,
    /// A title, or what matters most.
    Bold,
    /// As well as can be.
    Good,
    /// To be looked at.
    Odd,
    /// Broken.
    Bad,
}

/// A column: its title, where its text stands, and when it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    title: &'static str,
    right: bool,
    /// Where the width is short the column with the largest goes first; 0 always stays.
    spare: u8,
}

/// A piece of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tint: Tint,
}

/// Rows under titles. A column that is empty in every row is left out.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    columns: &'a [Column],
    rows: Vec<Vec<Cell>>,
}

impl Sheet {
    /// Standard output. Colours are for terminals, unless `NO_COLOR` is set to something (see no-color.org).
    pub(crate) fn stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let colours = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        // A terminal that does not know its size says that it has none.
        let size = || crossterm::terminal::size().ok().map(|(width, _)| width).filter(|width| *width > 0);
        let width = terminal.then(|| size().unwrap_or(USUAL_WIDTH).into());
        Self { width, colours }
    }

    /// `text` in its tint.
    pub(crate) fn tinted(self, text: &str, tint: Tint) -> String {
        // Select Graphic Rendition of ECMA-48, 8.3.117.
        let code = match tint {
            Tint::Bold => "1",
            Tint::Good => "32",
            Tint::Odd => "33",
            Tint::Bad => "31",
            Tint::Plain => return text.to_owned(),
        };
        if self.colours && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Characters in a line of a terminal that does not tell.
pub(crate) const USUAL_WIDTH: u16 = 80;

/// Spaces between columns.
const GAP: usize = 2;

/// The least that is left of a text that is cut.
const SHORTEST: usize = 8;

impl Column {
    /// A text.
    pub(crate) const fn text(title: &'static str, spare: u8) -> Self {
        Self { title, right: false, spare }
    }

    /// A number.
    pub(crate) const fn number(title: &'static str, spare: u8) -> Self {
        Self { title, right: true, spare }
    }
}

impl Cell {
    /// With a tint.
    pub(crate) fn new(text: impl Into<String>, tint: Tint) -> Self {
        Self { text: text.into(), tint }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tint::Plain)
    }
}

impl<'a> Table<'a> {
    /// A table without rows.
    pub(crate) fn new(columns: &'a [Column]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row, a cell for each column.
    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        debug_assert_eq!(row.len(), self.columns.len(), "a cell for each column");
        self.rows.push(row);
    }

    /// The table with a line end after each row.
    pub(crate) fn render(&self, sheet: Sheet) -> String {
        let shown = self.fitting(sheet.width);
        let titles: Vec<Cell> = self.columns.iter().map(|column| Cell::new(column.title, Tint::Bold)).collect();
        let mut text = line(sheet, &shown, &titles);
        text.extend(self.rows.iter().map(|row| line(sheet, &shown, row)));
        text
    }

    /// The columns that are shown and how wide they are.
    fn fitting(&self, width: Option<usize>) -> Vec<Shown> {
        let needed = |(place, column): (usize, &Column)| {
            let longest = self.rows.iter().map(|row| length(&row[place].text)).max().filter(|longest| *longest > 0)?;
            let width = longest.max(length(column.title));
            Some(Shown { place, right: column.right, spare: column.spare, width })
        };
        let mut shown: Vec<Shown> = self.columns.iter().enumerate().filter_map(needed).collect();
        let Some(width) = width else { return shown };
        let total = |shown: &[Shown]| shown.iter().map(|shown| shown.width + GAP).sum::<usize>().saturating_sub(GAP);
        while total(&shown) > width {
            let Some(spare) = shown.iter().map(|shown| shown.spare).max().filter(|spare| *spare > 0) else { break };
            shown.retain(|shown| shown.spare != spare);
        }
        let over = total(&shown).saturating_sub(width);
        if let Some(widest) = shown.iter_mut().max_by_key(|shown| shown.width) {
            widest.width = widest.width.saturating_sub(over).max(SHORTEST.min(widest.width));
        }
        shown
    }
}

/// A column that is shown.
struct Shown {
    place: usize,
    right: bool,
    spare: u8,
    width: usize,
}

fn line(sheet: Sheet, shown: &[Shown], cells: &[Cell]) -> String {
    let mut line = String::new();
    // Spaces are written before what follows them, so that none are left at the end of a line.
    let mut spaces = 0;
    for &Shown { place, right, width, .. } in shown {
        let text = cut(&cells[place].text, width);
        let free = width - length(&text);
        let (before, after) = if right { (free, 0) } else { (0, free) };
        spaces += before;
        if !text.is_empty() {
            line.push_str(&" ".repeat(spaces));
            line.push_str(&sheet.tinted(&text, cells[place].tint));
            spaces = 0;
        }
        spaces += after + GAP;
    }
    line.push('\n');
    line
}

/// `text` in at most `width` characters.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] =
        [Column::text("server", 0), Column::number("load", 0), Column::number("score", 1), Column::text("notes", 2)];

    fn table() -> Table<'static> {
        let mut table = Table::new(&COLUMNS);
        table.push(vec!["s1".into(), "3".into(), Cell::new("0.75", Tint::Good), "".into()]);
        table.push(vec!["a-longer-name".into(), "12".into(), "".into(), "backup".into()]);
        table
    }

    fn plain(width: Option<usize>) -> Sheet {
        Sheet { width, colours: false }
    }

    #[test]
    fn columns_are_as_wide_as_needed() {
        let text =
            "server         load  score  notes\ns1                3   0.75\na-longer-name    12         backup\n";
        assert_eq!(table().render(plain(None)), text);
        assert_eq!(table().render(plain(Some(34))), text);
    }

    #[test]
    fn what_can_be_spared_goes_first_and_names_are_cut_last() {
        let lines = |width| table().render(plain(Some(width)));
        assert_eq!(lines(33), "server         load  score\ns1                3   0.75\na-longer-name    12\n");
        assert_eq!(lines(19), "server         load\ns1                3\na-longer-name    12\n");
        assert_eq!(lines(16), "server      load\ns1             3\na-longer-…    12\n");
    }

    #[test]
    fn colours_are_only_where_they_are_shown() {
        let sheet = Sheet { width: None, colours: true };
        assert!(table().render(sheet).contains("  \u{1b}[32m0.75\u{1b}[0m\n"));
        assert!(!table().render(plain(None)).contains('\u{1b}'));
    }

    #[test]
    fn a_column_without_a_word_is_left_out() {
        let mut table = Table::new(&COLUMNS);
        table.push(vec!["s1".into(), "3".into(), "".into(), "".into()]);
        assert_eq!(table.render(plain(None)), "server  load\ns1         3\n");
    }
}
