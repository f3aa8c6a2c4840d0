//! One manual page, from what help has.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::super::{ABOUT, COMMANDS, Entry, MORE, top};
use crate::config::table::{self, Opt};

/// What an apps root and an app consist of.
const FILES: [(&str, &str); 8] = [
    ("ROOT/conf.toml", "Configuration of every app, and, in [daemonctl], of the program itself."),
    ("ROOT/APP/run, ROOT/APP/run.sh", "What the app runs, in the foreground."),
    ("ROOT/APP/conf.toml", "Its configuration, see daemonctl-conf(5)."),
    ("ROOT/APP/env.sh", "Variables for it: sourced by /bin/sh before each start."),
    ("ROOT/APP/check", "Its health check: exit code 0 is healthy."),
    ("ROOT/APP/on-start, ROOT/APP/on-stop", "Run when it is ready, and when it has stopped."),
    ("ROOT/APP/.version", "Its version; an app that has one is active."),
    ("ROOT/APP/logs/", "Its output, APP.log and APP.err, and its events, APP.run."),
];

/// Variables of the program. Those of options are in daemonctl-conf(5).
const VARIABLES: [(&str, &str); 7] = [
    ("DAEMONCTL_PATH", "The apps root, where --path is not given."),
    ("DAEMONCTL_CONFIG", "The global configuration file, where --config is not given."),
    ("DAEMONCTL_OP_TIMEOUT", "How long a supervisor may take to answer, where --op-timeout is not given."),
    ("DAEMONCTL_LOG_LEVEL", "Least severity of what a supervisor says about its work: debug, info, warn or error."),
    ("DAEMONCTL_NO_COLOR, NO_COLOR", "No colour, whatever the value, unless it is empty."),
    ("DAEMONCTL_RUNTIME_DIR", "Where control sockets, records and pid files are."),
    ("DAEMONCTL_<APP>_<KEY>", "An option of an app, see daemonctl-conf(5)."),
];

/// daemonctl(1).
pub(super) fn program() -> String {
    let mut page = begin("daemonctl", "1", ABOUT);
    synopsis(&mut page, &[bold("daemonctl"), roman(" [OPTIONS] COMMAND ...")]);
    section(&mut page, "DESCRIPTION");
    page.text([roman(
        "Each directory below the apps root with an executable run file in it is an app. The apps root is the directory \
         of --path, else of DAEMONCTL_PATH, else the current one.",
    )]);
    section(&mut page, "COMMANDS");
    for entry in built() {
        entry_of(&mut page, &format!("daemonctl-{}(1)", entry.name), entry.about);
    }
    let mut text = page.to_roff();
    text += &options(top().name("daemonctl"));
    let mut more = Roff::new();
    prose(&mut more, MORE);
    section(&mut more, "ENVIRONMENT");
    VARIABLES.iter().for_each(|(name, what)| entry_of(&mut more, name, what));
    section(&mut more, "FILES");
    FILES.iter().for_each(|(name, what)| entry_of(&mut more, name, what));
    see_also(&mut more, &["daemonctl-conf(5)", "daemonrun(1)"]);
    text + &more.to_roff()
}

/// Every page of a command: daemonctl-COMMAND(1), and daemonctl-COMMAND-ACTION(1) of each command below it, by name.
pub(super) fn command(entry: &Entry) -> Vec<(String, String)> {
    let mut grammar = (entry.args)(Command::new(entry.name).bin_name(format!("daemonctl {}", entry.name)));
    let below: Vec<Command> = grammar.get_subcommands().cloned().collect();
    grammar = grammar.about(entry.about);
    let actions = below.into_iter().map(|action| {
        let bin_name = format!("daemonctl {} {}", entry.name, action.get_name());
        (format!("daemonctl-{}-{}", entry.name, action.get_name()), action.bin_name(bin_name))
    });
    let all: Vec<_> = std::iter::once((format!("daemonctl-{}", entry.name), grammar)).chain(actions).collect();
    all.into_iter().map(|(name, grammar)| (name.clone(), of_command(&name, grammar))).collect()
}

