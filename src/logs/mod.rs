//! Where output and events go, and reading them back.
//!
//! Writing: [`tap`] moves output from a pipe to a file, [`events`] writes the event log, in the words of [`happening`],
//! [`rotate`] makes archives of either and removes them, [`pack`] compresses them; [`terminal`] shows output where `run`
//! was typed, [`syslog`] sends it to the system log: each a [`mirror`] of a stream.
//!
//! Reading: the files hold exactly what the app wrote, so everything shown around a line is added here. [`body`] is a
//! file of a log, [`whole`] a log with its archives, in which places are found without reading what lies between;
//! [`scan`] goes from line to line, [`filter`] says which are wanted, [`level`] and [`stamps`] what a line says of itself,
//! [`suspects`] where it is worth asking for its level, [`moment`] what a person means by a time; [`merge`] makes one of
//! several logs. [`follow`] waits for more, whatever happens to the file's name meanwhile.
//!
//! Both: [`archives`] knows what becomes of a log that is rotated, and [`times`] when its bytes were written.

pub mod archives;
pub mod body;
pub mod events;
pub mod filter;
pub mod follow;
pub mod happening;
pub mod level;
pub mod merge;
pub mod mirror;
pub mod moment;
pub mod pack;
pub mod read;
pub mod rotate;
pub mod scan;
pub mod stamps;
pub mod suspects;
pub mod syslog;
pub mod tap;
pub mod terminal;
pub mod times;
pub mod whole;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use daemonctl_actors::value::AppName;

/// Opens a log file with these options and flags, at its [`place`] and through no further link: an app that may write to
/// its log directory, or to one that a link leads to, must not lead a supervisor with more rights to other files.
fn open_through_own_links(options: &mut OpenOptions, flags: i32, path: &Path) -> io::Result<File> {
    let place = follow(path, is_descriptor);
    if is_descriptor(&place) {
        return options.custom_flags(flags).open(place);
    }
    match options.custom_flags(flags | libc::O_NOFOLLOW).open(&place) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => match place.symlink_metadata()?.uid() {
            owner if owner == nix::unistd::geteuid().as_raw() => Err(error),
            owner => Err(io::Error::other(format!("it is a symlink that belongs to uid {owner}"))),
        },
        opened => opened,
    }
}

/// Whether a path without links in its directory is a descriptor of this process, as /dev/stdout is. What can be read of
/// such a link is no name of a file: the kernel alone knows where it leads, and nobody else can change that.
fn is_descriptor(path: &Path) -> bool {
    let is_in = |own: PathBuf| path.starts_with(own) && path.parent().is_some_and(|dir| dir.ends_with("fd"));
    path.starts_with("/proc") && Path::new("/proc/self").canonicalize().is_ok_and(is_in)
}

/// The name of a log without its links: its archives and its index lie where the file is. In the middle of a rotation
/// there is no file, and the last link leads nowhere: it is read all the same.
pub fn real(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // So many links are more than the system itself would follow.
    for _ in 0..40 {
        if let Ok(real) = path.canonicalize() {
            return real;
        }
        match (path.read_link(), path.parent()) {
            (Ok(target), Some(dir)) => path = dir.join(target),
            _ => break,
        }
    }
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(dir)), Some(name)) => dir.join(name),
        _ => path,
    }
}

/// The name of a log as it is to be written: of the links in its place each counts only if it is this user's own. What is
/// done beside a log, or to its name, is done here.
pub fn place(path: &Path) -> PathBuf {
    follow(path, |_| false)
}

/// Follows the links of a log as far as they are this user's own, and to the first place that is an end.
fn follow(path: &Path, is_end: fn(&Path) -> bool) -> PathBuf {
    let own = nix::unistd::geteuid().as_raw();
    let mut path = path.to_owned();
    // So many links are more than the system itself would follow.
    for _ in 0..40 {
        if let (Some(Ok(dir)), Some(name)) = (path.parent().map(Path::canonicalize), path.file_name()) {
            path = dir.join(name);
        }
        let is_own = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink() && meta.uid() == own);
        match (path.read_link().ok().filter(|_| is_own && !is_end(&path)), path.parent()) {
            (Some(target), Some(dir)) => path = dir.join(target),
            _ => break,
        }
    }
    path
}

