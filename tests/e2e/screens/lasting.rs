//! The text of a screen without what differs from one time to the next.

use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What has more lines than this keeps so many at its beginning and at its end.
const LONG: usize = 60;
const BEGIN: usize = 6;
const END: usize = 4;

/// Whether a line has the titles of columns.
pub(super) fn is_titles(line: &str) -> bool {
    ["# NAME ", "NAME▼ ", "  PID "].iter().any(|begin| line.starts_with(begin))
}

/// Whether a line below titles is part of the table.
pub(super) fn is_row(line: &str) -> bool {
    !line.is_empty() && !line.starts_with("──") && !line.starts_with("daemonctl: ")
}

/// The lines of a screen that is so wide, about this root.
pub(super) fn lines(lines: &[String], columns: u16, root: &Path) -> Vec<String> {
    let base = root.parent().expect("the directory around it").to_string_lossy().into_owned();
    let stand_in = format!("{}screen", &base[..base.len() - "screen".len()]);
    let mut pids = Vec::new();
    let said: Vec<String> =
        lines.iter().map(|line| settle(&line.replace(&base, &stand_in), columns, &mut pids)).collect();
    let mut laid = Vec::new();
    let mut said = said.as_slice();
    while let [line, rest @ ..] = said {
        let rows = if is_titles(line) { rest.iter().take_while(|line| is_row(line)).count() } else { 0 };
        laid.extend(table(&said[..=rows]));
        said = &said[rows + 1..];
    }
    laid
}

/// A line with other pids, times, sizes and bars.
fn settle(line: &str, columns: u16, pids: &mut Vec<String>) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "2026-01-31 12:00:00 UTC"),
            (r"\b\d\d:\d\d:\d\d\b", "12:00:03"),
            (r"\b\d+(\.\d+)?[BKMG]\b", "1.5M"),
            (r"\b\d+(\.\d+)?%", "0.0%"),
            (r"\b\d+(\.\d+)?(ms|s)\b|\b\dm\d\ds\b", "3s"),
            (r"^  CPU \S+[ ▁-█]+memory (\S+)[ ▁-█]+$", "  CPU 0.0%  ▁  memory 1.5M  █"),
            // A path that was shortened for its column, whose width depends on that of others.
            (r"…[^ ]*/", "…/"),
        ];
        rules.map(|(rule, name)| (Regex::new(rule).expect("a rule"), name)).into()
    });
    static PID: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?<before>\brunning +|\bpid |^  main +|^  )(?<pid>\d+)\b").expect("a rule"));
    let mut line = line.to_owned();
    for (rule, name) in RULES.iter() {
        line = rule.replace_all(&line, *name).into_owned();
    }
    let numbered = PID.replace_all(&line, |found: &Captures| {
        let known = pids.iter().position(|pid| *pid == found["pid"]).unwrap_or_else(|| {
            pids.push(found["pid"].to_owned());
            pids.len() - 1
        });
        format!("{}{}", &found["before"], 4001 + known)
    });
    let line = numbered.into_owned();
    match line.strip_suffix("12:00:03").filter(|rest| rest.ends_with("  ")) {
        // On the right of the watch.
        Some(rest) => format!("{:width$}12:00:03", rest.trim_end(), width = usize::from(columns) - "12:00:03".len()),
        None => line,
    }
}

/// Titles and the rows below them, with columns as wide as they have to be.
fn table(lines: &[String]) -> Vec<String> {
    if lines.len() == 1 && !is_titles(&lines[0]) {
        return lines.to_vec();
    }
    let cells = |line: &String| -> Vec<String> {
        let indent = line.len() - line.trim_start().len();
        let mut cells: Vec<String> =
            line.trim().split("  ").filter(|c| !c.is_empty()).map(|c| c.trim().into()).collect();
        cells[0].insert_str(0, &line[..indent]);
        cells
    };
    let rows: Vec<Vec<String>> = lines.iter().map(cells).collect();
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max();
    let lay = |row: &Vec<String>| {
        let padded = row.iter().enumerate().map(|(at, cell)| format!("{cell:w$}", w = width(at).unwrap_or(0)));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(lay).collect()
}

/// What a page has room for.
pub(super) fn shortened(lines: &[String]) -> Vec<String> {
    let mut short: Vec<String> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let middle = lines.len() > LONG && at >= BEGIN && at + END < lines.len();
        // The watch leaves much of a large window empty.
        let gap = line.is_empty() && lines.get(at + 1).is_some_and(String::is_empty);
        match middle || gap {
            false => short.push(line.clone()),
            true if short.last().is_some_and(|last| last == "…") => {}
            true => short.push("…".to_owned()),
        }
    }
    short
}

#[test]
fn what_differs_is_the_same_and_stays_in_its_column() {
    let screen = |pid: &str, size: &str, id: &str| {
        let pad = " ".repeat(pid.len() - "PID".len());
        let base = format!("/tmp/daemonctl-e2e-{id}");
        let text =
            format!("# NAME  STATUS   PID{pad}  MEMORY  PATH\napp001  running  {pid}  {size:6}  {base}/apps/app001");
        let text: Vec<String> = text.lines().map(str::to_owned).collect();
        lines(&text, 80, &Path::new(&base).join("apps"))
    };
    let expected =
        ["# NAME  STATUS   PID   MEMORY  PATH", "app001  running  4001  1.5M    /tmp/daemonctl-e2e-screen/apps/app001"];
    assert_eq!(screen("123", "764K", "abcdef"), expected);
    assert_eq!(screen("1234567", "1.5M", "ghijkl"), expected);
}
