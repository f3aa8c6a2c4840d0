//! How an app was configured for one run, in a form that can be compared with another: what its options were, and marks
//! of its scripts and environment.
//!
//! A run went well when it became ready and then lasted for `process.restart_reset_after`, or ended as it should. The
//! configuration of the last such run is kept beside the event log, where it survives a reboot, in a hidden file that only
//! its owner may read. Values of environment variables may be secrets: of these there are only marks, 64 bits of a hash
//! with the salt of the app's first run, never the values.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use daemonctl_actors::lifecycle::{Cause, Ending};
use daemonctl_actors::value::AppName;
use serde::{Deserialize, Serialize};

use crate::app::{App, small};
use crate::config::{Options, table};

/// The longest script whose content is read; of a longer one, length and time of its last change count.
const LONGEST: u64 = 64 << 10;

/// The longest file that is read back.
const LONGEST_KEPT: u64 = 1 << 20;

/// How an app was configured for one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What is mixed into every mark.
    salt: String,
    /// The options that are not what they are by default, as text; without those that hold environment variables.
    options: BTreeMap<String, String>,
    /// Environment variables of the configuration: name and mark.
    environment: BTreeMap<String, String>,
    /// Files that the app consists of: what it is to the app, and mark.
    files: BTreeMap<String, String>,
    /// The directory with the run script, links resolved.
    run_dir: PathBuf,
    /// The first line of `.version`.
    version: Option<String>,
    /// After how many seconds a run counts as stable.
    stable_after: f64,
    /// Whether the run has become ready.
    #[serde(default)]
    pub ready: bool,
    /// When it began, in seconds since the epoch.
    #[serde(default)]
    pub from: f64,
    /// When it ended; nothing while it goes on.
    #[serde(default)]
    pub to: Option<f64>,
}

/// One thing that differs between two configurations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// An option, an environment variable, a script, the version.
    pub what: String,
    /// What it was; nothing if it was not there, or is not told.
    pub before: Option<String>,
    /// What it is now.
    pub now: Option<String>,
}

impl Snapshot {
    /// The configuration of a run that is about to begin.
    pub fn new(app: &App, options: &Options, salt: &str) -> Self {
        let secret = |name: &str| name == "process.environment";
        let environment = &options.process.environment.0;
        let mut files = BTreeMap::new();
        let mut add = |what: &str, path: Option<PathBuf>| {
            if let Some(mark) = path.and_then(|path| mark_of_file(salt, &path)) {
                files.insert(what.to_owned(), mark);
            }
        };
        add("run script", app.run_script().map(|script| script.path.clone()));
        add("check script", app.check().map(|script| script.path));
        add("on-start script", app.on_start().map(|script| script.path));
        add("on-stop script", app.on_stop().map(|script| script.path));
        add("env.sh", app.env_script());
        add("environment file", options.process.environment_file.as_ref().map(|file| app.run_dir().join(file)));
        Self {
            salt: salt.to_owned(),
            options: table::explicit(options).into_iter().filter(|(name, _)| !secret(name)).collect(),
            environment: environment.iter().map(|(key, value)| (key.clone(), mark(salt, value.as_bytes()))).collect(),
            files,
            run_dir: app.run_dir().to_owned(),
            version: app.version().map(str::to_owned),
            stable_after: options.process.restart_reset_after.0.as_secs_f64(),
            ready: false,
            from: 0.0,
            to: None,
        }
    }

    /// What is mixed into its marks: another that is to be compared with it needs the same.
    pub fn salt(&self) -> &str {
        &self.salt
    }

    /// The run has begun.
    pub fn begin(&mut self, now: f64) {
        (self.from, self.to, self.ready) = (now, None, false);
    }

    /// Whether a run that ended like this went well.
    pub fn went_well(&self, ending: &Ending) -> bool {
        let Some(status) = ending.status else { return false };
        let asked = ending.cause == Some(Cause::Asked);
        let done = ending.cause.is_none() && status.code() == Some(0);
        self.ready && (asked || done || ending.stable.as_secs_f64() >= self.stable_after)
    }

    /// Keeps it as that of the last run that went well.
    pub fn keep(&self, path: &Path, now: f64) -> io::Result<()> {
        let kept = Self { to: Some(now), ..self.clone() };
        let text = serde_json::to_vec(&kept)?;
        let new = path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Not through a link that the app has planted.
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?.write_all(&text)?;
        fs::rename(&new, path)
    }

    /// Reads back what was kept; nothing if there is none that can be understood. The app may own the directory, so
    /// it is believed only where a wrong answer does no harm.
    pub fn read(path: &Path) -> Option<Self> {
        let (bytes, meta) = contents(path, libc::O_NOFOLLOW, LONGEST_KEPT)?;
        let ours = [0, nix::unistd::geteuid().as_raw()].contains(&meta.uid());
        serde_json::from_slice(&bytes?).ok().filter(|_| ours)
    }

