//! `daemonctl health`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Verb;
use super::error::{self, CliError};
use super::session::{Session, out_of_reach};
use super::text;
use crate::control::protocol::{Basis, Checked, Command, Reply};
use crate::logs::read::escape;

#[derive(Args, Debug)]
pub(super) struct Health {
    /// App to ask about
    #[arg(value_name = "APP")]
    app: String,
    /// The answer as JSON: app, healthy, basis, state, output
    #[arg(long)]
    json: bool,
}

impl Verb for Health {
    const NAME: &'static str = "health";
    const ABOUT: &'static str = "Tell by the exit code whether an app is healthy";
    const MORE: &'static str = "\
The exit code is 0 when it is healthy, 1 when it is not, 4 when there is no such app. A monitored app is
told as its checks have found it; `starting` is not healthy yet. The check of an app that is not
monitored is run now, within monitoring.check_timeout, and restarts nothing. An app without a check is
healthy while it runs.

Examples:
  daemonctl health web
  daemonctl -q health web || echo down
  HEALTHCHECK CMD [\"daemonctl\", \"-q\", \"health\", \"web\"]";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let checked = self.ask(session)?;
        if self.json {
            session.screen.result(&as_json(&self.app, &checked))?;
        } else {
            session.screen.done(&told(&self.app, &checked))?;
        }
        Ok(ExitCode::from(if checked.healthy { 0 } else { error::FAILED }))
    }
}

impl Health {
    fn ask(&self, session: &mut Session) -> Result<Checked, CliError> {
        let name = session.running_apps(std::slice::from_ref(&self.app))?.remove(0);
        let not_running = |state: &str| {
            let state = format!("it is not running: {state}");
            Checked { healthy: false, basis: Basis::Running, state, output: None }
        };
        let known = session.status(std::slice::from_ref(&name))?.pop();
        let Some(status) = known else { return Ok(not_running("it was never started")) };
        if !status.is_active() {
            return Ok(not_running(status.note.as_deref().unwrap_or(status.state.as_str())));
        }
        if status.supervisor.is_none() {
            return Err(out_of_reach(session.fleet()?, &name, status.pid));
        }
        let Some(client) = session.fleet()?.supervisor_of(&name) else { return Ok(not_running("it has just ended")) };
        // Only the supervisor knows how long the check may take; it has just shown that it answers.
        match client.exchange(Command::Check { app: name }, None, &mut |_| {})? {
            Reply::Health(checked) => Ok(checked),
            _ => Err(crate::control::client::ClientError::Version.into()),
        }
    }
}

fn as_json(app: &str, checked: &Checked) -> String {
    let Checked { healthy, basis, state, output } = checked;
    text::json_line(&json!({ "app": app, "healthy": healthy, "basis": basis, "state": state, "output": output }))
}

/// What is said of it: a line, and what a check that failed has printed.
fn told(app: &str, checked: &Checked) -> String {
    let word = if checked.healthy { "healthy" } else { "not healthy" };
    let mut text = match checked.basis {
        Basis::Monitored if checked.healthy => format!("{app} is healthy"),
        Basis::Monitored | Basis::Checked | Basis::Running => format!("{app} is {word}: {}", checked.state),
    };
    let output = checked.output.as_deref().filter(|output| !checked.healthy && !output.is_empty());
    for line in output.unwrap_or_default().lines() {
        text.push_str("\n  ");
        text.push_str(&escape(line.as_bytes()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_and_what_is_right_is_short() {
        let checked = |healthy, basis, state: &str, output: &str| Checked {
            healthy,
            basis,
            state: state.into(),
            output: Some(output.into()),
        };
        let table = [
            checked(true, Basis::Monitored, "healthy", "fine"),
            checked(false, Basis::Monitored, "starting", "exited 1: not yet"),
            checked(false, Basis::Checked, "its health check failed", "exited 1: one\n\x1b[2Jtwo"),
            checked(true, Basis::Running, "it is running, and has no health check", ""),
        ];
        let forms = table.map(|checked| format!("{}\n{}", told("web", &checked), as_json("web", &checked)));
        insta::assert_snapshot!(forms.join("\n"));
    }
}
