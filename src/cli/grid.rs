//! Columns: aligned, unboxed, and without blanks at the ends of lines, so that grep, awk and eyes can read them.
//!
//! Where a terminal is too narrow, long cells are shortened first, and then whole columns go, the least important first.
//! A shortened cell has an ellipsis where something is missing, and [`Fitted`] names the columns that are not shown.

use anstyle::Style;

use crate::app::readable;

/// One cell: its text, and how it looks where there is colour.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in a style. What it says is one line, whatever names it holds.
    pub(super) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: readable(&text.into()), style }
    }

    /// What it says.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// How it looks.
    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// How many columns of a terminal it takes.
    pub(super) fn width(&self) -> usize {
        self.text.chars().count()
    }

    fn shortened(&self, give: Give, width: usize) -> Self {
        let text = match give {
            Give::Nothing => self.text.clone(),
            Give::Start(_) => end_of(&self.text, width),
            Give::End(_) => beginning_of(&self.text, width),
        };
        Self { text, style: self.style }
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
    let widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().filter_map(|row| row.get(at)).map(Cell::width).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let last = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |at| at + 1);
        for (at, cell) in row[..last].iter().enumerate() {
            text.push_str(&paint(&cell.text, cell.style, color));
            if at + 1 < last {
                text.push_str(&" ".repeat(widths[at] - cell.width() + 2));
            }
        }
        text.push('\n');
    }
    text
}

/// A column: its title, and what becomes of it where there is not enough room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) give: Give,
    /// The highest rank is left out first; rank 0 never.
    pub(super) rank: u8,
}

/// What of a cell may be left out, and to how many characters it may shrink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Give {
    /// Nothing.
    Nothing,
    /// Its beginning: the end of a path says most.
    Start(usize),
    /// Its end.
    End(usize),
}

/// Rows that fit, laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fitted {
    pub(super) text: String,
    /// The titles of columns that there was no room for.
    pub(super) dropped: Vec<&'static str>,
}

/// Lays out rows, each with a cell for every column, in lines of at most `width` characters, where there is a limit.
pub(super) fn fitted(columns: &[Column], rows: Vec<Vec<Cell>>, width: Option<usize>, color: bool) -> Fitted {
    let Some(width) = width else { return Fitted { text: grid(&rows, color), dropped: Vec::new() } };
    let Arranged { rows, dropped, .. } = arranged(columns, &rows, width);
    Fitted { text: grid(&rows, color), dropped }
}

/// Rows that fit, cell by cell.
#[derive(Clone, Debug)]
pub(super) struct Arranged {
    pub(super) rows: Vec<Vec<Cell>>,
    /// How wide each column that is shown is, without the blanks between columns.
    pub(super) widths: Vec<usize>,
    /// The titles of columns that there was no room for.
    pub(super) dropped: Vec<&'static str>,
}

/// Makes rows, each with a cell for every column, fit into lines of `width` characters.
pub(super) fn arranged(columns: &[Column], rows: &[Vec<Cell>], width: usize) -> Arranged {
    let longest = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(Cell::width).max().unwrap_or(0);
    let natural: Vec<usize> = (0..columns.len()).map(longest).collect();
    let least = |at: usize| match columns[at].give {
        Give::Nothing => natural[at],
        Give::Start(least) | Give::End(least) => natural[at].min(least.max(columns[at].title.len())),
    };
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let needed = |shown: &[usize], wide: &dyn Fn(usize) -> usize| {
        shown.iter().map(|at| wide(*at)).sum::<usize>() + 2 * shown.len().saturating_sub(1)
    };
    while needed(&shown, &least) > width {
        let Some(last) = shown.iter().copied().filter(|at| columns[*at].rank > 0).max_by_key(|at| columns[*at].rank)
        else {
            break;
        };
        shown.retain(|at| *at != last);
    }
    let mut widths = natural.clone();
    while needed(&shown, &|at| widths[at]) > width {
        // The widest gives first, so that no column suffers while another has plenty.
        let Some(widest) = shown.iter().copied().filter(|at| widths[*at] > least(*at)).max_by_key(|at| widths[*at])
        else {
            break;
        };
        widths[widest] -= 1;
    }
    let kept = |row: &Vec<Cell>| shown.iter().map(|at| row[*at].shortened(columns[*at].give, widths[*at])).collect();
    let dropped = (0..columns.len()).filter(|at| !shown.contains(at)).map(|at| columns[at].title).collect();
    Arranged { rows: rows.iter().map(kept).collect(), widths: shown.iter().map(|at| widths[*at]).collect(), dropped }
}

/// The end of a text behind an ellipsis; of a path, whole names where one begins early enough.
pub(super) fn end_of(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let tail: String = text.chars().skip(length - width.saturating_sub(1)).collect();
    let whole = tail.find('/').filter(|at| *at <= tail.len() / 2).map_or(&*tail, |at| &tail[at..]);
    format!("…{whole}")
}

/// The beginning of a text before an ellipsis.
pub(super) fn beginning_of(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let head: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", head.trim_end())
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

    #[test]
    fn a_cell_is_one_line_and_plays_with_no_terminal() {
        let rows = [vec!["a\nb\x1b[2J".into(), "c".into()]];
        assert_eq!(grid(&rows, true), "a\\nb\\x1b[2J  c\n");
    }

    #[test]
    fn a_path_keeps_its_end_and_a_sentence_its_beginning() {
        assert_eq!(end_of("/srv/apps/web/logs/web.log", 30), "/srv/apps/web/logs/web.log");
        assert_eq!(end_of("/srv/apps/web/logs/web.log", 20), "…/web/logs/web.log");
        assert_eq!(end_of("/srv/apps/web/logs/a-very-long-name.log", 12), "…ng-name.log");
        assert_eq!(beginning_of("connection refused", 12), "connection…");
        assert_eq!(beginning_of("connection refused", 13), "connection r…");
    }

    #[test]
    fn long_cells_give_first_and_then_the_least_important_column_goes() {
        let columns = [
            Column { title: "NAME", give: Give::Nothing, rank: 0 },
            Column { title: "PATH", give: Give::Start(8), rank: 1 },
            Column { title: "NOTE", give: Give::End(8), rank: 2 },
        ];
        let row = || vec!["web".into(), "/srv/apps/web".into(), "connection refused".into()];
        let fit = |width| {
            let Fitted { text, dropped } = fitted(&columns, vec![row()], Some(width), false);
            (text, dropped)
        };
        assert_eq!(fit(40).0, "web  /srv/apps/web  connection refused\n");
        assert_eq!(fit(31).0, "web  …/apps/web  connection…\n");
        assert_eq!(fit(23).0, "web  …/web  connect…\n");
        assert_eq!(fit(20).1, ["NOTE"]);
        assert_eq!(fit(10), ("web\n".to_owned(), vec!["PATH", "NOTE"]));
    }
}
