//! Help: `-h` is for those who know what they look for, `--help` tells all there is.
//!
//! Both are made of the grammar and of the table of commands. `-h` leaves out the options that a command shares with
//! others: those of daemonctl, and the hundred of an app that `start`, `run` and `restart` take. `--help` has them, with
//! what else is to be said, and examples. Of clap's own two forms, the long one puts each sentence on a line of its own
//! with blank lines between, which makes four screens of one; so both are the compact one here.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::builder::StyledStr;
use clap::builder::styling::Style;
use clap::{Args, Command};

use super::error::CliError;
use super::globals::Globals;
use super::{COMMANDS, Entry, top};

/// What commands are for, in the order in which a newcomer needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Run,
    Look,
    Prepare,
    Program,
}

impl Group {
    const EVERY: [Self; 4] = [Self::Run, Self::Look, Self::Prepare, Self::Program];

    fn title(self) -> &'static str {
        match self {
            Self::Run => "Run apps",
            Self::Look => "See how they are, and why",
            Self::Prepare => "Prepare apps and this machine",
            Self::Program => "This program",
        }
    }
}

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// What a command has for itself.
    Short,
    /// The same, with what else is to be said and examples: for a page that tells the rest once.
    #[cfg(test)]
    Own,
    /// All.
    Long,
}

/// Prints the help that a command line asks for. `usage` is what clap would print.
pub(super) fn print(usage: &str, args: &[OsString], color: bool) -> Result<(), CliError> {
    let is_long = args.iter().skip(1).any(|arg| arg == "--help" || arg == "help");
    let length = if is_long { Length::Long } else { Length::Short };
    show(&words(usage), length, color)
}

/// Prints the help of a command.
pub(super) fn show(command: &[&str], length: Length, color: bool) -> Result<(), CliError> {
    let named = command.first().and_then(|name| COMMANDS.iter().find(|entry| entry.name == *name));
    if let Some(entry) = named.filter(|entry| entry.run.is_none()) {
        return Err(CliError::NotYet(entry.name.to_owned()));
    }
    let text = of(command, length, None);
    let text = if color { text.ansi().to_string() } else { text.to_string() };
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()).map_err(CliError::Output)
}

/// The command whose help is asked for in a way that clap takes for the name of a command: `config help set` is about
/// `config set`, `help start -h` about `start`, `help -h` about `daemonctl`.
pub(super) fn asked_otherwise<'a>(args: &'a [OsString], top: &Command) -> Option<Vec<&'a str>> {
    let words: Vec<&str> = args.iter().skip(1).filter_map(|arg| arg.to_str()).collect();
    let at = words.iter().position(|word| *word == "help")?;
    let next = words.get(at + 1);
    if next.is_some_and(|word| ["-h", "--help"].contains(word)) {
        return Some(Vec::new());
    }
    if let [named @ .., "-h" | "--help"] = &words[at + 1..] {
        // `help start -h` is the help of start.
        let is_known = |name: &&&str| top.find_subcommand(**name).is_some();
        return named.first().filter(is_known).map(|_| named.to_vec());
    }
    let above = *words.get(at.checked_sub(1)?)?;
    let mut command = top.find_subcommand(above)?.clone();
    command.build();
    match next {
        None => command.has_subcommands().then(|| vec![above]),
        Some(below) => command.find_subcommand(below).map(|_| vec![above, *below]),
    }
}

/// The command whose usage this is: `Usage: daemonctl config set [OPTIONS] …` is `config set`.
fn words(help: &str) -> Vec<&str> {
    let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or_default();
    let is_name = |word: &&str| word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
    usage.split_whitespace().skip(1).take_while(is_name).collect()
}

/// The help of a command, of `daemonctl` itself if there is none. Fits into the terminal, or into so many columns.
pub(super) fn of(command: &[&str], length: Length, width: Option<usize>) -> StyledStr {
    let found = command.first().and_then(|name| COMMANDS.iter().find(|entry| entry.name == *name));
    let told = match found {
        Some(entry) => command_help(entry, command, length),
        None => program_help(length),
    };
    let told = told.max_term_width(100);
    match width {
        Some(width) => told.term_width(width),
        None => told,
    }
    .render_help()
}

/// What ends the short help of `daemonctl`.
const SHORT: &str = "\
Apps are directories with a script called run, below the current one or -p DIR.
All about a command: daemonctl help COMMAND. Options of every one: --help.";

/// About the command `help`.
pub(super) const HELP: &str = "Tell all of a command: what it does, every option, examples";

/// Says of the two flags for help what they do. What clap says of them would be true of its own long form.
fn with_help(mut command: Command) -> Command {
    command.build();
    command.mut_arg("help", |arg| arg.help("Print help: -h in short, --help in full"))
}

