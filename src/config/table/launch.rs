//! The command line of the launcher: the options that shape one process, written as flags and read back. Used alone,
//! it takes those of a parent as well.
//!
//! Program, arguments and environment are not among them: they travel as what they are. The launcher runs once for
//! every start of a process, so what happens here is counted in microseconds.

use std::collections::BTreeMap;

use clap::{ArgMatches, Command};
use serde_json::Value;

use super::flags::{FORWARD, OVERRIDE, flag, forward_arg, override_arg, settings};
use super::{Opt, Options, Shape, changed, find, table};
use crate::config::problem::{Problem, Problems};
use crate::config::rules::{contradictions, imply_sandbox};

/// Whether the launcher, and not the supervisor, carries an option out.
fn shapes_a_process(opt: &Opt) -> bool {
    match opt.section {
        "security" | "sandbox" => true,
        "limits" => opt.key != "timeout",
        "daemon" => matches!(opt.key.as_str(), "setsid" | "working_directory" | "umask"),
        "process" => matches!(opt.key.as_str(), "priority" | "oom_score_adj" | "environment_file" | "clear_env"),
        _ => false,
    }
}

/// Whether an option is carried out by the process above the one it is about: a supervisor, or `daemonrun` used alone.
fn needs_a_parent(opt: &Opt) -> bool {
    match opt.section {
        "signals" => true,
        "limits" => opt.key == "timeout",
        "daemon" => opt.key == "name",
        "logging" => matches!(opt.key.as_str(), "file" | "level"),
        "pidfile" => opt.key == "path",
        _ => false,
    }
}

/// Whether `daemonrun` takes an option when it is used alone; a supervisor sees to it otherwise.
fn is_for_one_alone(opt: &Opt) -> bool {
    let output = matches!(opt.key.as_str(), "stdout_file" | "stderr_file" | "quiet" | "verbose");
    needs_a_parent(opt) || (opt.section == "logging" && output)
}

fn is_launched(opt: &Opt) -> bool {
    shapes_a_process(opt) || is_for_one_alone(opt)
}

fn launched() -> impl Iterator<Item = &'static Opt> {
    table().iter().filter(|opt| is_launched(opt))
}

/// Adds to a command the flags of the options that shape a process, and `--config-override` for those without a flag.
pub fn launch_args(command: Command) -> Command {
    command.args(launched().filter_map(flag)).args([forward_arg(), override_arg()])
}

/// The options that a parent carries out and that are not what they are by default, as a person would write them.
pub fn parental(options: &Options) -> Vec<(&'static str, String)> {
    let changed = changed(options, needs_a_parent).into_iter();
    changed
        .map(|(opt, _)| (opt.name.as_str(), opt.flag.as_ref().map_or(opt.name.clone(), |f| format!("--{f}"))))
        .collect()
}

/// The options that a launcher was given; those that are not its matter have their defaults.
pub fn launch_options(matches: &ArgMatches) -> Result<Options, Problems> {
    let mut values = BTreeMap::new();
    for setting in settings(matches, launched())? {
        let about = |message: String| Problems::from(Problem::new(message).about(setting.origin.clone()));
        let opt = find(&setting.key).filter(|opt| is_launched(opt));
        let opt = opt.ok_or_else(|| about(format!("{} is not the launcher's matter", setting.key)))?;
        values.insert(opt.name.as_str(), opt.check(&setting.value).map_err(about)?);
    }
    if matches.get_flag(FORWARD) {
        values.insert("signals.forward_all", true.into());
    }
    imply_sandbox(&mut values)?;
    let options = Options::from_values(values).map_err(|error| Problems::from(Problem::new(error.to_string())))?;
    let contradictions = contradictions(&options).into_iter().map(|(problem, _)| problem).collect();
    Problems(contradictions).unless_any(options)
}

/// The flags that make a launcher's options out of its defaults.
pub fn launch_argv(options: &Options) -> Vec<String> {
    changed(options, shapes_a_process).into_iter().flat_map(|(opt, value)| argv(opt, &value)).collect()
}

/// One option as arguments.
fn argv(opt: &Opt, value: &Value) -> Vec<String> {
    let text = opt.text(value).unwrap_or_default();
    match (&opt.flag, opt.kind.shape, value) {
        (None, _, _) => vec![format!("--{OVERRIDE}"), format!("{}={text}", opt.name)],
        (Some(flag), Shape::Boolean, Value::Bool(on)) if *on != opt.negated => vec![format!("--{flag}")],
        (Some(flag), Shape::Boolean, _) => vec![format!("--{flag}=false")],
        (Some(flag), _, _) => vec![format!("--{flag}={text}")],
    }
}
