//! Options of every command. They stand before it; after it, each of their names that the command does not use itself.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgMatches, Args, Command};
use tracing_subscriber::filter::LevelFilter;

use super::text;
use crate::config::{self, Problem, Problems};

/// A configuration file is never longer.
const LONGEST_FILE: u64 = 1 << 20;

/// Options that every command has.
#[derive(Args, Clone, Debug)]
pub(super) struct Globals {
    /// Global configuration file [default: conf.toml in the apps root] [env: DAEMONCTL_CONFIG]
    #[arg(id = "global.config", short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Apps root: the directory whose sub-directories are apps [default: the current directory] [env: DAEMONCTL_PATH]
    #[arg(id = "global.path", short = 'p', long = "path", value_name = "DIR")]
    pub(super) path: Option<PathBuf>,
    /// One more environment file for the apps that are started
    #[arg(id = "global.env", short = 'e', long = "env", value_name = "FILE")]
    pub(super) env: Option<PathBuf>,
    /// Say more
    #[arg(id = "global.verbose", short = 'v', long = "verbose")]
    pub(super) verbose: bool,
    /// Say nothing but what was asked for, and errors
    #[arg(id = "global.quiet", short = 'q', long = "quiet")]
    pub(super) quiet: bool,
    /// No colour, not even on a terminal [env: DAEMONCTL_NO_COLOR=, NO_COLOR=]
    #[arg(id = "global.no_color", long = "no-color")]
    pub(super) no_color: bool,
    /// Say what would be done, and do nothing
    #[arg(id = "global.dry_run", short = 'n', long = "dry-run")]
    pub(super) dry_run: bool,
    /// Do it anyway: what cannot be enforced becomes a warning
    #[arg(id = "global.force", short = 'f', long = "force")]
    pub(super) force: bool,
    /// How long a supervisor may take to answer [default: 30] [env: DAEMONCTL_OP_TIMEOUT]
    #[arg(id = "global.op_timeout", short = 'T', long = "op-timeout", value_name = "SEC", value_parser = text::duration)]
    pub(super) op_timeout: Option<Duration>,
}

impl Globals {
    /// Takes what was given after the command over what was given before it.
    pub(super) fn overlay(mut self, after: &ArgMatches) -> Self {
        self.config = given(after, "global.config").or(self.config);
        self.path = given(after, "global.path").or(self.path);
        self.env = given(after, "global.env").or(self.env);
        self.op_timeout = given(after, "global.op_timeout").or(self.op_timeout);
        self.verbose |= given(after, "global.verbose").unwrap_or(false);
        self.quiet |= given(after, "global.quiet").unwrap_or(false);
        self.no_color |= given(after, "global.no_color").unwrap_or(false);
        self.dry_run |= given(after, "global.dry_run").unwrap_or(false);
        self.force |= given(after, "global.force").unwrap_or(false);
        self
    }

    /// The apps root, as it was named.
    pub(super) fn root(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new("."))
    }

    /// How long a supervisor may take to answer.
    pub(super) fn op_timeout(&self) -> Duration {
        self.op_timeout.unwrap_or(Duration::from_secs(30))
    }

    /// The words that give another run of this program the same options.
    pub(super) fn words(&self) -> Vec<OsString> {
        let word = |name: &str, value: Option<&OsStr>| value.map(|value| [OsString::from(name), value.to_owned()]);
        let time = self.op_timeout.map(|time| OsString::from(format!("{}ms", time.as_millis())));
        let valued = [
            word("--path", self.path.as_deref().map(Path::as_os_str)),
            word("--config", self.config.as_deref().map(Path::as_os_str)),
            word("--env", self.env.as_deref().map(Path::as_os_str)),
            word("--op-timeout", time.as_deref()),
        ];
        let flags = [
            (self.verbose, "--verbose"),
            (self.no_color, "--no-color"),
            (self.dry_run, "--dry-run"),
            (self.force, "--force"),
        ];
        let flags = flags.into_iter().filter(|(given, _)| *given).map(|(_, name)| OsString::from(name));
        valued.into_iter().flatten().flatten().chain(flags).collect()
    }

    /// Fills in what the command line does not say from the environment. A variable that is set to nothing is as good as
    /// one that is not set.
    pub(super) fn inherit(&mut self, env: &dyn Fn(&str) -> Option<OsString>) -> Result<(), Problem> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        self.config = self.config.take().or_else(|| set("DAEMONCTL_CONFIG").map(PathBuf::from));
        self.path = self.path.take().or_else(|| set("DAEMONCTL_PATH").map(PathBuf::from));
        if let Some(time) = set("DAEMONCTL_OP_TIMEOUT").filter(|_| self.op_timeout.is_none()) {
            let wrong = |reason: String| Problem::new(reason).about("DAEMONCTL_OP_TIMEOUT");
            self.op_timeout = Some(text::duration(&time.to_string_lossy()).map_err(wrong)?);
        }
        Ok(())
    }

    /// What is set for this program and has no effect: warnings.
    pub(super) fn doubts(&self, environment: &[OsString], log_level: Option<&str>) -> Vec<Problem> {
        let unknown = log_level.filter(|text| !text.is_empty() && text.parse::<LevelFilter>().is_err());
        let unknown = unknown.map(|text| {
            let message =
                format!("{text:?} is no level, and warn is used: it is one of off, error, warn, info, debug, trace");
            Problem::new(message).about("DAEMONCTL_LOG_LEVEL")
        });
        let names = environment.iter().filter_map(|name| name.to_str());
        unknown.into_iter().chain(config::layers::misspelt_variables(names, self.root())).collect()
    }

    /// Fills in what neither the command line nor the environment says from `[daemonctl]` in the global file. Mistakes
    /// in it are handed back: they are no reason to leave an operator without `status` and `stop`.
    pub(super) fn settle(&mut self) -> Option<Problems> {
        let file = self.config.clone().unwrap_or_else(|| self.root().join("conf.toml"));
        // Few files have the table, and to parse any takes longer than the rest of a short command. What is no plain
        // file is left alone: a pipe can be read only once, and not by this.
        let plain = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= LONGEST_FILE);
        if !plain || !std::fs::read(&file).ok()?.windows(10).any(|text| text == b"[daemonctl") {
            return None;
        }
        match config::layers::program(&file, false) {
            Ok(program) => {
                self.op_timeout = self.op_timeout.or(program.op_timeout.map(|span| span.0));
                self.no_color |= program.no_color.unwrap_or(false);
                None
            }
            Err(problems) => Some(problems),
        }
    }
}

