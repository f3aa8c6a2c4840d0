//! From sources to logs and outlets: the poll loop of both modes.

use std::cell::RefCell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::outlet::Outlet;
use super::record::Record;
use super::say;

/// The most that is read at once.
const PIECE: usize = 256 << 10;

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    name: &'static str,
    /// Nothing more comes if there is none.
    source: Option<OwnedFd>,
    log: Rc<RefCell<Record>>,
    outlet: Outlet,
    /// What is in the log and has not been passed on yet. Nothing is read meanwhile.
    waiting: Vec<u8>,
    /// Whether what has come ends with a line, or is nothing.
    whole: bool,
    failed: bool,
}

impl Stream {
    /// From a source to a log and an outlet; `name` is what an error calls the source.
    pub(super) fn new(name: &'static str, source: OwnedFd, log: Rc<RefCell<Record>>, outlet: Outlet) -> Self {
        Self { name, source: Some(source), log, outlet, waiting: Vec::new(), whole: true, failed: false }
    }

    /// Reads a piece of at most the length of the buffer, and returns how much came; 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let Some(source) = &self.source else { return 0 };
        match rustix::io::read(source, &mut *buffer) {
            Ok(0) => self.source = None,
            Ok(count) => {
                self.take(&buffer[..count]);
                return count;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => {
                say(format_args!("cannot read {}: {}", self.name, io::Error::from(error)));
                (self.source, self.failed) = (None, true);
            }
        }
        0
    }

    /// To the log first, then on.
    fn take(&mut self, bytes: &[u8]) {
        self.log.borrow_mut().append(bytes);
        self.whole = bytes.ends_with(b"\n");
        self.pass(bytes);
    }

    fn pass(&mut self, bytes: &[u8]) {
        let passed = if self.waiting.is_empty() { self.outlet.pass(bytes) } else { 0 };
        self.waiting.extend_from_slice(&bytes[passed..]);
    }

    /// Passes on what waits.
    fn flush(&mut self) {
        let passed = self.outlet.pass(&self.waiting);
        self.waiting.drain(..passed);
    }

    /// What it waits for.
    fn watched(&self) -> Option<PollFd<'_>> {
        match self.waiting.is_empty() {
            true => self.source.as_ref().map(|source| PollFd::new(source, PollFlags::IN)),
            false => self.outlet.fd().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)),
        }
    }

    fn is_done(&self) -> bool {
        self.source.is_none() && self.waiting.is_empty()
    }
}

/// All streams.
#[derive(Debug)]
pub(super) struct Relay {
    streams: Vec<Stream>,
    buffer: Vec<u8>,
}

impl Relay {
    pub(super) fn new(streams: Vec<Stream>) -> Self {
        Self { streams, buffer: vec![0; PIECE] }
    }

    /// Waits until there is something to do, and does it; `other` is watched as well. Whether that has something to say.
    pub(super) fn turn(&mut self, other: Option<BorrowedFd<'_>>) -> io::Result<bool> {
        let chore = self.streams.iter().filter_map(|stream| stream.log.borrow().chore()).min();
        let (called, ready) = {
            let watched: Vec<_> = self.streams.iter().map(Stream::watched).collect();
            let mut all: Vec<_> = watched.iter().flatten().cloned().collect();
            all.extend(other.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            match poll(&mut all, chore.map(timespec).as_ref()) {
                Err(Errno::INTR) => return Ok(false),
                done => done?,
            };
            let mut answers = all.iter().map(|fd| !fd.revents().is_empty());
            let ready: Vec<bool> =
                watched.iter().map(|fd| fd.is_some() && answers.next().unwrap_or_default()).collect();
            (answers.next().unwrap_or_default(), ready)
        };
        for (stream, ready) in self.streams.iter_mut().zip(ready) {
            match stream.waiting.is_empty() {
                _ if !ready => {}
                true => drop(stream.read(&mut self.buffer)),
                false => stream.flush(),
            }
            stream.log.borrow_mut().tidy();
        }
        Ok(called)
    }

    /// Takes what is in the sources, but waits for nothing more: somebody may hold them open for ever.
    pub(super) fn drain(&mut self) {
        for stream in &mut self.streams {
            let there = stream.source.as_ref().map_or(Ok(0), rustix::io::ioctl_fionread);
            let mut there = usize::try_from(there.unwrap_or(0)).unwrap_or(usize::MAX);
            while there > 0 {
                let most = there.min(PIECE);
                match stream.read(&mut self.buffer[..most]) {
                    0 => break,
                    count => there -= count,
                }
            }
            stream.source = None;
        }
    }

    /// Passes on a line of our own, as a line by itself, behind everything on the first stream. It is not logged.
    pub(super) fn announce(&mut self, line: &str) {
        if let Some(stream) = self.streams.first_mut() {
            let separate = if stream.whole { "" } else { "\n" };
            stream.pass(format!("{separate}{line}\n").as_bytes());
        }
    }

    /// Whether everything has come and has been passed on.
    pub(super) fn is_done(&self) -> bool {
        self.streams.iter().all(Stream::is_done)
    }

    /// Passes on nothing more: nobody reads it.
    pub(super) fn give_up(&mut self) {
        for stream in &mut self.streams {
            stream.outlet.close();
            stream.waiting.clear();
        }
    }

    /// The end. Whether everything has been read, logged and passed on.
    pub(super) fn finish(self) -> bool {
        let mut good = true;
        for stream in &self.streams {
            good &= stream.log.borrow_mut().finish() && !stream.failed && !stream.outlet.has_failed();
        }
        good
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: time.subsec_nanos().into() }
}
