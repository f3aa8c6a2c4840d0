//! The apps root: the directory whose sub-directories are apps.

use std::ffi::OsString;
use std::fs::DirEntry;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use daemonctl_actors::value::{AppName, NameError};

use super::{App, Shown};

/// An apps root that exists. It is known by device and inode: two spellings of its path are one root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Why a directory cannot be an apps root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// It cannot be opened.
    #[error("cannot use {path} as apps root", path = .path.shown())]
    Open {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is a file.
    #[error("cannot use {path} as apps root: it is not a directory", path = .0.shown())]
    NotADirectory(PathBuf),
}

/// Why a name is not that of an app.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The name is not one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no such directory.
    #[error("no app {name:?} under {root}{hint}", root = .root.shown(), hint = .nearest.as_ref().map(|n| format!("; did you mean {n:?}?")).unwrap_or_default())]
    Missing {
        /// The name.
        name: String,
        /// Where it was looked for.
        root: PathBuf,
        /// The app with the nearest name.
        nearest: Option<String>,
    },
    /// There is a directory, but nothing in it to run.
    #[error("{dir} is not an app: it has no run script, and no process.command in a conf.toml", dir = .0.shown())]
    Empty(PathBuf),
    /// Its `run` link leads nowhere.
    #[error("{link} is a link to {target}, which is not there", link = .link.shown(), target = .target.shown())]
    Dangling {
        /// The link.
        link: PathBuf,
        /// Where it leads, as it says.
        target: PathBuf,
    },
    /// The directory cannot be read.
    #[error("cannot read {path}", path = .path.shown())]
    Read {
        /// The directory or file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Root {
    /// Opens the apps root at `path`; symlinks and relative spellings are resolved.
    pub fn open(path: &Path) -> Result<Self, RootError> {
        let failed = |source| RootError::Open { path: path.to_owned(), source };
        let resolved = path.canonicalize().map_err(failed)?;
        let meta = resolved.metadata().map_err(failed)?;
        if !meta.is_dir() {
            return Err(RootError::NotADirectory(path.to_owned()));
        }
        Ok(Self { path: resolved, device: meta.dev(), inode: meta.ino() })
    }

    /// The canonical path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A name for the root in the runtime directory, from its device and inode.
    pub fn id(&self) -> String {
        format!("{:x}-{:x}", self.device, self.inode)
    }

    /// The names of all directories below the root that can be apps, sorted; whether they are, [`Root::app`] tells.
    pub fn names(&self) -> io::Result<Vec<AppName>> {
        // What the directory itself says of its entries is enough, but for links.
        let is_dir = |entry: &DirEntry| match entry.file_type() {
            Ok(kind) => kind.is_dir() || (kind.is_symlink() && entry.path().is_dir()),
            Err(_) => false,
        };
        let mut names: Vec<AppName> = std::fs::read_dir(&self.path)?
            .filter_map(Result::ok)
            .filter(is_dir)
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// The directories that would be apps if their names were names of apps, sorted, with what is wrong with each name.
    /// What is hidden, or has nothing to run in it, was not meant to be one.
    pub fn refused(&self) -> io::Result<Vec<(PathBuf, NameError)>> {
        let refused = |name: OsString| {
            let text = name.to_string_lossy();
            let wrong = text.parse::<AppName>().err().filter(|_| !text.starts_with('.'))?;
            let dir = self.path.join(&name);
            let has = |file: &str| dir.join(file).exists();
            ["run", "run.sh", "conf.toml"].into_iter().any(has).then_some((dir, wrong))
        };
        let mut all: Vec<_> =
            std::fs::read_dir(&self.path)?.filter_map(|entry| refused(entry.ok()?.file_name())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    /// All apps, sorted by name.
    pub fn apps(&self) -> io::Result<Vec<App>> {
        Ok(self.names()?.iter().filter_map(|name| App::inspect(self, name).ok()).collect())
    }

    /// What was meant to be an app and cannot be used, sorted by name: [`App::inspect`] says why.
    pub fn broken(&self) -> io::Result<Vec<AppName>> {
        let is_broken =
            |name: &AppName| matches!(App::inspect(self, name), Err(error) if !matches!(error, AppError::Empty(_)));
        Ok(self.names()?.into_iter().filter(is_broken).collect())
    }

    /// The app that a person called `name`.
    pub fn app(&self, name: &str) -> Result<App, AppError> {
        let parsed: AppName = name.parse()?;
        App::inspect(self, &parsed)
    }

    /// The nearest name of an existing app, if one is near enough to be what was meant.
    pub(super) fn nearest(&self, name: &str) -> Option<String> {
        self.apps()
            .ok()?
            .into_iter()
            .map(|app| (strsim::damerau_levenshtein(app.name().as_str(), name), app.name().to_string()))
            .filter(|(distance, _)| *distance <= 1 + name.len() / 4)
            .min()
            .map(|(_, name)| name)
    }
}
