//! `daemonctl logs`.

use std::process::ExitCode;

use clap::Args;

use super::Verb;
use super::error::CliError;
use super::session::Session;
use super::viewer::{Stream, To, Viewer, files, mark, open};
use crate::logs::Files;

#[derive(Args, Debug)]
pub(super) struct Logs {
    /// Apps whose logs to show
    #[arg(value_name = "APP", required = true)]
    apps: Vec<String>,
    /// Show more as it comes, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// How many lines of each stream to begin with
    #[arg(short = 'n', long, value_name = "N", default_value = "50", value_parser = count)]
    lines: usize,
    /// Only standard output
    #[arg(long)]
    stdout: bool,
    /// Only standard error
    #[arg(long)]
    stderr: bool,
    /// Only events: starts, exits, health, hooks
    #[arg(long)]
    events: bool,
    /// Standard output, standard error and events
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    later: Later,
}

/// What is not supported yet.
#[derive(Args, Debug)]
struct Later {
    #[arg(long, hide = true)]
    since: Option<String>,
    #[arg(long, hide = true)]
    until: Option<String>,
    #[arg(short, long, hide = true)]
    timestamps: bool,
    #[arg(long, hide = true)]
    level: Option<String>,
    #[arg(long, hide = true)]
    grep: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1)]
    tail: Option<Option<String>>,
    #[arg(long, hide = true, num_args = 0..=1)]
    head: Option<Option<String>>,
    #[arg(long, hide = true)]
    json: bool,
}

impl Verb for Logs {
    const NAME: &'static str = "logs";
    const ABOUT: &'static str = "Show what apps have written";
    const MORE: &'static str = "\
Without an option, both outputs are shown, standard output first, and each line is marked with its
stream. With one stream of one app, the lines are shown as they were written.

Examples:
  daemonctl logs web
  daemonctl logs -f --stderr -n 0 web
  daemonctl logs web db --events";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        session.refuse("logs", &self.later.given())?;
        let streams = self.streams(session)?;
        if !streams.iter().any(Stream::exists) {
            session.screen.note(&format!("{} has written nothing yet", self.apps.join(", ")));
        }
        let mut viewer = Viewer::new(streams, session.screen.terminal);
        viewer.show(!self.follow)?;
        if self.follow {
            viewer.follow(None, &mut || Ok(false))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads a number of lines.
fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number of lines: use 0, 1, 2 and so on"))
}

impl Logs {
    fn streams(&self, session: &mut Session) -> Result<Vec<Stream>, CliError> {
        let names = session.running_apps(&self.apps)?;
        let known = session.status(&names)?;
        let root = session.root()?.path().to_owned();
        let width = names.iter().map(|name| name.as_str().len()).max().unwrap_or(0);
        let color = session.screen.color;
        let mut streams = Vec::new();
        for name in &names {
            let status = known.iter().find(|status| status.name == *name);
            let files = files(&root.join(name.as_str()), name, status);
            let chosen = self.chosen(&files);
            let several = chosen.len() > 1;
            for (stream, path) in chosen {
                let mark = mark((names.len() > 1).then_some((name, width)), several.then_some(stream), color);
                streams.push(Stream::new(open(path, self.lines)?, mark, To::Out));
            }
        }
        Ok(streams)
    }

    /// The streams that were asked for, by their marks.
    fn chosen<'a>(&self, files: &'a Files) -> Vec<(&'static str, &'a std::path::Path)> {
        let unasked = !self.stdout && !self.stderr && !self.events;
        let streams = [
            (self.stdout || unasked, "out", &files.stdout),
            (self.stderr || unasked, "err", &files.stderr),
            (self.events, "evt", &files.events),
        ];
        let chosen = streams.into_iter().filter(|(chosen, ..)| *chosen || self.all);
        chosen.map(|(_, mark, path)| (mark, path.as_path())).collect()
    }
}

impl Later {
    fn given(&self) -> [(bool, &'static str); 8] {
        [
            (self.since.is_some(), "--since"),
            (self.until.is_some(), "--until"),
            (self.timestamps, "--timestamps"),
            (self.level.is_some(), "--level"),
            (self.grep.is_some(), "--grep"),
            (self.tail.is_some(), "--tail"),
            (self.head.is_some(), "--head"),
            (self.json, "--json"),
        ]
    }
}
