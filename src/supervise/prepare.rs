//! What a supervisor has before it works: its root and runtime directory, its lock, its control socket, its terminal.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemonctl_actors::cell::Child;

use super::adopt::Handover;
use super::host::monotonic;
use super::lock;
use super::pidfd::start_time;
use super::record::Supervisor;
use super::runtime::{RootDir, RuntimeDir, VARIABLE};
use super::supervisor::Task;
use crate::app::Root;
use crate::logs::terminal::Terminal;

/// How long a new background supervisor waits for the lock of one that is leaving.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// What a supervisor needs before it can work.
pub(super) struct Prepared {
    pub(super) root: Root,
    pub(super) runtime: RootDir,
    pub(super) identity: Supervisor,
    pub(super) terminal: Option<Terminal>,
    pub(super) lock: Option<OwnedFd>,
    pub(super) socket: OwnedFd,
}

/// Gets it: from the predecessor, as far as it has left it.
pub(super) async fn prepare(task: &Task, handover: &mut Handover) -> io::Result<Prepared> {
    let root = Root::open(&task.root).map_err(io::Error::other)?;
    let runtime_path = task.runtime.to_string_lossy().into_owned();
    let runtime = RuntimeDir::open(&|name| (name == VARIABLE).then(|| runtime_path.clone()))
        .and_then(|runtime| runtime.of(&root))
        .map_err(io::Error::other)?;
    let identity = identity(task.run.is_none())?;
    let lock = match (&task.run, handover.kept.remove("lock")) {
        (Some(_), _) => None,
        (None, Some(lock)) => Some(lock),
        (None, None) => Some(background_lock(&runtime.background_lock()).await?),
    };
    let socket = match handover.kept.remove("socket") {
        Some(socket) => socket,
        None => bind(&socket_path(&runtime, &identity))?,
    };
    let terminal = match &task.run {
        Some(run) => {
            let labelled = run.apps.iter().cloned().zip(run.labels.iter().cloned()).collect();
            Some(Terminal::new(labelled, run.color, run.quiet)?)
        }
        None => None,
    };
    Ok(Prepared { root, runtime, identity, terminal, lock, socket })
}

/// Takes the lock of the root's background supervisor; one that is just leaving may hold it for a moment.
async fn background_lock(path: &Path) -> io::Result<OwnedFd> {
    let deadline = monotonic() + LOCK_PATIENCE;
    loop {
        if let Some(lock) = lock::file(path)? {
            return Ok(lock);
        }
        if monotonic() > deadline {
            return Err(io::Error::other("another background supervisor looks after this root"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A foreground supervisor is named after its keeper, which stays the same when the supervisor is replaced.
pub(super) fn socket_path(runtime: &RootDir, identity: &Supervisor) -> PathBuf {
    match identity.background {
        true => runtime.background_socket(),
        false => runtime.run_socket(identity.keeper.pid as u32),
    }
}

/// Makes the control socket. Its name appears only when it can be connected to.
fn bind(path: &Path) -> io::Result<OwnedFd> {
    let name = path.file_name().unwrap_or_default();
    let dir = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    // By way of /proc, because the address of a socket has room for 107 bytes only.
    let through = Path::new("/proc/self/fd").join(std::os::fd::AsRawFd::as_raw_fd(&dir).to_string());
    let new = through.join(format!("{}.new", name.to_string_lossy()));
    let _ = std::fs::remove_file(&new);
    let listener = std::os::unix::net::UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&new, through.join(name))?;
    Ok(listener.into())
}

/// This process and its keeper.
fn identity(background: bool) -> io::Result<Supervisor> {
    let of = |pid: i32| {
        let start_time = start_time(pid).ok_or_else(|| io::Error::other(format!("cannot read /proc/{pid}/stat")))?;
        Ok::<_, io::Error>(Child { pid, start_time })
    };
    Ok(Supervisor {
        process: of(nix::unistd::getpid().as_raw())?,
        keeper: of(nix::unistd::getppid().as_raw())?,
        background,
    })
}
