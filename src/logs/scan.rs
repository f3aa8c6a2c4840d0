//! The wanted lines of a log, one after the other, with their times and levels.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use super::filter::{Filter, line_at};
use super::level;
use super::suspects::Suspects;
use super::whole::{Log, Place};
use crate::config::values::Level;

/// What is to be known of a line besides its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// When it came.
    pub time: bool,
    /// How grave it is.
    pub level: bool,
}

/// A way through a log.
#[derive(Debug)]
pub struct Scan {
    filter: Filter,
    wants: Wants,
    /// Where the block begins, and where all ends.
    at: Place,
    end: Place,
    block: Vec<u8>,
    /// The line in the block.
    line: Range<usize>,
    /// Whether the block begins with a further piece of a line that is too long for one.
    cut: bool,
    /// Up to where the lines of the block have been asked for their level, and for their time.
    asked: Asked,
    /// Where to go on while the level is one that is not wanted.
    suspects: Option<Suspects>,
    level: Option<Level>,
    said: Option<u64>,
    time: Option<u64>,
}

/// Up to where lines have been asked what they say.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    level: usize,
    time: usize,
}

impl Scan {
    /// The way from one place to another. It begins at the beginning of a line.
    pub fn new(log: &mut Log, from: Place, end: Place, filter: Filter, wants: Wants) -> io::Result<Self> {
        let wants = Wants { level: wants.level || filter.level.is_some(), ..wants };
        let stamps = log.stamps().clone();
        let level = if wants.level { log.said_before(from, &level::of)? } else { None };
        let said = if wants.time { log.said_before(from, &|line| stamps.of(line))? } else { None };
        let nowhere = 0..0;
        let suspects = filter.level.filter(|_| filter.pattern.is_none()).and_then(Suspects::of);
        Ok(Self {
            filter,
            wants,
            at: from,
            end,
            block: Vec::new(),
            line: nowhere,
            cut: false,
            asked: Asked::default(),
            suspects,
            level,
            said,
            time: None,
        })
    }

    /// Goes to the next line that is wanted; false at the end.
    pub fn advance(&mut self, log: &mut Log) -> io::Result<bool> {
        loop {
            if self.line.end >= self.block.len() {
                self.ask(log, self.block.len());
                if !self.load(log)? {
                    return Ok(false);
                }
            }
            let from = self.line.end;
            self.line = match &self.filter.pattern {
                None => match self.unsuspected(from) {
                    begin if begin < self.block.len() => line_at(&self.block, begin),
                    end => {
                        self.line = end..end;
                        continue;
                    }
                },
                Some(pattern) => match pattern.next(&self.block, from) {
                    Some(line) => line,
                    None => {
                        self.line = self.block.len()..self.block.len();
                        continue;
                    }
                },
            };
            self.ask(log, self.line.end);
            if self.filter.wants(self.level) {
                if self.wants.time {
                    let offset = self.at.offset + self.line.start as u64;
                    let indexed = log.body(self.at.part).map(|body| body.indexed(offset)).transpose()?.flatten();
                    self.time = indexed.or(self.said);
                }
                return Ok(true);
            }
        }
    }

    /// Passes over lines that cannot be wanted, from a line on, since they say no wanted level; returns where they end.
    fn unsuspected(&mut self, from: usize) -> usize {
        let Some(suspects) = self.suspects.as_mut().filter(|_| !self.filter.wants(self.level)) else { return from };
        self.asked.level = suspects.next(from);
        self.asked.level
    }

    /// Reads the next block; false at the end.
    fn load(&mut self, log: &mut Log) -> io::Result<bool> {
        self.at.offset += self.block.len() as u64;
        self.cut = self.block.last().is_some_and(|last| *last != b'\n');
        self.block.clear();
        (self.line, self.asked) = (0..0, Asked::default());
        while self.at.part < log.parts() && self.at < self.end {
            let to = if self.at.part == self.end.part { self.end.offset } else { log.length(self.at.part) };
            if self.at.offset < to
                && let Some(body) = log.body(self.at.part)
            {
                body.lines(self.at.offset, to, &mut self.block)?;
                if !self.block.is_empty() {
                    if let Some(suspects) = &mut self.suspects {
                        suspects.begin(&self.block);
                    }
                    return Ok(true);
                }
            }
            log.close(self.at.part);
            self.at = Place { part: self.at.part + 1, offset: 0 };
            self.cut = false;
        }
        Ok(false)
    }

