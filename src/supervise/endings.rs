//! How a process ended, and waiting for that.

use std::rc::Rc;
use std::time::Duration;

use daemonctl_actors::cell::Child;
use daemonctl_actors::value::{AppName, ExitStatus};

use super::host::Host;
use super::pidfd::PidFd;

/// How long to wait for word of how an adopted process ended: whoever is its parent has to reap it first, and some
/// init processes take more than a second.
const STATUS_PATIENCE: Duration = Duration::from_secs(4);

/// Waits for the end of an app's launcher, and reaps it.
pub(super) async fn end_of(host: &Rc<Host>, app: &AppName) {
    let pidfd = host.with(app, |held| held.process.as_ref()?.pidfd.as_ref()?.try_clone().ok());
    if let Some(pidfd) = pidfd {
        let _ = pidfd.ended().await;
        pidfd.reap();
    }
}

/// How a process ended that is not our child: by the keeper's word, else by the kernel's.
pub(super) async fn told_status(host: &Rc<Host>, app: &AppName, pidfd: Option<&PidFd>) -> ExitStatus {
    let child = host.with(app, |held| held.process.as_ref().map(|process| process.child));
    let mut exits = host.exits();
    let patience = tokio::time::sleep(STATUS_PATIENCE);
    tokio::pin!(patience);
    loop {
        let told = host.with(app, |held| held.process.as_ref()?.status);
        let writer = || host.with(app, |held| held.writer.as_ref()?.told());
        let kernel = || pidfd?.foreign_status().or_else(|| zombie_status(child?));
        if let Some(status) = told.or_else(kernel).or_else(writer) {
            return status;
        }
        if pidfd.is_none() {
            return ExitStatus::Unknown; // It was gone before we came, and nobody saw how.
        }
        tokio::select! {
            _ = exits.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
            () = &mut patience => return ExitStatus::Unknown,
        }
    }
}

/// How a process ended that its parent has not reaped yet, by proc_pid_stat(5): field 52, which is shown to those who may
/// trace the process. Some init processes take their time, and some never reap.
fn zombie_status(child: Child) -> Option<ExitStatus> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", child.pid)).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let same = fields.get(19)?.parse() == Ok(child.start_time);
    // Who may not see it is shown zero: that is not told apart from success, and so is not believed.
    let status: i32 = fields.get(49)?.parse().ok()?;
    (same && fields.first() == Some(&"Z") && (status != 0 || nix::unistd::geteuid().is_root()))
        .then(|| ExitStatus::from_wait(status))
}
