//! The command line of `daemonrun`: the options of one process, from the table that `daemonctl` uses too, and the few
//! that only a launcher has.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde::{Deserialize, Serialize};

use super::alone::{self, Mode};
use super::limits::Join;
use super::report::StepName;
use crate::config::{Options, table};

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The options of the process.
    pub options: Options,
    /// What only a launcher is told.
    pub extras: Extras,
    /// Program and arguments.
    pub command: Vec<OsString>,
}

/// What only a launcher is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extras {
    /// A supervisor waits at the other end of standard input.
    pub gate: bool,
    /// Print the plan only.
    pub explain: bool,
    /// What becomes of the launcher.
    pub mode: Mode,
    /// What cannot be enforced becomes a warning.
    pub force: bool,
    /// Name of the process's control group, below that of the caller.
    pub group: Option<String>,
    /// The control groups of the app this process belongs to.
    pub joined: Option<Join>,
    /// Enter the namespaces of this process instead of making new ones.
    pub enter: Option<Entered>,
    /// Directories that a private /tmp leaves visible.
    pub keep: Vec<PathBuf>,
    /// Directories that walls hide.
    pub hide: Vec<PathBuf>,
    /// Script whose variables the app gets.
    pub env_script: Option<PathBuf>,
    /// Files with KEY=VALUE lines, later ones winning.
    pub env_files: Vec<PathBuf>,
    /// Variables that win over all.
    pub env: Vec<Variable>,
    /// Soft and hard limit of open files, as the supervisor found them.
    pub restore_nofile: Option<(u64, u64)>,
}

/// A process whose namespaces are entered, beyond doubt the one that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entered {
    /// Its pid.
    pub pid: i32,
    /// Its start time (field 22 of proc_pid_stat(5)).
    pub start_time: u64,
}

/// `--env KEY`, or `--env KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub key: String,
    /// Its value; the one it had when `daemonrun` was started if not given.
    pub value: Option<String>,
}

/// A command line that cannot be carried out, or that asks for text only.
#[derive(Debug)]
pub enum Refusal {
    /// `--help`, `--version`, or a mistake that clap explains.
    Usage(Box<clap::Error>),
    /// Options that contradict each other, have a wrong value, or are not supported: one line each.
    Options(Vec<String>),
}

/// The id of `--env-file`, which is the app's option in the table.
const ENV_FILES: &str = "process.environment_file";

/// What options mean that mean something else, or more, to a supervised app.
const WORDS: [(&str, &str); 9] = [
    (ENV_FILES, "File with KEY=VALUE lines added to the environment; of several, later ones win"),
    ("daemon.name", "Name that heads the lines of --log"),
    ("daemon.working_directory", "Directory the command starts in, entered as its user; this one if not set"),
    ("logging.file", "File for events: start, signals, end; none if not set"),
    ("logging.stdout_file", "File that standard output is appended to"),
    ("logging.stderr_file", "File that standard error is appended to"),
    ("pidfile.path", "File for the pid of the command"),
    ("signals.forward_all", "Do not pass on the signals that are received and not needed here"),
    ("limits.timeout", "Time the command may run; then it is stopped, and the exit code is 124"),
];

/// The command line as clap knows it.
pub fn command() -> Command {
    let own = |id: &'static str| Arg::new(id).long(id);
    let paths =
        |id| own(id).value_name("DIR").hide(true).action(ArgAction::Append).value_parser(value_parser!(PathBuf));
    let table = table::launch_args(Command::new("daemonrun"));
    let shared = table.get_arguments().cloned().map(|arg| match WORDS.iter().find(|(id, _)| arg.get_id() == id) {
        // An app has one environment file; a process may be given several.
        Some((ENV_FILES, help)) => {
            own(ENV_FILES).long("env-file").value_name("FILE").action(ArgAction::Append).help(*help)
        }
        Some((_, help)) => arg.help(*help),
        None => arg,
    });
    Command::new("daemonrun")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Sets up one process, and becomes it or stays as its parent")
        .after_help(codes())
        .override_usage("daemonrun [OPTIONS] [--] COMMAND [ARG]...")
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .help("Program to become, and its arguments")
                .num_args(1..)
                .required(true)
                .trailing_var_arg(true)
                .value_parser(ValueParser::os_string()),
        )
        .args(shared)
        .arg(
            own("env")
                .value_name("KEY[=VALUE]")
                .action(ArgAction::Append)
                .value_parser(variable)
                .help("Variable of the command; without a value, the one it has here, whatever scripts and files say"),
        )
        .arg(
            own("env-script")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Script that sets the environment, sourced by /bin/sh as the command's user"),
        )
        .arg(
            own("foreground")
                .short('F')
                .action(ArgAction::SetTrue)
                .conflicts_with("daemon")
                .help("Stay as the parent of the command: pass on signals, end with its exit code"),
        )
        .arg(
            own("daemon")
                .short('d')
                .action(ArgAction::SetTrue)
                .help("Return when the command runs, and leave it in the background"),
        )
        .arg(
            own("quiet")
                .short('q')
                .action(ArgAction::SetTrue)
                .conflicts_with("verbose")
                .help("Say and log errors only"),
        )
        .arg(own("verbose").short('v').action(ArgAction::SetTrue).help("Say each step as it is done, and log more"))
        .arg(own("explain").action(ArgAction::SetTrue).help("Print the steps and their reasons, do nothing"))
        .arg(own("force").action(ArgAction::SetTrue).help("Do without what cannot be enforced here, and say so"))
        .arg(own("cgroup").value_name("NAME").hide(true))
        .arg(own("enter").value_name("PID:START").hide(true).value_parser(entered))
        .arg(paths("keep"))
        .arg(paths("hide"))
        .arg(own("restore-nofile").value_name("SOFT:HARD").hide(true).value_parser(limit_pair))
}

