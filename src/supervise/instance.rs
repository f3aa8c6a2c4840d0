//! One run of an app as it was configured when it was launched: what its restarts, hooks, checks and logs go by until
//! the next launch, whatever happens to the files meanwhile.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemonctl_actors::cell::{Child, Policy, StartFailure, Trouble};
use daemonctl_actors::health::HealthPolicy;
use daemonctl_actors::value::AppName;
use serde::{Deserialize, Serialize};

use super::confinement;
use super::external::{self, Place, Teelog};
use super::pipes::{PipeId, inode};
use super::policy::{has_check, health_policy, policy};
use super::runtime::RootDir;
use super::snapshot::Snapshot;
use crate::app::{App, AppError, Fingerprint, Root, Script, Shown};
use crate::cgroup::Group;
use crate::config::values::{Compress, Level, SandboxType, Size};
use crate::config::{Ask, Options, Sources, resolve, table};
use crate::control::status::SandboxStatus;
use crate::launch::limits::{self, Held};
use crate::launch::{Forward, LaunchSpec, environment, walls};
use crate::logs::place;
use crate::logs::rotate::Rules;

/// The variable that marks every process of one run.
pub const LAUNCH_ID: &str = "DAEMONCTL_LAUNCH_ID";

/// What the command that asked for an app's start wanted; kept for its restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Its flags.
    pub ask: Ask,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
}

/// One configured run of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// The app as its directory described it.
    pub app: App,
    /// What its lines are headed with where several apps are shown: `daemon.name`, else the app's name.
    pub label: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// Whether it has namespaces of its own, which its hooks and checks enter.
    #[serde(default)]
    pub walled: bool,
    /// Whether it is confined in any way: then none of its processes may command a supervisor.
    #[serde(default)]
    pub confined: bool,
    /// How its process is launched; hooks and checks are launched the same way with another command.
    pub launch: LaunchSpec,
    /// The value of [`LAUNCH_ID`] of its processes.
    pub launch_id: String,
    /// The health check.
    pub check: Option<Vec<String>>,
    /// When a check is killed.
    pub check_timeout: Duration,
    /// The on-start hook.
    pub on_start: Option<Vec<String>>,
    /// The on-stop hook.
    pub on_stop: Option<Vec<String>>,
    /// Where its standard output goes.
    pub stdout: PathBuf,
    /// Where its standard error goes.
    pub stderr: PathBuf,
    /// Where its events go.
    pub events: PathBuf,
    /// How these are rotated.
    #[serde(default)]
    pub rotation: Rules,
    /// The program that writes its logs, if another one does.
    #[serde(default)]
    pub teelog: Option<Teelog>,
    /// The process of that program.
    #[serde(default)]
    pub writer: Option<Child>,
    /// The app's own pipes, where another program writes its logs: those of `pipes` are that program's.
    #[serde(default)]
    pub own_pipes: [PipeId; 2],
    /// How long its launch may take.
    #[serde(default, with = "humantime_serde")]
    pub start_timeout: Duration,
    /// Whether its output and events go to syslog as well.
    #[serde(default)]
    pub syslog: bool,
    /// Least severity of events that are written.
    pub level: Level,
    /// Its pid file.
    pub pidfile: Option<PathBuf>,
    /// Signals that `run` passes on, beside the reload signal.
    pub forward: Forward,
    /// Whether it has outlived a keeper, so that orphans of it may have gone to init.
    pub outlived_keeper: bool,
    /// The inodes of its output pipes, by which they are found again in /proc when nobody else holds them.
    pub pipes: (u64, u64),
    /// What holds its limits of memory, processor time and processes.
    #[serde(default)]
    pub limits: Vec<Held>,
    /// Its configuration in a form that can be compared.
    #[serde(default)]
    pub snapshot: Snapshot,
    /// What it was asked to be confined by, and what of it could not be had.
    #[serde(default)]
    pub sandbox: SandboxStatus,
    /// The files that it was configured from.
    #[serde(default)]
    pub configured_from: Vec<Fingerprint>,
    /// When it is checked, and how the results count.
    #[serde(default)]
    pub checked: Option<HealthPolicy>,
}

/// Where and for whom an app is configured.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The apps root.
    pub root: &'a Root,
    /// The root's part of the runtime directory.
    pub runtime: &'a RootDir,
    /// What was asked for.
    pub asked: &'a Asked,
    /// Whether somebody waits for the app to be ready.
    pub awaited: bool,
    /// The marker for the processes of this run.
    pub launch_id: &'a str,
    /// What is mixed into the marks of its configuration: that of what it is to be compared with.
    pub salt: &'a str,
}

