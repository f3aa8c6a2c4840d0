//! A file replaced as a whole: readers see the old text or the new one, whatever happens in between.
//!
//! The new text is written beside the file, synced to disk, and renamed over it; owner, group, mode, access control list
//! and other attributes stay. Of several who change a file at the same time, one does it after the other: each holds a
//! lock on the file from reading to replacing. The lock is on the file and not on its directory, which an app that runs
//! has locked for itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, XattrFlags, fgetxattr, flistxattr, flock, fsetxattr};
use rustix::io::Errno;

use crate::app::Shown;

/// The mode of a file that did not exist, before the umask.
const MODE: u32 = 0o644;

/// The pause between two attempts to lock, in milliseconds.
const PAUSE: u16 = 5;

/// Why a file is not replaced.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}")]
pub struct ReplaceError {
    /// What was being done, and to which file.
    pub doing: String,
    /// The system's reason.
    pub source: io::Error,
}

/// A file that nobody else changes while this lives.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    file: File,
    /// Whether the file was made for this, and is still empty.
    made: bool,
}

impl Held {
    /// Locks a file, and makes it if there is none. A link is followed to the file that it means. Waits for others who
    /// hold it, but no longer than `patience`.
    pub fn take(path: &Path, patience: Duration) -> Result<Self, ReplaceError> {
        let deadline = Instant::now() + patience;
        loop {
            let held = Self::open(path)?;
            let Some(mut held) = held else { continue };
            if let Err(error) = held.lock(deadline) {
                // Whoever has the lock may need the file.
                held.made = false;
                return Err(error);
            }
            // Whoever held it before has replaced it: then this is the lock of a file that is gone.
            if held.is_current() {
                return Ok(held);
            }
            held.made = false;
        }
    }

    /// Opens the file, or makes it; nothing if somebody else made it just now.
    fn open(path: &Path) -> Result<Option<Self>, ReplaceError> {
        let cannot = |doing: &str, source| ReplaceError { doing: format!("{doing} {}", path.shown()), source };
        let linked = path.symlink_metadata().is_ok();
        let target = if linked { path.canonicalize() } else { Ok(path.to_owned()) };
        let target = target.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => cannot("change", io::Error::other("it is a link to a file that does not exist")),
            _ => cannot("change", error),
        })?;
        // Asked before it is opened: opening a named pipe would wait for a writer.
        if target.metadata().is_ok_and(|meta| !meta.is_file()) {
            return Err(cannot("change", io::Error::other("it is not a regular file")));
        }
        match File::open(&target) {
            Ok(file) => Ok(Some(Self { path: target, file, made: false })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match make(&target) {
                Ok(file) => Ok(Some(Self { path: target, file, made: true })),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
                Err(error) => Err(cannot("make", error)),
            },
            Err(error) => Err(cannot("open", error)),
        }
    }

    fn lock(&self, deadline: Instant) -> Result<(), ReplaceError> {
        while let Err(errno) = flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            if errno != Errno::WOULDBLOCK {
                return Err(self.cannot("lock", errno.into()));
            }
            if Instant::now() >= deadline {
                return Err(self.cannot("lock", io::Error::other("somebody else is changing it")));
            }
            let _ = nix::poll::poll(&mut [], PAUSE);
        }
        Ok(())
    }

    /// The file, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the text of the file.
    pub fn replace(mut self, text: &str) -> Result<(), ReplaceError> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = self.path.with_file_name(format!(".{name}.{}.new", std::process::id()));
        let written = self.write(&beside, text).and_then(|()| {
            fs::rename(&beside, &self.path).map_err(|source| self.cannot("replace", source))?;
            self.made = false;
            let directory = self.path.parent().unwrap_or(Path::new("/"));
            let synced = File::open(directory).and_then(|dir| dir.sync_all());
            synced.map_err(|source| self.cannot("sync the directory of", source))
        });
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }

    /// Writes the new file, which is nobody else's to read before it has its owner and mode.
    fn write(&self, beside: &Path, text: &str) -> Result<(), ReplaceError> {
        let new = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside);
        let mut new = new().map_err(|source| self.cannot("write a new file beside", source))?;
        let meta = |file: &File| file.metadata().map_err(|source| self.cannot("look at", source));
        let (old, own) = (meta(&self.file)?, meta(&new)?);
        if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
            let kept = fchown(&new, Some(old.uid()), Some(old.gid()));
            kept.map_err(|source| self.cannot("keep owner and group of", source))?;
        }
        let kept = new.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777));
        kept.map_err(|source| self.cannot("keep the mode of", source))?;
        copy_attributes(&self.file, &new).map_err(|source| self.cannot("keep the attributes of", source))?;
        let written = new.write_all(text.as_bytes()).and_then(|()| new.sync_all());
        written.map_err(|source| self.cannot("write the new text of", source))
    }

    fn cannot(&self, doing: &str, source: io::Error) -> ReplaceError {
        ReplaceError { doing: format!("{doing} {}", self.path.shown()), source }
    }

    fn is_current(&self) -> bool {
        let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        self.path.metadata().ok().zip(self.file.metadata().ok()).is_some_and(|(a, b)| same(a, b))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.made && self.is_current() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Carries over what a file has beside its content and mode, an access control list for example (xattr(7)).
fn copy_attributes(from: &File, to: &File) -> io::Result<()> {
    // The kernel has no longer ones (XATTR_LIST_MAX, XATTR_SIZE_MAX).
    let (mut names, mut value) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let length = match flistxattr(from, &mut names[..]) {
        Err(Errno::NOTSUP) => return Ok(()),
        length => length?,
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let length = fgetxattr(from, name, &mut value[..])?;
        match fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            // Labels are the matter of security modules, which label new files as their rules say.
            Err(_) if name.starts_with(b"security.") || name.starts_with(b"trusted.") => {}
            done => done?,
        }
    }
    Ok(())
}