thread_local! {
    /// The command line, made once: a supervisor reads one for every launch, and making this takes longer than reading.
    static GRAMMAR: RefCell<Command> = RefCell::new(command().no_binary_name(true));
}

/// Reads a command line, without the program's name.
pub fn parse(args: Vec<OsString>, gate: bool) -> Result<Request, Refusal> {
    let usage = |error| Refusal::Usage(Box::new(error));
    let matches = GRAMMAR.with_borrow_mut(|grammar| grammar.try_get_matches_from_mut(args));
    let mut matches = matches.map_err(usage)?;
    let mut options =
        table::launch_options(&matches).map_err(|problems| Refusal::Options(vec![problems.to_string()]))?;
    options.logging.quiet |= matches.get_flag("quiet");
    options.logging.verbose |= matches.get_flag("verbose");
    // The launcher goes elsewhere before some of these are used.
    let logging = &mut options.logging;
    for path in [&mut logging.file, &mut logging.stdout_file, &mut logging.stderr_file, &mut options.pidfile.path] {
        *path = path.take().map(absolute);
    }
    let command: Vec<OsString> = matches.remove_many("command").into_iter().flatten().collect();
    let mut extras = extras(&mut matches, gate);
    if !gate {
        // Alone, a launcher knows of no app's directory that a private /tmp would have to show: the command's is that.
        let programs = command.first().map(PathBuf::from).into_iter().chain(extras.env_script.clone());
        let dirs: Vec<_> = programs.filter_map(|path| Some(path.parent()?.to_owned())).collect();
        extras.keep.extend(dirs.into_iter().filter(|dir| !dir.as_os_str().is_empty()));
    }
    let request = Request { options, extras, command };
    let refused = refused(&request);
    if refused.is_empty() { Ok(request) } else { Err(Refusal::Options(refused)) }
}

fn extras(matches: &mut ArgMatches, gate: bool) -> Extras {
    Extras {
        gate,
        explain: matches.get_flag("explain"),
        mode: match (matches.get_flag("foreground"), matches.get_flag("daemon")) {
            (false, false) => Mode::Become,
            (true, _) => Mode::Foreground,
            (false, true) => Mode::Daemon,
        },
        force: matches.get_flag("force"),
        group: matches.remove_one("cgroup"),
        joined: None,
        enter: matches.remove_one("enter"),
        keep: matches.remove_many("keep").into_iter().flatten().collect(),
        hide: matches.remove_many("hide").into_iter().flatten().collect(),
        env_script: matches.remove_one("env-script").map(absolute),
        env_files: matches.remove_many::<String>(ENV_FILES).into_iter().flatten().map(PathBuf::from).collect(),
        env: matches.remove_many("env").into_iter().flatten().collect(),
        restore_nofile: matches.remove_one("restore-nofile"),
    }
}

/// What was asked for and cannot be done by this version: nothing is skipped silently.
fn refused(request: &Request) -> Vec<String> {
    let unsupported = table::unsupported(&request.options).into_iter();
    let mut refused: Vec<_> = unsupported.map(|(key, value)| format!("{key} = {value} is not supported yet")).collect();
    if !request.extras.gate {
        refused.extend(alone::refused(&request.options, &request.extras));
    }
    refused
}

/// A path that means the same from everywhere.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

impl fmt::Display for Refusal {
    /// What is wrong, without clap's own word for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(mistake) => {
                let text = mistake.to_string();
                f.write_str(text.strip_prefix("error: ").unwrap_or(&text).trim_end())
            }
            Self::Options(lines) => f.write_str(&lines.join("\n")),
        }
    }
}

/// A value of `--env`.
fn variable(text: &str) -> Result<Variable, String> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    // Whoever names a variable here means it: names such as `log4j.level`, which no shell takes, are some programs' own.
    if key.is_empty() { Err("it names no variable".to_owned()) } else { Ok(Variable { key: key.to_owned(), value }) }
}

/// A value of `--enter`.
fn entered(text: &str) -> Result<Entered, String> {
    let pair = text.split_once(':').and_then(|(pid, start)| Some((pid.parse().ok()?, start.parse().ok()?)));
    pair.map(|(pid, start_time)| Entered { pid, start_time }).ok_or_else(|| "not PID:START".to_owned())
}

/// A value of `--restore-nofile`.
fn limit_pair(text: &str) -> Result<(u64, u64), String> {
    let pair = text.split_once(':').and_then(|(soft, hard)| Some((soft.parse().ok()?, hard.parse().ok()?)));
    pair.ok_or_else(|| "not SOFT:HARD".to_owned())
}

/// The exit codes, for `--help`.
fn codes() -> String {
    let steps = StepName::ALL.map(|step| format!("  {}  {step}\n", step.exit_code()));
    format!(
        "Exit codes: the command's own, once it runs, or 128 and the number of the signal that ended it.\n\
           124  it was stopped for --timeout\n\
         Before that, the step that failed:\n{}  127  the command was not found",
        steps.concat()
    )
}
