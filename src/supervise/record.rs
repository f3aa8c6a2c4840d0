//! What is written of an app, so that another supervisor can take it over.
//!
//! One file an app, replaced atomically. It holds the environment the app was started with, which may contain secrets:
//! the runtime directory admits nobody but the user. Nothing is synced to disk: after a power cut the boot id differs,
//! and the record only tells history.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use daemonctl_actors::cell::{Cell, Child};
use daemonctl_actors::lifecycle::Phase;
use serde::{Deserialize, Serialize};

use super::instance::{Asked, Instance};
use super::pidfd::PidFd;

/// The version of this form. A record with another one is not understood, and its app is left alone.
const VERSION: u32 = 1;

/// What is written of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// The boot during which it was written.
    pub boot_id: String,
    /// Everything the tree knows of the app.
    pub cell: Cell,
    /// Its current or last run.
    pub instance: Option<Instance>,
    /// What its start was asked with.
    pub asked: Asked,
    /// The supervisor that wrote it.
    pub supervisor: Supervisor,
}

/// A supervisor, and how it came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervisor {
    /// Its process.
    pub process: Child,
    /// The keeper above it.
    pub keeper: Child,
    /// Whether it is the background supervisor of its root.
    pub background: bool,
}

/// What a record says about the app's process, as the system knows it now.
#[derive(Debug)]
pub enum Standing {
    /// There is none.
    Absent,
    /// It is alive, and beyond doubt the one recorded.
    Alive(PidFd),
    /// It was alive when the record was written, and is not any more.
    Gone,
}

impl Record {
    /// A record of what is now.
    pub fn new(boot_id: String, cell: Cell, instance: Option<Instance>, asked: Asked, supervisor: Supervisor) -> Self {
        Self { version: VERSION, boot_id, cell, instance, asked, supervisor }
    }

    /// Replaces the file at `path`.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        let new = path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(&new)?.write_all(&text)?;
        fs::rename(&new, path)
    }

    /// Reads the file at `path`; nothing if there is none that can be understood.
    pub fn read(path: &Path) -> Option<Self> {
        let text = fs::read(path).ok()?;
        let record: Self = serde_json::from_slice(&text).ok()?;
        (record.version == VERSION).then_some(record)
    }

    /// Whether the app runs, or is meant to, in the present boot.
    pub fn is_active(&self, boot_id: &str) -> bool {
        self.boot_id == boot_id && !matches!(self.cell.life.phase, Phase::Down(_))
    }

    /// Whether the app's process is still there. Nothing is ever done to a process that this does not vouch for.
    pub fn standing(&self, boot_id: &str) -> Standing {
        match self.cell.child {
            Some(child) if self.boot_id == boot_id => PidFd::of(child).map_or(Standing::Gone, Standing::Alive),
            Some(_) | None => Standing::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pidfd::{boot_id, start_time};
    use super::*;

    fn record(child: Option<Child>) -> Record {
        let process = Child { pid: 1, start_time: 1 };
        let supervisor = Supervisor { process, keeper: process, background: true };
        let cell = Cell { child, ..Cell::new("web".parse().unwrap()) };
        Record::new(boot_id().unwrap(), cell, None, Asked::default(), supervisor)
    }

    #[test]
    fn only_the_very_process_is_vouched_for() {
        let pid = std::process::id() as i32;
        let start_time = start_time(pid).unwrap();
        let boot = boot_id().unwrap();
        let ours = record(Some(Child { pid, start_time }));
        assert!(matches!(ours.standing(&boot), Standing::Alive(_)));
        assert!(matches!(ours.standing("another boot"), Standing::Absent));
        let other = record(Some(Child { pid, start_time: start_time + 1 }));
        assert!(matches!(other.standing(&boot), Standing::Gone));
        assert!(matches!(record(None).standing(&boot), Standing::Absent));
    }

    #[test]
    fn a_record_is_replaced_whole_and_a_broken_one_is_no_record() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.json");
        let written = record(None);
        written.write(&path).unwrap();
        assert_eq!(Record::read(&path), Some(written));
        for broken in ["", "{", "{\"version\":1}", "null"] {
            fs::write(&path, broken).unwrap();
            assert_eq!(Record::read(&path), None, "{broken}");
        }
    }
}