    /// What is different in `now`.
    pub fn changes(&self, now: &Self) -> Vec<Change> {
        let mut changes = differences(&self.options, &now.options, true, "");
        changes.extend(differences(&self.environment, &now.environment, false, "variable "));
        changes.extend(differences(&self.files, &now.files, false, ""));
        if self.run_dir != now.run_dir {
            let text = |path: &Path| Some(path.to_string_lossy().into_owned());
            changes.push(Change { what: "directory".into(), before: text(&self.run_dir), now: text(&now.run_dir) });
        }
        if self.version != now.version {
            changes.push(Change { what: "version".into(), before: self.version.clone(), now: now.version.clone() });
        }
        changes
    }
}

/// Where the configuration of the last run that went well is kept.
pub fn path(events: &Path, app: &AppName) -> PathBuf {
    events.with_file_name(format!(".{app}.good"))
}

/// The entries that differ. Where they are not `shown`, that they were there and are there is all that is told.
fn differences(
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
    shown: bool,
    kind: &str,
) -> Vec<Change> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let told = |value: Option<&String>, word: &str| match shown {
        true => value.cloned(),
        false => value.map(|_| word.to_owned()),
    };
    let changed = names.into_iter().filter(|name| before.get(*name) != now.get(*name));
    changed
        .map(|name| Change {
            what: format!("{kind}{name}"),
            before: told(before.get(name), "there"),
            now: told(now.get(name), if before.contains_key(name) { "changed" } else { "new" }),
        })
        .collect()
}

fn mark(salt: &str, bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    salt.hash(&mut hasher);
    bytes.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn mark_of_file(salt: &str, path: &Path) -> Option<String> {
    let (bytes, meta) = contents(path, 0, LONGEST)?;
    let by_time = || format!("{}@{}.{}", meta.len(), meta.mtime(), meta.mtime_nsec());
    Some(bytes.map_or_else(by_time, |bytes| mark(salt, &bytes)))
}

/// What is in a file, unless that is too much. Whatever is put in its place meanwhile, this neither waits nor reads more.
fn contents(path: &Path, flags: i32, longest: u64) -> Option<(Option<Vec<u8>>, fs::Metadata)> {
    let (file, meta) = small::open(path, flags).ok()?;
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes).ok()?;
    Some(((bytes.len() as u64 <= longest).then_some(bytes), meta))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use daemonctl_actors::value::{ExitStatus, Signal};

    use super::*;

    fn snapshot(option: &str, secret: &str) -> Snapshot {
        let one = |key: &str, value: String| BTreeMap::from([(key.to_owned(), value)]);
        Snapshot {
            salt: "s".into(),
            options: one("limits.memory_limit", option.into()),
            environment: one("TOKEN", mark("s", secret.as_bytes())),
            ready: true,
            stable_after: 60.0,
            ..Snapshot::default()
        }
    }

    #[test]
    fn options_are_told_with_their_values_and_secrets_only_by_name() {
        let (before, now) = (snapshot("64M", "hunter2"), snapshot("16M", "hunter3"));
        assert_eq!(before.changes(&before), []);
        let change = |what: &str, before: &str, now: &str| Change {
            what: what.into(),
            before: Some(before.into()),
            now: Some(now.into()),
        };
        let told = [change("limits.memory_limit", "64M", "16M"), change("variable TOKEN", "there", "changed")];
        assert_eq!(before.changes(&now), told);
        assert!(!serde_json::to_string(&before).unwrap().contains("hunter"));
    }

    #[test]
    fn what_is_kept_is_read_back_and_follows_no_link() {
        let home = tempfile::tempdir().unwrap();
        let path = path(&home.path().join("web.run"), &"web".parse().unwrap());
        let victim = home.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, path.with_extension("new")).unwrap();
        let kept = snapshot("64M", "x");
        kept.keep(&path, 7.0).unwrap();
        assert_eq!(Snapshot::read(&path), Some(Snapshot { to: Some(7.0), ..kept }));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn a_run_goes_well_when_it_was_ready_and_lasted_or_was_ended_as_it_should() {
        let ending = |status, cause, seconds| Ending {
            status: Some(status),
            cause,
            ran: Duration::from_secs(seconds),
            stable: Duration::from_secs(seconds),
            out_of_memory: false,
        };
        let killed = ExitStatus::Signal { signal: Signal::KILL, core: false };
        let ready = snapshot("", "");
        for (status, cause, seconds, well) in [
            (ExitStatus::Code(1), None, 3, false),
            (ExitStatus::Code(1), None, 60, true),
            (ExitStatus::Code(0), None, 3, true),
            (killed, None, 3, false),
            (killed, Some(Cause::Asked), 3, true),
            (ExitStatus::Code(0), Some(Cause::Unhealthy), 3, false),
        ] {
            assert_eq!(ready.went_well(&ending(status, cause, seconds)), well, "{status} {cause:?} {seconds}");
        }
        let never = Snapshot { ready: false, ..ready };
        assert!(!never.went_well(&ending(ExitStatus::Code(0), None, 99)));
    }
}
