//! One log: rotated at ends of lines, begun anew where its name leads, and a count of what could not be written.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use daemonctl_actors::rotation::Cut;

use super::say;
use crate::app::{Shown, reason};
use crate::logs::place;
use crate::logs::rotate::Rules;
use crate::logs::tap::{LogFile, is_full};

/// A log that is written.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    log: LogFile,
    /// Bytes that could not be written since something last could.
    dropped: u64,
    /// Whether any could not, ever.
    lost: bool,
}

impl Record {
    /// Opens a log; an error says why it cannot be written.
    pub(super) fn open(path: &Path, rules: Rules) -> Result<Rc<RefCell<Self>>, String> {
        let mut log = LogFile::shared(path, rules);
        log.follow_its_name().map_err(|error| format!("cannot write to {}: {}", path.shown(), reason(&error)))?;
        Ok(Rc::new(RefCell::new(Self { path: path.to_owned(), log, dropped: 0, lost: false })))
    }

    /// Opens the logs of both streams of a command. Where they are one file they are one log, so that neither stream
    /// rotates it behind the other's back.
    pub(super) fn open_both(out: &Path, err: &Path, rules: Rules) -> Result<[Rc<RefCell<Self>>; 2], String> {
        let first = Self::open(out, rules)?;
        let second = if place(out) == place(err) { first.clone() } else { Self::open(err, rules)? };
        Ok([first, second])
    }

    /// Appends bytes. What cannot be written is counted, and said.
    pub(super) fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.write(bytes) {
                Ok(written) => {
                    self.recovered();
                    self.tell_of_archives(false);
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_full(&error) && self.dropped == 0 && self.log.makes_room() => {}
                Err(error) => {
                    self.tell_of_archives(false);
                    if self.dropped == 0 {
                        say(format_args!(
                            "cannot write to {}: {}; output is dropped",
                            self.path.shown(),
                            reason(&error)
                        ));
                    }
                    self.dropped += bytes.len() as u64;
                    self.lost = true;
                    return;
                }
            }
        }
    }

    /// Writes the beginning of these bytes, to the next file where they do not fit into this one.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.log.follow_its_name()?;
        let mut most = bytes.len();
        if let Some(limit) = self.log.limit().filter(|limit| !limit.is_far(self.log.size(), most)) {
            match limit.cut(self.log.size(), self.log.is_whole(), bytes) {
                Cut::Move(count) => most = count,
                Cut::Rotate => match self.log.rotate() {
                    // Looked at again, as the beginning of the next file.
                    Ok(()) => {
                        if self.log.recovers() {
                            say(format_args!("{} is rotated again", self.path.shown()));
                        }
                        return self.write(bytes);
                    }
                    Err(error) if self.log.complains(&error) => {
                        say(format_args!("cannot rotate {}: {}; it grows on", self.path.shown(), reason(&error)));
                    }
                    Err(_) => {}
                },
            }
        }
        // Their time is noted before the bytes are there: whoever sees them sees it.
        if self.log.is_regular() {
            self.log.will_grow();
        }
        let written = self.log.write(&bytes[..most])?;
        self.log.grown(written);
        match written {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => Ok(written),
        }
    }

    /// Says which archives went because there was no room, and whether those can go that have to.
    fn tell_of_archives(&mut self, finally: bool) {
        if let Some(removed) = self.log.removed(finally) {
            say(format_args!("no room for {}: removed {removed}", self.path.shown()));
        }
        match self.log.pruning() {
            Some(Err(why)) => say(format_args!("cannot remove old archives of {}: {why}", self.path.shown())),
            Some(Ok(())) => say(format_args!("old archives of {} are removed again", self.path.shown())),
            None => {}
        }
    }

    /// Says what is missing, once there is an end to it.
    fn recovered(&mut self) {
        if let bytes @ 1.. = std::mem::take(&mut self.dropped) {
            say(format_args!("{bytes} bytes are missing from {}", self.path.shown()));
        }
    }

    /// After how long an archive will be too old.
    pub(super) fn chore(&self) -> Option<Duration> {
        self.log.chore()
    }

    /// Removes archives that are too old by now.
    pub(super) fn tidy(&mut self) {
        self.log.tidy();
    }

    /// Nothing more comes. Whether all of it could be written.
    pub(super) fn finish(&mut self) -> bool {
        self.recovered();
        self.tell_of_archives(true);
        self.log.finish();
        !self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_file_are_one_log_and_a_link_of_another_is_none() {
        let home = tempfile::tempdir().unwrap();
        let [out, err] = ["out.log", "err.log"].map(|name| home.path().join(name));
        std::os::unix::fs::symlink(&out, &err).unwrap();
        let [first, second] = Record::open_both(&out, &err, Rules::default()).unwrap();
        assert!(Rc::ptr_eq(&first, &second));
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::lchown(&err, Some(65534), None).unwrap();
            let error = Record::open_both(&out, &err, Rules::default()).unwrap_err();
            assert!(error.ends_with("it is a symlink that belongs to uid 65534"), "{error}");
        }
    }
}
