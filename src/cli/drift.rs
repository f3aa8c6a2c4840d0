//! What has become of the files of an app since it was started, and whether it could be started as they are now.
//!
//! The command finds this out and not the supervisor, which should not wait for anybody's disk. For an app that runs it
//! is a look at the metadata of a few files. The configuration of an app at rest, and one that has changed while the app
//! runs, is read and checked as a start would.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::app::{App, AppError, Fingerprint, Root, Shown};
use crate::config::{Ask, Sources, resolve};
use crate::control::status::AppStatus;

/// Notes what has changed since the start of each app that is not at rest.
pub(super) fn since_start(apps: &mut [AppStatus]) {
    // Most apps share the global file, or its absence: it is looked at once.
    let mut shared = HashMap::new();
    for app in apps {
        let files = std::mem::take(&mut app.configured_from);
        let mut has_changed =
            |file: &Fingerprint| match file.path().as_os_str().as_bytes().starts_with(app.path.as_bytes()) {
                true => file.has_changed(),
                false => *shared.entry(file.clone()).or_insert_with(|| file.has_changed()),
            };
        let changed = files.iter().filter(|file| has_changed(file));
        app.changed = changed.map(|file| file.path().to_string_lossy().into_owned()).collect();
        app.run_moved_to = moved(app);
    }
}

/// Where the `run` link of an app that is not at rest leads now, if not to where the app was started from.
fn moved(app: &AppStatus) -> Option<String> {
    let then = app.run_dir.as_ref().filter(|run| app.is_active() && **run != app.path)?;
    let link = Path::new(&app.path).join("run");
    if !link.is_symlink() {
        return None;
    }
    let now = fs::canonicalize(&link).map_or_else(|_| "nowhere".into(), |now| now.to_string_lossy().into_owned());
    Some(now).filter(|now| now != then)
}

/// Whether an app may not start the next time: it is at rest, or its configuration is not any more what it runs with.
pub(super) fn is_in_doubt(app: &AppStatus) -> bool {
    !app.is_active() || app.changed.iter().any(|file| file.ends_with(".toml"))
}

/// What keeps an app from being started.
pub(super) fn mistakes(app: &AppStatus, root: &Root, ask: &Ask, environment: &BTreeMap<String, String>) -> Vec<String> {
    match App::inspect(root, &app.name) {
        Ok(found) => {
            let app_config = found.config();
            let sources = Sources { root: root.path(), app: &app.name, app_config, ask, environment };
            let problems = resolve(&sources).err().map(|problems| problems.0).unwrap_or_default();
            problems.iter().map(ToString::to_string).collect()
        }
        Err(error) => vec![unusable(&error)],
    }
}

/// Why a directory cannot be started.
fn unusable(error: &AppError) -> String {
    match error {
        AppError::Empty(_) => "there is no run script, and no process.command in a conf.toml".to_owned(),
        AppError::Dangling { target, .. } => format!("run is a link to {}, which is not there", target.shown()),
        AppError::Read { source, .. } => format!("{error}: {source}"),
        AppError::Name(_) | AppError::Missing { .. } => error.to_string(),
    }
}
