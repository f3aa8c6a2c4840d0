//! The command line of the launcher: the options that shape one process, written as flags and read back.
//!
//! Program, arguments and environment are not among them: they travel as what they are. The launcher runs once for
//! every start of a process, so what happens here is counted in microseconds.

use std::collections::BTreeMap;

use clap::{ArgMatches, Command};
use serde_json::Value;

use super::flags::{OVERRIDE, flag, override_arg, settings};
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

fn launched() -> impl Iterator<Item = &'static Opt> {
    table().iter().filter(|opt| shapes_a_process(opt))
}

/// Adds to a command the flags of the options that shape a process, and `--config-override` for those without a flag.
pub fn launch_args(command: Command) -> Command {
    command.args(launched().filter_map(flag)).arg(override_arg())
}

/// The options that a launcher was given; those that do not shape a process have their defaults.
pub fn launch_options(matches: &ArgMatches) -> Result<Options, Problems> {
    let mut values = BTreeMap::new();
    for setting in settings(matches, launched())? {
        let about = |message: String| Problems::from(Problem::new(message).about(setting.origin.clone()));
        let opt = find(&setting.key).filter(|opt| shapes_a_process(opt));
        let opt = opt.ok_or_else(|| about(format!("{} is not the launcher's matter", setting.key)))?;
        values.insert(opt.name.as_str(), opt.check(&setting.value).map_err(about)?);
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
