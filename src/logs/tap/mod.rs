//! From an app's pipe to its log file.
//!
//! Output is moved by splice(2), inside the kernel: a supervisor killed at any moment has either moved a piece or not,
//! so that nothing is lost and nothing is written twice. (A read followed by a write has a moment in between in which
//! the piece is nowhere but in our memory.) Where a file cannot be spliced to, it is read and written.
//!
//! Near the limit of a file, output must be looked at before it is moved, for the end of a line. It is looked at in a
//! copy that tee(2) makes, so that it stays in the pipe: the same promise holds during rotations.
//!
//! [`relay`] is for output that another program writes to files, and `witness` for when it came.
//!
//! `file` is the log with its rotations and its index, `audience` who hears of it, `shared` what all taps have in common,
//! `upkeep` what becomes of its archives, `packer` who packs them, `pipe` the size of pipes.

mod audience;
mod file;
mod packer;
mod pipe;
pub mod relay;
mod shared;
mod upkeep;
mod witness;

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use daemonctl_actors::ports::{Pumped, Tap};
use daemonctl_actors::rotation::Cut;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{SpliceFlags, splice};
use tokio::net::unix::pipe::Receiver;

use self::audience::Tell;
use self::pipe::Width;
use super::mirror::Mirror;
use super::rotate::Rules;
use crate::app::reason;

pub(crate) use self::file::LogFile;
pub use self::file::{Removed, prepare};

/// What a pipe holds by default, and the most that is looked at or copied at once.
const PIECE: usize = 64 << 10;

/// The most that is moved at once. A pipe is locked meanwhile: more of a widened one would make its writer wait.
const MOST: usize = 4 * PIECE;

/// How long a log that is read by another program, as a FIFO is, may take nothing.
const READER: Duration = Duration::from_secs(1);

/// News about a log that people should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing can be written; output is dropped from now on, so that the app need not wait.
    Dropping {
        /// Why.
        why: String,
    },
    /// Something could be written again, or the output has ended.
    Dropped {
        /// So many bytes are missing,
        bytes: u64,
        /// from this moment
        from: SystemTime,
        /// to this.
        to: SystemTime,
    },
    /// A log cannot be rotated; it grows beyond its limit.
    NotRotated {
        /// Why.
        why: String,
    },
    /// It has been rotated again.
    Rotated,
    /// Archives that are to go cannot be removed.
    NotPruned {
        /// Which, and why.
        why: String,
    },
    /// They have been removed after all.
    Pruned,
    /// Its oldest archives went, because there was no room for output.
    Removed(Removed),
}

/// Where the output of a tap goes.
pub struct Target {
    /// The log.
    pub path: PathBuf,
    /// The directory of the app whose log it is: where that is gone, it is not made again.
    pub home: PathBuf,
    /// Its rotation.
    pub rules: Rules,
    /// Where it is shown as well.
    pub mirrors: Vec<Box<dyn Mirror>>,
    /// Who hears the news: those of this tap, and one of the taps that its app has on this log those of the log.
    pub tell: Box<dyn Fn(News) + Send>,
}

struct PipeTap {
    pipe: OwnedFd,
    width: Width,
    log: Rc<shared::Log>,
    mirrors: Vec<Box<dyn Mirror>>,
    tell: Rc<Tell>,
    dropped: Option<Dropped>,
    /// Since when the log, a FIFO for instance, takes nothing because nobody reads it.
    blocked: Option<Instant>,
    /// Whether nobody waits for a reader any more.
    hurried: bool,
    /// Bytes that have been moved or dropped.
    total: u64,
    /// Bytes that have been moved since the pipe was empty.
    run: usize,
    /// Whether these have come since then without a rest.
    fresh: bool,
}

/// Output that could not be written anywhere since the last time that some could.
struct Dropped {
    bytes: u64,
    from: SystemTime,
    to: SystemTime,
}

/// What a move has moved, of at most how much, and where it begins in the log. Where it moved as much as it could, there
/// may be more.
struct Moved {
    bytes: usize,
    most: usize,
    at: u64,
}

/// Opens a tap from the read end of `pipe` to a log. Call it on the thread that will drive the tap.
pub fn open(pipe: OwnedFd, target: Target) -> io::Result<Box<dyn Tap>> {
    rustix::io::ioctl_fionbio(&pipe, true)?;
    let width = Width::of(pipe.as_fd());
    let tell: Rc<Tell> = target.tell.into();
    let log = shared::log(&target.path, &target.home, target.rules, &tell);
    Ok(Box::new(PipeTap {
        pipe,
        width,
        log,
        mirrors: target.mirrors,
        tell,
        dropped: None,
        blocked: None,
        hurried: false,
        total: 0,
        run: 0,
        fresh: false,
    }))
}

