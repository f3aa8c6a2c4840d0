//! Where a command speaks: results to standard output, everything said about the work to standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};

use super::error::CliError;
use super::grid::paint;
use super::progress::line::fitted;
use crate::app::readable_lines;
use crate::control::status::{Health, State};

/// Whether a line stands on standard error that goes away again. There is one terminal, whoever writes on it.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// The two outputs, and how much is said on them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    /// Whether results are coloured.
    pub(super) color: bool,
    /// Whether standard output is a terminal, which must not be played with by what logs contain.
    pub(super) terminal: bool,
    /// Whether standard output is a terminal that can be drawn all over.
    pub(super) canvas: bool,
    /// Whether colour is wanted wherever there is a terminal.
    pub(super) paint: bool,
    quiet: bool,
    /// Whether standard error is a terminal on which a line can be drawn over.
    draws: bool,
}

impl Screen {
    /// Looks at what standard output is. Colour needs a terminal that has it, and nobody who objects.
    pub(super) fn new(quiet: bool, no_color: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let paint = !dumb && !no_color;
        let draws = !quiet && !dumb && io::stderr().is_terminal();
        Self { color: terminal && paint, terminal, canvas: terminal && !dumb, paint, quiet, draws }
    }

    /// Columns of the terminal that results go to, if they go to one.
    pub(super) fn width(&self) -> Option<usize> {
        let size = if self.terminal { terminal_size::terminal_size() } else { None };
        size.map(|(width, _)| usize::from(width.0))
    }

    /// Prints what was asked for.
    pub(super) fn result(&self, text: &str) -> Result<(), CliError> {
        self.clear();
        let mut out = io::stdout().lock();
        let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        write!(out, "{text}{end}").and_then(|()| out.flush()).map_err(CliError::Output)
    }

    /// Prints what was asked for as it is stored: exactly in a pipe; a terminal is shown what it would obey.
    pub(super) fn stored(&self, text: &str) -> Result<(), CliError> {
        if self.terminal { self.result(&readable_lines(text)) } else { self.result(text) }
    }

    /// Prints that something was done, unless silence was asked for.
    pub(super) fn done(&self, text: &str) -> Result<(), CliError> {
        if self.quiet { Ok(()) } else { self.result(text) }
    }

    /// Says something about the work, unless silence was asked for.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            self.clear();
            say(&format!("daemonctl: {text}"));
        }
    }

    /// Whether nothing is said about the work.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether a line can be drawn that goes away again.
    pub(super) fn can_draw(&self) -> bool {
        self.draws
    }

    /// Draws this text over the line that stands on standard error. A job in the background leaves the terminal to the
    /// one in the foreground.
    pub(super) fn draw(&self, text: &str) {
        let stderr = io::stderr();
        // Of a terminal that is not this session's, nobody knows the foreground.
        let in_front = nix::unistd::tcgetpgrp(&stderr).map_or(true, |group| group == nix::unistd::getpgrp());
        if !self.draws || !in_front {
            return;
        }
        let columns = terminal_size::terminal_size_of(&stderr).map_or(80, |(width, _)| usize::from(width.0));
        let text = fitted(text, columns.saturating_sub(1));
        let text = paint(&text, Style::new().dimmed(), self.paint);
        DRAWN.store(true, Ordering::Relaxed);
        let _ = write!(stderr.lock(), "\r{text}\x1b[K");
    }

    /// Takes that line away.
    pub(super) fn clear(&self) {
        if DRAWN.swap(false, Ordering::Relaxed) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    /// Says what went wrong. Nobody who reads is no reason to fail once more.
    pub(super) fn error(&self, error: &CliError) {
        self.clear();
        say(&error.text());
    }
}

/// Says it on standard error. Whatever names and reasons a message holds, it does nothing to the terminal.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", readable_lines(text));
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
