//! The logs of which lines are shown: from where to where, and which lines of theirs come together.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::CliError;
use super::live::Live;
use super::page::{Line, Origin, Page};
use crate::app::Shown;
use crate::logs::filter::Filter;
use crate::logs::follow::Tail;
use crate::logs::level;
use crate::logs::merge::{Merge, Source};
use crate::logs::scan::{self, Scan, Wants};
use crate::logs::stamps::Stamps;
use crate::logs::whole::{Log, Place};

/// A log of which lines are to be shown.
pub(super) struct Chosen {
    pub(super) path: PathBuf,
    pub(super) origin: Origin,
    filter: Filter,
    pub(super) wants: Wants,
    pub(super) log: Log,
    from: Place,
    end: Place,
    /// Whether its lines count; those that only mark where runs begin and end do not.
    pub(super) counts: bool,
    /// Whether the times of its lines are known.
    pub(super) timed: bool,
    /// How many lines are between the two places, as far as that matters, and whether some before them are left out.
    lines: usize,
    cut: bool,
}

/// The part of a log that is asked for.
pub(super) struct Part {
    /// Lines of this time and later, and of before that one.
    pub(super) since: Option<u64>,
    pub(super) until: Option<u64>,
    /// How many of its last lines, unless all.
    pub(super) last: Option<usize>,
    /// Whether a line that has no end yet is left for later.
    pub(super) whole_lines: bool,
}

impl Chosen {
    /// All of the log at this place; nothing where there is none.
    pub(super) fn open(path: &Path, stamps: Stamps, origin: Origin, filter: Filter) -> Result<Self, CliError> {
        let mut log = Log::open(path, stamps).map_err(|source| reading(path, source))?;
        let (from, end) = (log.start(), log.end());
        let wants = Wants { time: false, level: false };
        let path = path.to_owned();
        Ok(Self { path, origin, filter, wants, log, from, end, counts: true, timed: true, lines: 0, cut: false })
    }

    /// Nothing of it is shown.
    pub(super) fn leave_out(&mut self) {
        self.from = self.end;
    }

    /// Narrows down what is shown of it to the part that was asked for.
    pub(super) fn bound(&mut self, part: &Part) -> Result<(), CliError> {
        self.narrow(part).map_err(|source| reading(&self.path, source))
    }

    fn narrow(&mut self, part: &Part) -> io::Result<()> {
        if part.whole_lines {
            self.end = self.log.end_of_lines()?;
        }
        if (part.since.is_some() || part.until.is_some()) && !self.timed {
            self.leave_out();
            return Ok(());
        }
        if let Some(until) = part.until {
            self.end = self.log.since(until)?.min(self.end);
        }
        if let Some(since) = part.since {
            self.from = self.log.since(since)?.min(self.end);
        }
        if let Some(number) = part.last {
            let all_from = self.from;
            (self.from, self.lines) = scan::last(&mut self.log, self.from, self.end, number, &self.filter)?;
            self.cut = self.from > all_from;
        }
        Ok(())
    }
}

/// A log of which what there was has been shown.
pub(super) struct Past {
    path: PathBuf,
    filter: Filter,
    pub(super) log: Log,
    end: Place,
}

impl Past {
    /// It goes on with what comes.
    pub(super) fn go_on(mut self) -> Result<Live, CliError> {
        let end = self.end;
        let level = match self.filter.level {
            Some(_) => self.log.said_before(end, &level::of).map_err(|source| reading(&self.path, source))?,
            None => None,
        };
        Ok(Live::new(Tail::resume(&self.path, self.log, end.offset), self.filter, level))
    }
}

/// Which lines of a log are shown while it is read.
struct Share {
    counts: bool,
    timed: bool,
    /// Whether the line that is being read is not shown; it may come in pieces.
    hidden: bool,
    /// How many more are shown, with --head, where its times are not known.
    left: usize,
}

/// Shows what there is: of the logs whose times are known the last lines together, of each other its own; or the first,
/// with --head.
pub(super) fn show<W: Write>(
    chosen: Vec<Chosen>,
    asked: Option<usize>,
    head: bool,
    page: &mut Page<W>,
) -> Result<Vec<Past>, CliError> {
    let failed = |source| CliError::Io { doing: "read the logs".into(), source };
    let counted = || chosen.iter().filter(|one| one.counts && one.timed);
    // Each has as many lines as were asked for, if it has them; together they may have more.
    let together: usize = counted().fold(0, |sum, one| sum.saturating_add(one.lines));
    let mut skip = asked.map_or(0, |number| if head { 0 } else { together.saturating_sub(number) });
    let mut left = asked.filter(|_| head).unwrap_or(usize::MAX);
    // Marks before the first line are of interest only where nothing was left out before it.
    let mut cut = skip > 0 || counted().any(|one| one.cut);
    let (mut sources, mut shares, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for one in chosen {
        let Chosen { path, origin, filter, wants, mut log, from, end, counts, timed, .. } = one;
        let scan = Scan::new(&mut log, from, end, filter.clone(), wants).map_err(|source| reading(&path, source))?;
        sources.push(Source { log, scan, timed, events: origin.stream == "events" });
        shares.push(Share { counts, timed, hidden: false, left });
        rest.push((path, filter, end));
    }
    let mut merge = Merge::new(sources).map_err(failed)?;
    while let Some(origin) = merge.advance().map_err(failed)? {
        let (scan, share) = (merge.source(origin), &mut shares[origin]);
        if scan.begins() {
            share.hidden = match (share.counts, share.timed) {
                (false, _) => cut || left == 0,
                (true, true) if skip > 0 => {
                    skip -= 1;
                    true
                }
                (true, true) => {
                    cut = false;
                    spend(&mut left)
                }
                (true, false) => spend(&mut share.left),
            };
        }
        if !share.hidden {
            let line =
                Line { origin, text: scan.line(), begins: scan.begins(), time: scan.time(), level: scan.level() };
            page.write(line).map_err(CliError::Output)?;
        } else if left == 0 && shares.iter().all(|share| share.timed || share.left == 0) {
            break;
        }
    }
    let past = |(log, (path, filter, end))| Past { path, filter, log, end };
    Ok(merge.into_logs().into_iter().zip(rest).map(past).collect())
}

/// Takes one from what is left; whether there was none.
fn spend(left: &mut usize) -> bool {
    let none = *left == 0;
    *left = left.saturating_sub(1);
    none
}

/// What reading that log has come to.
pub(super) fn reading(path: &Path, source: io::Error) -> CliError {
    CliError::Io { doing: format!("read {}", path.shown()), source }
}