/// The page of one command.
fn of_command(name: &str, grammar: Command) -> String {
    let about = grammar.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = grammar.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let mut page = begin(name, "1", &about);
    synopsis(&mut page, &[roman(usage.as_str())]);
    let more = grammar.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (description, examples) = match more.split_once("Examples:") {
        Some((description, examples)) => (description, Some(examples)),
        None => match more.split_once("Example:") {
            Some((description, examples)) => (description, Some(examples)),
            None => (more.as_str(), None),
        },
    };
    section(&mut page, "DESCRIPTION");
    page.text([roman(format!("{about}."))]);
    prose(&mut page, description);
    let below: Vec<(String, String)> = grammar
        .get_subcommands()
        .map(|action| (format!("{name}-{}(1)", action.get_name()), action.get_about().map(ToString::to_string)))
        .map(|(page, about)| (page, about.unwrap_or_default()))
        .collect();
    if !below.is_empty() {
        section(&mut page, "COMMANDS");
        below.iter().for_each(|(name, about)| entry_of(&mut page, name, about));
    }
    let mut text = page.to_roff() + &options(grammar);
    let mut rest = Roff::new();
    if let Some(examples) = examples {
        section(&mut rest, "EXAMPLES");
        as_it_is(&mut rest, examples.trim_matches('\n'));
    }
    see_also(&mut rest, &["daemonctl(1)", "daemonctl-conf(5)"]);
    text += &rest.to_roff();
    text
}

/// daemonctl-conf(5).
pub(super) fn configuration() -> String {
    let mut page = begin("daemonctl-conf", "5", "Configuration of apps under daemonctl");
    section(&mut page, "DESCRIPTION");
    page.text([roman(
        "conf.toml is a TOML file. What stands in it is laid over the defaults: the global file, ROOT/conf.toml, first, then \
         that of the app, then variables, then --config-override, then flags. An unknown key or a wrong value keeps the \
         app from starting, and is told with its line and column.",
    )]);
    page.control("PP", []).text([roman(
        "A variable is called DAEMONCTL_<APP>_<SECTION>_<KEY>, in upper case and with _ for whatever is neither letter \
         nor digit; the section may be left out where only one has such a key.",
    )]);
    let mut at = "";
    for opt in table::table().iter().chain(table::program_table()) {
        if opt.section != at {
            at = opt.section;
            section(&mut page, &format!("[{at}]"));
        }
        page.control("TP", []).text([bold(opt.key.as_str()), roman(" = "), italic(opt.kind.written)]);
        page.text([roman(told(opt))]);
    }
    see_also(&mut page, &["daemonctl(1)", "daemonctl-start(1)"]);
    page.to_roff()
}

/// What there is to say of an option.
fn told(opt: &Opt) -> String {
    let mut text = format!("{}.", opt.help().trim_end_matches('.'));
    match opt.default.as_deref() {
        Some("") | None => {}
        Some(default) => text += &format!(" Default: {default}."),
    }
    if let Some(flag) = &opt.flag {
        text += &format!(" Flag: --{flag}.");
    }
    text
}

fn built() -> impl Iterator<Item = &'static Entry> {
    COMMANDS.iter().filter(|entry| entry.run.is_some())
}

fn begin(name: &str, number: &str, about: &str) -> Roff {
    let mut page = Roff::new();
    let source = format!("daemonctl {}", env!("CARGO_PKG_VERSION"));
    page.control("TH", [name, number, "", source.as_str(), "daemonctl"]);
    section(&mut page, "NAME");
    page.text([roman(format!("{name} - {}", about.trim_end_matches('.')))]);
    page
}

fn synopsis(page: &mut Roff, words: &[clap_mangen::roff::Inline]) {
    section(page, "SYNOPSIS");
    page.text(words.to_vec());
}

/// The options of a command, by the headings they have in help.
fn options(grammar: Command) -> String {
    let mut out = Vec::new();
    let rendered = Man::new(grammar.disable_help_subcommand(true)).render_options_section(&mut out);
    rendered.map(|()| String::from_utf8_lossy(&out).into_owned()).unwrap_or_default()
}

fn section(page: &mut Roff, title: &str) {
    page.control("SH", [title]);
}

fn entry_of(page: &mut Roff, name: &str, what: &str) {
    page.control("TP", []).text([bold(name)]).text([roman(what)]);
}

fn see_also(page: &mut Roff, pages: &[&str]) {
    section(page, "SEE ALSO");
    page.text([roman(pages.join(", "))]);
}

/// Paragraphs; what is indented stays as it is.
fn prose(page: &mut Roff, text: &str) {
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        page.control("PP", []);
        match paragraph.contains("\n  ") || paragraph.starts_with("  ") {
            true => as_it_is(page, paragraph),
            false => drop(page.text([roman(paragraph.replace('\n', " "))])),
        }
    }
}

fn as_it_is(page: &mut Roff, text: &str) {
    page.control("nf", []);
    for line in text.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_the_table_is_in_the_page_of_the_configuration() {
        let page = configuration();
        for opt in table::table() {
            assert!(page.contains(&format!("\\fB{}\\fR", opt.key)), "{}", opt.name);
        }
    }
}