    /// Asks the lines up to here that have not been asked what they say of their level and time. The latest counts.
    fn ask(&mut self, log: &Log, to: usize) {
        if self.wants.level && self.asked.level < to {
            self.level = self.said(self.asked.level..to, &level::of).or(self.level);
            self.asked.level = to;
        }
        if self.wants.time && self.asked.time < to {
            self.said = self.said(self.asked.time..to, &|line| log.stamps().of(line)).or(self.said);
            self.asked.time = to;
        }
    }

    /// What the last of these lines says that says something.
    fn said<T>(&self, lines: Range<usize>, says: &dyn Fn(&[u8]) -> Option<T>) -> Option<T> {
        // A further piece of a long line says nothing.
        let piece = if lines.start == 0 && self.cut { line_at(&self.block, 0).end.min(lines.end) } else { lines.start };
        self.block[piece..lines.end].split_inclusive(|byte| *byte == b'\n').rev().find_map(says)
    }

    /// The line, with its end.
    pub fn line(&self) -> &[u8] {
        &self.block[self.line.clone()]
    }

    /// Where it begins.
    pub fn place(&self) -> Place {
        Place { offset: self.at.offset + self.line.start as u64, ..self.at }
    }

    /// Whether it is the beginning of a line: pieces of one that is too long follow.
    pub fn begins(&self) -> bool {
        self.line.start > 0 || !self.cut
    }

    /// When it came, in microseconds since the epoch, if that was wanted and is known.
    pub fn time(&self) -> Option<u64> {
        self.time
    }

    /// How grave it is, by its own words or those of a line before, if that was wanted and is known.
    pub fn level(&self) -> Option<Level> {
        self.level
    }
}

