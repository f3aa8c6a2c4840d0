//! `daemonctl config set`.

use std::process::ExitCode;

use clap::Args;

use super::Verb;
use super::change::{Change, carry_out};
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::config::values::EnvMap;
use crate::config::{Key, Problem, Problems};

#[derive(Args, Debug)]
pub(super) struct Set {
    /// App whose file is changed [default: the global file]
    #[arg(value_name = "APP")]
    first: Option<String>,
    /// Options and their new values
    #[arg(value_name = "KEY=VALUE")]
    rest: Vec<String>,
}

impl Verb for Set {
    const NAME: &'static str = "set";
    const ABOUT: &'static str = "Set options in the file of an app, or in the global one";
    const MORE: &'static str = "\
A first word without '=' is the app. KEY is section.key, or the key alone where only one section
has it, or process.environment.NAME. The file is replaced only if that brings no mistake into it;
comments and order stay.

Examples:
  daemonctl config set web limits.memory_limit=512M process.restart=always
  daemonctl config set web process.environment.LANG=C.UTF-8
  daemonctl config set logging.level=warn             for every app
  daemonctl config set --dry-run web user=www-data    print what would change";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        // The app may be left out: then the first word is a pair as well.
        let is_app = |word: &String| !word.contains('=') && !Key::is_full_name(word);
        let app = self.first.as_ref().filter(|word| is_app(word));
        let pairs: Vec<&String> = self.first.iter().filter(|word| !is_app(word)).chain(&self.rest).collect();
        if let Some(word) = pairs.iter().find(|word| !word.contains('=')) {
            return Err(misused(format!("{word:?} has no '=': write KEY=VALUE, and the app before all keys")));
        }
        if pairs.is_empty() {
            return Err(misused("config set needs KEY=VALUE".to_owned()));
        }
        let (mut changes, mut problems) = (Vec::new(), Problems::default());
        for pair in pairs {
            match change(pair, app.is_none()) {
                Ok(change) => changes.push(change),
                Err(problem) => problems.0.push(problem),
            }
        }
        let changes = problems.unless_any(changes)?;
        carry_out(session, app.map(String::as_str), &changes)
    }
}

fn misused(message: String) -> CliError {
    CliError::Usage { message, hint: Some("see daemonctl config set --help".into()) }
}

/// One `KEY=VALUE`.
fn change(pair: &str, global: bool) -> Result<Change, Problem> {
    let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
    let key = Key::read(name, global)?;
    let about = |wrong: String| Problem::new(wrong).about(key.to_string());
    let value = match &key.variable {
        // A variable is taken as it is: quotes and commas belong to its value.
        Some(variable) => {
            EnvMap::default().insert(variable, text).map_err(|wrong| about(wrong.to_string()))?;
            text.into()
        }
        None => key.opt.check(text).map_err(about)?,
    };
    Ok(Change::Set(key, value))
}
