//! The layers that an option's value comes from, laid over each other.
//!
//! Later wins: the declared defaults, the global file, the app's file, variables, the command line's overrides and
//! flags. A layer replaces a value as a whole; only `process.environment` is merged, variable by variable. Nothing is
//! believed before it was checked, and all mistakes of all layers are reported together: whoever mends one of them at
//! three in the morning should not meet the next.

mod file;
mod variables;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use daemonctl_actors::value::AppName;
use serde_json::Value;

use super::problem::Position;
use super::sections::Program;
use super::table::{Opt, find, table, unknown_option};
use super::{Ask, Options, Problem, Problems, rules};
use crate::app::Shown;
use file::Scope;

/// Everything a resolution reads.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The apps root; its `conf.toml` is the global file, unless `ask` names another.
    pub root: &'a Path,
    /// The app.
    pub app: &'a AppName,
    /// The app's `conf.toml`, if it has one.
    pub app_config: Option<&'a Path>,
    /// What the command line asked for.
    pub ask: &'a Ask,
    /// The environment of the command.
    pub environment: &'a BTreeMap<String, String>,
}

/// The options of an app, and where each came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The values.
    pub options: Options,
    /// Where the value of each option was set, by name; every option is in it.
    pub origins: BTreeMap<String, Origin>,
    /// Where each variable of `process.environment` was set, by name: it is the one option that layers add to.
    pub variables: BTreeMap<String, Origin>,
    /// What may be a mistake, but does not keep the app from starting.
    pub warnings: Vec<Problem>,
}

/// A text that a file is taken to have, whatever it holds.
#[derive(Clone, Copy, Debug)]
pub struct InPlace<'a> {
    /// The file.
    pub file: &'a Path,
    /// The text.
    pub text: &'a str,
}

/// What the global file says, and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// The options it gives every app.
    pub resolved: Resolved,
    /// The settings of daemonctl itself, by name.
    pub program: BTreeMap<String, (Value, Origin)>,
}

/// Where the value of an option was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In the global file.
    Global {
        /// The file.
        file: PathBuf,
        /// The line, counted from one.
        line: usize,
    },
    /// In the app's file.
    App {
        /// The file.
        file: PathBuf,
        /// The line, counted from one.
        line: usize,
    },
    /// In the environment, by this variable.
    Variable(String),
    /// By `--config-override`.
    Override,
    /// By this flag, with its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Global { file, line } | Self::App { file, line } => write!(f, "{}:{line}", file.shown()),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Override => f.write_str("--config-override"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// The options of an app, from all layers; or every mistake in them.
pub fn resolve(sources: &Sources<'_>) -> Result<Resolved, Problems> {
    Layers::default().resolve(sources)
}

/// The same, as if one of the files had another text.
pub fn resolve_as_if(sources: &Sources<'_>, instead: InPlace<'_>) -> Result<Resolved, Problems> {
    Layers { instead: Some(instead), ..Layers::default() }.resolve(sources)
}

/// What the global file sets. A file that is missing is empty, unless it was asked for by name.
pub fn global(file: &Path, by_name: bool) -> Result<Global, Problems> {
    let mut layers = Layers::default();
    layers.add_file(file, by_name, Scope::Global);
    let text = file::read(file, by_name).ok().flatten().unwrap_or_default();
    let entries = file::check(file, &text, Scope::Program).0.into_iter();
    let program = entries.map(|entry| {
        let origin = Origin::Global { file: file.to_owned(), line: entry.position.line };
        (entry.opt.name.clone(), (entry.value, origin))
    });
    Ok(Global { program: program.collect(), resolved: layers.finish()? })
}

/// The settings of daemonctl itself: `[daemonctl]` in the global file. A file that is missing is empty, unless it was
/// asked for by name. Mistakes in other tables are the apps' matter and not reported here.
pub fn program(file: &Path, by_name: bool) -> Result<Program, Problems> {
    let problem = |problem: Problem| Problems::from(problem);
    let Some(text) = file::read(file, by_name).map_err(problem)? else { return Ok(Program::default()) };
    let (entries, problems) = file::check(file, &text, Scope::Program);
    Problems(problems).unless_any(())?;
    let values = entries.into_iter().map(|entry| (entry.opt.key.clone(), entry.value)).collect();
    serde_json::from_value(Value::Object(values)).map_err(|error| problem(Problem::new(error.to_string())))
}

/// Every mistake in the text of a configuration file: the global one, or that of an app.
pub fn check_text(file: &Path, text: &str, global: bool) -> Vec<Problem> {
    file::check(file, text, if global { Scope::Global } else { Scope::App }).1
}

/// Variables that are nobody's, and apps that share theirs.
pub fn doubtful_variables(apps: &[AppName], environment: &BTreeMap<String, String>) -> Vec<Problem> {
    variables::nobodys(apps, environment)
}

/// The variables of an environment that set options of an app, with their texts.
pub fn variables_of<'a>(
    app: &AppName,
    environment: &'a BTreeMap<String, String>,
    root: &Path,
) -> BTreeMap<&'a str, &'a str> {
    variables::find(app, environment, root).known.into_iter().map(|(variable, _, text)| (variable, text)).collect()
}

/// Variables that are nearly one of this program's own, and no app's.
pub fn misspelt_variables<'a>(variables: impl Iterator<Item = &'a str>, root: &Path) -> Vec<Problem> {
    variables::misspelt(variables, root)
}

/// The text of a configuration file; nothing where there is none.
pub fn read(file: &Path) -> Result<Option<String>, Problem> {
    file::read(file, false)
}

