//! `daemonctl config unset`.

use std::process::ExitCode;

use clap::Args;

use super::Verb;
use super::change::{Change, carry_out};
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::config::{Key, Problems};

#[derive(Args, Debug)]
pub(super) struct Unset {
    /// App whose file is changed [default: the global file]
    #[arg(value_name = "APP")]
    first: Option<String>,
    /// Options that are taken out
    #[arg(value_name = "KEY")]
    rest: Vec<String>,
}

impl Verb for Unset {
    const NAME: &'static str = "unset";
    const ABOUT: &'static str = "Take options out of the file of an app, or of the global one";
    const MORE: &'static str = "\
A first word that is no key in full, section.key, is the app. The keys behind it may be shorter
where only one section has them. To take out what is not set is no mistake. What is no option can be
taken out as well, by the name it has in the file.

Examples:
  daemonctl config unset web limits.memory_limit process.restart
  daemonctl config unset web process.environment.LANG
  daemonctl config unset logging.level     in the global file";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        // The app may be left out: then the first word is a key as well.
        let app = self.first.as_ref().filter(|word| !Key::is_full_name(word));
        let names: Vec<&String> = self.first.iter().filter(|word| Key::is_full_name(word)).chain(&self.rest).collect();
        if names.is_empty() {
            let meant = app.and_then(|word| Key::read(word, true).ok());
            let hint = meant.map(|key| format!("for the global file, write {key}"));
            let after = app.map(|word| format!(" after the app {word:?}")).unwrap_or_default();
            let message = format!("config unset needs a KEY{after}");
            return Err(CliError::Usage { message, hint: hint.or(Some("see daemonctl config unset --help".into())) });
        }
        let (mut changes, mut problems) = (Vec::new(), Problems::default());
        for name in names {
            match Key::read(name, app.is_none()) {
                Ok(key) => changes.push(Change::Unset(key)),
                // A name that is no option may be in the file all the same, which is why somebody wants it out.
                Err(problem) if name.contains('.') => changes.push(Change::Strike(name.clone(), problem)),
                Err(problem) => problems.0.push(problem),
            }
        }
        let changes = problems.unless_any(changes)?;
        carry_out(session, app.map(String::as_str), &changes)
    }
}
