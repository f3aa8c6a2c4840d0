//! The command line: one file a command, and the only place that prints or chooses an exit code.
//!
//! [`main`] reads the options before the command, builds the options of that one command alone (a `status` should not
//! pay for the hundred flags of `start`), runs it with a `session::Session`, and prints what went wrong, if anything.
//! A command asks the session for apps and supervisors, and gives what comes back to the pure modules that put it in
//! words: `outcome` for what a command did, `report` for status, `grid` for columns, `text` for quantities. What a report
//! needs beside what supervisors tell is looked up by `known` (which apps there are), `drift` (files that have changed) and
//! `recent` (last lines).

mod account;
mod chosen;
mod drift;
mod error;
mod event;
mod globals;
mod grid;
mod help;
mod known;
mod live;
mod meant;
mod outcome;
mod page;
mod progress;
mod recent;
mod report;
mod runs;
mod screen;
#[cfg(test)]
mod screens;
mod session;
mod tally;
mod text;
mod usage;
mod viewer;

mod completions;
mod config;
mod doctor;
mod events;
mod health;
mod init;
mod kill;
mod list;
mod logs;
mod man;
mod options;
mod reload;
mod restart;
mod run;
mod start;
mod start_all;
mod status;
mod stop;
mod stop_all;
mod watch;
mod why;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::builder::{StringValueParser, TypedValueParser, ValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, ColorChoice, Command, FromArgMatches};

use crate::config::Problems;
use error::CliError;
use globals::Globals;
use help::Group;
use screen::Screen;
use session::Session;

/// A command: its options are its fields.
trait Verb: Args {
    /// What it is called.
    const NAME: &'static str;
    /// One line about it.
    const ABOUT: &'static str;
    /// Examples and what else its help should say.
    const MORE: &'static str = "";

    /// Does it.
    fn run(self, session: &mut Session) -> Result<ExitCode, CliError>;
}

/// What reads a command's options and does it.
type Action = fn(&ArgMatches, &mut Session) -> Result<ExitCode, CliError>;

/// A command's row in the table.
struct Entry {
    name: &'static str,
    group: Group,
    about: &'static str,
    args: fn(Command) -> Command,
    /// Nothing, for a command that is not supported yet.
    run: Option<Action>,
}

const fn verb<V: Verb>(group: Group) -> Entry {
    Entry { name: V::NAME, group, about: V::ABOUT, args: args::<V>, run: Some(run::<V>) }
}

/// A command that is known, so that its name is never taken for a mistake, but that does nothing yet.
const fn later(name: &'static str) -> Entry {
    Entry { name, group: Group::Program, about: "Not supported yet", args: anything, run: None }
}

/// Every command.
const COMMANDS: &[Entry] = &[
    verb::<run::Run>(Group::Run),
    verb::<start::Start>(Group::Run),
    verb::<stop::Stop>(Group::Run),
    verb::<restart::Restart>(Group::Run),
    verb::<reload::Reload>(Group::Run),
    verb::<kill::Kill>(Group::Run),
    verb::<status::Status>(Group::Look),
    verb::<list::List>(Group::Look),
    verb::<logs::Logs>(Group::Look),
    verb::<start_all::StartAll>(Group::Run),
    verb::<stop_all::StopAll>(Group::Run),
    verb::<doctor::Doctor>(Group::Prepare),
    verb::<health::Health>(Group::Look),
    verb::<events::Events>(Group::Look),
    verb::<why::Why>(Group::Look),
    verb::<config::Config>(Group::Prepare),
    verb::<init::Init>(Group::Prepare),
    later("upgrade"),
    verb::<completions::Completions>(Group::Program),
    verb::<man::Man>(Group::Program),
];

const ABOUT: &str = "Runs the apps found under one directory as supervised daemons.";

const MORE: &str = "\
These options stand before the command. Where it has none of the same name, they may follow it.

Exit codes: 0 done, or so already; 1 failed; 2 wrong usage or configuration; 3 not running
(status APP); 4 no such app; 5 not permitted; 124 timed out. `run` ends as its app did.";

/// The options of a command, and the global ones that may follow it.
fn args<V: Verb>(command: Command) -> Command {
    let command = V::augment_args(command).about(V::ABOUT).long_about(None).mut_args(app_or_directory);
    globals::also_after(if V::MORE.is_empty() { command } else { command.after_help(text::flowing(V::MORE)) })
}