/// Where in the text of a configuration file each option is set, by name.
pub fn positions(file: &Path, text: &str) -> BTreeMap<String, Position> {
    let places = |scope| file::check(file, text, scope).0.into_iter();
    let both = places(Scope::Global).chain(places(Scope::Program));
    both.map(|entry| (entry.opt.name.clone(), entry.position)).collect()
}

/// What the layers so far have set, by option.
#[derive(Default)]
struct Layers<'a> {
    instead: Option<InPlace<'a>>,
    values: BTreeMap<&'static str, Value>,
    origins: BTreeMap<&'static str, Origin>,
    variables: BTreeMap<String, Origin>,
    problems: Problems,
    warnings: Vec<Problem>,
}

impl Layers<'_> {
    fn resolve(mut self, sources: &Sources<'_>) -> Result<Resolved, Problems> {
        if !sources.ask.no_config {
            self.add_files(sources);
        }
        self.add_variables(sources);
        self.add_settings(sources.ask);
        self.finish()
    }

    /// Lays one value over what there is.
    fn set(&mut self, opt: &'static Opt, value: Value, origin: Origin) {
        if let Value::Object(variables) = &value {
            self.variables.extend(variables.keys().map(|name| (name.clone(), origin.clone())));
        }
        let value = match (self.values.remove(opt.name.as_str()), value) {
            // The one option that is merged.
            (Some(Value::Object(mut below)), Value::Object(above)) => {
                below.extend(above);
                Value::Object(below)
            }
            (_, above) => above,
        };
        self.values.insert(&opt.name, value);
        self.origins.insert(&opt.name, origin);
    }

    fn add_files(&mut self, sources: &Sources<'_>) {
        let global = sources.ask.config_file.clone().unwrap_or_else(|| sources.root.join("conf.toml"));
        self.add_file(&global, sources.ask.config_file.is_some(), Scope::Global);
        if let Some(file) = sources.app_config {
            self.add_file(file, true, Scope::App);
        }
    }

    fn add_file(&mut self, path: &Path, required: bool, scope: Scope) {
        let text = match self.instead {
            Some(InPlace { file, text }) if file == path => Ok(Some(text.to_owned())),
            _ => file::read(path, required),
        };
        let text = match text {
            Ok(Some(text)) => text,
            Ok(None) => return,
            Err(problem) => return self.problems.0.push(problem),
        };
        let (entries, problems) = file::check(path, &text, scope);
        self.problems.0.extend(problems);
        for entry in entries {
            let origin = |line| match scope {
                Scope::Global => Origin::Global { file: path.to_owned(), line },
                Scope::App | Scope::Program => Origin::App { file: path.to_owned(), line },
            };
            self.set(entry.opt, entry.value, origin(entry.position.line));
            self.variables.extend(entry.variables.into_iter().map(|(name, line)| (name, origin(line))));
        }
    }

    fn add_variables(&mut self, sources: &Sources<'_>) {
        let found = variables::find(sources.app, sources.environment, sources.root);
        self.warnings.extend(found.unknown);
        for (variable, opt, text) in found.known {
            match opt.check(text) {
                Ok(value) => self.set(opt, value, Origin::Variable(variable.to_owned())),
                Err(wrong) => self.problems.0.push(Problem::new(wrong).about(variable)),
            }
        }
    }

    fn add_settings(&mut self, ask: &Ask) {
        for setting in &ask.settings {
            let Some(opt) = find(&setting.key) else {
                self.problems.0.push(unknown_option(&setting.key).about(&setting.origin));
                continue;
            };
            let (origin, subject) = match setting.origin.as_str() {
                "--config-override" => (Origin::Override, format!("{}: {}", setting.origin, setting.key)),
                flag => (Origin::Flag(flag.to_owned()), flag.to_owned()),
            };
            match opt.check(&setting.value) {
                Ok(value) => self.set(opt, value, origin),
                Err(wrong) => self.problems.0.push(Problem::new(wrong).about(subject)),
            }
        }
    }

    /// Where these options were set, as the end of a sentence.
    fn set_by<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> String {
        let by = |name: &str| self.origins.get(name).map(|origin| format!("{name} is set by {origin}"));
        format!(" ({})", names.into_iter().filter_map(by).collect::<Vec<_>>().join(", "))
    }

    /// Checks what no value can show alone, and makes options of the values.
    fn finish(mut self) -> Result<Resolved, Problems> {
        match rules::imply_sandbox(&mut self.values) {
            Ok(Some(cause)) => {
                let origin = self.origins.get(cause).cloned().unwrap_or(Origin::Default);
                self.origins.insert("sandbox.type", origin);
            }
            Ok(None) => {}
            Err(mut problem) => {
                let names = problem.subject.as_deref().into_iter().chain(["sandbox.type"]);
                problem.message += &self.set_by(names);
                self.problems.0.push(problem);
            }
        }
        let options = match Options::from_values(std::mem::take(&mut self.values)) {
            Ok(options) => options,
            Err(error) => {
                self.problems.0.push(Problem::new(error.to_string()));
                return Err(self.problems);
            }
        };
        for (mut problem, names) in rules::contradictions(&options) {
            problem.message += &self.set_by(names);
            self.problems.0.push(problem);
        }
        self.warnings.extend(rules::doubtful(&options));
        let mut origins: BTreeMap<String, Origin> =
            table().iter().map(|opt| (opt.name.clone(), Origin::Default)).collect();
        origins.extend(self.origins.into_iter().map(|(name, origin)| (name.to_owned(), origin)));
        let (variables, warnings) = (self.variables, self.warnings);
        self.problems.unless_any(Resolved { options, origins, variables, warnings })
    }
}

#[cfg(test)]
mod tests;
