//! `daemonctl config check`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::findings::{Finding, Inspection, Severity};
use super::{Verb, global_file};
use crate::app::{Shown, readable};
use crate::cli::error::{self, CliError};
use crate::cli::known::no_app_at_all;
use crate::cli::options::{environment, plain};
use crate::cli::session::Session;
use crate::cli::text;
use crate::cli::text::count;

/// The version of the JSON form. A change that could break a reader gets a new one.
const SCHEMA_VERSION: u32 = 1;

#[derive(Args, Debug)]
pub(super) struct Check {
    /// Apps to check [default: all below the root]
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// Warnings count as errors
    #[arg(long)]
    strict: bool,
    /// The same as JSON
    #[arg(long)]
    json: bool,
}

impl Verb for Check {
    const NAME: &'static str = "check";
    const ABOUT: &'static str = "Find every mistake in the configuration of all apps at once";
    const MORE: &'static str = "\
Checked are the files, the scripts, users and groups, what this host can enforce, and the
variables of this shell. Nothing is started. A line is FILE:LINE:COLUMN: error: what is wrong.
The exit code is 2 when there is an error.

Examples:
  daemonctl config check
  daemonctl config check --strict web
  daemonctl config check --json | jq -r '.findings[].file'";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let ask = plain(&session.globals)?;
        let (file, by_name) = global_file(session)?;
        let apps = if self.apps.is_empty() { session.all_apps()? } else { session.apps(&self.apps)? };
        if apps.is_empty() {
            no_app_at_all(session)?.iter().for_each(|told| session.screen.note(told));
        }
        let environment = environment();
        let root = session.root()?;
        let mut inspection = Inspection { root, ask: &ask, environment: &environment, found: Vec::new() };
        inspection.global_file(&file, by_name);
        apps.iter().for_each(|app| inspection.app(app));
        if self.apps.is_empty() {
            inspection.root(&apps);
        }
        let mut found = inspection.found;
        found.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
        let number = |severity| found.iter().filter(|finding| finding.severity == severity).count();
        let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
        session.screen.result(&if self.json { as_json(&found) } else { as_lines(&found) })?;
        let checked = count(apps.len(), "app");
        session.screen.note(&format!("checked {checked}: {}, {}", count(errors, "error"), count(warnings, "warning")));
        let failed = errors > 0 || (self.strict && warnings > 0);
        Ok(ExitCode::from(if failed { error::USAGE } else { 0 }))
    }
}

/// One line each, as compilers and editors know it.
fn as_lines(found: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let position = finding.position.map(|position| format!("{position}:")).unwrap_or_default();
        let (file, severity) = (finding.file.shown(), word(finding.severity));
        format!("{file}:{position} {severity}: {}\n", readable(&finding.told()))
    };
    found.iter().map(line).collect()
}

fn as_json(found: &[Finding]) -> String {
    let number = |severity| found.iter().filter(|finding| finding.severity == severity).count();
    let finding = |finding: &Finding| -> Value {
        json!({
            "severity": word(finding.severity),
            "app": finding.app.as_ref().map(ToString::to_string),
            "file": finding.file.to_string_lossy(),
            "line": finding.position.map(|position| position.line),
            "column": finding.position.map(|position| position.column),
            "subject": finding.subject,
            "message": finding.message,
            "hint": finding.hint,
        })
    };
    let all = json!({
        "schema_version": SCHEMA_VERSION,
        "errors": number(Severity::Error),
        "warnings": number(Severity::Warning),
        "findings": found.iter().map(finding).collect::<Vec<_>>(),
    });
    text::json(&all)
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
