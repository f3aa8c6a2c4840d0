//! What has to be known before walls are built: who builds, on which kernel, and where paths really lead.

use std::path::{Path, PathBuf};

use caps::{CapSet, Capability};

use super::namespaces;
use crate::app::Shown;
use crate::config::Options;
use crate::config::sections::Sandbox;
use crate::launch::options::Extras;
use crate::launch::report::{Report, StepName, words};
use crate::launch::sys::walls::landlock_version;

/// The directories for temporary files.
const TMP: [&str; 2] = ["/tmp", "/var/tmp"];

/// What is known of the ground that walls are built on.
#[derive(Clone, Debug, PartialEq)]
pub struct Ground {
    /// Whether this process has CAP_SYS_ADMIN, and needs no user namespace.
    pub admin: bool,
    /// Effective group id.
    pub gid: u32,
    /// What forbids user namespaces.
    pub forbidden: Option<String>,
    /// The version of Landlock; 0 if there is none.
    pub landlock: u32,
    /// The directories for temporary files, with no symbolic link on the way, as are all that follow.
    pub tmp: Vec<PathBuf>,
    /// What stays visible below them.
    pub keep: Vec<PathBuf>,
    /// What the app must not see.
    pub hide: Vec<PathBuf>,
    /// What is to be read-only, as it was asked for, and where that leads or why it leads nowhere.
    pub asked: Vec<(PathBuf, Result<PathBuf, String>)>,
    /// Where this process is, if it stays there.
    pub cwd: Option<PathBuf>,
    /// Where root changes the kernel, and its own control groups: by the uid alone, whatever its capabilities.
    pub kernel: Vec<PathBuf>,
}

/// The files of [`Ground::kernel`].
const KERNEL: [&str; 3] = ["/proc/sys", "/proc/sysrq-trigger", "/sys"];

impl Default for Ground {
    /// Root's, on a host that can do everything.
    fn default() -> Self {
        Self {
            admin: true,
            gid: 0,
            forbidden: None,
            landlock: 7,
            tmp: TMP.map(PathBuf::from).to_vec(),
            keep: Vec::new(),
            hide: Vec::new(),
            asked: Vec::new(),
            cwd: None,
            kernel: Vec::new(),
        }
    }
}