impl Instance {
    /// Looks at the app's directory and configuration as they are now. Returns how it is to be treated, too, and what
    /// the person who starts it should know.
    pub fn configure(name: &AppName, at: Setting<'_>) -> Result<(Self, Policy, Vec<String>), StartFailure> {
        let app = App::inspect(at.root, name).map_err(|error| missing(&error))?;
        let ask = &at.asked.ask;
        // Before they are read: a change in between must not go unnoticed.
        let files = config_files(at.root, &app, ask);
        let sources = Sources {
            root: at.root.path(),
            app: name,
            app_config: app.config(),
            ask,
            environment: &at.asked.environment,
        };
        let resolved = resolve(&sources).map_err(|problems| wrong(problems.to_string(), problems.hint()))?;
        let mut options = resolved.options;
        let mut warnings: Vec<String> = resolved.warnings.iter().map(ToString::to_string).collect();
        if let Some(refused) = not_supported(&options) {
            if !ask.force {
                let hint = "remove that from the configuration or the command line, or go without it by --force";
                return Err(wrong(refused, Some(hint.to_owned())));
            }
            warnings.push(format!("{refused}: the app runs without"));
            options = table::without_unsupported(&options);
        }
        let policy = policy(&app, &options, at.awaited);
        let mut instance = Self::build(app, &options, at)?;
        let place = Place {
            path: at.asked.environment.get("PATH").map(String::as_str),
            own: Path::new("/proc/self/exe"),
            uid: nix::unistd::geteuid().as_raw(),
        };
        let logs = (instance.stdout.as_path(), instance.stderr.as_path());
        let chosen = external::choose(options.logging.collector, place, &instance.rotation, logs);
        let (teelog, doubt) = chosen.map_err(|why| {
            let hint = "logging.collector = \"auto\" takes it only where it can be had";
            wrong(format!("cannot use logging.collector = teelog: {why}"), Some(hint.to_owned()))
        })?;
        instance.teelog = teelog;
        warnings.extend(doubt);
        instance.configured_from.extend(files);
        Ok((instance, policy, warnings))
    }

    /// From now on its output is collected here, from these pipes, which are the app's own.
    pub fn take_over_pipes(&mut self, out: &OwnedFd, err: &OwnedFd) {
        (self.teelog, self.writer, self.pipes) = (None, None, (inode(out), inode(err)));
    }

    /// The command line that launches it, as it can be pasted into a shell.
    pub fn shell_line(&self) -> String {
        let launcher = self.launch.shell_line();
        match &self.teelog {
            Some(teelog) => format!("{} {launcher}", teelog.shell_line()),
            None => launcher,
        }
    }

    /// The memory that its control group lets it use.
    pub fn memory_limit(&self) -> Option<Size> {
        self.launch.join.as_ref()?.groups.iter().find_map(Group::memory_limit).map(Size)
    }

    /// Whether another run is launched in the same way: everything is equal but what every run has of its own.
    pub fn is_launched_like(&self, other: &Self) -> bool {
        let mut same = other.clone();
        (same.launch_id, same.pipes, same.outlived_keeper) = (self.launch_id.clone(), self.pipes, self.outlived_keeper);
        same.snapshot = self.snapshot.clone();
        (same.launch.join, same.limits) = (self.launch.join.clone(), self.limits.clone());
        (same.teelog, same.writer, same.own_pipes) = (self.teelog.clone(), self.writer, self.own_pipes);
        (same.sandbox.without, same.configured_from) = (self.sandbox.without.clone(), self.configured_from.clone());
        if let Some(id) = self.launch.environment.get(LAUNCH_ID) {
            same.launch.environment.insert(LAUNCH_ID.to_owned(), id.clone());
        }
        *self == same
    }

