//! `daemonctl events`.

use std::process::ExitCode;

use clap::Args;

use super::Verb;
use super::error::CliError;
use super::known::{every_app, no_app_at_all};
use super::logs;
use super::session::Session;
use crate::config::values::Level;
use crate::logs::filter::Pattern;

#[derive(Args, Debug)]
pub(super) struct Events {
    /// Apps whose events to show [default: all, in the order of time]
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// Show more as they happen, until Ctrl-C or --until
    #[arg(short, long)]
    follow: bool,
    /// How many to show, or all; 50 unless --since or --until is given
    #[arg(short = 'n', long, value_name = "N", value_parser = logs::count)]
    lines: Option<usize>,
    /// Events at this time or later: 2h, 12:00, yesterday, "2026-01-31 12:00", RFC 3339, @SECONDS
    #[arg(long, value_name = "TIME", value_parser = logs::at)]
    since: Option<u64>,
    /// Events before this time
    #[arg(long, value_name = "TIME", value_parser = logs::at)]
    until: Option<u64>,
    /// Events of this level and above: debug, info, warn or error
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// A JSON object for each: app, time, level, kind, text, and what is known of user, pid, code, signal
    #[arg(long)]
    json: bool,
}

impl Verb for Events {
    const NAME: &'static str = "events";
    const ABOUT: &'static str = "Show what has happened to apps, and who asked for it";
    const MORE: &'static str = "\
Times are UTC; daemonctl logs --events -t shows local ones.
`asked by` tells user and process of a command, as the kernel knows them; what follows
`claimed by sudo` is what that process said of itself.

Examples:
  daemonctl events
  daemonctl events -n 10 web
  daemonctl events -f --level warn
  daemonctl events --since yesterday --json web | jq 'select(.kind == \"asked\") | .user'";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let Self { mut apps, follow, lines, since, until, level, json } = self;
        if apps.is_empty() {
            apps = every_app(session)?.into_iter().map(|status| status.name.to_string()).collect();
        }
        if apps.is_empty() {
            no_app_at_all(session)?.iter().for_each(|told| session.screen.note(told));
            return Ok(ExitCode::SUCCESS);
        }
        let grep = level.and_then(of_level);
        logs::Events { apps, follow, lines, since, until, grep, json }.show(session)
    }
}

/// What the lines of events of this level and above match: their second word counts, whatever the text says.
fn of_level(least: Level) -> Option<Pattern> {
    let all = [Level::Debug, Level::Info, Level::Warn, Level::Error];
    let words: Vec<_> = all.into_iter().filter(|level| *level >= least).map(Level::as_str).collect();
    Pattern::parse(&format!(r"^\S+ ({}) ", words.join(" *|"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_of_an_event_is_its_second_word() {
        let warn = of_level(Level::Warn).unwrap();
        let line = |level: Level, text: &str| format!("2026-01-31T12:00:00.000Z {:<5} {text}\n", level.as_str());
        assert!(warn.matches(line(Level::Warn, "x").as_bytes()) && warn.matches(line(Level::Error, "x").as_bytes()));
        assert!(!warn.matches(line(Level::Info, "on-stop: ERROR error warn").as_bytes()));
    }
}
