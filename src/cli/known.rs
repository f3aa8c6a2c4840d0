//! What is known of apps: what their supervisors tell, and what their files say to whoever asks.

use daemonctl_actors::value::AppName;

use super::error::CliError;
use super::session::{Session, never_started};
use super::{drift, options};
use crate::app::{App, AppError, Shown};
use crate::control::status::AppStatus;
use crate::supervise::instance::Asked;

/// Which apps are in question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Which {
    /// These, in this order; if there are none, all that have been started.
    pub(super) names: Vec<String>,
    /// Every app below the root, also those that were never started.
    pub(super) all: bool,
}

impl Which {
    /// Finds them, and looks at their files.
    pub(super) fn find(&self, session: &mut Session) -> Result<Vec<AppStatus>, CliError> {
        if self.all {
            return every_app(session);
        }
        let mut found = self.told(session)?;
        examine(session, &mut found)?;
        Ok(found)
    }

    /// What is told of them, without a look at their files.
    pub(super) fn told(&self, session: &mut Session) -> Result<Vec<AppStatus>, CliError> {
        if self.all {
            return all(session);
        }
        if self.names.is_empty() {
            let mut known = session.status(&[])?;
            known.sort_by(|a, b| a.name.cmp(&b.name));
            return Ok(known);
        }
        let names = session.running_apps(&self.names)?;
        let mut known = session.status(&names)?;
        let mut found = Vec::new();
        for name in names {
            found.push(match known.iter().position(|status| status.name == name) {
                Some(at) => known.swap_remove(at),
                None => never_started(session.apps(&[name.to_string()])?.first().ok_or_else(|| gone(&name))?),
            });
        }
        Ok(found)
    }
}

/// That there is no app at all, which is said where a command for all apps finds nothing to do: it may have been typed in
/// the wrong directory. Nothing where there is one, or what was meant to be one.
pub(super) fn no_app_at_all(session: &mut Session) -> Result<Option<String>, CliError> {
    if !all(session)?.is_empty() {
        return Ok(None);
    }
    let root = session.root()?.path().shown();
    Ok(Some(format!("no app below {root}: an app is a directory with a script called run in it")))
}

fn gone(app: &AppName) -> CliError {
    CliError::failed("find", app, "it has gone", None)
}

/// Every app below the root, and those that run although their directory has gone, by name. What is left out is said.
pub(super) fn every_app(session: &mut Session) -> Result<Vec<AppStatus>, CliError> {
    let mut all = all(session)?;
    examine(session, &mut all)?;
    let root = session.root()?;
    let doing = format!("read {}", root.path().shown());
    for (path, why) in root.refused().map_err(|source| CliError::Io { doing, source })? {
        session.screen.note(&format!("{} is left out: {why}", path.shown()));
    }
    Ok(all)
}

fn all(session: &mut Session) -> Result<Vec<AppStatus>, CliError> {
    let mut all = session.status(&[])?;
    let root = session.root()?;
    let doing = format!("read {}", root.path().shown());
    for name in root.names().map_err(|source| CliError::Io { doing, source })? {
        if all.iter().any(|status| status.name == name) {
            continue;
        }
        match App::inspect(root, &name) {
            Ok(app) => all.push(never_started(&app)),
            // What is no app at all is nobody's business; what was meant to be one is shown.
            Err(AppError::Empty(_)) => {}
            Err(_) => {
                let path = root.path().join(name.as_str()).to_string_lossy().into_owned();
                all.push(AppStatus::unknown(name, path));
            }
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Looks at the files of apps: what has changed since their start, or what keeps them from being started.
pub(super) fn examine(session: &mut Session, apps: &mut [AppStatus]) -> Result<(), CliError> {
    drift::since_start(apps);
    if !apps.iter().any(drift::is_in_doubt) {
        return Ok(());
    }
    let own = own_ask(session)?;
    apps.iter_mut().filter(|app| drift::is_in_doubt(app)).try_for_each(|app| find_mistakes(session, app, &own))
}

/// What this command would ask of a start.
pub(super) fn own_ask(session: &Session) -> Result<Asked, CliError> {
    Ok(Asked { ask: options::plain(&session.globals)?, environment: options::environment() })
}

/// Looks for what keeps an app from being started: one at rest as this command would, and one in a supervisor's care as
/// that one will, which remembers what its start was asked with.
pub(super) fn find_mistakes(session: &mut Session, app: &mut AppStatus, own: &Asked) -> Result<(), CliError> {
    let record = if app.is_active() { session.fleet()?.record(&app.name) } else { None };
    let Asked { ask, environment } = record.as_ref().map_or(own, |record| &record.asked);
    app.mistakes = drift::mistakes(app, session.root()?, ask, environment);
    Ok(())
}
