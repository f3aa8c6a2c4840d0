//! The options of an app on a command line: what `start`, `run` and `restart` share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::error::CliError;
use super::globals::Globals;
use crate::app::{App, Root, Shown, small};
use crate::config::{self, Ask, Options, Problems, Setting, Sources, table};

/// Every option of the table that was given.
#[derive(Debug)]
pub(super) struct AppOptions {
    asked: Result<(Vec<Setting>, bool), Problems>,
    foreground: bool,
    background: bool,
}

impl AppOptions {
    /// `-F`: `start` is `run`.
    pub(super) fn foreground(&self) -> bool {
        self.foreground
    }

    /// `-d`: `run` is `start`.
    pub(super) fn background(&self) -> bool {
        self.background
    }

    /// What the command line asked for, as it is kept with the app.
    pub(super) fn ask(self, globals: &Globals) -> Result<Ask, CliError> {
        let (mut settings, no_config) = self.asked?;
        for setting in settings.iter_mut().filter(|setting| names_a_file(setting)) {
            setting.value = absolute(Path::new(&setting.value))?.to_string_lossy().into_owned();
            if setting.key == "process.environment_file" {
                can_be_read_later(&setting.origin, Path::new(&setting.value))?;
            }
        }
        Ok(Ask { settings, no_config, ..plain(globals)? })
    }
}

/// Whether a flag names a file or directory: on a command line that is one seen from where the command is typed, while
/// a path in a configuration is seen from the app.
fn names_a_file(setting: &Setting) -> bool {
    let is_path = |opt: &table::Opt| matches!(opt.value_name.as_str(), "FILE" | "DIR");
    setting.origin != "--config-override" && table::find(&setting.key).is_some_and(is_path)
}

/// What a command without the options of an app asks for.
pub(super) fn plain(globals: &Globals) -> Result<Ask, CliError> {
    let absolute = |path: &Option<PathBuf>| path.as_deref().map(absolute).transpose();
    let (config_file, env_file) = (absolute(&globals.config)?, absolute(&globals.env)?);
    env_file.as_deref().map_or(Ok(()), |file| can_be_read_later("--env", file))?;
    Ok(Ask { config_file, env_file, force: globals.force, ..Ask::default() })
}

/// Refuses a file of variables that only this process can read, and only once, such as what a shell's `<(…)` leads to.
fn can_be_read_later(flag: &str, file: &Path) -> Result<(), CliError> {
    if file.metadata().is_ok_and(|meta| !small::is_plain(&meta)) {
        let message = format!("{flag} {}: it is not a regular file", file.shown());
        let hint =
            "each start reads it anew, in another process than this one: write the variables to a file".to_owned();
        return Err(CliError::Usage { message, hint: Some(hint) });
    }
    Ok(())
}

/// The options of an app as a start would find them; nothing where they have mistakes.
pub(super) fn resolved(root: &Root, app: &App, ask: &Ask) -> Option<Options> {
    let (environment, root) = (environment(), root.path());
    let sources = Sources { root, app: app.name(), app_config: app.config(), ask, environment: &environment };
    config::resolve(&sources).ok().map(|resolved| resolved.options)
}

/// A supervisor has another working directory than the command that asks it.
fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path).map_err(|source| CliError::Io { doing: format!("find {}", path.shown()), source })
}

/// The environment that is sent along with a start. What is not UTF-8 cannot be sent, and is not.
pub(super) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Whether a flag was given, to a command that has it.
fn given(matches: &ArgMatches, id: &str) -> bool {
    matches.try_get_one(id).ok().flatten().copied().unwrap_or(false)
}

impl Args for AppOptions {
    fn augment_args(command: Command) -> Command {
        table::start_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for AppOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            asked: table::asked(matches),
            foreground: given(matches, "foreground"),
            background: given(matches, "daemon"),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