/// Takes an app by the name of its directory, too, behind which a shell's completion puts a slash. The same word may be a
/// pair of key and value, which is no app and is left as it is.
fn app_or_directory(arg: Arg) -> Arg {
    let is_app = arg.get_value_names().is_some_and(|names| names.iter().any(|name| name.ends_with("APP")));
    match is_app && arg.get_value_parser().type_id() == ValueParser::string().type_id() {
        true => arg.value_parser(StringValueParser::new().map(|word| match word.contains('=') {
            true => word,
            false => text::without_slash(&word).to_owned(),
        })),
        false => arg,
    }
}

fn run<V: Verb>(matches: &ArgMatches, session: &mut Session) -> Result<ExitCode, CliError> {
    let verb = V::from_arg_matches(matches).map_err(|error| usage::retell(&error, &top(), &[]))?;
    verb.run(session)
}

/// Whatever is said to a command that is not supported yet, the answer is the same.
fn anything(command: Command) -> Command {
    let rest = Arg::new("rest").num_args(0..).allow_hyphen_values(true).trailing_var_arg(true);
    command.disable_help_flag(true).arg(rest)
}

/// The whole grammar. The options of a command are added only when it is the one that was named.
fn top() -> Command {
    let commands = COMMANDS
        .iter()
        .map(|entry| Command::new(entry.name).about(entry.about).hide(entry.run.is_none()).defer(entry.args));
    let top = Command::new("daemonctl")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .subcommand_value_name("COMMAND")
        .infer_subcommands(false)
        .max_term_width(100)
        .subcommands(commands);
    Globals::augment_args(top).about(ABOUT).long_about(None).after_help(text::flowing(MORE))
}

/// Runs the command line `args`, the program's name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(answered) = completions::answer(&args) {
        return answered;
    }
    let no_color = globals::colorless(&env) || args.iter().any(|arg| arg == "--no-color");
    let mut grammar = top().color(if no_color { ColorChoice::Never } else { ColorChoice::Auto });
    let matches = match grammar.try_get_matches_from_mut(&args) {
        Ok(matches) => matches,
        Err(error) => return misread(&error, &args, no_color),
    };
    let (Some((name, after)), Ok(globals)) = (matches.subcommand(), Globals::from_arg_matches(&matches)) else {
        return ExitCode::from(error::USAGE);
    };
    let mut globals = globals.overlay(after);
    if let Some((_, deeper)) = after.subcommand() {
        globals = globals.overlay(deeper);
    }
    globals.no_color |= no_color;
    if let Err(problem) = globals.inherit(&|name| std::env::var_os(name)) {
        return give_up(&CliError::from(Problems::from(problem)), Screen::new(globals.quiet, globals.no_color));
    }
    let wrong = globals.settle();
    let screen = Screen::new(globals.quiet, globals.no_color);
    let environment: Vec<OsString> = std::env::vars_os().map(|(name, _)| name).collect();
    let doubts = globals.doubts(&environment, env("DAEMONCTL_LOG_LEVEL").as_deref());
    doubts.iter().for_each(|doubt| screen.note(&format!("warning: {doubt}")));
    wrong.iter().for_each(|problems| screen.note(&format!("warning: {problems}")));
    let Some(entry) = COMMANDS.iter().find(|entry| entry.name == name) else { return ExitCode::from(error::USAGE) };
    let done = match entry.run {
        Some(run) => run(after, &mut Session::new(globals, screen)),
        None => Err(CliError::NotYet(entry.name.to_owned())),
    };
    screen.clear();
    done.unwrap_or_else(|error| give_up(&error, screen))
}

/// The one place that says why a command failed, and with which code.
fn give_up(error: &CliError, screen: Screen) -> ExitCode {
    match error {
        // The reader has seen enough: `daemonctl list | head -1`.
        CliError::Output(source) if source.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        // Whoever waits for this program, a shell's loop for one, must see that it was interrupted.
        CliError::Interrupted { goes_on } => {
            screen.note(goes_on);
            let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGINT);
            ExitCode::from(error::INTERRUPTED)
        }
        error => {
            screen.error(error);
            ExitCode::from(error.code())
        }
    }
}

/// Help and the version are asked for in the same way as mistakes are made: parsing stops.
fn misread(error: &clap::Error, args: &[OsString], no_color: bool) -> ExitCode {
    let screen = Screen::new(false, no_color);
    let ended =
        |printed: Result<(), CliError>| printed.map_or_else(|error| give_up(&error, screen), |()| ExitCode::SUCCESS);
    match error.kind() {
        ErrorKind::DisplayHelp => ended(help::print(&error.to_string(), args, screen.color)),
        ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        kind => match help::asked_otherwise(args, &top()).filter(|_| kind == ErrorKind::InvalidSubcommand) {
            Some(command) => ended(help::show(&command, help::Length::Long, screen.color)),
            None => give_up(&usage::retell(error, &top(), args), screen),
        },
    }
}

#[cfg(test)]
mod tests;
