//! What `config check` looks for: whatever would keep an app from starting, and what is likely not meant.
//!
//! An error is what a start would fail of, or what was asked for and would not happen. A warning is what works, though
//! perhaps not as somebody believes. Nothing is started, and no script is run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use daemonctl_actors::value::AppName;

use crate::app::{App, AppError, Interpreter, Root, Script, Shown, reason, small};
use crate::config::problem::Position;
use crate::config::{Ask, Options, Origin, Problem, Problems, Resolved, Sources, layers, resolve, table};
use crate::launch::diagnose::fault_of;
use crate::launch::environment::parse_env_file;
use crate::launch::identity::Target;
use crate::launch::limits::told_of;
use crate::launch::sys::Linux;
use crate::supervise;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Error,
    Warning,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// The app it concerns; none for the global file and the root.
    pub(super) app: Option<AppName>,
    /// The file or directory it is in.
    pub(super) file: PathBuf,
    pub(super) position: Option<Position>,
    /// The option, variable or flag it is about.
    pub(super) subject: Option<String>,
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
}

impl Finding {
    /// What it is about, what is wrong, and what to do: all but the place.
    pub(super) fn told(&self) -> String {
        let subject = self.subject.as_ref().filter(|subject| !self.message.starts_with(subject.as_str()));
        let subject = subject.map(|subject| format!("{subject}: ")).unwrap_or_default();
        let hint = self.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{subject}{}{hint}", self.message)
    }
}

/// Looks at apps, and keeps what it finds.
pub(super) struct Inspection<'a> {
    pub(super) root: &'a Root,
    /// What the global options ask for.
    pub(super) ask: &'a Ask,
    pub(super) environment: &'a BTreeMap<String, String>,
    pub(super) found: Vec<Finding>,
}

/// An app whose configuration has no mistakes.
struct Subject<'a> {
    app: &'a App,
    options: &'a Options,
    origins: &'a BTreeMap<String, Origin>,
}

