//! Pages of the documentation that show screens: each is what is printed of made-up apps, below a mark that names it. The
//! test compares; with UPDATE=1 it writes.

use std::path::Path;

/// Holds a page against the screens that it should show, by their marks.
#[track_caller]
pub(super) fn keep(page: &str, screens: &[(&'static str, String)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let written = std::fs::read_to_string(&path).unwrap();
    let mut page = written.clone();
    for (mark, screen) in screens {
        let begin = format!("<!-- {mark} -->\n```text\n");
        let from = page.find(&begin).unwrap_or_else(|| panic!("{} has no {mark}", path.display())) + begin.len();
        let to = from + page[from..].find("```\n").expect("an end");
        page.replace_range(from..to, screen);
    }
    let update = std::env::var_os("UPDATE").is_some();
    if update {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(update || page == written, "{} is out of date: run this test with UPDATE=1", path.display());
    assert_eq!(page.matches("<!-- ").count(), screens.len(), "a screen that no test prints");
}
