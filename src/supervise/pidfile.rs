//! The pid file of an app, if it is to have one.

use std::io::Write;
use std::path::{Path, PathBuf};

use daemonctl_actors::cell::Child;
use daemonctl_actors::value::AppName;

use super::host::Host;
use crate::app::{Shown, reason, small};

/// Writes the pid of this process into the app's pid file, if it has one. Returns why that was not possible.
pub(super) fn write(host: &Host, app: &AppName, child: Child) -> Option<String> {
    let path = path(host, app)?;
    let new = path.with_extension("pid.new");
    let _ = std::fs::remove_file(&new);
    let create = || {
        // Not through a link that somebody has planted.
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&new)?;
        writeln!(file, "{}", child.pid)?;
        std::fs::rename(&new, &path)
    };
    create().err().map(|error| format!("cannot write the pid file {}: {}", path.shown(), reason(&error)))
}

/// Removes the pid file, if it is the one of this process.
pub(super) fn remove(host: &Host, app: &AppName, child: Option<Child>) {
    let (Some(path), Some(child)) = (path(host, app), child) else { return };
    if names(&path, child) {
        let _ = std::fs::remove_file(path);
    }
}

/// Whether a file holds the pid of this process. The app's user may have put anything in its place.
fn names(path: &Path, child: Child) -> bool {
    small::head(path, 64).is_ok_and(|text| text.trim_ascii() == child.pid.to_string().as_bytes())
}

fn path(host: &Host, app: &AppName) -> Option<PathBuf> {
    host.with(app, |held| held.instance.as_ref()?.pidfile.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_no_pid_file_is_not_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let (file, fifo) = (home.path().join("file"), home.path().join("fifo"));
        std::fs::write(&file, "812\n").unwrap();
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let child = |pid| Child { pid, start_time: 7 };
            tell.send([names(&file, child(812)), names(&file, child(81)), names(&fifo, child(812))])
        });
        assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok([true, false, false]));
    }
}