impl Ground {
    /// Looks at the ground, if there are to be walls.
    pub fn survey(options: &Options, extras: &Extras) -> Self {
        if !super::are_asked(options) {
            return Self::default();
        }
        let real = |path: &Path| path.canonicalize().ok();
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let cwd = std::env::current_dir().ok().filter(|_| !extras.gate);
        let (mut keep, mut hide) = (extras.keep.clone(), extras.hide.clone());
        // Other supervisors of the same user may be there.
        hide.push(PathBuf::from("/run/daemonctl"));
        if !extras.gate {
            hide.extend(std::env::var_os("DAEMONCTL_RUNTIME_DIR").map(PathBuf::from));
            keep.extend(cwd.clone());
            keep.extend(options.daemon.working_directory.clone());
        }
        let mut tmp: Vec<PathBuf> = TMP.iter().filter_map(|dir| real(Path::new(dir))).collect();
        tmp.dedup();
        let admin = caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_ADMIN).unwrap_or(false);
        Self {
            admin,
            kernel: KERNEL.map(PathBuf::from).into_iter().filter(|path| admin && path.exists()).collect(),
            gid: nix::unistd::getegid().as_raw(),
            forbidden: namespaces::forbidden_by(&read, true),
            landlock: landlock_version(),
            keep: topmost(
                keep.iter()
                    .filter_map(|dir| real(dir))
                    .filter(|dir| tmp.iter().any(|tmp| dir.starts_with(tmp) && dir != tmp)),
            ),
            hide: topmost(hide.iter().filter_map(|dir| real(dir)).filter(|dir| dir.is_dir())),
            asked: options.sandbox.readonly_paths.0.iter().map(|path| (path.clone(), resolve(path))).collect(),
            cwd,
            tmp,
        }
    }

    /// The paths to be made read-only.
    pub(super) fn read_only(&self) -> impl Iterator<Item = &Path> {
        self.asked.iter().filter_map(|(_, real)| real.as_deref().ok())
    }

    /// The places of private mounts.
    pub(super) fn privates<'a>(&'a self, sandbox: &Sandbox) -> impl Iterator<Item = &'a Path> {
        let tmp = if sandbox.private_tmp { self.tmp.as_slice() } else { &[] };
        tmp.iter().map(PathBuf::as_path).chain(sandbox.private_dev.then_some(Path::new("/dev")))
    }

    /// What a private directory shows.
    pub(super) fn kept_below(&self, at: &Path) -> Vec<PathBuf> {
        self.keep.iter().filter(|dir| dir.starts_with(at)).cloned().collect()
    }

    /// What has to be covered: a private directory hides what is in it already, but for what it keeps.
    pub(super) fn hidden<'a>(&'a self, sandbox: &'a Sandbox) -> impl Iterator<Item = &'a Path> {
        self.hide.iter().map(PathBuf::as_path).filter(|dir| !self.is_gone(sandbox, dir))
    }

    /// Whether a private mount takes a path out of sight.
    fn is_gone(&self, sandbox: &Sandbox, path: &Path) -> bool {
        let private = self.privates(sandbox).any(|at| path.starts_with(at) && path != at);
        private && !self.keep.iter().any(|kept| path.starts_with(kept))
    }

    /// Paths that cannot be made read-only.
    pub(super) fn problems(&self, sandbox: &Sandbox) -> Vec<Report> {
        let report = |path: &Path, why: &str| {
            Report::new(StepName::Sandbox, format!("make {} read-only", path.shown()), why)
                .with_hint("sandbox.readonly_paths takes absolute paths that exist")
        };
        let wrong = self.asked.iter().filter_map(|(path, real)| match real {
            Err(why) => Some(report(path, why)),
            // The devices that remain cannot be made read-only one by one.
            Ok(real) if self.is_gone(sandbox, real) && !real.starts_with("/dev") => {
                Some(report(path, "it is out of sight behind a private directory"))
            }
            Ok(_) => None,
        });
        wrong.collect()
    }
}

/// Where a path leads.
fn resolve(path: &Path) -> Result<PathBuf, String> {
    if !path.is_absolute() {
        return Err("it is not an absolute path".to_owned());
    }
    path.canonicalize().map_err(|error| match error.raw_os_error() {
        Some(raw) => words(nix::errno::Errno::from_raw(raw)),
        None => error.to_string(),
    })
}

/// The paths that are not below another of them.
fn topmost(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    // A directory sorts before what is below it.
    let mut top: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !top.iter().any(|above| path.starts_with(above)) {
            top.push(path);
        }
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_uppermost_directory_is_needed() {
        let paths = ["/tmp/a/b", "/tmp/a", "/tmp/ab", "/tmp/a"].map(PathBuf::from);
        assert_eq!(topmost(paths.into_iter()), ["/tmp/a", "/tmp/ab"].map(PathBuf::from));
    }

    #[test]
    fn what_a_private_directory_hides_need_not_be_covered() {
        let keep = vec![PathBuf::from("/tmp/app")];
        let hide = ["/run/daemonctl", "/tmp/app/run", "/tmp/run"].map(PathBuf::from).to_vec();
        let ground = Ground { keep, hide, ..Ground::default() };
        let mut sandbox = Options::default().sandbox;
        assert_eq!(ground.hidden(&sandbox).count(), 3);
        sandbox.private_tmp = true;
        let left: Vec<_> = ground.hidden(&sandbox).collect();
        assert_eq!(left, ["/run/daemonctl", "/tmp/app/run"].map(Path::new));
    }
}