impl Tap for PipeTap {
    fn ready(&mut self) -> Pin<Box<dyn Future<Output = io::Result<()>> + '_>> {
        // Watched only while it is empty: to a stream that rests, every write of the app would be a wake-up otherwise.
        Box::pin(async {
            self.fresh = true;
            Receiver::from_owned_fd_unchecked(self.pipe.try_clone()?)?.readable().await
        })
    }

    fn pump(&mut self) -> io::Result<Pumped> {
        match self.advance() {
            Ok(Moved { bytes: 0, .. }) => Ok(Pumped::End),
            Ok(moved) => {
                self.recovered();
                self.blocked = None;
                self.total += moved.bytes as u64;
                let log = self.log.file.borrow();
                if !self.mirrors.is_empty() && log.is_regular() {
                    show_again(&mut self.mirrors, &log, &moved);
                }
                drop(log);
                Ok(self.judge(&moved))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Pumped::Full),
            Err(error) => self.discard(&error),
        }
    }

    fn hurry(&mut self) {
        self.hurried = true;
    }

    fn pending(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0)
    }

    fn moved(&self) -> u64 {
        self.total
    }

    fn chore(&self) -> Option<Duration> {
        let log = self.log.file.borrow().chore();
        self.width.chore().into_iter().chain(log).min()
    }

    fn tidy(&mut self) {
        self.width.narrow(self.pipe.as_fd());
        self.log.file.borrow_mut().tidy();
        self.tell_of_archives(false);
    }
}

impl PipeTap {
    /// Whether what has been moved was worth a look, and whether the pipe is wide enough.
    fn judge(&mut self, moved: &Moved) -> Pumped {
        self.run += moved.bytes;
        if moved.bytes == moved.most {
            return Pumped::Full; // There is more: it was cut for some other reason.
        }
        let run = std::mem::take(&mut self.run);
        self.width.moved(self.pipe.as_fd(), run);
        match (run, self.width.size()) {
            // So much at once is the work of somebody who writes a lot at a time, and will not wait.
            _ if std::mem::take(&mut self.fresh) && run >= PIECE / 2 => Pumped::Full,
            (run, size) if run >= size / 2 => Pumped::Full,
            // Twice as much is not worth twice the rest: it would not stay in the cache.
            (run, size) if run >= (size / 8).min(PIECE) => Pumped::Some,
            _ => Pumped::Little,
        }
    }

    /// Moves the next piece to the log, which is rotated first where the piece does not fit.
    fn advance(&mut self) -> io::Result<Moved> {
        let shared_log = self.log.clone();
        let mut log = shared_log.file.borrow_mut();
        log.follow_its_name()?;
        let mut most = MOST;
        let mut all = false;
        if let Some(limit) = log.limit().filter(|limit| !limit.is_far(log.size(), MOST)) {
            let ahead = shared::with(|shared| {
                let seen = shared.look(&self.pipe, PIECE)?;
                if seen.is_empty() {
                    return Ok(None);
                }
                let cut = limit.cut(log.size(), log.is_whole(), seen);
                // What is there has been seen to its end, and all of it can be moved. A copy ends where it has as many
                // pages as its pipe holds, however few bytes they are.
                let there = rustix::io::ioctl_fionread(&self.pipe)?;
                all = seen.len() as u64 == there && cut == Cut::Move(seen.len());
                Ok::<_, io::Error>(Some(cut))
            })?;
            match ahead {
                None => return Ok(Moved { bytes: 0, most, at: log.size() }),
                Some(Cut::Move(count)) => most = count,
                Some(Cut::Rotate) => match log.rotate() {
                    // It is looked at again, as the beginning of the next file.
                    Ok(()) => {
                        if log.recovers() {
                            shared_log.audience.tell(&News::Rotated);
                        }
                        drop(log);
                        return self.advance();
                    }
                    Err(error) if log.complains(&error) => {
                        shared_log.audience.tell(&News::NotRotated { why: reason(&error) });
                    }
                    Err(_) => {}
                },
            }
        }
        let moved = loop {
            match self.transfer(&mut log, most) {
                Err(error) if is_full(&error) && self.dropped.is_none() && log.makes_room() => {}
                Ok(moved) if all => break Ok(Moved { most: usize::MAX, ..moved }),
                moved => break moved,
            }
        };
        drop(log);
        self.tell_of_archives(false);
        moved
    }

    /// Moves up to so many bytes to the end of the log.
    fn transfer(&mut self, log: &mut LogFile, most: usize) -> io::Result<Moved> {
        let at = log.size();
        // Their time is noted before the bytes are there: whoever sees them sees it.
        if log.is_regular() && self.has_some()? {
            log.will_grow();
        }
        let moved = match log.is_regular() || self.mirrors.is_empty() {
            true => self.splice(log, most),
            // What has been written to a device cannot be read again.
            false => Err(io::ErrorKind::InvalidInput.into()),
        };
        let bytes = match moved {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.copy(log, most)?,
            moved => moved?,
        };
        log.grown(bytes);
        Ok(Moved { bytes, most, at })
    }

    /// Whether there is something in the pipe; if not, it has ended, or the error is that there is nothing yet.
    fn has_some(&self) -> io::Result<bool> {
        let mut pipe = [PollFd::new(&self.pipe, PollFlags::IN)];
        match poll(&mut pipe, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(pipe[0].revents().contains(PollFlags::IN)),
        }
    }