/// Makes an empty file. What root makes belongs to whoever the directory belongs to.
fn make(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(path)?;
    if nix::unistd::geteuid().is_root() {
        let directory = path.parent().unwrap_or(Path::new("/")).metadata()?;
        fchown(&file, Some(directory.uid()), Some(directory.gid()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn owner_mode_and_links_stay_and_nothing_is_left_beside() {
        let home = tempfile::tempdir().unwrap();
        let (real, link) = (home.path().join("real.toml"), home.path().join("conf.toml"));
        fs::write(&real, "old\n").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("real.toml", &link).unwrap();
        let before = real.metadata().unwrap();
        // Not every filesystem has attributes.
        let note = |file: &Path| {
            let (mut value, file) = (vec![0; 16], File::open(file).unwrap());
            fgetxattr(file, "user.note", &mut value[..]).map(|length| value[..length].to_vec()).ok()
        };
        let noted = fsetxattr(File::open(&real).unwrap(), "user.note", b"ours", XattrFlags::empty()).is_ok();
        Held::take(&link, SOON).unwrap().replace("new\n").unwrap();
        let after = real.metadata().unwrap();
        assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
        assert_eq!(note(&real), noted.then(|| b"ours".to_vec()));
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&link).unwrap(), "new\n");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_was_made_for_nothing_goes_again() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("conf.toml");
        drop(Held::take(&file, SOON).unwrap());
        assert!(!file.exists());
        Held::take(&file, SOON).unwrap().replace("a\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "a\n");
        std::os::unix::fs::symlink("nowhere", home.path().join("link")).unwrap();
        let dangling = Held::take(&home.path().join("link"), SOON).unwrap_err();
        assert_eq!(dangling.source.to_string(), "it is a link to a file that does not exist");
        let nowhere = Held::take(&home.path().join("no/conf.toml"), SOON).unwrap_err();
        assert!(nowhere.to_string().starts_with("cannot make "), "{nowhere}");
    }

    #[test]
    fn of_many_who_change_a_file_none_is_lost() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("conf.toml");
        std::thread::scope(|scope| {
            for at in 0..8 {
                let file = &file;
                scope.spawn(move || {
                    let held = Held::take(file, SOON).unwrap();
                    let text = fs::read_to_string(held.path()).unwrap();
                    held.replace(&format!("{text}{at}\n")).unwrap();
                });
            }
        });
        let mut lines: Vec<String> = fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    }

    #[test]
    fn somebody_who_holds_a_file_forever_is_not_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("conf.toml");
        fs::write(&file, "").unwrap();
        let _held = Held::take(&file, SOON).unwrap();
        let error = Held::take(&file, Duration::ZERO).unwrap_err();
        assert_eq!(error.source.to_string(), "somebody else is changing it");
    }
}
