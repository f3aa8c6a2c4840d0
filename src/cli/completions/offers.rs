//! What an argument can be: the words that are offered for it.
//!
//! Which they are follows from what help calls its value, `APP` or `SIGNAL` say, and from the type of the value, which
//! knows its own words. Nothing is listed here a second time.

use std::ffi::OsStr;
use std::sync::Arc;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use daemonctl_actors::value::Signal;

use super::line::Line;
use crate::cli::man;
use crate::config::Key;
use crate::config::table::{self, Kind, Opt};

/// Tells the words that can stand where this much of one has been typed; those that do not fit are taken out later.
type Offer = Box<dyn Fn(&Line, &str) -> Vec<String> + Send + Sync>;

/// A command, and those below it, with what each of their arguments can be.
pub(super) fn annotated(command: Command, line: &Arc<Line>) -> Command {
    // Where keys follow, the first word may be one of them instead of an app.
    let keys = command.get_positionals().map(value_name).find(|name| name.starts_with("KEY"));
    let command = command.mut_args(|arg| match value_name(&arg).as_str() {
        _ if !arg.get_action().takes_values() => arg,
        "FILE" => arg.value_hint(ValueHint::FilePath),
        "DIR" | "PATHS" => arg.value_hint(ValueHint::AnyPath),
        "APP" if keys.is_some() => listed(arg, line, apps_or(key_offer(keys.as_deref() == Some("KEY=VALUE")))),
        name => match offer(name, arg.get_id().as_str(), arg.get_value_parser()) {
            Some(offer) => listed(arg, line, offer),
            None => arg,
        },
    });
    let nested: Vec<String> = command.get_subcommands().map(|nested| nested.get_name().to_owned()).collect();
    nested.into_iter().fold(command, |command, name| command.mut_subcommand(name, |below| annotated(below, line)))
}

/// What help calls the value of an argument.
fn value_name(arg: &Arg) -> String {
    arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default()
}

/// The words for an argument of this name, id and type.
fn offer(value_name: &str, id: &str, parser: &ValueParser) -> Option<Offer> {
    if let Some(opt) = table::find(id) {
        return Some(Box::new(|_, typed| of_option(opt, typed)));
    }
    Some(match value_name {
        "APP" => Box::new(|line, _| line.apps()),
        "SIGNAL" => Box::new(|_, typed| signals(typed)),
        "PAGE" => Box::new(|_, _| man::names()),
        "SECTION.KEY=VALUE" | "KEY=VALUE" => key_offer(true),
        "KEY" => key_offer(false),
        // `any|all|APP`: words, and one that stands for others.
        name if name.contains('|') => {
            let words: Vec<String> = name.split('|').filter(|word| *word != "APP").map(str::to_owned).collect();
            let has_apps = name.split('|').any(|word| word == "APP");
            Box::new(move |line, _| [words.clone(), if has_apps { line.apps() } else { Vec::new() }].concat())
        }
        _ => {
            let words = Kind::of(parser).map(Kind::words).filter(|words| !words.is_empty())?;
            Box::new(|_, _| owned(words))
        }
    })
}

/// An argument that can be one of these words, as far as they begin with what has been typed. Where it can be given
/// several times, what is on the line already is not offered again.
fn listed(arg: Arg, line: &Arc<Line>, offer: Offer) -> Arg {
    let line = Arc::clone(line);
    let again = Some(arg.get_id().to_string()).filter(|_| matches!(arg.get_action(), ArgAction::Append));
    arg.add(ArgValueCompleter::new(move |typed: &OsStr| {
        let typed = typed.to_string_lossy();
        let given = again.as_ref().map(|id| line.given(id)).unwrap_or_default();
        let is_given =
            |word: &String| given.iter().any(|one| one == word || (word.ends_with('=') && one.starts_with(word)));
        let words = offer(&line, &typed).into_iter().filter(|word| begins(word, &typed) && !is_given(word));
        words.map(CompletionCandidate::new).collect::<Vec<_>>()
    }))
}

/// Whether a word begins so, in small or capital letters.
fn begins(word: &str, typed: &str) -> bool {
    word.to_ascii_lowercase().starts_with(&typed.to_ascii_lowercase())
}

/// Apps, unless none begins so.
fn apps_or(other: Offer) -> Offer {
    Box::new(move |line, typed| {
        let apps = line.apps();
        if apps.iter().any(|app| begins(app, typed)) { apps } else { other(line, typed) }
    })
}

/// Keys of options; with `values`, each followed by `=`, and behind that what the option can be.
fn key_offer(values: bool) -> Offer {
    let keys = |end: &str| table::table().iter().map(|opt| format!("{}{end}", opt.name)).collect();
    Box::new(move |_, typed| match typed.split_once('=') {
        None => keys(if values { "=" } else { "" }),
        Some((name, value)) => {
            let words = Key::read(name, true).map(|key| of_option(key.opt, value)).unwrap_or_default();
            words.iter().map(|word| format!("{name}={word}")).collect()
        }
    })
}

/// The words that an option can be, where there are but a few.
fn of_option(opt: &Opt, typed: &str) -> Vec<String> {
    if opt.value_name.starts_with("SIGNAL") { signals(typed) } else { owned(opt.kind.words()) }
}

/// Names of signals, as they are being typed: with SIG or without.
fn signals(typed: &str) -> Vec<String> {
    let all = (1..32).filter_map(|number| number.to_string().parse::<Signal>().ok()).map(|signal| signal.to_string());
    match begins(typed, "SI") {
        true => all.collect(),
        false => all.map(|name| name.trim_start_matches("SIG").to_owned()).collect(),
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
