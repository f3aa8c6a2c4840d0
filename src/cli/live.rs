//! More of several logs, as it comes: lines are put together from what is read, filtered, and shown in order of time.

use std::io::{self, Write};
use std::mem::take;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::CliError;
use super::page::{Line, Page};
use super::screen::Screen;
use crate::app::Shown;
use crate::config::values::Level;
use crate::logs::body::LONGEST_LINE;
use crate::logs::filter::Filter;
use crate::logs::follow::{Tail, Watch, Woken};
use crate::logs::level;
use crate::logs::stamps::Stamps;

/// The most that is read of a log before it is the next one's turn, and Ctrl-C's, in bytes.
const TURN: u64 = 1 << 20;

/// Lines of several logs that are held to be put in order, in bytes.
const HELD: usize = 8 << 20;

/// One log that is followed.
pub(super) struct Live {
    tail: Tail,
    lines: Lines,
}

/// Lines that are put together from pieces.
struct Lines {
    filter: Filter,
    /// The level of the last line.
    level: Option<Level>,
    /// What came after the last newline, and when.
    line: Vec<u8>,
    time: Option<u64>,
    /// Whether that is a further piece of a long line.
    further: bool,
    /// When the last piece came whose time is known.
    last: Option<u64>,
}

/// A line that waits for its turn.
struct Held {
    time: u64,
    origin: usize,
    text: Vec<u8>,
    begins: bool,
    level: Option<Level>,
}

impl Live {
    /// A log whose last line so far had this level.
    pub(super) fn new(tail: Tail, filter: Filter, level: Option<Level>) -> Self {
        Self { tail, lines: Lines { filter, level, line: Vec::new(), time: None, further: false, last: None } }
    }
}

impl Lines {
    /// Takes a piece that came at `time`, and hands on the lines that it completes.
    fn take(&mut self, piece: &[u8], time: u64, held: &mut dyn FnMut(Vec<u8>, u64, bool, Option<Level>)) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let begun = *self.time.get_or_insert(time);
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.line.len() >= LONGEST_LINE {
                self.give(begun, held);
            }
        }
    }

    /// Hands on the line as far as it has come.
    fn give(&mut self, time: u64, held: &mut dyn FnMut(Vec<u8>, u64, bool, Option<Level>)) {
        let (line, begins) = (take(&mut self.line), !self.further);
        self.further = !line.ends_with(b"\n");
        if !self.further {
            self.time = None;
        }
        if begins {
            self.level = level::of(&line).or(self.level);
        }
        let matches = self.filter.pattern.as_ref().is_none_or(|pattern| pattern.matches(&line));
        if matches && self.filter.wants(self.level) {
            held(line, time, begins, self.level);
        }
    }
}

/// That nobody reads standard output any more.
pub(super) fn unread() -> CliError {
    CliError::Output(io::ErrorKind::BrokenPipe.into())
}

/// Follows logs; the origins of the page are theirs, in this order.
pub(super) struct Follow<'a, W: Write> {
    pub(super) screen: &'a Screen,
    pub(super) logs: Vec<Live>,
    pub(super) page: Page<W>,
    /// Where nothing is put around the lines, they need not be whole.
    pub(super) raw: bool,
    /// When to begin, if that is still to come, in microseconds since the epoch.
    pub(super) since: Option<u64>,
    /// When to end.
    pub(super) until: Option<u64>,
    pub(super) stamps: Stamps,
}

impl<W: Write> Follow<'_, W> {
    /// Shows what comes until Ctrl-C, or until the time is up.
    pub(super) fn run(mut self) -> Result<(), CliError> {
        let failed = |source| CliError::Io { doing: "wait for more output".into(), source };
        let watch = Watch::new().map_err(failed)?;
        loop {
            for log in &self.logs {
                watch.add(log.tail.path()).map_err(failed)?;
            }
            let more = self.show()?;
            let left = self.until.map(|until| Duration::from_micros(until.saturating_sub(now())));
            let over = left == Some(Duration::ZERO) && !more;
            let longest = if more { Some(Duration::ZERO) } else { left };
            let woken = if over { Woken::Interrupted } else { watch.wait(longest).map_err(failed)? };
            match woken {
                Woken::Changed | Woken::Idle => {}
                Woken::Unread => return Err(unread()),
                Woken::Interrupted => {
                    if !more {
                        self.show()?;
                    }
                    return self.finish().map_err(CliError::Output);
                }
            }
        }
    }

    /// Shows what there is: all, or as much as is one log's turn. Returns whether there is more.
    fn show(&mut self) -> Result<bool, CliError> {
        let mut held: Vec<Held> = Vec::new();
        let (mut size, mut more) = (0, false);
        let Self { logs, page, raw, stamps, since, until, .. } = self;
        let is_over = |time: u64| until.is_some_and(|until| time >= until);
        let is_early = |time: Option<u64>| since.is_some_and(|since| time.unwrap_or_else(now) < since);
        let alone = logs.len() == 1;
        for (origin, Live { tail, lines }) in logs.iter_mut().enumerate() {
            let mut over = false;
            let read = tail.read_some::<Broken>(TURN, &mut |piece, time| {
                over |= time.is_some_and(is_over);
                if over || is_early(time) {
                    return Ok(());
                }
                if *raw {
                    let line = Line { origin, text: piece, begins: true, time: None, level: None };
                    return page.write(line).map_err(Broken::Write);
                }
                // What is not dated came with what was before it: it must not be put behind what came later.
                let time = time.or_else(|| stamps.of(piece)).or(lines.last).unwrap_or_else(now);
                lines.last = Some(time);
                lines.take(piece, time, &mut |text, time, begins, level| {
                    size += text.len();
                    held.push(Held { time, origin, text, begins, level });
                });
                if alone || size > HELD {
                    size = 0;
                    return put(page, &mut held).map_err(Broken::Write);
                }
                Ok(())
            });
            // What comes behind the end is not waited for.
            more |= read.map_err(|broken| broken.at(tail.path()))? && !over;
        }
        put(&mut self.page, &mut held).and_then(|()| self.page.flush()).map_err(CliError::Output)?;
        self.logs.iter_mut().flat_map(|log| log.tail.unread.drain(..)).for_each(|unread| self.screen.note(&unread));
        Ok(more)
    }

    /// Shows lines that have no end, and will not get one any more.
    fn finish(&mut self) -> io::Result<()> {
        let mut held = Vec::new();
        for (origin, log) in self.logs.iter_mut().enumerate().filter(|(_, log)| !log.lines.line.is_empty()) {
            let lines = &mut log.lines;
            let time = lines.time.unwrap_or_else(now);
            lines.give(time, &mut |text, time, begins, level| held.push(Held { time, origin, text, begins, level }));
        }
        put(&mut self.page, &mut held)?;
        self.page.finish()
    }
}

/// Writes lines in the order of their times.
fn put<W: Write>(page: &mut Page<W>, held: &mut Vec<Held>) -> io::Result<()> {
    held.sort_by_key(|line| line.time);
    for Held { time, origin, text, begins, level } in held.drain(..) {
        page.write(Line { origin, text: &text, begins, time: Some(time), level })?;
    }
    Ok(())
}

/// What can break between a file and a screen.
pub(super) enum Broken {
    Read(io::Error),
    Write(io::Error),
}

impl Broken {
    /// The same for people; `path` is what was read.
    pub(super) fn at(self, path: &Path) -> CliError {
        match self {
            Self::Write(error) => CliError::Output(error),
            Self::Read(source) => CliError::Io { doing: format!("read {}", path.shown()), source },
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Microseconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
