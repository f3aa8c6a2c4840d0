//! Who has an app that no supervisor within reach has: another user's supervisor, one with another runtime directory,
//! one that has lost its socket, or something else that has locked the app's directory.
//!
//! The kernel's table of locks tells the pid, /proc the rest, as far as it shows it to this user: that pid may be a
//! stranger's by now, as the table names who has taken a lock, also when that one has handed it on and ended.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};
use procfs::process::Process;

use super::runtime::VARIABLE;
use super::{lock, supervisor};
use crate::app::Shown;
use crate::launch::typed;

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
    /// Another program.
    Other {
        /// The name that it goes by (proc_pid_comm(5)).
        name: String,
        /// Whether it was seen to have the lock, or this user may not look.
        seen: bool,
    },
}

impl Holder {
    /// The process with this pid, which has taken the lock of the app with this directory; nothing if it is gone, belongs to
    /// another pid namespace, or does not have the lock.
    pub(super) fn of(pid: i32, dir: &Path) -> Option<Self> {
        let process = Process::new(pid).ok()?;
        let status = process.status().ok()?;
        let has = lock::has(pid, dir);
        let kind = match status.name.as_str() {
            _ if has == Some(false) => return None,
            supervisor::NAME => Kind::Supervisor { runtime: runtime(&process) },
            name => Kind::Other { name: name.to_owned(), seen: has.is_some() },
        };
        Some(Self { pid, uid: status.euid, kind })
    }

    /// Whether it is another user's, so that this one, root as well, has no runtime directory with it.
    pub fn is_of_another(&self) -> bool {
        self.uid != geteuid().as_raw()
    }

    /// What keeps an app from this user's commands, in words that go on from `it runs`.
    pub fn words(&self) -> String {
        self.words_for(geteuid())
    }

    fn words_for(&self, asker: Uid) -> String {
        let pid = self.pid;
        match &self.kind {
            Kind::Other { name, seen } => {
                let holds = if *seen { "holds" } else { "seems to hold" };
                format!("while {name} (pid {pid}), which is no supervisor, {holds} the lock of its directory")
            }
            Kind::Supervisor { .. } if self.uid != asker.as_raw() => {
                format!("under the supervisor of {}, pid {pid}", user(self.uid, name_of(self.uid).as_deref()))
            }
            Kind::Supervisor { runtime: Some(runtime) } => {
                format!("under the supervisor with pid {pid}, whose runtime directory is {}", runtime.shown())
            }
            Kind::Supervisor { runtime: None } => format!("under the supervisor with pid {pid}, which is out of reach"),
        }
    }

    /// What one can do about it, for somebody whose own runtime directory is this.
    pub fn hint(&self, own_runtime: Option<&Path>) -> String {
        self.hint_for(geteuid(), own_runtime)
    }

    fn hint_for(&self, asker: Uid, own_runtime: Option<&Path>) -> String {
        let pid = self.pid;
        match &self.kind {
            Kind::Other { seen: true, .. } => format!("wait until pid {pid} has ended, or end it"),
            Kind::Other { seen: false, .. } => {
                format!("wait until the lock is free; that pid {pid} has it, only root can see for certain")
            }
            Kind::Supervisor { .. } if self.uid != asker.as_raw() => {
                as_its_user(self.uid, name_of(self.uid).as_deref(), asker)
            }
            Kind::Supervisor { runtime: Some(runtime) } if own_runtime != Some(runtime) => {
                format!("{VARIABLE}={} before the command reaches it", typed(&runtime.to_string_lossy()))
            }
            Kind::Supervisor { runtime } => {
                let why = if runtime.is_some() { "its socket is gone: " } else { "" };
                format!("{why}kill {pid} (SIGTERM) stops it in order, with all its apps")
            }
        }
    }
}

fn name_of(uid: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

/// A user: `user root (uid 0)`.
fn user(uid: u32, name: Option<&str>) -> String {
    name.map_or_else(|| format!("uid {uid}"), |name| format!("user {name} (uid {uid})"))
}

/// How to give a command as another user. Root has to become that one, too: a runtime directory is used by its owner
/// alone.
fn as_its_user(uid: u32, name: Option<&str>, asker: Uid) -> String {
    let way = name.filter(|_| uid != 0).map(|name| format!("runuser -u {} -- daemonctl …", typed(name)));
    match way {
        Some(way) if asker.is_root() => format!("give the command as that user: {way}"),
        Some(way) => format!("run the command as {}; root can: {way}", user(uid, name)),
        None => format!("run the command as {}", user(uid, name)),
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
        let own = geteuid();
        let supervisor = |runtime: Option<&str>| Kind::Supervisor { runtime: runtime.map(PathBuf::from) };
        let other = |seen| Kind::Other { name: "flock".into(), seen };
        let holder = |uid, kind| Holder { pid: 812, uid, kind };
        let mut told = Vec::new();
        for one in [
            holder(own.as_raw(), supervisor(Some("/run/other"))),
            holder(own.as_raw(), supervisor(Some("/run/the other"))),
            holder(own.as_raw(), supervisor(Some("/run/own"))),
            holder(own.as_raw(), supervisor(None)),
            holder(4_000_000_000, supervisor(Some("/run/user/4000000000/daemonctl"))),
            holder(own.as_raw(), other(true)),
            holder(4_000_000_000, other(false)),
        ] {
            told.push(format!("{}\n  {}", one.words(), one.hint(Some(Path::new("/run/own")))));
        }
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn root_is_sent_to_the_user_as_everybody_is() {
        let root = Uid::from_raw(0);
        let foreign =
            Holder { pid: 812, uid: 4_000_000_000, kind: Kind::Supervisor { runtime: Some("/run/u".into()) } };
        assert_eq!(foreign.words_for(root), "under the supervisor of uid 4000000000, pid 812");
        assert_eq!(foreign.hint_for(root, None), "run the command as uid 4000000000");
        let told = |uid, name, asker| as_its_user(uid, Some(name), Uid::from_raw(asker));
        assert_eq!(told(1000, "bob", 0), "give the command as that user: runuser -u bob -- daemonctl …");
        assert_eq!(told(1000, "b ob", 0), "give the command as that user: runuser -u 'b ob' -- daemonctl …");
        assert_eq!(
            told(1000, "bob", 1),
            "run the command as user bob (uid 1000); root can: runuser -u bob -- daemonctl …"
        );
        assert_eq!(told(0, "root", 1), "run the command as user root (uid 0)");
    }

    #[test]
    fn who_has_taken_a_lock_and_has_it_no_more_is_not_named() {
        let home = tempfile::tempdir().unwrap();
        let pid = std::process::id() as i32;
        let held = lock::app(home.path()).unwrap().unwrap();
        let holder = Holder::of(pid, home.path()).unwrap();
        assert_eq!((holder.pid, holder.uid), (pid, geteuid().as_raw()));
        assert!(matches!(holder.kind, Kind::Other { seen: true, .. }) && !holder.is_of_another());
        assert_eq!(Holder::of(i32::MAX, home.path()), None);
        drop(held);
        assert_eq!(Holder::of(pid, home.path()), None, "its pid has been given to an innocent since");
    }
}
