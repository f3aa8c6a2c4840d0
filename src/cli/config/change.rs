//! A change to a configuration file: made in the text, checked as a whole, and only then put in the file's place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use daemonctl_actors::value::AppName;
use serde_json::Value;

use super::findings::{Finding, Inspection};
use super::{diff, global_file, shown};
use crate::app::{App, AppError, readable};
use crate::cli::error::CliError;
use crate::cli::options::{environment, plain};
use crate::cli::session::Session;
use crate::cli::text;
use crate::config::edit::{self, written};
use crate::config::layers::{self, InPlace};
use crate::config::replace::{Held, ReplaceError};
use crate::config::{Ask, Key, Options, Problem, Problems, Sources, table};

/// What is done to one option.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Set(Key, Value),
    Unset(Key),
    /// Something that is no option is taken out if the file has it; if not, it was a mistake to ask for it.
    Strike(String, Problem),
}

impl Change {
    /// The option that gets a value, unless that has been warned of as something that is not built yet.
    fn value_of(&self) -> Option<&str> {
        match self {
            Self::Set(key, _) if table::is_built(&key.opt.name) => Some(&key.opt.name),
            Self::Set(..) | Self::Unset(_) | Self::Strike(..) => None,
        }
    }

    /// What it is about, as a mistake in a file would name it.
    fn subject(&self) -> String {
        match self {
            Self::Set(key, _) | Self::Unset(key) => key.to_string(),
            Self::Strike(name, _) => name.clone(),
        }
    }
}

/// The file that is changed.
struct Target {
    /// The app it belongs to; none for the global file.
    app: Option<AppName>,
    file: PathBuf,
}

impl From<ReplaceError> for CliError {
    fn from(error: ReplaceError) -> Self {
        Self::Io { doing: error.doing, source: error.source }
    }
}

