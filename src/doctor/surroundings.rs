//! The kernel, the account and the tools.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::unistd::{Uid, User, geteuid};

use super::{Finding, Verdict};
use crate::app::Shown;
use crate::launch::sys::walls::landlock_version;
use crate::supervise::external::is_own;

/// The first Linux that tells how a process ended that was taken over (pidfd ioctl PIDFD_GET_INFO, PIDFD_INFO_EXIT).
const EXIT_BY_PIDFD: (u32, u32) = (6, 15);

/// `Linux 6.1.0 (x86_64), as root`.
pub(super) fn heading() -> String {
    let (release, machine) = system();
    format!("Linux {release} ({machine}), as {}", account(geteuid()))
}

/// What the kernel has beside options.
pub(super) fn kernel() -> Vec<Finding> {
    vec![adoption(), landlock()]
}

fn adoption() -> Finding {
    let (release, _) = system();
    let knows = version(&release).is_some_and(|version| version >= EXIT_BY_PIDFD);
    let (verdict, detail) = match knows {
        true => (Verdict::Yes, "the kernel tells how an app ended that outlived keeper and supervisor".to_owned()),
        false => {
            let (major, minor) = EXIT_BY_PIDFD;
            let what = "how an app ends that outlived keeper and supervisor is unknown, and counts as a failure";
            (Verdict::Partly, format!("{what}; Linux {major}.{minor} tells it"))
        }
    };
    Finding { topic: "kernel", name: "exit codes after a crash", verdict, detail, hint: None }
}

fn landlock() -> Finding {
    let (verdict, detail, hint) = match landlock_version() {
        0 => (
            Verdict::No,
            "what root runs behind walls could walk round them by /proc; users are safe in a user namespace".to_owned(),
            Some("enable it with lsm=landlock,... on the kernel's command line".to_owned()),
        ),
        1 => (Verdict::No, "version 1 keeps files from being moved; version 2 came with Linux 5.19".to_owned(), None),
        version @ 2..6 => {
            let what = "behind walls, signals to processes outside are not held back; version 6 does";
            (Verdict::Partly, format!("version {version}: {what}"), None)
        }
        version => (Verdict::Yes, format!("version {version}"), None),
    };
    Finding { topic: "kernel", name: "Landlock", verdict, detail, hint }
}

/// The external collector of logs.
pub(super) fn teelog() -> Finding {
    let own = env::current_exe().unwrap_or_default();
    let (verdict, detail) = match find("teelog") {
        Some(path) if is_own(&path, &own) => {
            (Verdict::Yes, format!("{}, daemonctl's own: for logging.collector = \"teelog\"", path.shown()))
        }
        Some(path) => (Verdict::Yes, path.shown().to_string()),
        None => (Verdict::No, "it is not in PATH; the built-in collector writes the logs".to_owned()),
    };
    Finding { topic: "logging", name: "teelog", verdict, detail, hint: None }
}

/// A program in PATH.
fn find(name: &str) -> Option<PathBuf> {
    let is_program =
        |path: &PathBuf| path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(is_program)
}

fn account(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => format!("uid {uid}"),
    }
}

/// Release and machine.
fn system() -> (String, String) {
    let names = rustix::system::uname();
    let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
    (text(names.release()), text(names.machine()))
}

/// Major and minor number of a kernel release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_numbers() {
        assert_eq!(version("6.18.5-0-cloud-amd64"), Some((6, 18)));
        assert_eq!(version("5.4"), Some((5, 4)));
        assert_eq!(version("unknown"), None);
        assert!(version("6.9.0").unwrap() < EXIT_BY_PIDFD);
    }
}