/// Where the last `lines` wanted lines between two places begin, and how many there are.
pub fn last(log: &mut Log, start: Place, end: Place, lines: usize, filter: &Filter) -> io::Result<(Place, usize)> {
    if filter.is_open() {
        return log.last(start, end, lines);
    }
    let (mut first, mut count) = (end, 0);
    if lines == 0 {
        return Ok((end, 0));
    }
    for part in (start.part..log.parts().min(end.part + 1)).rev() {
        let floor = if part == start.part { start.offset } else { 0 };
        let mut to = if part == end.part { end.offset } else { log.length(part) };
        while to > floor {
            let Some(body) = log.body(part) else { break };
            let from = body.block_before(floor, to)?;
            let place = |offset| Place { part, offset };
            let mut scan = Scan::new(log, place(from), place(to), filter.clone(), Wants::default())?;
            let mut found = VecDeque::new();
            while scan.advance(log)? {
                found.push_back(scan.place());
                if found.len() > lines - count {
                    found.pop_front();
                }
            }
            count += found.len();
            first = found.front().copied().unwrap_or(first);
            if count == lines {
                return Ok((first, count));
            }
            to = from;
        }
        log.close(part);
    }
    Ok((first, count))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::logs::body::BLOCK;
    use crate::logs::filter::Pattern;
    use crate::logs::stamps::Stamps;
    use crate::logs::times::Writer;

    fn log(path: &Path) -> Log {
        Log::open(path, Stamps::at("2026-02-01T12:00:00Z[UTC]".parse().unwrap())).unwrap()
    }

    fn filter(pattern: Option<&str>, level: Option<Level>) -> Filter {
        Filter { pattern: pattern.map(|pattern| Pattern::parse(pattern).unwrap()), level }
    }

    fn text(log: &mut Log, from: Place, end: Place, filter: &Filter) -> String {
        let mut scan = Scan::new(log, from, end, filter.clone(), Wants::default()).unwrap();
        let mut text = Vec::new();
        while scan.advance(log).unwrap() {
            text.extend_from_slice(scan.line());
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The last lines, as `logs -n` finds them.
    fn tail(path: &Path, lines: usize, filter: &Filter) -> String {
        let mut log = log(path);
        let (start, end) = (log.start(), log.end());
        let (from, _) = last(&mut log, start, end, lines, filter).unwrap();
        text(&mut log, from, end, filter)
    }

    fn write(path: &Path, text: impl AsRef<[u8]>) {
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn archives_and_the_current_file_are_one_log() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.log");
        assert!(!log(&path).exists());
        write(&path, "5\n6");
        write(&home.path().join("web.log.2026-01-31-120000"), "1\n2\n");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, b"3\n4\n").unwrap();
        write(&home.path().join("web.log.2026-01-31-120000.1.gz"), packed.finish().unwrap());
        write(&home.path().join("web.log.old"), "0\n");
        let open = Filter::default();
        assert_eq!(tail(&path, 99, &open), "1\n2\n3\n4\n5\n6");
        for (lines, expected) in [(0, ""), (1, "6"), (2, "5\n6"), (3, "4\n5\n6"), (5, "2\n3\n4\n5\n6")] {
            assert_eq!(tail(&path, lines, &open), expected);
            assert_eq!(tail(&path, lines, &filter(Some("[0-9]"), None)), expected);
        }
        assert_eq!(tail(&path, 2, &filter(Some("[135]"), None)), "3\n5\n");
        // Unreadable ones are left out, and named.
        write(&home.path().join("web.log.2026-01-31-120001.gz"), "not packed");
        let mut whole = log(&path);
        let (start, end) = (whole.start(), whole.end());
        assert_eq!(text(&mut whole, start, end, &open), "1\n2\n3\n4\n5\n6");
        assert!(whole.unread[0].contains("web.log.2026-01-31-120001.gz"), "{:?}", whole.unread);
    }

    #[test]
    fn lines_without_a_level_belong_to_the_one_before() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.log");
        let trace = "    at somewhere\n".repeat(10);
        write(&path, format!("first\nINFO up\nmore\nERROR no\n{trace}WARN well\nDEBUG x\n  y\n"));
        let at_least = |level| tail(&path, 99, &filter(None, Some(level)));
        assert_eq!(at_least(Level::Error), format!("ERROR no\n{trace}"));
        assert_eq!(at_least(Level::Warn), format!("ERROR no\n{trace}WARN well\n"));
        assert_eq!(at_least(Level::Info), format!("first\nINFO up\nmore\nERROR no\n{trace}WARN well\n"));
        assert_eq!(tail(&path, 2, &filter(None, Some(Level::Error))), "    at somewhere\n".repeat(2));
        assert_eq!(tail(&path, 9, &filter(Some("o$"), Some(Level::Error))), "ERROR no\n");
    }

    #[test]
    fn long_lines_are_searched_in_pieces() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.log");
        let long = format!("begin{}end", "x".repeat(3 * BLOCK));
        write(&path, format!("a\n{long}\nb\n"));
        assert_eq!(tail(&path, 99, &filter(Some("begin|^b"), None)).len(), BLOCK + 2);
        let mut log = log(&path);
        let (start, end) = (log.start(), log.end());
        assert_eq!(last(&mut log, start, end, 2, &Filter::default()).unwrap(), (Place { part: 0, offset: 2 }, 2));
        let mut scan = Scan::new(&mut log, start, end, Filter::default(), Wants::default()).unwrap();
        let (mut begins, mut all) = (Vec::new(), Vec::new());
        while scan.advance(&mut log).unwrap() {
            begins.push(scan.begins());
            all.extend_from_slice(scan.line());
        }
        assert_eq!(begins, [true, true, false, false, false, true]);
        assert_eq!(all, std::fs::read(&path).unwrap());
    }

    #[test]
    fn times_come_from_the_index_or_from_the_lines() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.log");
        let said = "2026-01-31T12:00:00Z a\n  b\n";
        write(&path, format!("{said}c\nd\n2026-01-01T00:00:00Z e\n"));
        let noon = 1_769_860_800_000_000;
        let times = || {
            let mut log = log(&path);
            let (start, end) = (log.start(), log.end());
            let wants = Wants { time: true, level: false };
            let mut scan = Scan::new(&mut log, start, end, Filter::default(), wants).unwrap();
            let mut times = Vec::new();
            while scan.advance(&mut log).unwrap() {
                times.push(scan.time().map_or(-1, |time| time as i64 - noon));
            }
            times
        };
        assert_eq!(times()[..4], [0, 0, 0, 0]);
        let inode = std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
        let mut index = Writer::open(&path, inode, 0).unwrap();
        for (offset, after) in [(said.len() as u64, 5_000), (said.len() as u64 + 3, 9_000)] {
            index.note(offset, noon as u64 + after).unwrap();
        }
        // The first `d` begins in the second batch's bytes before it: its first byte counts.
        assert_eq!(times(), [0, 0, 5_000, 5_000, 9_000]);
        for (after, part) in
            [(0, 0), (1, said.len()), (5_000, said.len()), (5_001, said.len() + 4), (9_001, said.len() + 27)]
        {
            let since = log(&path).since(noon as u64 + after).unwrap();
            assert_eq!(since.offset, part as u64, "{after}");
        }
    }

    #[test]
    fn passing_over_lines_gives_what_asking_each_gives() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.log");
        // Several blocks, a line that is longer than one, and all kinds of lines in an order that does not repeat.
        let kinds =
            ["ERROR no\n", "  trace\n", "INFO up\n", "an err\n", "W0131 12:00:00 x\n", "{\"level\":50}\n", "\n"];
        let mut lines: Vec<String> = (0..90_000u64)
            .map(|number| match number * number * 7919 % 1009 {
                kind @ 0..7 => kinds[kind as usize].to_owned(),
                other => format!("{other} is told\n"),
            })
            .collect();
        lines[50_000] = format!("INFO {} ERROR \n", "E0131 error: ".repeat(2 * BLOCK / 13));
        write(&path, lines.concat());
        for least in [Level::Debug, Level::Info, Level::Warn, Level::Error] {
            let mut level = None;
            let wanted = lines.iter().filter(|line| {
                level = level::of(line.as_bytes()).or(level);
                level.unwrap_or(Level::Info) >= least
            });
            let expected: String = wanted.map(String::as_str).collect();
            assert!(tail(&path, usize::MAX, &filter(None, Some(least))) == expected, "{least:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn since_finds_the_first_line_by_what_lines_say(gaps in proptest::collection::vec(0u32..3, 0..300), at in 0u64..400) {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("web.log");
            let (mut time, mut text, mut expected) = (1_769_860_800u64, String::new(), None);
            for gap in gaps {
                time += u64::from(gap);
                if time >= 1_769_860_800 + at && expected.is_none() {
                    expected = Some(text.len() as u64);
                }
                text += &format!("{time} {}\n{}", "x".repeat(gap as usize * 40), "  more\n".repeat(gap as usize));
            }
            write(&path, &text);
            let mut log = log(&path);
            let since = log.since((1_769_860_800 + at) * 1_000_000).unwrap();
            proptest::prop_assert_eq!(since.offset, expected.unwrap_or(text.len() as u64));
        }

        #[test]
        fn the_last_lines_are_those_of_all(
            lines in proptest::collection::vec("(ERROR |INFO |  )?[ab]{0,9}", 0..60),
            wanted in 0usize..20,
        ) {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("web.log");
            let half = lines.len() / 2;
            let text = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            write(&home.path().join("web.log.2026-01-31-120000"), text(&lines[..half]));
            write(&path, text(&lines[half..]));
            for filter in [filter(Some("a"), None), filter(None, Some(Level::Error)), filter(Some("b$"), Some(Level::Error))] {
                let all = tail(&path, usize::MAX, &filter);
                let all: Vec<&str> = all.lines().collect();
                let expected = all[all.len().saturating_sub(wanted)..].to_vec();
                let last = tail(&path, wanted, &filter);
                proptest::prop_assert_eq!(last.lines().collect::<Vec<_>>(), expected);
            }
        }
    }
}
