//! Columns: aligned, unboxed, and without blanks at the ends of lines, so that grep, awk and eyes can read them.

use anstyle::Style;

/// One cell: its text, and how it looks where there is colour.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in a style.
    pub(super) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }

    /// A cell that may be empty, which shows as a dash.
    pub(super) fn optional(text: Option<String>) -> Self {
        text.map_or_else(|| Self::from("-"), Self::from)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// Lays out rows; every column is as wide as its widest cell, and two blanks are between columns.
pub(super) fn grid(rows: &[Vec<Cell>], color: bool) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |cell: &Cell| cell.text.chars().count();
    let widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().filter_map(|row| row.get(at)).map(width).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let last = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |at| at + 1);
        for (at, cell) in row[..last].iter().enumerate() {
            text.push_str(&paint(&cell.text, cell.style, color));
            if at + 1 < last {
                text.push_str(&" ".repeat(widths[at] - width(cell) + 2));
            }
        }
        text.push('\n');
    }
    text
}

/// The text in a style, where there is colour.
pub(super) fn paint(text: &str, style: Style, color: bool) -> String {
    if color { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_colour_takes_no_room() {
        let red = anstyle::AnsiColor::Red.on_default();
        let rows =
            [vec!["a".into(), Cell::styled("failed", red), "x".into()], vec!["long".into(), "ok".into(), "".into()]];
        assert_eq!(grid(&rows, false), "a     failed  x\nlong  ok\n");
        assert_eq!(grid(&rows, true), "a     \u{1b}[31mfailed\u{1b}[0m  x\nlong  ok\n");
    }
}
