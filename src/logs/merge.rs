//! Several logs as one, in the order of time.
//!
//! The next line is always the earliest of those that are next in their logs, so that each log keeps its own order even
//! where a clock was set back. A log whose times are not known cannot be merged: its lines come before all others.
//!
//! Events have whole milliseconds, and output is timed when it is collected, a moment after it was written. So that what
//! a run has written lies between its beginning and its end, these count as a little earlier and later than they say
//! where there is output.
//! What is said of missing output, once there is some again, counts as of the moment when the last of it came.

use std::io;

use super::events;
use super::happening::Happening;
use super::scan::Scan;
use super::whole::Log;

/// A log that takes part.
#[derive(Debug)]
pub struct Source {
    /// The log.
    pub log: Log,
    /// The way through it.
    pub scan: Scan,
    /// Whether its times are known.
    pub timed: bool,
    /// Whether its lines are events.
    pub events: bool,
}

/// How much earlier than it says the start of a run counts, in microseconds: the program may have written something
/// before its start was noted.
const EARLIER: u64 = 2_000;

/// How much later its end counts: a millisecond that was cut off, and the collector's way. The next run takes longer to
/// come.
const LATER: u64 = 3_000;

/// Logs that are read as one.
#[derive(Debug)]
pub struct Merge {
    sources: Vec<Source>,
    /// Whether there is output among them.
    outputs: bool,
    /// The time of the next line of each; nothing at its end.
    next: Vec<Option<u64>>,
    /// The source whose line was given out last.
    last: Option<usize>,
}

impl Merge {
    /// Begins with the first line of each.
    pub fn new(mut sources: Vec<Source>) -> io::Result<Self> {
        let outputs = sources.iter().any(|source| !source.events);
        let next = sources.iter_mut().map(|source| next_time(source, outputs)).collect::<Result<_, _>>()?;
        Ok(Self { sources, outputs, next, last: None })
    }

    /// Goes to the next line; tells whose it is. Where two came at once, the source that was named first is first.
    pub fn advance(&mut self) -> io::Result<Option<usize>> {
        if let Some(last) = self.last.take() {
            self.next[last] = next_time(&mut self.sources[last], self.outputs)?;
        }
        let times = self.next.iter().enumerate().filter_map(|(at, time)| Some((*time.as_ref()?, at)));
        self.last = times.min().map(|(_, at)| at);
        Ok(self.last)
    }

    /// A source, at the line it was told of.
    pub fn source(&self, at: usize) -> &Scan {
        &self.sources[at].scan
    }

    /// The logs, when all has been read.
    pub fn into_logs(self) -> Vec<Log> {
        self.sources.into_iter().map(|source| source.log).collect()
    }
}

/// The time that the next line of a log counts as; nothing at its end.
fn next_time(source: &mut Source, outputs: bool) -> io::Result<Option<u64>> {
    let more = source.scan.advance(&mut source.log)?;
    if !more {
        return Ok(None);
    }
    let time = source.scan.time().filter(|_| source.timed).unwrap_or(0);
    let event = (source.events && outputs)
        .then(|| std::str::from_utf8(source.scan.line()).ok().and_then(events::parse))
        .flatten();
    Ok(Some(match event.map(|event| Happening::parse(event.text)) {
        Some(Happening::Started { .. }) => time.saturating_sub(EARLIER),
        Some(Happening::Ended(_)) => time.saturating_add(LATER),
        Some(Happening::Dropped(gap)) => time.min(gap.to.saturating_mul(1_000)),
        _ => time,
    }))
}
