//! `daemonctl config`: what is set, where it comes from, and changing it.
//!
//! - [`show`]: what is set, or every option with its origin. [`render`]: the three forms it is printed in.
//! - [`set`] and [`unset`]: change a file, or nothing. What both do is in [`mod@change`], and [`diff`] is their dry run.
//! - [`check`]: every mistake below the root at once. [`findings`]: what each app is looked at for.
//! - [`schema`]: the same rules for editors.

mod change;
mod check;
mod diff;
mod findings;
mod render;
mod schema;
mod set;
mod show;
mod unset;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};

use super::Verb;
use super::error::CliError;
use super::session::Session;
use crate::app::Shown;

/// `daemonctl config`.
#[derive(Args, Debug)]
pub(super) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug)]
enum Action {
    Show(show::Show),
    Set(set::Set),
    Unset(unset::Unset),
    Check(check::Check),
    Schema(schema::Schema),
}

impl Verb for Config {
    const NAME: &'static str = "config";
    const ABOUT: &'static str = "Show, change and check configuration";
    const MORE: &'static str = "\
Examples:
  daemonctl config show --resolved web
  daemonctl config set web limits.memory_limit=512M
  daemonctl config unset web limits.memory_limit
  daemonctl config check";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        match self.action {
            Action::Show(show) => show.run(session),
            Action::Set(set) => set.run(session),
            Action::Unset(unset) => unset.run(session),
            Action::Check(check) => check.run(session),
            Action::Schema(schema) => schema.run(session),
        }
    }
}

/// A command below `config`, with the global options that may follow it.
fn below<V: Verb>() -> Command {
    super::args::<V>(Command::new(V::NAME))
}

impl Subcommand for Action {
    fn augment_subcommands(command: Command) -> Command {
        let all = [
            below::<show::Show>(),
            below::<set::Set>(),
            below::<unset::Unset>(),
            below::<check::Check>(),
            below::<schema::Schema>(),
        ];
        command.subcommands(all).subcommand_required(true).subcommand_value_name("ACTION").disable_help_subcommand(true)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        ["show", "set", "unset", "check", "schema"].contains(&name)
    }
}

impl FromArgMatches for Action {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(match matches.subcommand() {
            Some(("set", matches)) => Self::Set(set::Set::from_arg_matches(matches)?),
            Some(("unset", matches)) => Self::Unset(unset::Unset::from_arg_matches(matches)?),
            Some(("check", matches)) => Self::Check(check::Check::from_arg_matches(matches)?),
            Some(("schema", matches)) => Self::Schema(schema::Schema::from_arg_matches(matches)?),
            Some((_, matches)) => Self::Show(show::Show::from_arg_matches(matches)?),
            None => return Err(clap::Error::new(clap::error::ErrorKind::MissingSubcommand)),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The global file, and whether it was asked for by name.
fn global_file(session: &mut Session) -> Result<(PathBuf, bool), CliError> {
    let named = session.globals.config.as_deref().map(std::path::absolute).transpose();
    let named = named.map_err(|source| CliError::Io { doing: "find the global file".into(), source })?;
    Ok(match named {
        Some(file) => (file, true),
        None => (session.root()?.path().join("conf.toml"), false),
    })
}

/// A path as messages show it.
fn shown(path: &Path) -> String {
    path.shown().to_string()
}

#[cfg(test)]
mod tests;
