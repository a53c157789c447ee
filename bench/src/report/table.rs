//! A Markdown table whose columns are padded to one width.

/// Built column by column.
#[derive(Default)]
pub(crate) struct Table {
    columns: Vec<Vec<String>>,
}

impl Table {
    /// Adds a column; a table's columns are all as long as its first.
    pub(crate) fn column(&mut self, title: &str, cells: impl Iterator<Item = String>) {
        self.columns.push(std::iter::once(title.to_owned()).chain(cells).collect());
    }

    /// The table as text, a line a row.
    pub(crate) fn render(&self) -> String {
        let height = self.columns.first().map_or(0, Vec::len);
        let mut text = String::new();
        for line in 0..height {
            text += &self.line(|cells, width| format!(" {:<width$} |", cells[line]));
            if line == 0 {
                text += &self.line(|_, width| format!("{}|", "-".repeat(width + 2)));
            }
        }
        text
    }

    fn line(&self, cell: impl Fn(&[String], usize) -> String) -> String {
        let width = |cells: &[String]| cells.iter().map(|cell| cell.chars().count()).max();
        let cells = self.columns.iter().map(|cells| cell(cells, width(cells).unwrap_or(0)));
        format!("|{}\n", cells.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::default();
        table.column("a", ["long", "x"].map(str::to_owned).into_iter());
        table.column("bc", ["1", "2"].map(str::to_owned).into_iter());
        let expected = "| a    | bc |\n|------|----|\n| long | 1  |\n| x    | 2  |\n";
        assert_eq!(table.render(), expected);
    }
}
