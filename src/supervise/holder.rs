//! Who has an app that no supervisor within reach has: another user's supervisor, one with another runtime directory,
//! one that has lost its socket, or something else that has locked the app's directory.
//!
//! The kernel's table of locks tells the pid, /proc the rest, as far as it shows it to this user.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use procfs::process::Process;

use super::runtime::VARIABLE;
use super::supervisor;
use crate::app::Shown;

/// A process that holds the lock of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its pid.
    pub pid: i32,
    /// The user it runs as.
    pub uid: u32,
    /// What it is.
    pub kind: Kind,
}

/// What holds the lock of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A supervisor, and the runtime directory that it uses, where this user may know it.
    Supervisor {
        /// The directory.
        runtime: Option<PathBuf>,
    },
    /// Another program, by the name that it goes by (proc_pid_comm(5)).
    Other(String),
}

impl Holder {
    /// The process with this pid; nothing if it is gone, or belongs to another pid namespace.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let process = Process::new(pid).ok()?;
        let status = process.status().ok()?;
        let kind = match status.name.as_str() {
            supervisor::NAME => Kind::Supervisor { runtime: runtime(&process) },
            name => Kind::Other(name.to_owned()),
        };
        Some(Self { pid, uid: status.euid, kind })
    }

    /// Whether it is another user's, so that this one may not ask it.
    pub fn is_of_another(&self) -> bool {
        let own = nix::unistd::geteuid();
        !own.is_root() && own.as_raw() != self.uid
    }

    /// Whose it is: `root (uid 0)`.
    pub fn user(&self) -> String {
        let uid = nix::unistd::Uid::from_raw(self.uid);
        let name = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
        name.map_or_else(|| format!("uid {uid}"), |name| format!("{name} (uid {uid})"))
    }

    /// What keeps an app from this user's commands, in words that go on from `it runs`.
    pub fn words(&self) -> String {
        let pid = self.pid;
        match &self.kind {
            Kind::Other(name) => format!("{name} (pid {pid}), which is no supervisor, holds the lock of its directory"),
            Kind::Supervisor { .. } if self.is_of_another() => {
                format!("under the supervisor of user {}, pid {pid}", self.user())
            }
            Kind::Supervisor { runtime: Some(runtime) } => {
                format!("under the supervisor with pid {pid}, whose runtime directory is {}", runtime.shown())
            }
            Kind::Supervisor { runtime: None } => format!("under the supervisor with pid {pid}, which is out of reach"),
        }
    }

    /// What one can do about it, for somebody whose own runtime directory is this.
    pub fn hint(&self, own_runtime: Option<&Path>) -> String {
        let pid = self.pid;
        match &self.kind {
            Kind::Other(_) => format!("wait until pid {pid} has ended, or end it"),
            Kind::Supervisor { .. } if self.is_of_another() => {
                format!("run the command as user {}, or as root", self.user())
            }
            Kind::Supervisor { runtime: Some(runtime) } if own_runtime != Some(runtime) => {
                format!("{VARIABLE}={} before the command reaches it", runtime.shown())
            }
            Kind::Supervisor { runtime } => {
                let why = if runtime.is_some() { "its socket is gone: " } else { "" };
                format!("{why}kill {pid} (SIGTERM) stops it in order, with all its apps")
            }
        }
    }
}

/// What a supervisor was told as its runtime directory.
fn runtime(process: &Process) -> Option<PathBuf> {
    let mut environment = process.environ().ok()?;
    environment.remove(&OsString::from(VARIABLE)).map(|path| PathBuf::from(OsString::from_vec(path.into_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_lock_is_told_with_what_to_do() {
        let (own, other) = (nix::unistd::geteuid().as_raw(), 4_000_000_000);
        let supervisor = |runtime: Option<&str>| Kind::Supervisor { runtime: runtime.map(PathBuf::from) };
        let holder = |uid, kind| Holder { pid: 812, uid, kind };
        let mut told = Vec::new();
        for one in [
            holder(own, supervisor(Some("/run/other"))),
            holder(own, supervisor(Some("/run/own"))),
            holder(own, supervisor(None)),
            holder(own, Kind::Other("flock".into())),
        ] {
            told.push(format!("{}\n  {}", one.words(), one.hint(Some(Path::new("/run/own")))));
        }
        insta::assert_snapshot!(told.join("\n"));
        assert_eq!(holder(other, supervisor(None)).user(), "uid 4000000000");
    }

    #[test]
    fn this_process_is_no_supervisor() {
        let pid = std::process::id() as i32;
        let holder = Holder::of(pid).unwrap();
        assert_eq!((holder.pid, holder.uid), (pid, nix::unistd::geteuid().as_raw()));
        assert!(matches!(holder.kind, Kind::Other(_)) && !holder.is_of_another());
        assert_eq!(Holder::of(i32::MAX), None);
    }
}