/// The value of an option that the command at hand may not have.
fn given<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<T> {
    matches.try_get_one::<T>(id).ok().flatten().cloned()
}

/// Adds to a command the global options that it may be followed by, without the letters it uses for its own.
pub(super) fn also_after(mut command: Command) -> Command {
    for option in Globals::augment_args(Command::new("")).get_arguments() {
        let taken = |name: &dyn Fn(&clap::Arg) -> bool| command.get_arguments().any(name);
        if option.get_long().is_some_and(|long| taken(&|own| own.get_long() == Some(long))) {
            continue;
        }
        let mut option = option.clone().default_value(None).hide(true);
        if taken(&|own| own.get_short().is_some() && own.get_short() == option.get_short()) {
            option = option.short(None);
        }
        command = command.arg(option);
    }
    command
}

/// Whether the environment objects to colour.
pub(super) fn colorless(env: &dyn Fn(&str) -> Option<String>) -> bool {
    ["DAEMONCTL_NO_COLOR", "NO_COLOR"].iter().any(|name| env(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[OsString]) -> Globals {
        let matches = Globals::augment_args(Command::new("daemonctl")).get_matches_from(line);
        clap::FromArgMatches::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn a_variable_stands_in_for_its_option_unless_it_is_empty() {
        let with = |line: &str, variables: &[(&str, &str)]| {
            let mut globals = read(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
            let value = |name: &str| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into());
            globals.inherit(&value).map_err(|problem| problem.to_string()).map(|()| globals)
        };
        let set = [("DAEMONCTL_PATH", "/srv"), ("DAEMONCTL_CONFIG", "/etc/d.toml"), ("DAEMONCTL_OP_TIMEOUT", "5")];
        let taken = with("daemonctl", &set).unwrap();
        assert_eq!((taken.root(), taken.config.as_deref()), (Path::new("/srv"), Some(Path::new("/etc/d.toml"))));
        assert_eq!(taken.op_timeout(), Duration::from_secs(5));
        let empty = with("daemonctl", &set.map(|(name, _)| (name, ""))).unwrap();
        assert_eq!((empty.root(), empty.config.as_ref(), empty.op_timeout), (Path::new("."), None, None));
        let wrong = [("DAEMONCTL_OP_TIMEOUT", "abc")];
        assert!(with("daemonctl", &wrong).unwrap_err().starts_with("DAEMONCTL_OP_TIMEOUT: "));
        assert_eq!(with("daemonctl -T 7", &wrong).unwrap().op_timeout(), Duration::from_secs(7));
    }

    #[test]
    fn another_run_of_this_program_gets_the_same_options() {
        let line = "daemonctl -p /srv/my -c conf -e more -T 1500ms -v -n -f --no-color";
        let read = |line: Vec<OsString>| {
            let grammar = Globals::augment_args(Command::new("daemonctl"));
            format!(
                "{:?}",
                clap::FromArgMatches::from_arg_matches(&grammar.get_matches_from(line)).map(|one: Globals| one)
            )
        };
        let given: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let grammar = Globals::augment_args(Command::new("daemonctl")).get_matches_from(&given);
        let globals: Globals = clap::FromArgMatches::from_arg_matches(&grammar).unwrap();
        let again = [vec![OsString::from("daemonctl")], globals.words()].concat();
        assert_eq!(read(again), read(given));
    }
}