    fn splice(&self, log: &LogFile, most: usize) -> io::Result<usize> {
        let file = log.file()?;
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let mut end = log.size();
        let to = log.is_regular().then_some(&mut end);
        Ok(splice(&self.pipe, None, file, to, most, flags)?)
    }

    /// For files that cannot be spliced to: writes a copy, and takes from the pipe what could be written of it. What could
    /// not waits there. A supervisor that is killed in between doubles a piece then, rather than lose it.
    fn copy(&mut self, log: &LogFile, most: usize) -> io::Result<usize> {
        shared::with(|shared| {
            let seen = shared.look(&self.pipe, most)?;
            if seen.is_empty() {
                return Ok(0);
            }
            let written = match log.write(seen)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                bytes => &mut seen[..bytes],
            };
            shared::read_exactly(&self.pipe, written)?;
            if !log.is_regular() {
                show(&mut self.mirrors, written);
            }
            Ok(written.len())
        })
    }

    /// Nothing can be moved now: the pipe holds nothing, or the log takes nothing.
    fn wait(&mut self) -> io::Result<Pumped> {
        let some = if self.log.file.borrow().is_regular() { None } else { self.has_some().ok() };
        match some {
            Some(true) => self.wait_for_reader(),
            // A pipe that has ended says so only to who can move something.
            Some(false) => Ok(Pumped::End),
            None => {
                self.run = 0;
                self.log.file.borrow_mut().rest();
                Ok(Pumped::Empty)
            }
        }
    }

    /// A reader may be slow, but where none comes for long, the app must not be stopped by that.
    fn wait_for_reader(&mut self) -> io::Result<Pumped> {
        let since = *self.blocked.get_or_insert_with(Instant::now);
        match since.elapsed() < READER && !self.hurried {
            true => Ok(Pumped::Little),
            false => self.discard(&io::Error::other("nobody reads it")),
        }
    }

    /// Where nothing can be written, the app must not be stopped by a full pipe: its output is dropped, and counted.
    fn discard(&mut self, why: &io::Error) -> io::Result<Pumped> {
        let bytes = shared::with(|shared| {
            let buffer = shared.buffer();
            let bytes = match rustix::io::read(&self.pipe, &mut *buffer) {
                Ok(bytes) => bytes,
                Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            if bytes > 0 {
                show(&mut self.mirrors, &buffer[..bytes]);
            }
            Ok(Some(bytes))
        })?;
        let Some(bytes) = bytes else { return Ok(Pumped::Empty) };
        self.total += bytes as u64;
        if bytes > 0 {
            let now = SystemTime::now();
            if self.dropped.is_none() {
                (self.tell)(News::Dropping { why: reason(why) });
            }
            let dropped = self.dropped.get_or_insert(Dropped { bytes: 0, from: now, to: now });
            (dropped.bytes, dropped.to) = (dropped.bytes + bytes as u64, now);
        }
        Ok(if bytes > 0 { self.judge(&Moved { bytes, most: usize::MAX, at: 0 }) } else { Pumped::End })
    }

    /// Tells which archives went because there was no room, and whether those can go that have to.
    fn tell_of_archives(&self, finally: bool) {
        let mut log = self.log.file.borrow_mut();
        let removed = log.removed(finally).map(News::Removed);
        let pruning = log.pruning().map(|result| result.map_or_else(|why| News::NotPruned { why }, |()| News::Pruned));
        drop(log);
        removed.into_iter().chain(pruning).for_each(|news| self.log.audience.tell(&news));
    }

    /// Tells what has been lost, once there is an end to it.
    fn recovered(&mut self) {
        if let Some(Dropped { bytes, from, to }) = self.dropped.take() {
            (self.tell)(News::Dropped { bytes, from, to });
        }
    }
}

impl Drop for PipeTap {
    fn drop(&mut self) {
        self.recovered();
        self.tell_of_archives(true);
        self.width.narrow(self.pipe.as_fd());
    }
}

/// Whether a disk, or somebody's share of it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn show(mirrors: &mut [Box<dyn Mirror>], bytes: &[u8]) {
    mirrors.iter_mut().for_each(|mirror| mirror.show(bytes));
}

/// Shows others what has just been written to a log.
fn show_again(mirrors: &mut [Box<dyn Mirror>], log: &LogFile, moved: &Moved) {
    let shown = shared::with(|shared| {
        let buffer = shared.buffer();
        let (mut at, end) = (moved.at, moved.at + moved.bytes as u64);
        while at < end {
            let most = buffer.len().min((end - at) as usize);
            log.read_at(&mut buffer[..most], at)?;
            show(mirrors, &buffer[..most]);
            at += most as u64;
        }
        Ok(())
    });
    if let Err::<(), io::Error>(error) = shown {
        tracing::warn!(%error, "cannot show output again");
    }
}

#[cfg(test)]
mod tests;
