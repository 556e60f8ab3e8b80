//! Tables: columns as wide as their widest cell, the last one wrapped at the page's edge.

use super::page::{Page, Span, wrap};
use super::style::{Ink, columns_of};

/// Rows of cells; a cell may have several lines.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
    right: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Cell {
    ink: Ink,
    lines: Vec<String>,
}

impl Table {
    /// An empty one whose columns with these numbers are aligned to the right.
    pub(crate) fn new(right: &[usize]) -> Self {
        Self { rows: Vec::new(), right: right.to_vec() }
    }

    /// A row of headings.
    pub(crate) fn head(&mut self, names: &[&str]) {
        self.rows.push(names.iter().map(|n| Cell { ink: Ink::Faint, lines: vec![(*n).to_owned()] }).collect());
    }

    /// A row of one-line cells.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Span>) {
        self.rows.push(cells.into_iter().map(|(ink, text)| Cell { ink, lines: vec![text] }).collect());
    }

    /// A row whose cells have several lines.
    pub(crate) fn tall_row(&mut self, cells: impl IntoIterator<Item = (Ink, Vec<String>)>) {
        self.rows.push(cells.into_iter().map(|(ink, lines)| Cell { ink, lines }).collect());
    }

    /// Writes it, `indent` columns from the left.
    pub(crate) fn write(mut self, page: &mut Page<'_>, indent: usize) {
        let style = page.style();
        for line in self.rows.iter_mut().flatten().flat_map(|cell| &mut cell.lines) {
            *line = style.clean(line);
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(|column| self.width(column)).collect();
        let before_last = indent + widths.iter().take(columns.saturating_sub(1)).map(|w| w + 2).sum::<usize>();
        let room = style.columns().saturating_sub(before_last).max(12);
        for mut row in self.rows {
            if let Some(last) = row.get_mut(columns.saturating_sub(1)) {
                last.lines = last.lines.iter().flat_map(|line| wrap(line, room)).collect();
            }
            for nth in 0..row.iter().map(|cell| cell.lines.len()).max().unwrap_or(0) {
                let mut spans = vec![(Ink::Plain, " ".repeat(indent))];
                for (column, cell) in row.iter().enumerate() {
                    let text = cell.lines.get(nth).map_or("", String::as_str);
                    let pad = " ".repeat(widths[column].saturating_sub(columns_of(text)));
                    let text = text.to_owned();
                    if self.right.contains(&column) {
                        spans.extend([(Ink::Plain, pad), (cell.ink, text), (Ink::Plain, "  ".to_owned())]);
                    } else {
                        spans.extend([(cell.ink, text), (Ink::Plain, pad + "  ")]);
                    }
                }
                page.line(&spans);
            }
        }
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.flat_map(|cell| &cell.lines).map(|line| columns_of(line)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use crate::report::page::Page;
    use crate::report::style::{Ink, Style};

    #[test]
    fn columns_align_and_the_last_one_wraps() {
        let style = Style { width: 60, ..Style::default() };
        let mut page = Page::new(&style);
        let mut table = Table::new(&[1]);
        table.head(&["name", "n", "what"]);
        table.row([
            (Ink::Plain, "a".to_owned()),
            (Ink::Plain, "100".to_owned()),
            (Ink::Plain, "one two three four five six seven eight nine ten eleven".to_owned()),
        ]);
        table.write(&mut page, 2);
        insta::assert_snapshot!(page.finish(), @r"
          name    n  what
          a     100  one two three four five six seven eight nine
                     ten eleven
        ");
    }
}