/// Opens a log file that grows at its end. It is made where it is missing, with the directories above it.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640);
    // A named pipe without a reader is refused (ENXIO, fifo(7)) instead of waited for.
    open_through_own_links(&mut options, libc::O_NONBLOCK, path)
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn links_of_others_lead_no_log_anywhere() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().canonicalize().unwrap();
        std::fs::write(dir.join("file"), "").unwrap();
        std::os::unix::fs::symlink("file", dir.join("own")).unwrap();
        assert_eq!(place(&dir.join("own")), dir.join("file"));
        assert_eq!(place(&dir.join("no/missing.log")), dir.join("no/missing.log"));
        std::os::unix::fs::symlink("loop", dir.join("loop")).unwrap();
        assert_eq!(place(&dir.join("loop")), dir.join("loop"));
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::lchown(dir.join("own"), Some(65534), None).unwrap();
            assert_eq!(place(&dir.join("own")), dir.join("own"));
        }
    }

    #[test]
    fn a_log_is_opened_through_no_link_of_others() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().canonicalize().unwrap();
        let link = |name: &str, to: &str| std::os::unix::fs::symlink(to, dir.join(name)).unwrap();
        for (name, to) in
            [("own", "more"), ("more", "made"), ("log", "planted"), ("planted", "treasure"), ("loop", "loop")]
        {
            link(name, to);
        }
        open_to_append(&dir.join("own")).unwrap();
        assert!(dir.join("made").is_file(), "where the last of them leads, the file is made");
        let error = open_to_append(&dir.join("loop")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::lchown(dir.join("planted"), Some(65534), None).unwrap();
            for name in ["log", "planted"] {
                let error = open_to_append(&dir.join(name)).unwrap_err();
                assert_eq!(error.to_string(), "it is a symlink that belongs to uid 65534");
            }
            assert!(!dir.join("treasure").exists());
        }
    }

    #[test]
    fn a_descriptor_of_this_process_is_a_place_for_a_log() {
        let home = tempfile::tempdir().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let gone = File::create(home.path().join("gone")).unwrap();
        std::fs::remove_file(home.path().join("gone")).unwrap();
        for fd in [writer.as_raw_fd(), gone.as_raw_fd()] {
            let link = home.path().join(fd.to_string());
            std::os::unix::fs::symlink(format!("/dev/fd/{fd}"), &link).unwrap();
            open_to_append(&link).unwrap().write_all(b"line\n").unwrap();
        }
        drop(writer);
        assert_eq!(io::read_to_string(&mut reader).unwrap(), "line\n");
        assert_eq!(gone.metadata().unwrap().len(), 5);
    }

    #[test]
    fn a_log_is_where_its_links_lead_also_while_it_is_missing() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().canonicalize().unwrap();
        std::fs::create_dir_all(dir.join("far/away")).unwrap();
        std::os::unix::fs::symlink("far/link", dir.join("web.log")).unwrap();
        std::os::unix::fs::symlink("away/web.log", dir.join("far/link")).unwrap();
        let target = dir.join("far/away/web.log");
        assert_eq!(real(&dir.join("web.log")), target, "the last link leads nowhere");
        std::fs::write(&target, "").unwrap();
        assert_eq!(real(&dir.join("web.log")), target);
        assert_eq!(real(&dir.join("far/../missing.log")), dir.join("missing.log"));
        assert_eq!(real(&dir.join("no/missing.log")), dir.join("no/missing.log"));
        std::os::unix::fs::symlink("loop", dir.join("loop")).unwrap();
        assert_eq!(real(&dir.join("loop")), dir.join("loop"));
    }
}
