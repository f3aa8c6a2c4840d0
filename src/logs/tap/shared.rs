//! What all taps of a log thread have in common: one buffer, one pipe to look at output in, the logs by their names, and
//! the number of pipes that have been widened.
//!
//! Two streams that go to one file share the file, so that neither rotates it behind the other's back, or who looks at it
//! where another program writes it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};

use super::PIECE;
use super::audience::{Audience, Tell};
use super::file::LogFile;
use super::witness::{Seen, Witness};
use crate::logs::place;
use crate::logs::rotate::Rules;

thread_local! {
    static LOGS: RefCell<HashMap<PathBuf, Weak<Log>>> = RefCell::default();
    static WITNESSES: RefCell<HashMap<PathBuf, Weak<RefCell<Witness>>>> = RefCell::default();
    static SHARED: RefCell<Shared> = RefCell::default();
    static WIDE: Cell<usize> = const { Cell::new(0) };
}

/// A log that taps have in common.
pub(super) struct Log {
    pub(super) file: RefCell<LogFile>,
    pub(super) audience: Audience,
}

/// The log at this path, of the app with this directory, with these rules from now on. The app hears of it, at once where
/// something is wrong with it already.
pub(super) fn log(path: &Path, home: &Path, rules: Rules, tell: &Rc<Tell>) -> Rc<Log> {
    let log = LOGS.with_borrow_mut(|logs| {
        logs.retain(|_, log| log.strong_count() > 0);
        let key = place(path);
        if let Some(log) = logs.get(&key).and_then(Weak::upgrade) {
            log.file.borrow_mut().set_rules(rules);
            return log;
        }
        let file = RefCell::new(LogFile::new(path, home, rules));
        let log = Rc::new(Log { file, audience: Audience::default() });
        logs.insert(key, Rc::downgrade(&log));
        log
    });
    if log.audience.join(home, tell) {
        log.file.borrow().troubles().for_each(|news| tell(news));
    }
    log
}

/// Who looks at a log that another program writes, from that look on.
pub(super) fn witness(seen: Seen) -> Rc<RefCell<Witness>> {
    WITNESSES.with_borrow_mut(|witnesses| {
        witnesses.retain(|_, witness| witness.strong_count() > 0);
        let key = place(seen.path());
        let known = witnesses.get(&key).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let witness = Rc::new(RefCell::new(Witness::new(seen)));
            witnesses.insert(key, Rc::downgrade(&witness));
            witness
        })
    })
}

/// Memory for what passes through.
#[derive(Default)]
pub(super) struct Shared {
    buffer: Vec<u8>,
    looking: Option<(OwnedFd, OwnedFd)>,
}

/// Works with what is shared. Not to be called within itself.
pub(super) fn with<T>(work: impl FnOnce(&mut Shared) -> io::Result<T>) -> io::Result<T> {
    SHARED.with_borrow_mut(work)
}

impl Shared {
    /// The buffer.
    pub(super) fn buffer(&mut self) -> &mut [u8] {
        self.buffer.resize(PIECE, 0);
        &mut self.buffer
    }

    /// A copy of the next bytes of a pipe, at most so many; none of them, if it has ended. The pipe keeps them.
    pub(super) fn look(&mut self, pipe: &OwnedFd, most: usize) -> io::Result<&mut [u8]> {
        self.buffer.resize(PIECE, 0);
        let (reader, writer) = match &mut self.looking {
            Some(looking) => looking,
            none => none.insert(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?),
        };
        let seen = tee(pipe, writer, most.min(PIECE), SpliceFlags::NONBLOCK)?;
        read_exactly(reader, &mut self.buffer[..seen])?;
        Ok(&mut self.buffer[..seen])
    }
}

/// Reads so many bytes from a pipe that holds them.
pub(super) fn read_exactly(pipe: &OwnedFd, buffer: &mut [u8]) -> io::Result<()> {
    let mut read = 0;
    while read < buffer.len() {
        match rustix::io::read(pipe, &mut buffer[read..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    Ok(())
}

/// How many pipes may be wide at the same time.
const WIDE_PIPES: usize = 16;

/// Asks for leave to widen a pipe.
pub(super) fn take_width() -> bool {
    let wide = WIDE.get();
    let free = wide < WIDE_PIPES;
    WIDE.set(wide + usize::from(free));
    free
}

/// Gives it back.
pub(super) fn give_width_back() {
    WIDE.set(WIDE.get().saturating_sub(1));
}
