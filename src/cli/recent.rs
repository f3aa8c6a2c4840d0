//! The last lines that an app has written, of both outputs, in the order in which they came.

use std::io;
use std::path::Path;

use jiff::Zoned;

use super::report::Recent;
use crate::control::status::AppStatus;
use crate::logs::filter::Filter;
use crate::logs::merge::{Merge, Source};
use crate::logs::real;
use crate::logs::scan::{Scan, Wants};
use crate::logs::stamps::Stamps;
use crate::logs::whole::Log;

/// The last lines of both outputs of an app. A file that cannot be read has none: `logs` tells why.
pub(super) fn of(app: &AppStatus, lines: usize) -> Vec<Recent> {
    let files = [("out", app.stdout.as_deref()), ("err", app.stderr.as_deref())];
    let mut files: Vec<_> = files.into_iter().filter_map(|(sign, path)| Some((sign, path?))).collect();
    files.dedup_by_key(|(_, path)| real(Path::new(path)));
    if files.is_empty() { Vec::new() } else { recent(&files, lines, Zoned::now()) }
}

fn recent(files: &[(&'static str, &str)], lines: usize, now: Zoned) -> Vec<Recent> {
    let stamps = Stamps::at(now);
    let (mut signs, mut sources) = (Vec::new(), Vec::new());
    for (sign, path) in files {
        if let Ok(source) = source(Path::new(path), lines, &stamps) {
            signs.push(*sign);
            sources.push(source);
        }
    }
    let mut found = read(sources, &signs).unwrap_or_default();
    found.split_off(found.len().saturating_sub(lines))
}

fn source(path: &Path, lines: usize, stamps: &Stamps) -> io::Result<Source> {
    let mut log = Log::open(path, stamps.clone())?;
    let timed = log.is_timed()?;
    let (start, end) = (log.start(), log.end());
    let (from, _) = log.last(start, end, lines)?;
    let scan = Scan::new(&mut log, from, end, Filter::default(), Wants { time: true, level: false })?;
    Ok(Source { log, scan, timed, events: false })
}

fn read(sources: Vec<Source>, signs: &[&'static str]) -> io::Result<Vec<Recent>> {
    let mut merge = Merge::new(sources)?;
    let mut found = Vec::new();
    while let Some(at) = merge.advance()? {
        let scan = merge.source(at);
        // A line that is too long comes in pieces, and its beginning is enough.
        if scan.begins() {
            let text = String::from_utf8_lossy(scan.line().trim_ascii_end()).into_owned();
            found.push(Recent { sign: signs[at], time: scan.time(), text });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn the_last_lines_of_both_outputs_come_in_order() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name).to_string_lossy().into_owned();
        let (out, err) = (path("web.log"), path("web.err"));
        let lines = "2026-01-31T12:00:00Z one\n2026-01-31T12:00:02Z three\n2026-01-31T12:00:03Z four\n";
        std::fs::write(&out, lines).unwrap();
        std::fs::write(&err, "2026-01-31T12:00:01Z two\n").unwrap();
        let now = "2026-01-31T13:00:00Z".parse::<jiff::Timestamp>().unwrap().to_zoned(TimeZone::UTC);
        let read = |lines| {
            let found = recent(&[("out", &out), ("err", &err), ("out", "/nowhere/web.log")], lines, now.clone());
            found.iter().map(|line| format!("{} {}", line.sign, &line.text[21..])).collect::<Vec<_>>()
        };
        assert_eq!(read(3), ["err two", "out three", "out four"]);
        assert_eq!(read(9), ["out one", "err two", "out three", "out four"]);
        assert!(read(0).is_empty());
    }
}
