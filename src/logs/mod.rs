//! Where output and events go, and reading them back.
//!
//! Writing: [`tap`] moves output from a pipe to a file, [`events`] writes the event log, [`terminal`] shows output where
//! `run` was typed. Reading: the files hold exactly what the app wrote, so everything shown around a line is added here:
//! [`read`] finds the last lines of a file of any size, [`follow`] waits for more of them, whatever happens to the
//! file's name meanwhile.

pub mod events;
pub mod follow;
pub mod read;
pub mod tap;
pub mod terminal;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use daemonctl_actors::value::AppName;

/// Opens a log file with these options and flags. A symlink in its place is followed only if it is this user's own: an
/// app that may write to its log directory must not lead a supervisor with more rights to other files.
fn open_through_own_links(options: &mut OpenOptions, flags: i32, path: &Path) -> io::Result<File> {
    match options.custom_flags(flags | libc::O_NOFOLLOW).open(path) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {}
        opened => return opened,
    }
    let owner = path.symlink_metadata()?.uid();
    if owner != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other(format!("it is a symlink that belongs to uid {owner}")));
    }
    options.custom_flags(flags).open(path)
}

/// Opens a log file that grows at its end. It is made where it is missing, with the directories above it.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640);
    open_through_own_links(&mut options, 0, path)
}

/// The files that an app's output and events go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Standard output.
    pub stdout: PathBuf,
    /// Standard error.
    pub stderr: PathBuf,
    /// Events.
    pub events: PathBuf,
}

impl Files {
    /// Where they are unless the configuration says otherwise; `dir` is the app's directory.
    pub fn standard(dir: &Path, name: &AppName) -> Self {
        let file = |suffix| dir.join("logs").join(format!("{name}.{suffix}"));
        Self { stdout: file("log"), stderr: file("err"), events: file("run") }
    }
}
