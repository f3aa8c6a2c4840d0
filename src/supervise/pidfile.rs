//! The pid file of an app, if it is to have one.

use std::io::Write;
use std::path::PathBuf;

use daemonctl_actors::cell::Child;
use daemonctl_actors::value::AppName;

use super::host::Host;
use crate::app::{Shown, reason};

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
    if std::fs::read_to_string(&path).is_ok_and(|text| text.trim() == child.pid.to_string()) {
        let _ = std::fs::remove_file(path);
    }
}

fn path(host: &Host, app: &AppName) -> Option<PathBuf> {
    host.with(app, |held| held.instance.as_ref()?.pidfile.clone())
}
