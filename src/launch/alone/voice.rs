//! What is said during a launch: by the process that becomes the command to its parent, by a parent in the background to
//! whoever waits for it, and, in the end, to a person. And the event log.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::socket::{MsgFlags, send};
use serde::{Deserialize, Serialize};

use super::super::report::Report;
use crate::config::Options;
use crate::config::values::Level;
use crate::logs::events;

/// One thing said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::launch) enum Line {
    /// A step is being carried out.
    Step(String),
    /// Something is not as asked for, and the launch goes on.
    Warning(String),
    /// A step failed.
    Failure(Report),
    /// The command runs.
    Started,
}

/// Who is spoken to.
#[derive(Debug)]
pub(in crate::launch) struct Voice {
    to: To,
    quiet: bool,
    verbose: bool,
}

#[derive(Debug)]
enum To {
    /// Whoever reads this process's standard error, as it was at first.
    Person(File),
    /// A process that waits.
    Process(UnixStream),
}

impl Voice {
    /// Speaks to the person who started this. The descriptor outlives a change of standard error.
    pub(in crate::launch) fn to_a_person(options: &Options) -> io::Result<Self> {
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        Ok(Self { to: To::Person(stderr), quiet: options.logging.quiet, verbose: options.logging.verbose })
    }

    /// Speaks to a process, as loudly as this voice.
    pub(super) fn to_a_process(&self, socket: UnixStream) -> Self {
        Self { to: To::Process(socket), quiet: self.quiet, verbose: self.verbose }
    }

    /// Says something, if it is wanted.
    pub(in crate::launch) fn say(&self, line: &Line) {
        let wanted = match line {
            Line::Step(_) => self.verbose,
            Line::Warning(_) => !self.quiet,
            Line::Failure(_) | Line::Started => true,
        };
        match &self.to {
            _ if !wanted => {}
            To::Person(stderr) => {
                let _ = (&*stderr).write_all(words(line).as_bytes());
            }
            To::Process(socket) => {
                let mut bytes = serde_json::to_vec(line).unwrap_or_default();
                bytes.push(b'\n');
                let mut rest = bytes.as_slice();
                // If nobody is there to read it, there is nobody to tell.
                while let Ok(sent @ 1..) = send(socket.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
                    rest = &rest[sent..];
                }
            }
        }
    }

    /// Stops speaking to a process, which learns from that that there is nothing more to hear.
    pub(super) fn fall_silent(&mut self) {
        if let (To::Process(_), Ok(null)) = (&self.to, File::options().write(true).open("/dev/null")) {
            self.to = To::Person(null);
        }
    }
}

/// A line for a person.
fn words(line: &Line) -> String {
    match line {
        Line::Step(text) => format!("daemonrun: {text}\n"),
        Line::Warning(text) => format!("daemonrun: warning: {text}\n"),
        Line::Failure(report) => {
            let hint = report.hint().map(|hint| format!("  hint: {hint}\n"));
            format!("daemonrun: {}\n{}", report.message(), hint.unwrap_or_default())
        }
        Line::Started => String::new(),
    }
}

/// The listening end.
#[derive(Debug)]
pub(super) struct Ear {
    socket: UnixStream,
    begun: Vec<u8>,
}

impl Ear {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self { socket, begun: Vec::new() }
    }

    /// The lines that have come. None when nothing more will; if the socket does not block, none may have come yet.
    pub(super) fn listen(&mut self) -> Option<Vec<Line>> {
        let mut block = [0; 4096];
        match self.socket.read(&mut block) {
            Ok(0) => return None,
            Ok(read) => self.begun.extend_from_slice(&block[..read]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => return None,
        }
        let complete = self.begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.begun.drain(..complete).collect();
        Some(
            lines.split_inclusive(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect(),
        )
    }

    /// The other direction.
    pub(super) fn socket(&self) -> &UnixStream {
        &self.socket
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The event log of one command.
#[derive(Debug)]
pub(super) struct Log {
    path: Option<PathBuf>,
    level: Level,
    heading: String,
}

impl Log {
    pub(super) fn of(options: &Options) -> Self {
        let logging = &options.logging;
        let level = match (logging.quiet, logging.verbose) {
            (true, _) => Level::Warn,
            (false, true) => Level::Debug,
            (false, false) => logging.level,
        };
        let heading = options.daemon.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        Self { path: logging.file.clone(), level, heading }
    }

    /// Writes one event. A log that has become unwritable stops nothing.
    pub(super) fn note(&self, level: Level, text: &str) {
        let _ = self.write(level, text);
    }

    /// Writes nothing, but sees that something could be written.
    pub(super) fn check(&self) -> io::Result<()> {
        self.path.as_ref().map_or(Ok(()), |path| events::append(path, 0.0, Level::Error, ""))
    }

    fn write(&self, level: Level, text: &str) -> io::Result<()> {
        let Some(path) = self.path.as_ref().filter(|_| level >= self.level) else { return Ok(()) };
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        events::append(path, at, level, &format!("{}{text}", self.heading))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::report::StepName;

    #[test]
    fn what_is_said_arrives_whole_and_in_order() {
        let (mine, theirs) = UnixStream::pair().unwrap();
        let voice = Voice { to: To::Process(theirs), quiet: false, verbose: true };
        let long = "x".repeat(10_000);
        let said = [
            Line::Step("a\nb".to_owned()),
            Line::Warning(long),
            Line::Failure(Report::new(StepName::Exec, "run x", "it is not there").with_hint("look elsewhere")),
            Line::Started,
        ];
        said.iter().for_each(|line| voice.say(line));
        drop(voice);
        let (mut ear, mut heard) = (Ear::new(mine), Vec::new());
        while let Some(lines) = ear.listen() {
            heard.extend(lines);
        }
        assert_eq!(heard, said);
        assert_eq!(words(&said[2]), "daemonrun: cannot run x: it is not there\n  hint: look elsewhere\n");
    }
}
