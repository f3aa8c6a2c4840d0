//! Several logs as one, in the order of time.
//!
//! The next line is always the earliest of those that are next in their logs, so that each log keeps its own order even
//! where a clock was set back. A log whose times are not known cannot be merged: its lines come before all others.

use std::io;

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
}

/// Logs that are read as one.
#[derive(Debug)]
pub struct Merge {
    sources: Vec<Source>,
    /// The time of the next line of each; nothing at its end.
    next: Vec<Option<u64>>,
    /// The source whose line was given out last.
    last: Option<usize>,
}

impl Merge {
    /// Begins with the first line of each.
    pub fn new(mut sources: Vec<Source>) -> io::Result<Self> {
        let next = sources.iter_mut().map(next_time).collect::<Result<_, _>>()?;
        Ok(Self { sources, next, last: None })
    }

    /// Goes to the next line; tells whose it is. Where two came at once, the source that was named first is first.
    pub fn advance(&mut self) -> io::Result<Option<usize>> {
        if let Some(last) = self.last.take() {
            self.next[last] = next_time(&mut self.sources[last])?;
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

fn next_time(source: &mut Source) -> io::Result<Option<u64>> {
    let more = source.scan.advance(&mut source.log)?;
    Ok(more.then(|| source.scan.time().filter(|_| source.timed).unwrap_or(0)))
}