    fn build(app: App, options: &Options, at: Setting<'_>) -> Result<Self, StartFailure> {
        let name = app.name().clone();
        let logs = app.dir().join("logs");
        let in_app = |path: &Path| app.run_dir().join(path);
        let log = |path: &Option<PathBuf>, suffix: &str| match path {
            Some(path) => in_app(path),
            None => logs.join(format!("{name}.{suffix}")),
        };
        let command_of = |script: Option<Script>| script.map(|script| script.command());
        let shell = |command: &String| vec!["/bin/sh".to_owned(), "-c".to_owned(), command.clone()];
        let level = match (options.logging.quiet, options.logging.verbose) {
            (true, _) => Level::Warn,
            (false, true) => Level::Debug,
            (false, false) => options.logging.level,
        };
        let [stdout, stderr, events] = [
            log(&options.logging.stdout_file, "log"),
            log(&options.logging.stderr_file, "err"),
            log(&options.logging.file, "run"),
        ];
        if [&stdout, &stderr].into_iter().any(|output| could_forge(output, &events)) {
            let message = format!("its output would go to {}, as its events do: it could forge them", events.shown());
            let hint = "logging.stdout_file, logging.stderr_file and logging.file name the files".to_owned();
            return Err(wrong(message, Some(hint)));
        }
        let pidfile = options.pidfile.enabled.then(|| match &options.pidfile.path {
            Some(path) => in_app(path),
            None => at.runtime.pidfile(&name),
        });
        Ok(Self {
            label: options.daemon.name.clone().unwrap_or_else(|| name.to_string()),
            description: options.daemon.description.clone(),
            walled: walls::are_asked(options),
            confined: is_confined(options),
            launch: launch_spec(&app, options, at)?,
            launch_id: at.launch_id.to_owned(),
            check: options.monitoring.check_command.as_ref().map(shell).or_else(|| command_of(app.check())),
            check_timeout: options.monitoring.check_timeout.0,
            on_start: command_of(app.on_start()),
            on_stop: command_of(app.on_stop()),
            stdout,
            stderr,
            events,
            rotation: Rules {
                max_size: options.logging.max_size.map(|size| size.0),
                max_age: options.logging.max_age.map(|age| age.0),
                max_count: options.logging.max_count.map(u64::from),
                compress: options.logging.compress == Compress::Gzip,
            },
            teelog: None,
            writer: None,
            own_pipes: Default::default(),
            start_timeout: options.process.start_timeout.0,
            syslog: options.logging.syslog,
            level,
            pidfile,
            forward: Forward::of(options),
            outlived_keeper: false,
            pipes: (0, 0),
            limits: Vec::new(),
            snapshot: Snapshot::new(&app, options, at.salt),
            sandbox: confinement::asked(options),
            configured_from: scripts(&app, options).iter().map(|path| Fingerprint::take(path)).collect(),
            checked: has_check(&app, options).then(|| health_policy(options)),
            app,
        })
    }
}

/// The command line and environment of the launcher.
fn launch_spec(app: &App, options: &Options, at: Setting<'_>) -> Result<LaunchSpec, StartFailure> {
    let mut command = match (&options.process.command, app.run_script()) {
        (Some(program), _) if program.contains('/') => vec![app.run_dir().join(program).to_string_lossy().into_owned()],
        (Some(program), _) => vec![program.clone()],
        (None, Some(script)) => script.command(),
        (None, None) => {
            return Err(wrong(format!("{} has no run script and no process.command", app.dir().shown()), None));
        }
    };
    command.extend(options.process.args.0.iter().cloned());

    // What daemonctl itself sets, beside what the configuration sets: kept over env.sh and environment files.
    let mut set = options.process.environment.0.clone();
    set.insert("APPDEPLOY_APP_PATH".to_owned(), app.dir().to_string_lossy().into_owned());
    set.insert("APPDEPLOY_APP_NAME".to_owned(), app.name().to_string());
    set.insert("APPDEPLOY_APP_VERSION".to_owned(), app.version().unwrap_or_default().to_owned());
    set.insert(LAUNCH_ID.to_owned(), at.launch_id.to_owned());

    let mut shaped = options.clone();
    shaped.daemon.working_directory = Some(match &options.daemon.working_directory {
        Some(directory) => app.run_dir().join(directory),
        None => script_dir(app),
    });
    shaped.process.environment_file = options.process.environment_file.as_ref().map(|file| app.run_dir().join(file));
    shaped.sandbox.seccomp_profile = options.sandbox.seccomp_profile.as_ref().map(|file| app.run_dir().join(file));
    let mut flags = table::launch_argv(&shaped);
    if let Some(script) = app.env_script() {
        flags.push(format!("--env-script={}", script.display()));
    }
    if let Some(file) = &at.asked.ask.env_file {
        flags.push(format!("--env-file={}", file.display()));
    }
    flags.extend(set.keys().map(|key| format!("--env={key}")));
    if at.asked.ask.force {
        flags.push("--force".to_owned());
    }
    if limits::needs_groups(options) {
        // With a prefix: an app may be called like a file that every control group has.
        flags.push(format!("--cgroup=daemonctl-{}/app-{}", at.root.id(), app.name()));
    }
    if walls::are_asked(options) || options.sandbox.kind == SandboxType::Firejail {
        // What the app consists of stays in sight; what commands its supervisor goes out of it.
        let mut keep = vec![app.dir(), app.run_dir()];
        keep.extend(shaped.daemon.working_directory.as_deref());
        keep.dedup();
        flags
            .extend(keep.iter().filter(|_| options.sandbox.private_tmp).map(|dir| format!("--keep={}", dir.display())));
        let runtime = at.runtime.path();
        flags.push(format!("--hide={}", runtime.parent().unwrap_or(runtime).display()));
    }

    let mut inherited = environment::inherit(&at.asked.environment);
    inherited.extend(set);
    Ok(LaunchSpec { flags, command, environment: inherited, join: None })
}

