//! `status`: one line an app.

use super::super::grid::{Cell, Column, Fitted, Give, fitted, grid};
use super::super::screen::{health_style, state_style};
use super::super::text;
use super::{View, note, title, with_names};
use crate::control::status::AppStatus;

const COLUMNS: &[Column] = &[
    Column { title: "# NAME", give: Give::Nothing, rank: 0 },
    Column { title: "STATUS", give: Give::Nothing, rank: 0 },
    Column { title: "PID", give: Give::Nothing, rank: 3 },
    Column { title: "UPTIME", give: Give::Nothing, rank: 1 },
    Column { title: "HEALTH", give: Give::Nothing, rank: 2 },
    Column { title: "NOTE", give: Give::End(20), rank: 0 },
];

/// A header and a line an app: what it is, why, and what comes next.
pub(in crate::cli) fn lines(apps: &[&AppStatus], view: &View) -> Fitted {
    let header = COLUMNS.iter().map(|column| title(column.title)).collect();
    let rows = std::iter::once(header).chain(apps.iter().map(|app| row(app, view))).collect();
    let longest = apps.iter().map(|app| app.name.as_str().len()).max().unwrap_or(0);
    fitted(&with_names(COLUMNS, longest, view.width), rows, view.width, view.color)
}

/// The line of one app, without a header.
pub(in crate::cli) fn line(app: &AppStatus, view: &View) -> String {
    grid(&[row(app, view)], view.color)
}

fn row(app: &AppStatus, view: &View) -> Vec<Cell> {
    let health = note::health(app).map(|health| Cell::styled(health.as_str(), health_style(health)));
    vec![
        app.name.as_str().into(),
        Cell::styled(app.state.as_str(), state_style(app.state)),
        Cell::optional(app.pid.map(|pid| pid.to_string())),
        Cell::optional(app.uptime.map(text::seconds)),
        health.unwrap_or_else(|| Cell::optional(None)),
        note::note(app, view.now).unwrap_or_default().into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, view};
    use super::*;

    fn at(width: Option<usize>) -> Fitted {
        let all = samples::every();
        lines(&all.iter().collect::<Vec<_>>(), &View { width, ..view() })
    }

    #[test]
    fn a_line_says_what_an_operator_would_ask_next() {
        insta::assert_snapshot!(at(None).text);
        insta::assert_snapshot!("lines_at_80", at(Some(80)).text);
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_is_wide() {
        for width in [60, 80, 100, 200] {
            let told = at(Some(width));
            for line in told.text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        assert_eq!(at(Some(50)).dropped, ["PID", "HEALTH"]);
        assert!(at(Some(200)).dropped.is_empty());
    }

    #[test]
    fn one_long_name_is_shortened_and_costs_no_column() {
        let mut all = samples::every();
        all.push(samples::app(&"payments-".repeat(7), all[0].state));
        let told = |width| lines(&all.iter().collect::<Vec<_>>(), &View { width: Some(width), ..view() });
        let narrow = told(80);
        assert!(narrow.dropped.is_empty() && narrow.text.contains("payments-payments-"), "{}", narrow.text);
        assert!(narrow.text.lines().all(|line| line.chars().count() <= 80), "{}", narrow.text);
        assert!(told(200).text.contains(&"payments-".repeat(7)), "there is room for it");
    }
}