/// Makes the changes that a command line asks for.
pub(super) fn carry_out(session: &mut Session, app: Option<&str>, changes: &[Change]) -> Result<ExitCode, CliError> {
    let target = target(session, app)?;
    let patience = session.globals.op_timeout();
    let held = if session.globals.dry_run { None } else { Some(Held::take(&target.file, patience)?) };
    let old = layers::read(&target.file).map_err(Problems::from)?.unwrap_or_default();
    let (new, told) = applied(&target, &old, changes)?;
    let left = validate(session, &target, &old, &new, changes)?;
    let name = held.as_ref().map_or_else(|| shown(&target.file), |held| shown(held.path()));
    if new == old {
        session.screen.done(&format!("{name} is as it was: there was nothing to change"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(held) = held else {
        let (before, after) = (edit::veiled(&old, None), edit::veiled(&new, Some(&old)));
        session.screen.result(&diff::unified(&name, &before, &after))?;
        return Ok(ExitCode::SUCCESS);
    };
    held.replace(&new)?;
    told.iter().try_for_each(|line| session.screen.done(&format!("{name}: {line}")))?;
    if left > 0 {
        let check = target.app.as_ref().map(|app| format!(" {app}")).unwrap_or_default();
        let mistakes = text::count(left, "mistake");
        session.screen.note(&format!("warning: {mistakes} left in it: daemonctl config check{check} tells"));
    }
    warn_of_what_was_set(session, &target, changes)?;
    note_those_that_run(session, &target, changes);
    Ok(ExitCode::SUCCESS)
}

/// Which file is meant. An app without a file gets one where its next version will find it, too: beside a `run` link,
/// not behind it.
fn target(session: &mut Session, app: Option<&str>) -> Result<Target, CliError> {
    let Some(name) = app else { return Ok(Target { app: None, file: global_file(session)?.0 }) };
    match session.root()?.app(name) {
        Ok(app) => {
            let home = if app.dir().join("run").is_symlink() { app.dir() } else { app.run_dir() };
            let file = app.config().map_or_else(|| home.join("conf.toml"), Path::to_owned);
            Ok(Target { app: Some(app.name().clone()), file })
        }
        // It becomes an app by this: `config set new process.command=…`.
        Err(AppError::Empty(dir)) if dir.is_dir() => {
            let name = name.parse().map_err(AppError::from)?;
            Ok(Target { app: Some(name), file: dir.join("conf.toml") })
        }
        Err(error) => Err(error.into()),
    }
}

/// The text with all changes made, and what each of them did, in words.
fn applied(target: &Target, old: &str, changes: &[Change]) -> Result<(String, Vec<String>), CliError> {
    let (mut text, mut told) = (old.to_owned(), Vec::new());
    for change in changes {
        let key = match change {
            Change::Set(key, _) | Change::Unset(key) => key,
            Change::Strike(name, problem) => {
                let after = edit::strike(&text, name).map_err(|problem| refused(target, &text, problem))?;
                text = after.ok_or_else(|| Problems::from(problem.clone()))?;
                told.push(format!("{name}, which is no option, is taken out"));
                continue;
            }
        };
        let hide = |value: String| if key.is_secret() { "\"***\"".to_owned() } else { value };
        let was = edit::get(&text, key).map(|value| format!("was {}", hide(in_one_line(value))));
        let after = match change {
            Change::Set(key, value) => edit::set(&text, key, value).map(Some),
            Change::Unset(_) | Change::Strike(..) => edit::unset(&text, key),
        };
        let after = after.map_err(|problem| refused(target, &text, problem))?;
        told.push(match (change, &after) {
            (Change::Set(_, value), _) => {
                let value = hide(written(value).to_string());
                format!("{key} = {value} ({})", was.as_deref().unwrap_or("was not set"))
            }
            (_, Some(_)) => {
                format!("{key} is not set any more ({})", was.as_deref().unwrap_or("was a table"))
            }
            (_, None) => format!("{key} was not set"),
        });
        text = after.unwrap_or(text);
    }
    Ok((text, told))
}

/// A value as it stands in a file, or, where that takes several lines, as one would write it in one.
fn in_one_line(value: String) -> String {
    if !value.contains('\n') {
        return readable(&value);
    }
    let table = format!("value = {value}").parse::<toml::Table>().ok();
    let plain = table.and_then(|mut table| serde_json::to_value(table.remove("value")?).ok());
    readable(&plain.map_or(value, |plain| written(&plain).to_string()))
}

/// Why a text cannot be changed. One that is not TOML has mistakes with places, which say more.
fn refused(target: &Target, text: &str, problem: Problem) -> CliError {
    let problems = layers::check_text(&target.file, text, target.app.is_none());
    if problems.is_empty() {
        Problems::from(problem.in_file(&target.file, None)).into()
    } else {
        Problems(problems).into()
    }
}

/// Whether the new text is a configuration without mistakes, by itself and with the other files; of a file that had
/// some, that the change brings none. A global file must not break an app that was whole before. Returns how many
/// mistakes are left.
fn validate(
    session: &mut Session,
    target: &Target,
    old: &str,
    new: &str,
    changes: &[Change],
) -> Result<usize, CliError> {
    let ask = plain(&session.globals)?;
    let mut problems = mistakes(session, &ask, target, new)?;
    if target.app.is_none() && problems.is_empty() {
        for app in session.all_apps()? {
            let Err(found) = as_if(session, &ask, app.name(), app.config(), target, new)? else { continue };
            if as_if(session, &ask, app.name(), app.config(), target, old)?.is_ok() {
                problems.extend(found.0.into_iter().filter(|problem| !problems.contains(problem)).collect::<Vec<_>>());
            }
        }
    }
    let before = mistakes(session, &ask, target, old)?;
    let is_old = |problem: &Problem| {
        let same = |other: &Problem| (&other.subject, &other.message) == (&problem.subject, &problem.message);
        // Mistakes of some kinds hide others, which come to light when they go.
        let is_about_change = || changes.iter().any(|change| Some(change.subject()) == problem.subject);
        before.iter().any(same) || (!before.is_empty() && !is_about_change())
    };
    let (left, added): (Vec<Problem>, Vec<Problem>) = problems.into_iter().partition(is_old);
    if !added.is_empty() {
        session.screen.note(&format!("{} is left as it was: with this change it would be wrong", shown(&target.file)));
    }
    Problems(added).unless_any(())?;
    if let Some(app) = &target.app
        && let Ok(options) = as_if(session, &ask, app, Some(&target.file), target, new)?
    {
        warn_of_unsupported(session, &options);
    }
    Ok(left.len())
}

/// What is wrong with a text in the place of the target.
fn mistakes(session: &mut Session, ask: &Ask, target: &Target, text: &str) -> Result<Vec<Problem>, CliError> {
    let problems = layers::check_text(&target.file, text, target.app.is_none());
    let Some(app) = target.app.as_ref().filter(|_| problems.is_empty()) else { return Ok(problems) };
    Ok(as_if(session, ask, app, Some(&target.file), target, text)?.err().map(|found| found.0).unwrap_or_default())
}

/// The options that the files would give an app if the target had another text.
fn as_if(
    session: &mut Session,
    ask: &Ask,
    app: &AppName,
    app_config: Option<&Path>,
    target: &Target,
    text: &str,
) -> Result<Result<Options, Problems>, CliError> {
    let root = session.root()?.path();
    let sources = Sources { root, app, app_config, ask, environment: &BTreeMap::new() };
    let instead = InPlace { file: &target.file, text };
    Ok(layers::resolve_as_if(&sources, instead).map(|resolved| resolved.options))
}

/// What is set and not built yet is no mistake of the file, but a start would refuse it.
fn warn_of_unsupported(session: &Session, options: &Options) {
    for (key, value) in table::unsupported(options) {
        session.screen.note(&format!("warning: {key} = {value} is not supported yet, and a start will refuse it"));
    }
}

/// A value of the right kind can still be one that no start gets along with: a user that does not exist, say. It
/// is kept, as that may change, and what `config check` says of it is said now.
fn warn_of_what_was_set(session: &mut Session, target: &Target, changes: &[Change]) -> Result<(), CliError> {
    let set: Vec<&str> = changes.iter().filter_map(Change::value_of).collect();
    let (ask, environment) = (plain(&session.globals)?, environment());
    let root = session.root()?;
    let apps = match &target.app {
        Some(name) => App::inspect(root, name).into_iter().collect(),
        None => root.apps().unwrap_or_default(),
    };
    let mut inspection = Inspection { root, ask: &ask, environment: &environment, found: Vec::new() };
    apps.iter().for_each(|app| inspection.app(app));
    let is_of_it = |found: &&Finding| found.subject.as_deref().is_some_and(|key| set.contains(&key));
    let found = inspection.found.iter().filter(|found| found.file == target.file).filter(is_of_it);
    found.for_each(|found| session.screen.note(&format!("warning: {}", found.told())));
    Ok(())
}

/// A file is read when an app is launched. That nobody can say what runs is no reason to fail after the work is done.
fn note_those_that_run(session: &mut Session, target: &Target, changes: &[Change]) {
    let asked: Vec<AppName> = target.app.iter().cloned().collect();
    let Ok(known) = session.status(&asked) else { return };
    let running: Vec<&str> = known.iter().filter(|app| app.is_active()).map(|app| app.name.as_str()).collect();
    if let Some(flag) = target.app.as_ref().and_then(|app| flag_of_the_start(session, app, changes)) {
        let name = running.join(" ");
        session.screen.note(&format!(
            "this takes effect after daemonctl stop {name}: until then {flag} counts, which its start was given"
        ));
    } else if !running.is_empty() {
        let names = running.join(" ");
        session.screen.note(&format!("this takes effect at the next launch: daemonctl restart {names}"));
    }
}

/// The flag of an app's start that sets one of the options that were changed, if it runs: its restarts keep that.
fn flag_of_the_start(session: &mut Session, app: &AppName, changes: &[Change]) -> Option<String> {
    let status = session.status(std::slice::from_ref(app)).ok()?.pop()?;
    let record = session.fleet().ok()?.record(app).filter(|_| status.is_active())?;
    let changed: Vec<String> = changes.iter().map(Change::subject).collect();
    record.asked.ask.settings.into_iter().find(|kept| changed.contains(&kept.key)).map(|kept| kept.origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_value_is_told_in_one_line() {
        assert_eq!(in_one_line("[ 'a' ]".to_owned()), "[ 'a' ]", "as it was written");
        assert_eq!(in_one_line("[\n  \"a\", # first\n  'b',\n]".to_owned()), "[\"a\", \"b\"]");
        assert_eq!(in_one_line("\"\"\"a\nb\"\"\"".to_owned()).lines().count(), 1);
    }
}