impl Inspection<'_> {
    /// The global file.
    pub(super) fn global_file(&mut self, file: &Path, by_name: bool) {
        let problems = match layers::read(file) {
            Ok(None) if by_name => layers::global(file, true).err().unwrap_or_default().0,
            Ok(text) => layers::check_text(file, &text.unwrap_or_default(), true),
            Err(problem) => vec![problem],
        };
        problems.into_iter().for_each(|problem| self.problem(Severity::Error, None, file, problem));
    }

    /// One app, with all that a start of it would use.
    pub(super) fn app(&mut self, app: &App) {
        let home = app.config().unwrap_or(app.dir());
        let (root, environment) = (self.root.path(), self.environment);
        let sources = Sources { root, app: app.name(), app_config: app.config(), ask: self.ask, environment };
        let resolved = match resolve(&sources) {
            Ok(resolved) => resolved,
            Err(Problems(problems)) => {
                problems.into_iter().for_each(|problem| self.problem(Severity::Error, Some(app), home, problem));
                return self.scripts(app, None);
            }
        };
        let Resolved { options, origins, warnings, .. } = resolved;
        warnings.into_iter().for_each(|problem| self.problem(Severity::Warning, Some(app), home, problem));
        self.scripts(app, Some(&options));
        let subject = Subject { app, options: &options, origins: &origins };
        self.program(&subject);
        self.accounts(&subject);
        self.files(&subject);
        self.monitoring(&subject);
        self.host(&subject);
    }

    /// What lies below the root and is no app, though it looks like one; and variables that are nobody's.
    pub(super) fn root(&mut self, apps: &[App]) {
        let entries = std::fs::read_dir(self.root.path()).into_iter().flatten().filter_map(Result::ok);
        let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        dirs.sort();
        for dir in dirs {
            let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let files = ["run", "run.sh", "conf.toml"].map(|file| dir.join(file));
            if !files.iter().any(|file| file.symlink_metadata().is_ok()) {
                continue;
            }
            match self.root.app(&name) {
                Err(AppError::Name(wrong)) => {
                    let message = format!("looks like an app, but is passed over: {wrong}");
                    self.add(Severity::Warning, None, &dir, message, None);
                }
                Err(AppError::Empty(_)) => {
                    let message = "looks like an app, but has no run script and no process.command";
                    self.add(Severity::Warning, None, &dir, message.to_owned(), None);
                }
                Err(error) => {
                    self.add(Severity::Error, None, &dir, told(&error), None);
                }
                Ok(_) => {}
            }
        }
        self.shared_logs(apps);
        let names: Vec<AppName> = apps.iter().map(|app| app.name().clone()).collect();
        for problem in layers::doubtful_variables(&names, self.environment) {
            let root = self.root.path().to_owned();
            self.problem(Severity::Warning, None, &root, problem);
        }
    }

    /// Logs that several apps write to: none of them can be shown alone.
    fn shared_logs(&mut self, apps: &[App]) {
        let mut owners: BTreeMap<PathBuf, &AppName> = BTreeMap::new();
        for app in apps {
            let (root, environment) = (self.root.path(), self.environment);
            let sources = Sources { root, app: app.name(), app_config: app.config(), ask: self.ask, environment };
            let Ok(Resolved { options, origins, .. }) = resolve(&sources) else { continue };
            let subject = Subject { app, options: &options, origins: &origins };
            let logging = &options.logging;
            let files = [(&logging.stdout_file, "logging.stdout_file"), (&logging.stderr_file, "logging.stderr_file")];
            for (file, key) in files.into_iter().filter_map(|(file, key)| Some((file.as_ref()?, key))) {
                let path = crate::logs::real(&app.run_dir().join(file));
                if path.metadata().is_ok_and(|meta| !meta.is_file()) {
                    continue; // What goes to a device is not read back.
                }
                let owner = *owners.entry(path).or_insert(app.name());
                if owner != app.name() {
                    let message = format!("it is a log of {owner} as well: daemonctl logs cannot tell whose a line is");
                    self.option(Severity::Warning, &subject, key, message, None);
                }
            }
        }
    }

    /// Scripts that would not run, or not as their first line says.
    fn scripts(&mut self, app: &App, options: Option<&Options>) {
        let needs_run = options.is_none_or(|options| options.process.command.is_none());
        let run = app.run_script().cloned().filter(|_| needs_run);
        for script in [run, app.check(), app.on_start(), app.on_stop()].into_iter().flatten() {
            self.script(app, &script);
        }
        if let Some(script) = app.env_script().filter(|script| std::fs::File::open(script).is_err()) {
            self.add(Severity::Error, Some(app), &script, "it cannot be read".to_owned(), None);
        }
        if app.version() == Some("") {
            let file =
                [app.run_dir(), app.dir()].map(|dir| dir.join(".version")).into_iter().find(|file| file.is_file());
            let file = file.unwrap_or_else(|| app.dir().to_owned());
            self.add(
                Severity::Warning,
                Some(app),
                &file,
                "it is empty: the app is active, without a version".to_owned(),
                None,
            );
        }
    }

    fn script(&mut self, app: &App, script: &Script) {
        let path = &script.path;
        let by = match script.interpreter {
            Interpreter::Direct => {
                if let Some((why, hint)) = fault_of(path) {
                    self.add(Severity::Error, Some(app), path, why, hint);
                }
                return;
            }
            Interpreter::Sh => "/bin/sh",
            Interpreter::Bash => "bash",
        };
        if let Err(error) = std::fs::File::open(path) {
            let message = format!("it is not executable, and {by} cannot read it: {}", reason(&error));
            return self.add(Severity::Error, Some(app), path, message, None);
        }
        let asks = first_line(path).filter(|line| !line.ends_with("sh")).map(|line| format!(", not {line}"));
        let message = format!("it is not executable: {by} runs it{}", asks.unwrap_or_default());
        self.add(Severity::Warning, Some(app), path, message, Some(format!("chmod +x {}", path.shown())));
    }

    /// `process.command`, where it can be found without the app's environment.
    fn program(&mut self, subject: &Subject<'_>) {
        let Subject { app, options, .. } = subject;
        let Some(program) = &options.process.command else { return };
        if program.contains('/') {
            let path = app.run_dir().join(program);
            if let Some((why, hint)) = fault_of(&path) {
                self.option(Severity::Error, subject, "process.command", format!("{}: {why}", path.shown()), hint);
            }
            return;
        }
        let sets_path = options.process.environment.0.contains_key("PATH");
        if sets_path || app.env_script().is_some() || options.process.environment_file.is_some() {
            return; // Only a start knows where it will be looked for.
        }
        let path = self.environment.get("PATH").map_or("/usr/bin:/bin", String::as_str);
        if !std::env::split_paths(path).any(|dir| fault_of(&dir.join(program)).is_none()) {
            let message = format!("there is no command {program} in PATH");
            self.option(Severity::Error, subject, "process.command", message, Some(format!("PATH is {path}")));
        }
    }

    /// Users and groups.
    fn accounts(&mut self, subject: &Subject<'_>) {
        let security = &subject.options.security;
        let (user, group) = (security.user.as_deref(), security.group.as_deref());
        if user.is_none() && group.is_none() {
            return;
        }
        let wrong = |user, group| Target::find(&Linux, user, group).err();
        let unknown_user = user.and_then(|user| wrong(Some(user), None));
        let unknown_group = group.and_then(|group| wrong(None, Some(group)));
        for (key, report) in [("security.user", &unknown_user), ("security.group", &unknown_group)] {
            if let Some(report) = report {
                self.option(Severity::Error, subject, key, report.message(), report.hint());
            }
        }
        let forbidden = |user, group| Target::find(&Linux, user, group).ok()?.check_permission(&Linux).err();
        let Some(report) = forbidden(user, group) else { return };
        let is_user = user.is_some_and(|user| forbidden(Some(user), None).is_some());
        let key = if is_user { "security.user" } else { "security.group" };
        self.option(Severity::Error, subject, key, report.message(), report.hint());
    }

    /// Files and directories that options name.
    fn files(&mut self, subject: &Subject<'_>) {
        let (process, daemon) = (&subject.options.process, &subject.options.daemon);
        if let Some(file) = &process.environment_file {
            let file = subject.app.run_dir().join(file);
            let key = "process.environment_file";
            match small::read(&file, LARGEST) {
                Ok(bytes) => {
                    if let Err(wrong) = parse_env_file(&bytes) {
                        let position = Some(Position { line: wrong.line, column: 1 });
                        let problem = Problem::new(wrong.problem).in_file(&file, position);
                        self.problem(Severity::Error, Some(subject.app), &file, problem);
                    }
                }
                Err(error) => {
                    let message = format!("cannot read {}: {}", file.shown(), reason(&error));
                    self.option(Severity::Error, subject, key, message, None);
                }
            }
        }
        if let Some(dir) = &daemon.working_directory {
            let dir = subject.app.run_dir().join(dir);
            let wrong = match dir.metadata() {
                Ok(meta) if meta.is_dir() => None,
                Ok(_) => Some("it is not a directory".to_owned()),
                Err(error) => Some(reason(&error)),
            };
            if let Some(why) = wrong {
                let message = format!("cannot enter {}: {why}", dir.shown());
                self.option(Severity::Error, subject, "daemon.working_directory", message, None);
            }
        }
    }

    /// Health checks that are on and have nothing to run, or the other way round.
    fn monitoring(&mut self, subject: &Subject<'_>) {
        let monitoring = &subject.options.monitoring;
        let key = "monitoring.enabled";
        match (monitoring.enabled, monitoring.check_command.is_some(), subject.app.check()) {
            (true, false, None) => {
                let message = "there is nothing to check health with: no check script, and no monitoring.check_command";
                self.option(Severity::Error, subject, key, message.to_owned(), None);
            }
            (false, false, Some(script)) if subject.origins.get(key) == Some(&Origin::Default) => {
                let message = "the app is not monitored: this check restarts nothing, and serves only start --wait";
                let hint = format!("daemonctl config set {} {key}=true", subject.app.name());
                self.add(Severity::Warning, Some(subject.app), &script.path, message.to_owned(), Some(hint));
            }
            (false, true, _) if subject.origins.get(key) == Some(&Origin::Default) => {
                let message = "the app is not monitored: this command restarts nothing, and serves only start --wait";
                let hint = format!("daemonctl config set {} {key}=true", subject.app.name());
                self.option(Severity::Warning, subject, "monitoring.check_command", message.to_owned(), Some(hint));
            }
            _ => {}
        }
    }

    /// What this host, and this version, cannot do.
    fn host(&mut self, subject: &Subject<'_>) {
        for (key, value) in table::unsupported(subject.options) {
            self.option(Severity::Error, subject, &key, format!("{value} is not supported yet"), None);
        }
        // With force, a plan goes on behind what cannot be enforced, and tells all of it.
        let ask = Ask { force: true, ..self.ask.clone() };
        match supervise::rehearse(self.root, subject.app, &ask, self.environment) {
            Ok(rehearsal) => {
                for report in rehearsal.refused {
                    let key = named_in(subject, &report.message());
                    self.located(Severity::Error, subject, key, report.message(), report.hint());
                }
                for warning in rehearsal.warnings {
                    let key = named_in(subject, &warning);
                    self.located(Severity::Warning, subject, key, warning, None);
                }
            }
            Err(failure) => self.located(Severity::Error, subject, None, failure.message, failure.hint),
        }
    }

    /// Something about an option that may be known.
    fn located(
        &mut self,
        severity: Severity,
        on: &Subject<'_>,
        key: Option<&str>,
        message: String,
        hint: Option<String>,
    ) {
        match key {
            Some(key) => self.option(severity, on, key, message, hint),
            None => {
                let file = on.app.config().unwrap_or(on.app.dir()).to_owned();
                self.add(severity, Some(on.app), &file, message, hint);
            }
        }
    }

    /// Something about an option, at the place where it is set.
    fn option(&mut self, severity: Severity, on: &Subject<'_>, key: &str, message: String, hint: Option<String>) {
        let home = on.app.config().unwrap_or(on.app.dir()).to_owned();
        let (file, position) = match on.origins.get(key) {
            Some(Origin::Global { file, .. } | Origin::App { file, .. }) => {
                let text = layers::read(file).ok().flatten().unwrap_or_default();
                (file.clone(), layers::positions(file, &text).remove(key))
            }
            _ => (home, None),
        };
        let (subject, app) = (Some(key.to_owned()), Some(on.app.name().clone()));
        self.push(Finding { severity, app, file, position, subject, message, hint });
    }

    /// A problem of the configuration itself.
    fn problem(&mut self, severity: Severity, app: Option<&App>, home: &Path, problem: Problem) {
        let Problem { file, position, subject, message, hint } = problem;
        let (file, app) = (file.unwrap_or_else(|| home.to_owned()), app.map(|app| app.name().clone()));
        self.push(Finding { severity, app, file, position, subject, message, hint });
    }

    /// Something about a file as a whole.
    fn add(&mut self, severity: Severity, app: Option<&App>, file: &Path, message: String, hint: Option<String>) {
        let (file, app) = (file.to_owned(), app.map(|app| app.name().clone()));
        self.push(Finding { severity, app, file, position: None, subject: None, message, hint });
    }

    /// Keeps it, unless the same was found before: every app reads the global file.
    fn push(&mut self, finding: Finding) {
        let same = |known: &Finding| {
            (&known.file, known.position, &known.message) == (&finding.file, finding.position, &finding.message)
                && (finding.position.is_some() || known.app.is_none() || known.app == finding.app)
        };
        if !self.found.iter().any(same) {
            self.found.push(finding);
        }
    }
}

