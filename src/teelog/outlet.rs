//! Where output is passed on to: our own standard output or error. Nothing waits here, for a signal must reach the
//! command though nobody reads what it says.
//!
//! Whether a write waits is a property of what is called an open file description, and that is shared with whoever
//! started us: to change it would change it for them. A pipe and a terminal can be opened once more through /proc, as
//! a description of our own; a socket can be told with each piece. What is left, such as a file, never waits for long.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::termios::isatty;

use super::say;
use crate::app::reason;

/// What a pipe takes at once, if it takes anything (PIPE_BUF).
const SLICE: usize = 4096;

/// The way out for one stream.
#[derive(Debug)]
pub(super) struct Outlet {
    name: &'static str,
    way: Way,
    failed: bool,
}

#[derive(Debug)]
enum Way {
    /// A description of our own: a write takes what fits.
    Own(File),
    /// A socket.
    Socket(OwnedFd),
    /// A pipe or terminal that is not ours to open: it gets slices while there is room for one.
    Slices(OwnedFd),
    /// Anything else.
    Plain(OwnedFd),
    /// Nobody reads it any more.
    Gone,
}

impl Outlet {
    /// The way out through a descriptor; `name` is what an error calls it.
    pub(super) fn to(name: &'static str, fd: BorrowedFd<'_>) -> io::Result<Self> {
        let copy = File::from(fd.try_clone_to_owned()?);
        let kind = copy.metadata()?.file_type();
        let way = if kind.is_socket() {
            Way::Socket(copy.into())
        } else if kind.is_fifo() || isatty(&copy) {
            let mut options = OpenOptions::new();
            options.write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
            match options.open(format!("/proc/self/fd/{}", fd.as_raw_fd())) {
                Ok(own) => Way::Own(own),
                Err(_) => Way::Slices(copy.into()),
            }
        } else {
            Way::Plain(copy.into())
        };
        Ok(Self { name, way, failed: false })
    }

    /// Passes on the beginning of these bytes, as much as there is room for, and returns how much. All of it, if nobody
    /// reads it any more.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while passed < bytes.len() {
            match self.write(&bytes[passed..]) {
                Ok(written) => passed += written,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return passed,
                Err(error) => {
                    self.way = Way::Gone;
                    if !matches!(error, Errno::PIPE | Errno::CONNRESET) {
                        self.failed = true;
                        let why = reason(&io::Error::from(error));
                        say(format_args!("cannot write to {}: {why}; nothing is passed on", self.name));
                    }
                }
            }
        }
        passed
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match &self.way {
            Way::Own(file) => rustix::io::write(file, bytes),
            Way::Socket(socket) => rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Way::Slices(fd) if !has_room(fd)? => Err(Errno::AGAIN),
            Way::Slices(fd) => rustix::io::write(fd, &bytes[..bytes.len().min(SLICE)]),
            Way::Plain(fd) => rustix::io::write(fd, bytes),
            Way::Gone => Ok(bytes.len()),
        }
    }

    /// What to watch until there is room.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.way {
            Way::Own(file) => Some(file.as_fd()),
            Way::Socket(fd) | Way::Slices(fd) | Way::Plain(fd) => Some(fd.as_fd()),
            Way::Gone => None,
        }
    }

    /// Passes on nothing more.
    pub(super) fn close(&mut self) {
        self.way = Way::Gone;
    }

    /// Whether something went wrong beside that the reader has left.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }
}

fn has_room(fd: &OwnedFd) -> Result<bool, Errno> {
    let mut watched = [PollFd::new(fd, PollFlags::OUT)];
    Ok(poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
}
