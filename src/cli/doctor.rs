//! `daemonctl doctor`.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::json;

use super::Verb;
use super::error::CliError;
use super::grid::paint;
use super::session::Session;
use super::text::{self, wrapped};
use crate::doctor::{Finding, Verdict, examine, heading};

/// The version of the JSON form. A change that could break a reader gets a new one.
const SCHEMA_VERSION: u32 = 1;

#[derive(Args, Debug)]
pub(super) struct Doctor {
    /// The same as JSON
    #[arg(long)]
    json: bool,
}

impl Verb for Doctor {
    const NAME: &'static str = "doctor";
    const ABOUT: &'static str = "Tell what this host and this user can enforce";
    const MORE: &'static str = "\
Each option is tried on a process that does nothing, in the way an app would be started.
`yes` is enforced, `partly` has a weaker stand-in, and a start that asks for a `no` fails.

Example:
  daemonctl doctor --json | jq '.findings[] | select(.verdict != \"yes\")'";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let findings = examine();
        session.screen.result(&match self.json {
            true => as_json(&heading(), &findings),
            false => as_text(&heading(), &findings, session.screen.width(), session.screen.color),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn as_json(heading: &str, findings: &[Finding]) -> String {
    let all = json!({ "schema_version": SCHEMA_VERSION, "system": heading, "findings": findings });
    text::json(&all)
}

/// A table a topic; what to do about a `no` below it.
fn as_text(heading: &str, findings: &[Finding], width: Option<usize>, color: bool) -> String {
    let mut text = format!("{heading}\n");
    let names = findings.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
    // Two blanks, the longest verdict, two blanks, the name, two blanks.
    let indent = 2 + 6 + 2 + names + 2;
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(30));
    let mut topic = "";
    for finding in findings {
        if finding.topic != topic {
            topic = finding.topic;
            text += &format!("\n{topic}\n");
        }
        let verdict = paint(finding.verdict.as_str(), style(finding.verdict), color);
        let gap = " ".repeat(6 - finding.verdict.as_str().len());
        let mut lines = wrapped(&finding.detail, room);
        lines.extend(finding.hint.iter().flat_map(|hint| wrapped(&format!("→ {hint}"), room)));
        let between = format!("\n{}", " ".repeat(indent));
        text += &format!("  {verdict}{gap}  {:names$}  {}\n", finding.name, lines.join(&between));
    }
    text
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Yes => AnsiColor::Green.on_default(),
        Verdict::Partly => AnsiColor::Yellow.on_default(),
        Verdict::No => AnsiColor::Red.on_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_grouped_wrapped_and_followed_by_what_to_do() {
        let finding = |topic, name, verdict, detail: &str, hint: Option<&str>| Finding {
            topic,
            name,
            verdict,
            detail: detail.to_owned(),
            hint: hint.map(str::to_owned),
        };
        let findings = [
            finding("limits", "limits.memory_limit", Verdict::Yes, "cgroup v1", None),
            finding("limits", "limits.cpu_limit", Verdict::No, "there is no cpu controller", Some("mount cgroup v2")),
            finding(
                "sandbox",
                "sandbox.private_tmp",
                Verdict::Partly,
                "a detail that is too long for the line it stands on",
                None,
            ),
        ];
        insta::assert_snapshot!(as_text("Linux 6.1 (x86_64), as web", &findings, Some(70), false), @"
        Linux 6.1 (x86_64), as web

        limits
          yes     limits.memory_limit  cgroup v1
          no      limits.cpu_limit     there is no cpu controller
                                       → mount cgroup v2

        sandbox
          partly  sandbox.private_tmp  a detail that is too long for the line
                                       it stands on
        ");
        insta::assert_snapshot!(as_json("Linux 6.1 (x86_64), as web", &findings));
        assert!(as_text("x", &findings, None, false).lines().any(|line| line.ends_with("the line it stands on")));
    }
}
