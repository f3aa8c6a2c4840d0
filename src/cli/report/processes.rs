//! The processes of an app, children below their parents.

use anstyle::Style;

use super::super::grid::{Cell, Column, Give, fitted};
use super::super::text;
use super::View;
use crate::logs::read::escape;
use crate::observe::processes::{Process, Tree};

const COLUMNS: &[Column] = &[
    Column { title: "  PID", give: Give::Nothing, rank: 0 },
    Column { title: "STATE", give: Give::Nothing, rank: 2 },
    Column { title: "CPU", give: Give::Nothing, rank: 0 },
    Column { title: "MEMORY", give: Give::Nothing, rank: 0 },
    Column { title: "THREADS", give: Give::Nothing, rank: 1 },
    Column { title: "COMMAND", give: Give::End(20), rank: 0 },
];

/// A header and a line a process.
pub(in crate::cli) fn processes(tree: &Tree, view: &View) -> String {
    let mut rows = vec![COLUMNS.iter().map(|column| Cell::styled(column.title, Style::new().dimmed())).collect()];
    branch(tree, "", "", &mut rows);
    fitted(COLUMNS, rows, view.width, view.color).text
}

fn branch(tree: &Tree, stem: &str, below: &str, rows: &mut Vec<Vec<Cell>>) {
    let Process { pid, state, cpu, memory, threads, command, .. } = &tree.process;
    rows.push(vec![
        format!("  {pid}").into(),
        state.to_string().into(),
        text::percent(*cpu).into(),
        text::bytes(*memory).into(),
        threads.to_string().into(),
        format!("{stem}{}", escape(command.as_bytes()).replace('\n', " ")).into(),
    ]);
    for (at, child) in tree.children.iter().enumerate() {
        let last = at + 1 == tree.children.len();
        let (stem, next) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        branch(child, &format!("{below}{stem}"), &format!("{below}{next}"), rows);
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{tree, view};
    use super::*;

    #[test]
    fn processes_are_a_tree() {
        insta::assert_snapshot!(processes(&tree(), &view()));
        let narrow = processes(&tree(), &View { width: Some(44), ..view() });
        assert!(narrow.lines().all(|line| line.chars().count() <= 44) && narrow.contains('…'), "{narrow}");
    }
}
