//! `list`: every app below the root.

use super::super::grid::{Cell, Column, Fitted, Give, fitted};
use super::super::screen::{health_style, state_style};
use super::super::text;
use super::{Seen, View, note, title, with_names};
use crate::observe::processes::Tree;

/// The columns, and whether they are only in the long form. Those of the highest rank are the first to go.
const COLUMNS: &[(Column, bool)] = &[
    (Column { title: "# NAME", give: Give::Nothing, rank: 0 }, false),
    (Column { title: "STATUS", give: Give::Nothing, rank: 0 }, false),
    (Column { title: "PID", give: Give::Nothing, rank: 0 }, false),
    (Column { title: "MEMORY", give: Give::Nothing, rank: 1 }, false),
    (Column { title: "CPU", give: Give::Nothing, rank: 2 }, false),
    (Column { title: "UPTIME", give: Give::Nothing, rank: 4 }, true),
    (Column { title: "RESTARTS", give: Give::Nothing, rank: 5 }, true),
    (Column { title: "HEALTH", give: Give::Nothing, rank: 3 }, true),
    (Column { title: "VERSION", give: Give::End(6), rank: 6 }, true),
    (Column { title: "PATH", give: Give::Start(10), rank: 7 }, false),
    (Column { title: "STDOUT", give: Give::Start(14), rank: 8 }, false),
    (Column { title: "STDERR", give: Give::Start(14), rank: 9 }, false),
];

/// A header and one line an app.
pub(in crate::cli) fn list(apps: &[Seen], long: bool, view: &View) -> Fitted {
    let chosen = |only_long: bool| long || !only_long;
    let columns: Vec<Column> =
        COLUMNS.iter().filter(|(_, only_long)| chosen(*only_long)).map(|(column, _)| *column).collect();
    let mut rows = vec![columns.iter().map(|column| title(column.title)).collect()];
    for app in apps {
        let row = listed(app).into_iter().zip(COLUMNS).filter(|(_, (_, only_long))| chosen(*only_long));
        rows.push(row.map(|(cell, _)| cell).collect());
    }
    let longest = apps.iter().map(|app| app.status.name.as_str().len()).max().unwrap_or(0);
    fitted(&with_names(&columns, longest, view.width), rows, view.width, view.color)
}

/// What stands in each of [`COLUMNS`].
fn listed(Seen { status: app, processes, .. }: &Seen) -> Vec<Cell> {
    let health = note::health(app).map(|health| Cell::styled(health.as_str(), health_style(health)));
    vec![
        app.name.as_str().into(),
        Cell::styled(app.state.as_str(), state_style(app.state)),
        Cell::optional(app.pid.map(|pid| pid.to_string())),
        Cell::optional(processes.as_ref().map(Tree::memory).map(text::bytes)),
        Cell::optional(processes.as_ref().map(Tree::cpu).map(text::percent)),
        Cell::optional(app.uptime.map(text::seconds)),
        app.restarts.to_string().into(),
        health.unwrap_or_else(|| Cell::optional(None)),
        Cell::optional(app.version.clone()),
        app.path.clone().into(),
        Cell::optional(app.stdout.clone()),
        Cell::optional(app.stderr.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::samples::{seen, view};
    use super::*;

    fn at(width: Option<usize>, long: bool, color: bool) -> Fitted {
        list(&seen(), long, &View { width, color, ..view() })
    }

    #[test]
    fn the_list_has_a_line_for_every_app() {
        let told = [at(None, false, false), at(None, true, false)].map(|fitted| fitted.text);
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_terminal_gets_what_fits() {
        let told = [(80, false), (80, true), (120, true), (200, true)].map(|(width, long)| {
            let fitted = at(Some(width), long, false);
            for line in fitted.text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            format!("{}{}\n", fitted.text, super::super::left_out(&fitted, Some(width)).unwrap_or_default())
        });
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn colour_changes_no_column() {
        let bare = |text: String| {
            text.split('\u{1b}').map(|part| part.split_once('m').map_or(part, |(_, rest)| rest)).collect::<String>()
        };
        for width in [None, Some(80)] {
            let uncoloured = at(width, true, false).text;
            let coloured = at(width, true, true).text;
            assert_ne!(coloured, uncoloured);
            assert_eq!(bare(coloured), uncoloured);
        }
    }
}
