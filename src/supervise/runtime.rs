//! The runtime directory: sockets, records and pid files of one user, private to that user.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use daemonctl_actors::cell::Child;
use daemonctl_actors::value::AppName;

use crate::app::{Root, Shown};

/// The variable that names the directory.
pub const VARIABLE: &str = "DAEMONCTL_RUNTIME_DIR";

/// A runtime directory that exists, belongs to this user and admits nobody else.
#[derive(Clone, Debug)]
pub struct RuntimeDir(PathBuf);

/// Why a directory cannot hold sockets and records.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// It cannot be made or read.
    #[error("cannot use {path} as runtime directory", path = .path.shown())]
    Access {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It belongs to somebody else.
    #[error("cannot use {path} as runtime directory: it belongs to uid {uid}, not to this user", path = .path.shown())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Somebody else could read or change what is in it.
    #[error("cannot use {path} as runtime directory: {reason}", path = .path.shown())]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl RuntimeDir {
    /// Opens the runtime directory of this user, and makes it if there is none: `$DAEMONCTL_RUNTIME_DIR`, else
    /// `/run/daemonctl` for root, else `$XDG_RUNTIME_DIR/daemonctl`, else `/tmp/daemonctl-UID`.
    pub fn open(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, RuntimeError> {
        let uid = nix::unistd::geteuid();
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let path = match (set(VARIABLE), set("XDG_RUNTIME_DIR")) {
            (Some(path), _) => PathBuf::from(path),
            (None, _) if uid.is_root() => PathBuf::from("/run/daemonctl"),
            (None, Some(path)) => PathBuf::from(path).join("daemonctl"),
            (None, None) => PathBuf::from(format!("/tmp/daemonctl-{uid}")),
        };
        let path = std::path::absolute(&path).map_err(|source| RuntimeError::Access { path, source })?;
        private_dir(&path, true)?;
        Ok(Self(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The part that belongs to one apps root.
    pub fn of(&self, root: &Root) -> Result<RootDir, RuntimeError> {
        let dir = RootDir(self.0.join(root.id()));
        private_dir(&dir.0, false)?;
        private_dir(&dir.0.join("apps"), false)?;
        Ok(dir)
    }
}

/// Makes a directory for this user alone, or checks that an existing one is. A runtime directory that is named by the
/// user and lies open is refused rather than repaired: other files may be in it.
fn private_dir(path: &Path, parents: bool) -> Result<(), RuntimeError> {
    let access = |source| RuntimeError::Access { path: path.to_owned(), source };
    match DirBuilder::new().mode(0o700).recursive(parents).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(access(error)),
        Ok(()) | Err(_) => {}
    }
    let meta = fs::symlink_metadata(path).map_err(access)?;
    let wrong = |reason: String| Err(RuntimeError::Unsafe { path: path.to_owned(), reason });
    if !meta.is_dir() {
        return wrong("it is not a directory".to_owned());
    }
    if meta.uid() != nix::unistd::geteuid().as_raw() {
        return Err(RuntimeError::Foreign { path: path.to_owned(), uid: meta.uid() });
    }
    if meta.permissions().mode() & 0o077 != 0 {
        let mode = meta.permissions().mode() & 0o7777;
        return wrong(format!("its mode is {mode:04o}: others could read secrets in it; chmod 700 makes it private"));
    }
    Ok(())
}

/// The names in the runtime directory that belong to one apps root.
#[derive(Clone, Debug)]
pub struct RootDir(PathBuf);

impl RootDir {
    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The control socket of the background supervisor.
    pub fn background_socket(&self) -> PathBuf {
        self.0.join("background.sock")
    }

    /// The control socket of the foreground supervisor with this pid.
    pub fn run_socket(&self, pid: u32) -> PathBuf {
        self.0.join(format!("run-{pid}.sock"))
    }

    /// The control sockets that are there, the background supervisor's first.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let mut sockets: Vec<PathBuf> = fs::read_dir(&self.0)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "sock"))
            .collect();
        sockets.sort();
        sockets
    }

    /// The mark of a keeper, there for as long as its supervisor has not finished. The mark of a dead keeper tells that
    /// apps may be running without a supervisor; without one, no record needs to be looked at.
    pub fn keeper_mark(&self, keeper: Child) -> PathBuf {
        self.0.join(format!("{}-{}.keeper", keeper.pid, keeper.start_time))
    }

    /// The keepers that have a mark.
    pub fn marked_keepers(&self) -> Vec<Child> {
        let name = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
        let keeper = |name: String| {
            let (pid, start_time) = name.strip_suffix(".keeper")?.split_once('-')?;
            Some(Child { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? })
        };
        fs::read_dir(&self.0).into_iter().flatten().filter_map(name).filter_map(keeper).collect()
    }

    /// Held by the background supervisor for as long as it lives.
    pub fn background_lock(&self) -> PathBuf {
        self.0.join("background.lock")
    }

    /// Held by a command while it starts a background supervisor.
    pub fn spawn_lock(&self) -> PathBuf {
        self.0.join("spawn.lock")
    }

    /// What background supervisors say about themselves.
    pub fn supervisor_log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    /// The record of an app.
    pub fn record(&self, app: &AppName) -> PathBuf {
        self.0.join("apps").join(format!("{app}.json"))
    }

    /// The names of all apps that have a record.
    pub fn recorded(&self) -> Vec<AppName> {
        let mut names: Vec<AppName> = fs::read_dir(self.0.join("apps"))
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".json")?.parse().ok())
            .collect();
        names.sort();
        names
    }

    /// The default place of an app's pid file.
    pub fn pidfile(&self, app: &AppName) -> PathBuf {
        self.0.join(format!("{app}.pid"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b");
        let at = |path: &Path| {
            let path = path.to_str().unwrap().to_owned();
            RuntimeDir::open(&move |name| (name == VARIABLE).then(|| path.clone()))
        };
        let made = at(&path).unwrap();
        assert_eq!(fs::metadata(made.path()).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(at(&path).unwrap_err().to_string().contains("its mode is 0755"));
        std::os::unix::fs::symlink(home.path(), home.path().join("link")).unwrap();
        assert!(at(&home.path().join("link")).unwrap_err().to_string().contains("not a directory"));
    }
}
