//! The screens in docs/status.md are what is printed, of made-up apps. The test compares; with UPDATE=1 it writes.

use std::path::Path;

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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/status.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let mut page = written.clone();
    for (mark, screen) in screens() {
        let begin = format!("<!-- {mark} -->\n```text\n");
        let from = page.find(&begin).unwrap_or_else(|| panic!("{} has no {mark}", path.display())) + begin.len();
        let to = from + page[from..].find("```\n").expect("an end");
        page.replace_range(from..to, &screen);
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(
        std::env::var_os("UPDATE").is_some() || page == written,
        "{} is out of date: run this test with UPDATE=1",
        path.display()
    );
    assert_eq!(page.matches("<!-- ").count(), screens().len(), "a screen that no test prints");
}