fn program_help(length: Length) -> Command {
    let (header, literal) = (Style::new().bold().underline(), Style::new().bold());
    let wide = COMMANDS.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
    let mut commands = String::new();
    for group in Group::EVERY {
        commands += &format!("{header}{}:{header:#}\n", group.title());
        for Entry { name, about, .. } in COMMANDS.iter().filter(|entry| entry.group == group && entry.run.is_some()) {
            commands += &format!("  {literal}{name:<wide$}{literal:#}  {about}\n");
        }
        if group == Group::Program {
            commands += &format!("  {literal}{:<wide$}{literal:#}  {HELP}\n", "help");
        }
        commands.push('\n');
    }
    let top =
        with_help(top().mut_subcommands(|command| command.hide(true))).override_usage("daemonctl [OPTIONS] <COMMAND>");
    let rest = match length {
        Length::Short => SHORT,
        _ => "{all-args}{after-help}",
    };
    top.help_template(format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{commands}{rest}"))
}

fn command_help(entry: &Entry, words: &[&str], length: Length) -> Command {
    let mut command = (entry.args)(Command::new(entry.name).bin_name(format!("daemonctl {}", entry.name)));
    command.build();
    // Of a command below it, if that is meant.
    for word in words.iter().skip(1) {
        let Some(below) = command.find_subcommand(word).cloned() else { break };
        command = below;
    }
    let command = with_help(command);
    let name = words.join(" ");
    let takes_apps_options = command.get_arguments().any(|arg| arg.get_help_heading().is_some());
    match length {
        Length::Short => {
            let more = match takes_apps_options {
                true => format!("Every option of an app may follow: `daemonctl help {name}` tells them."),
                false => format!("`daemonctl help {name}` tells more, with examples."),
            };
            own(command).after_help(more)
        }
        #[cfg(test)]
        Length::Own => own(command),
        Length::Long => {
            let globals = Globals::augment_args(Command::new(""));
            let is_global = |arg: &clap::Arg| globals.get_arguments().any(|global| global.get_id() == arg.get_id());
            command.mut_args(|arg| match is_global(&arg) {
                true => arg.hide(false).help_heading("Options of every command"),
                false => arg,
            })
        }
    }
}

/// Without the options of an app.
fn own(command: Command) -> Command {
    command.mut_args(|arg| if arg.get_help_heading().is_some() { arg.hide(true) } else { arg })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Every command, also those below another.
    fn commands() -> Vec<Vec<&'static str>> {
        let mut commands = Vec::new();
        for entry in COMMANDS.iter().filter(|entry| entry.run.is_some()) {
            commands.push(vec![entry.name]);
            let below = (entry.args)(Command::new(entry.name));
            let names: Vec<String> = below.get_subcommands().map(|below| below.get_name().to_owned()).collect();
            commands.extend(names.into_iter().map(|name| vec![entry.name, &*name.leak()]));
        }
        commands
    }

    #[test]
    fn the_help_of_the_program() {
        let told = [Length::Short, Length::Long].map(|length| of(&[], length, Some(80)).to_string());
        insta::assert_snapshot!(told.join("\n=====\n"));
    }

    #[test]
    fn the_help_of_each_command() {
        for command in commands() {
            let told = [Length::Short, Length::Long].map(|length| of(&command, length, Some(80)).to_string());
            insta::assert_snapshot!(format!("help_{}", command.join("_")), told.join("\n=====\n"));
        }
    }

    #[test]
    fn help_fits_and_has_examples() {
        for command in commands() {
            let (short, long) = (of(&command, Length::Short, Some(80)), of(&command, Length::Long, Some(80)));
            let (short, long) = (short.to_string(), long.to_string());
            for line in short.lines().chain(long.lines()) {
                assert!(line.chars().count() <= 80 || line.contains("  #"), "{command:?}: {line}");
            }
            assert!(short.lines().count() <= 40, "{command:?} -h takes {} lines", short.lines().count());
            assert!(long.contains("\nExample"), "{command:?} has no example");
            assert!(long.contains("Options of every command:") && !short.contains("--op-timeout"), "{command:?}");
            let usage = format!("Usage: daemonctl {}", command.join(" "));
            assert!(long.contains(&usage), "{command:?} has no {usage}");
            assert_eq!(words(&long), command);
        }
        let short = of(&[], Length::Short, Some(80)).to_string();
        assert!(short.lines().all(|line| line.chars().count() <= 80), "{short}");
        assert!(of(&["start"], Length::Long, None).to_string().contains("--memory-limit"));
        assert!(!of(&["start"], Length::Short, None).to_string().contains("--memory-limit"));
    }

    #[test]
    fn lines_of_a_paragraph_are_full() {
        for command in commands().into_iter().chain([Vec::new()]) {
            for width in [60, 80, 100] {
                let long = of(&command, Length::Long, Some(width)).to_string();
                let lines: Vec<&str> = long.lines().collect();
                for pair in lines.windows(2) {
                    let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
                    let next = pair[1].split(' ').next().unwrap_or_default();
                    let room = width.saturating_sub(pair[0].chars().count() + 1);
                    if is_prose(pair[0]) && is_prose(pair[1]) {
                        assert!(next.chars().count() > room, "{command:?} at {width}: {}\n{}", pair[0], pair[1]);
                    }
                }
            }
        }
    }

    /// docs/commands.md: all that is told of every command, and once what several have in common.
    fn page() -> String {
        let mut page = "\
# Commands

This page is made of the program's own help (`UPDATE=1 cargo test --lib the_page_of_commands` writes it). What every
command has in common is told once, at first. `start`, `run` and `restart` take every option of an app as well: those are
in [configuration.md](configuration.md). `daemonctl man COMMAND` shows the same as a manual page.

## `daemonctl`

```text
"
        .to_owned();
        page += of(&[], Length::Long, Some(100)).to_string().trim_end();
        for command in commands() {
            page += &format!("\n```\n\n## `daemonctl {}`\n\n```text\n", command.join(" "));
            page += of(&command, Length::Own, Some(100)).to_string().trim_end();
        }
        page + "\n```\n"
    }

    #[test]
    fn the_page_of_commands_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == page(), "{} is out of date: run this test with UPDATE=1", path.display());
    }
}
