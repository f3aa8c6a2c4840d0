//! The screens in docs/status.md are what is printed, of made-up apps.

use super::super::screens;
use super::samples::{self, view};
use super::{View, block, checks, left_out, line, lines, list};

/// Every screen of the page, by its mark.
fn screens() -> Vec<(&'static str, String)> {
    let at = |width| View { width: Some(width), ..view() };
    let every = samples::every();
    let lines = |view: &View| lines(&every.iter().collect::<Vec<_>>(), view).text;
    let some = || samples::seen().into_iter().take(8).collect::<Vec<_>>();
    let list = |long, width| {
        let list = list(&some(), long, &at(width));
        let said = left_out(&list, Some(width)).map(|hint| format!("daemonctl: {hint}\n"));
        list.text + &said.unwrap_or_default()
    };
    let blocks = samples::blocks();
    let api = &every[0];
    vec![
        ("list at 80 columns", list(false, 80)),
        ("list -l at 80 columns", list(true, 80)),
        ("list at 200 columns", list(false, 200)),
        ("status at 80 columns", lines(&at(80))),
        ("status in a pipe", lines(&view())),
        ("status web at 80 columns", block(&blocks[0], &at(80))),
        ("status crash at 80 columns", block(&blocks[1], &at(80))),
        ("status --health", line(api, &at(80)) + &checks(api, &at(80))),
    ]
}

#[test]
fn the_page_of_status_shows_what_is_printed() {
    screens::keep("docs/status.md", &screens());
}