/// The option that a sentence is about: the limit it tells of, else the first that is set, and that it names in full, by
/// its flag or by its key. A key that is a word of the language, such as `user`, may stand in any sentence.
fn named_in(subject: &Subject<'_>, sentence: &str) -> Option<&'static str> {
    if let Some(limit) = told_of(sentence, subject.options) {
        return Some(limit);
    }
    let set = |opt: &&table::Opt| subject.origins.get(&opt.name).is_some_and(|origin| *origin != Origin::Default);
    let words: Vec<&str> = sentence.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))).collect();
    let values = subject.options.values();
    let named = |opt: &table::Opt| {
        // A file is told by its name.
        let value = values.get(opt.name.as_str()).and_then(|value| value.as_str());
        if value.is_some_and(|text| text.len() > 3 && sentence.contains(text)) {
            return true;
        }
        let flag = opt.flag.as_ref().map(|flag| format!("--{flag}"));
        words.iter().any(|word| {
            let word = word.trim_end_matches('.');
            word == opt.name || (word == opt.key && word.contains('_')) || flag.as_deref() == Some(word)
        })
    };
    table::table().iter().filter(set).find(|opt| named(opt)).map(|opt| opt.name.as_str())
}

/// The largest file of variables that is read, as by the launcher.
const LARGEST: u64 = 4 << 20;

/// The interpreter that the first line of a script asks for.
fn first_line(path: &Path) -> Option<String> {
    let text = small::head(path, 256).ok()?;
    let line = text.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line.strip_prefix(b"#!")?).trim().to_owned();
    (!line.is_empty()).then_some(line)
}

/// An error with its causes, in one line.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
