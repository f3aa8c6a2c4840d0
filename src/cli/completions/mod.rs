//! `daemonctl completions`: what a shell needs to complete command lines, and the answers that it asks for.
//!
//! The script that is printed calls this program at each completion, so that apps are those of the root that the line
//! names, and options those of this version. It passes the words of the line, up to the one that is being completed, and
//! gets a line for each word that can stand there: the word and, behind a tab, what it means. [`line`] reads what is on
//! the line already, [`offers`] knows what an argument can be. Whatever goes wrong, the answer is silence.

mod line;
mod offers;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{ArgAction, Args, Command};
use clap_complete::engine::{CompletionCandidate, complete};

use super::error::CliError;
use super::session::Session;
use super::{COMMANDS, Verb, help, top};
use line::Line;
use offers::annotated;

/// The variable by which a script asks; its value is the shell's name, and does not matter.
const ASKED: &str = "DAEMONCTL_COMPLETE";

/// The shells that can ask, and the script of each.
const SHELLS: [(&str, &str); 3] = [
    ("bash", include_str!("daemonctl.bash")),
    ("zsh", include_str!("daemonctl.zsh")),
    ("fish", include_str!("daemonctl.fish")),
];

#[derive(Args, Debug)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_parser = shells())]
    shell: String,
}

impl Verb for Completions {
    const NAME: &'static str = "completions";
    const ABOUT: &'static str = "Print what a shell needs to complete command lines";
    const MORE: &'static str = "\
Apps, signals, options and their values are completed. To have it in every shell:
  bash   daemonctl completions bash > ~/.local/share/bash-completion/completions/daemonctl
  zsh    daemonctl completions zsh > _daemonctl      in a directory of $fpath
  fish   daemonctl completions fish > ~/.config/fish/completions/daemonctl.fish

Examples:
  source <(daemonctl completions bash)      in this shell only";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let script = SHELLS.iter().find(|(name, _)| *name == self.shell).map_or("", |(_, script)| script);
        session.screen.result(script)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn shells() -> PossibleValuesParser {
    PossibleValuesParser::new(SHELLS.map(|(name, _)| PossibleValue::new(name)))
}

/// Answers a shell that asks for completions, if one does.
pub(super) fn answer(args: &[OsString]) -> Option<ExitCode> {
    let shell = std::env::var_os(ASKED)?;
    let words = args.iter().position(|arg| arg == "--").map(|at| &args[at + 1..])?;
    let typed = words.last().map(|word| word.to_string_lossy()).unwrap_or_default();
    let mut told = String::new();
    for candidate in candidates(words) {
        let value = candidate.get_value().to_string_lossy();
        // fish puts quotes around what needs some by itself.
        told += &if shell == "fish" { value.into_owned() } else { as_typed(&value, &typed) };
        let about = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        told += &about.lines().next().map(|line| format!("\t{line}")).unwrap_or_default();
        told.push('\n');
    }
    let _ = io::stdout().write_all(told.as_bytes());
    Some(ExitCode::SUCCESS)
}

/// A value as somebody would go on typing it in a shell: what is typed already stays as it is, with its `~` and variables.
fn as_typed(value: &str, typed: &str) -> String {
    let (typed, rest) = value.split_at(if value.starts_with(typed) { typed.len() } else { 0 });
    let escaped = rest.chars().flat_map(|c| [Some('\\').filter(|_| SPECIAL.contains(c)), Some(c)]);
    typed.chars().chain(escaped.flatten()).collect()
}

/// What means something else to a shell.
const SPECIAL: &str = " \t\\'\"`$&|;<>()*?[]{}!#";

/// What can stand in the place of the last word.
fn candidates(words: &[OsString]) -> Vec<CompletionCandidate> {
    let Some((typed, before)) = words.split_last() else { return Vec::new() };
    let line = Arc::new(Line::read(before, &|name| std::env::var(name).ok()));
    let mut grammar = grammar(&line);
    let here = std::env::current_dir().ok();
    let mut found = complete(&mut grammar, words.to_vec(), before.len(), here.as_deref()).unwrap_or_default();
    let command =
        line.command().iter().fold(&grammar, |command, name| command.find_subcommand(name).unwrap_or(command));
    // A hundred options would hide the few arguments that somebody who has typed no dash is looking for.
    let unasked = !typed.as_encoded_bytes().starts_with(b"-") && takes_arguments(command);
    found.retain(|candidate| match candidate.get_value().as_encoded_bytes() {
        [b'-', ..] => !unasked && !is_given(candidate, command, &line),
        _ => true,
    });
    found
}

/// Whether something else than an option can follow a command.
fn takes_arguments(command: &Command) -> bool {
    command.has_subcommands() || command.get_positionals().next().is_some()
}

/// Whether an option is on the line already, and of no use a second time.
fn is_given(candidate: &CompletionCandidate, command: &Command, line: &Line) -> bool {
    let id = candidate.get_id().and_then(|id| id.strip_prefix("arg::")).unwrap_or_default();
    let again = |arg: &clap::Arg| matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
    command.get_arguments().any(|arg| arg.get_id() == id && !again(arg)) && line.has(id)
}

/// The whole grammar, with what each argument can be. Commands that are not supported yet are no suggestion.
fn grammar(line: &Arc<Line>) -> Command {
    let entries = COMMANDS.iter().filter(|entry| entry.run.is_some());
    let commands: Vec<Command> =
        entries.map(|entry| (entry.args)(Command::new(entry.name).about(entry.about))).collect();
    let help = Command::new("help").about(help::HELP).disable_help_flag(true).subcommands(commands.iter().map(bare));
    let own = Command::new("daemonctl").args(top().get_arguments().cloned()).disable_help_subcommand(true);
    annotated(own.subcommands(commands).subcommand(help), line)
}

/// A command of which only the name matters, and those below it.
fn bare(command: &Command) -> Command {
    let about = command.get_about().cloned().unwrap_or_default();
    let below = command.get_subcommands().map(bare);
    Command::new(command.get_name().to_owned()).about(about).disable_help_flag(true).subcommands(below)
}

#[cfg(test)]
mod tests;
