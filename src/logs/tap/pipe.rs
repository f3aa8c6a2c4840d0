//! The size of an app's pipe.
//!
//! An app that fills its pipe as fast as it is emptied gets a wider one, for as long as it does so: there is more to
//! move at a time, and it can go on writing while the collector rests. The memory of pipes is scarce, for ordinary users
//! a share of 64 MiB, and pipes made when it is used up are tiny; so only a few are wide at a time, and a quiet app's is
//! made narrow again.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};

use super::{PIECE, shared};

/// The size of a wide pipe: what everybody may ask for by default.
const WIDE: usize = 1 << 20;

/// How long a wide pipe stays so while nothing comes.
const PATIENCE: Duration = Duration::from_secs(1);

/// Of a crowded look, 3; so much in all, less 1 for each other look, and a pipe is widened.
const CROWDED: u8 = 12;

/// The size of one pipe, and whether it is enough.
#[derive(Debug)]
pub(super) struct Width {
    size: usize,
    /// Whether it counts among the wide ones.
    counted: bool,
    /// Whether the system has refused to widen it.
    refused: bool,
    /// How crowded it has been of late.
    crowded: u8,
}

impl Width {
    /// The width of a pipe, which a predecessor may have widened.
    pub(super) fn of(pipe: BorrowedFd<'_>) -> Self {
        let size = fcntl_getpipe_size(pipe).unwrap_or(PIECE);
        Self { size, counted: size > PIECE && shared::take_width(), refused: false, crowded: 0 }
    }

    /// Takes note of how much was moved at once, and widens the pipe where it is time to.
    pub(super) fn moved(&mut self, pipe: BorrowedFd<'_>, bytes: usize) {
        if self.size > PIECE || self.refused {
            return;
        }
        // A pipe is full of pages, which need not be full of bytes. One crowded look in three is enough: after it come a
        // look for more and one after the shortest rest, which find less at the same rate.
        self.crowded = if bytes >= self.size / 2 { self.crowded + 3 } else { self.crowded.saturating_sub(1) };
        if self.crowded >= CROWDED {
            self.crowded = 0;
            if !shared::take_width() {
                return;
            }
            match fcntl_setpipe_size(pipe, WIDE) {
                Ok(_) => (self.size, self.counted) = (WIDE, true),
                Err(_) => {
                    self.refused = true;
                    shared::give_width_back();
                }
            }
        }
    }

    /// How much the pipe holds.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// After how long of silence it should be made narrow.
    pub(super) fn chore(&self) -> Option<Duration> {
        (self.size > PIECE).then_some(PATIENCE)
    }

    /// Makes it as wide as pipes are.
    pub(super) fn narrow(&mut self, pipe: BorrowedFd<'_>) {
        // What does not fit is why it cannot be narrow yet.
        if self.size > PIECE && fcntl_setpipe_size(pipe, PIECE).is_ok() {
            self.size = PIECE;
        }
        if self.size == PIECE && std::mem::take(&mut self.counted) {
            shared::give_width_back();
        }
    }
}

impl Drop for Width {
    fn drop(&mut self) {
        if self.counted {
            shared::give_width_back();
        }
    }
}
