//! Bad command lines, in our words: one line that names the mistake, and one that says how it goes.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::error::CliError;
use super::meant;
use crate::launch::typed;

/// Retells what clap found wrong in a command line.
pub(super) fn retell(error: &Error, top: &Command, args: &[OsString]) -> CliError {
    let said = |kind| error.get(kind).map(plain).unwrap_or_default();
    let command = command_of(&said(ContextKind::Usage), args, top);
    let below = actions(&command, top);
    let argument = said(ContextKind::InvalidArg);
    let option = option_of(&argument);
    let value = said(ContextKind::InvalidValue);
    let message = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let name = said(ContextKind::InvalidSubcommand);
            match below.is_empty() {
                true if is_helped(&command, args) => format!("{command} has no command {name:?}"),
                true => format!("there is no command {name:?}{}", or(meant::command(&name, None, &commands(top)))),
                false => {
                    let near = or(meant::command(&name, Some(&command), &below));
                    format!("{command} has no {name:?}: it is one of {}{near}", below.join(", "))
                }
            }
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !below.is_empty() => {
            format!("{command} needs one of {}", below.join(", "))
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            if command != "daemonctl" && is_global(&option, top) {
                let message = format!("{command} does not take {option}");
                return CliError::Usage {
                    message,
                    hint: Some(format!("put it first: daemonctl {option} … {command}")),
                };
            }
            let whose = if command == "daemonctl" { "there is" } else { &format!("{command} has") };
            let near = grammar(&command, top).and_then(|grammar| meant::option(&option, &grammar));
            format!("{whose} no option {option}{}", or(near))
        }
        ErrorKind::UnknownArgument if takes_a_command(&command, top) => {
            let message = format!("{command} has no use for {argument:?} before --");
            return CliError::Usage { message, hint: with_dashes(&command, &argument, args) };
        }
        ErrorKind::UnknownArgument => format!("{command} has no use for {argument:?}"),
        ErrorKind::MissingRequiredArgument => format!("{command} needs {}", argument.replace(", ", " and ")),
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("{option} needs a value:{}", argument.trim_start_matches(&option))
        }
        ErrorKind::InvalidValue => {
            let allowed = said(ContextKind::ValidValue);
            format!("{option} cannot be {value:?}: it is one of {allowed}")
        }
        ErrorKind::ValueValidation => match std::error::Error::source(error) {
            Some(reason) => format!("{option}: {reason}"),
            None => format!("{option} cannot be {value:?}"),
        },
        ErrorKind::ArgumentConflict => match option_of(&said(ContextKind::PriorArg)) {
            prior if prior == option || prior.is_empty() => format!("{option} can be given only once"),
            prior => format!("{option} cannot be given with {prior}"),
        },
        ErrorKind::TooManyValues => format!("{option} takes no value, but was given {value:?}"),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "no command was given".into()
        }
        _ => first_line(&error.to_string()),
    };
    // The help of a command leaves out the options that every command has.
    let help = match command == "daemonctl" || is_global(&option, top) {
        true => "daemonctl --help".to_owned(),
        false => format!("daemonctl {command} --help"),
    };
    CliError::Usage { message, hint: Some(format!("see {help}")) }
}

fn or(suggestion: Option<String>) -> String {
    suggestion.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

fn commands(top: &Command) -> Vec<String> {
    let known = top.get_subcommands().filter(|command| !command.is_hide_set());
    known.map(|command| command.get_name().to_owned()).collect()
}

/// The grammar of a command, `config show` for one, or of the program. It is made only where it is needed.
fn grammar(command: &str, top: &Command) -> Option<Command> {
    let mut found = top.clone();
    for word in command.split(' ').filter(|word| *word != "daemonctl") {
        found = found.find_subcommand(word)?.clone();
        found.build();
    }
    Some(found)
}

/// Whether a command takes another program's command line behind `--`.
fn takes_a_command(command: &str, top: &Command) -> bool {
    grammar(command, top).is_some_and(|grammar| grammar.get_arguments().any(clap::Arg::is_last_set))
}

/// Whether the help of this command was asked for, with a word behind it.
fn is_helped(command: &str, args: &[OsString]) -> bool {
    let words: Vec<_> =
        args.iter().skip(1).filter_map(|arg| arg.to_str()).filter(|arg| !arg.starts_with('-')).collect();
    words.split_first().is_some_and(|(first, rest)| *first == "help" && rest.join(" ").starts_with(command))
}

/// The command line as it was meant: `--` behind the app, before the first word that is not the command's own.
fn with_dashes(command: &str, argument: &str, args: &[OsString]) -> Option<String> {
    let words: Vec<&str> = args.iter().skip(1).map(|arg| arg.to_str()).collect::<Option<_>>()?;
    let app = 1 + words.iter().position(|word| *word == command)?;
    let at = app + 1 + words.get(app + 1..)?.iter().position(|word| *word == argument)?;
    let line = |words: &[&str]| words.iter().map(|word| typed(word)).collect::<Vec<_>>().join(" ");
    Some(format!("put -- before the command: daemonctl {} -- {}", line(&words[..at]), line(&words[at..])))
}

/// The command that a mistake is in: the one whose usage clap would show, else the first that is named at all.
fn command_of(usage: &str, args: &[OsString], top: &Command) -> String {
    let known = |word: &&str| top.get_subcommands().any(|command| command.get_name() == *word);
    let mut words: Vec<&str> = match usage.is_empty() {
        true => args.iter().skip(1).filter_map(|arg| arg.to_str()).collect(),
        false => usage.split_whitespace().collect(),
    };
    let Some(at) = words.iter().position(known) else { return "daemonctl".to_owned() };
    let rest = words.split_off(at);
    let next = rest.get(1).filter(|word| actions(rest[0], top).iter().any(|action| action == *word));
    next.map_or_else(|| rest[0].to_owned(), |action| format!("{} {action}", rest[0]))
}

/// The commands below a command; a command itself has none.
fn actions(command: &str, top: &Command) -> Vec<String> {
    let Some(found) = top.get_subcommands().find(|one| one.get_name() == command) else { return Vec::new() };
    // Its grammar is made only where it is needed.
    let mut found = found.clone();
    found.build();
    found.get_subcommands().map(|action| action.get_name().to_owned()).collect()
}

/// Whether an option is one of those that may stand before every command.
fn is_global(option: &str, top: &Command) -> bool {
    top.get_arguments().any(|arg| {
        let short = arg.get_short().map(|letter| format!("-{letter}"));
        let long = arg.get_long().map(|name| format!("--{name}"));
        [short, long].iter().flatten().any(|name| name == option)
    })
}

/// `--timeout <SEC>` without its value.
fn option_of(argument: &str) -> String {
    argument.split([' ', '=']).next().unwrap_or_default().to_owned()
}

fn plain(value: &ContextValue) -> String {
    value.to_string().replace(['<', '>', '[', ']'], "")
}

/// What is left of a message that has no better words yet: its first line, without clap's own prefix.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}
