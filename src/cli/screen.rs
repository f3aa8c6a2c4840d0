//! Where a command speaks: results to standard output, everything said about the work to standard error.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use super::error::CliError;
use super::grid::paint;
use crate::control::status::{Health, State};

/// The two outputs, and how much is said on them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    /// Whether results are coloured.
    pub(super) color: bool,
    /// Whether standard output is a terminal, which must not be played with by what logs contain.
    pub(super) terminal: bool,
    /// Whether colour is wanted wherever there is a terminal.
    pub(super) paint: bool,
    quiet: bool,
}

impl Screen {
    /// Looks at what standard output is. Colour needs a terminal that has it, and nobody who objects.
    pub(super) fn new(quiet: bool, no_color: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let paint = !dumb && !no_color;
        Self { color: terminal && paint, terminal, paint, quiet }
    }

    /// Columns of the terminal that results go to, if they go to one.
    pub(super) fn width(&self) -> Option<usize> {
        let size = if self.terminal { terminal_size::terminal_size() } else { None };
        size.map(|(width, _)| usize::from(width.0))
    }

    /// Prints what was asked for.
    pub(super) fn result(&self, text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        write!(out, "{text}{end}").and_then(|()| out.flush()).map_err(CliError::Output)
    }

    /// Prints that something was done, unless silence was asked for.
    pub(super) fn done(&self, text: &str) -> Result<(), CliError> {
        if self.quiet { Ok(()) } else { self.result(text) }
    }

    /// Says something about the work, unless silence was asked for.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            say(&format!("daemonctl: {text}"));
        }
    }

    /// Says what went wrong. Nobody who reads is no reason to fail once more.
    pub(super) fn error(&self, error: &CliError) {
        say(&error.text());
    }
}

fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// How a state looks; the word says it all, the colour only helps.
pub(super) fn state_style(state: State) -> Style {
    match state {
        State::Running => AnsiColor::Green.on_default(),
        State::Starting | State::Stopping | State::Backoff => AnsiColor::Yellow.on_default(),
        State::Failed => AnsiColor::Red.on_default(),
        State::Stopped | State::Exited => Style::new().dimmed(),
    }
}

/// How health looks.
pub(super) fn health_style(health: Health) -> Style {
    match health {
        Health::Healthy => AnsiColor::Green.on_default(),
        Health::Starting => AnsiColor::Yellow.on_default(),
        Health::Unhealthy => AnsiColor::Red.on_default(),
        Health::Disabled => Style::new().dimmed(),
    }
}

/// The word for a state, coloured.
pub(super) fn state(state: State, color: bool) -> String {
    paint(state.as_str(), state_style(state), color)
}