/// Whether output to this file would be read back as events. What goes to a device is not.
fn could_forge(output: &Path, events: &Path) -> bool {
    events.metadata().map_or(true, |meta| meta.is_file()) && place(output) == place(events)
}

/// Whether an app is confined, by walls or by what it may ask of the kernel.
fn is_confined(options: &Options) -> bool {
    let security = &options.security;
    options.sandbox.kind != SandboxType::None
        || !security.capabilities_drop.0.is_empty()
        || !security.capabilities_keep.0.is_empty()
}

/// The directory an app starts in unless it is told otherwise: its run script's.
fn script_dir(app: &App) -> PathBuf {
    let script = app.run_script().and_then(|script| script.path.parent());
    script.unwrap_or(app.run_dir()).to_owned()
}

/// The configuration files of an app: the global one, also where there is none, and its own.
fn config_files(root: &Root, app: &App, ask: &Ask) -> Vec<Fingerprint> {
    if ask.no_config {
        return Vec::new();
    }
    let global = ask.config_file.clone().unwrap_or_else(|| root.path().join("conf.toml"));
    let own = app.config().map_or_else(|| app.run_dir().join("conf.toml"), Path::to_owned);
    [global, own].iter().map(|file| Fingerprint::take(file)).collect()
}

/// The other files that decide what a start does, as far as they are there: to look for more would cost a status as much
/// as it costs to look at these.
fn scripts(app: &App, options: &Options) -> Vec<PathBuf> {
    let in_app = |path: &PathBuf| app.run_dir().join(path);
    let script = app.run_script().filter(|_| options.process.command.is_none()).map(|script| script.path.clone());
    let profile = options.sandbox.seccomp_profile.as_ref().filter(|_| options.sandbox.seccomp);
    let files = [options.process.environment_file.as_ref().map(in_app), profile.map(in_app)];
    script.into_iter().chain(app.env_script()).chain(files.into_iter().flatten()).collect()
}

/// What is asked for and not built yet, in words.
fn not_supported(options: &Options) -> Option<String> {
    let mut unsupported = table::unsupported(options);
    if unsupported.iter().any(|(key, _)| key.starts_with("sandbox.") && key != "sandbox.type") {
        unsupported.retain(|(key, _)| key != "sandbox.type"); // It follows from the others.
    }
    let keys: Vec<String> = unsupported.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let are = if keys.len() == 1 { "is" } else { "are" };
    (!keys.is_empty()).then(|| format!("{} {are} not supported yet", keys.join(", ")))
}

fn wrong(message: String, hint: Option<String>) -> StartFailure {
    StartFailure { trouble: Trouble::Configuration, message, hint }
}

fn missing(error: &AppError) -> StartFailure {
    let mut message = error.to_string();
    if let AppError::Read { source, .. } = error {
        message = format!("{message}: {source}");
    }
    let trouble = if let AppError::Dangling { .. } = error { Trouble::Lasting } else { Trouble::Missing };
    StartFailure { trouble, message, hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_could_forge_events_where_both_are_written_to_one_file() {
        let home = tempfile::tempdir().unwrap();
        let [events, link, output] = ["web.run", "link", "web.log"].map(|name| home.path().join(name));
        std::os::unix::fs::symlink(&events, &link).unwrap();
        assert!(could_forge(&link, &events) && could_forge(&events, &link) && !could_forge(&output, &events));
        assert!(!could_forge(Path::new("/dev/null"), Path::new("/dev/null")));
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::lchown(&link, Some(65534), None).unwrap();
            assert!(!could_forge(&link, &events), "nothing is written through a link of another");
        }
    }
}
