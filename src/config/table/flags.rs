//! The command line of `start`, `run` and `restart`: a flag for every option that has one, and
//! `--config-override section.key=value` for all of them.
//!
//! Values are taken as text and checked by the table, so that a wrong one is reported as it would be in a file.

use clap::builder::StyledStr;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use super::{Opt, Shape, find, suggest_name, table};
use crate::config::Setting;
use crate::config::problem::{Problem, Problems};
use crate::config::values::{EnvMap, shown};

/// The flag, and the id of its argument, that sets any option.
pub(super) const OVERRIDE: &str = "config-override";

/// The id of the flag that means the opposite of a negated one: `--signal-forward`.
pub(super) const FORWARD: &str = "signal-forward";

/// The flags that choose between foreground and background, which is the command's own matter and no setting of the
/// app: option, and id of the argument.
const MODES: [(&str, &str); 2] = [("daemon.foreground", "foreground"), ("daemon.double_fork", "daemon")];

/// Adds to a command the flags of all options, `--config-override` and `--no-config`.
///
/// `-F/--foreground` and `-d/--daemon` are plain flags with the ids `foreground` and `daemon`; [`asked`] passes over
/// them. The ids of the others are the names of their options.
pub fn start_args(command: Command) -> Command {
    let flags = table().iter().filter_map(|opt| match mode(opt) {
        Some(id) => Some(plain(id, opt)),
        None => flag(opt),
    });
    let no_config = Arg::new("no-config")
        .long("no-config")
        .help("Read no configuration file")
        .help_heading("Configuration")
        .action(ArgAction::SetTrue);
    command.args(flags).args([forward_arg(), override_arg().help_heading("Configuration"), no_config])
}

/// What the command line set, each value checked: first the overrides, then the flags, which win. And whether
/// `--no-config` was given.
pub fn asked(matches: &ArgMatches) -> Result<(Vec<Setting>, bool), Problems> {
    let mut settings = settings(matches, table().iter().filter(|opt| mode(opt).is_none()))?;
    if matches.get_flag(FORWARD) {
        let (key, value, origin) = ("signals.forward_all".into(), "true".into(), format!("--{FORWARD}"));
        settings.push(Setting { key, value, origin });
    }
    Ok((settings, matches.get_flag("no-config")))
}

/// The id of an option's flag, where it chooses between foreground and background.
fn mode(opt: &Opt) -> Option<&'static str> {
    MODES.iter().find(|(name, _)| *name == opt.name).map(|(_, id)| *id)
}

/// A flag without a value, which excludes the other one.
fn plain(id: &'static str, opt: &Opt) -> Arg {
    let others = MODES.into_iter().map(|(_, other)| other).filter(|other| *other != id);
    Arg::new(id)
        .long(opt.flag.clone().unwrap_or_else(|| id.to_owned()))
        .short(opt.short)
        .help(opt.help.clone())
        .help_heading(heading(opt.section))
        .action(ArgAction::SetTrue)
        .conflicts_with_all(others)
}

/// `-A`, the opposite of `--no-signal-forward`.
pub(super) fn forward_arg() -> Arg {
    Arg::new(FORWARD)
        .long(FORWARD)
        .short('A')
        .hide(true)
        .action(ArgAction::SetTrue)
        .overrides_with_all([FORWARD, "signals.forward_all"])
}

/// `--config-override section.key=value`.
pub(super) fn override_arg() -> Arg {
    Arg::new(OVERRIDE)
        .long(OVERRIDE)
        .value_name("SECTION.KEY=VALUE")
        .help("Set any option, whatever the files say")
        .action(ArgAction::Append)
}

/// An option's flag as an argument that takes text.
pub(super) fn flag(opt: &Opt) -> Option<Arg> {
    let arg = Arg::new(opt.name.clone())
        .long(opt.flag.clone()?)
        .short(opt.short)
        .value_name(opt.value_name.clone())
        .allow_hyphen_values(opt.hyphens)
        .help(help(opt))
        .help_heading(heading(opt.section));
    Some(match opt.kind.shape {
        Shape::Boolean => {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true").overrides_with(opt.name.clone())
        }
        Shape::List | Shape::Map => arg.action(ArgAction::Append),
        Shape::Integer | Shape::Text | Shape::TextOrInteger | Shape::TextOrBoolean => {
            arg.overrides_with(opt.name.clone())
        }
    })
}

/// An option's sentence, with its default where that is worth saying. A negated flag says what it prevents: the first
/// part of a sentence that begins with a verb.
fn help(opt: &Opt) -> StyledStr {
    match opt.default.as_deref() {
        Some(_) if opt.negated => {
            format!("Do not {}", lower_first(opt.help().split(';').next().unwrap_or_default())).into()
        }
        Some("" | "false") | None => opt.help.clone(),
        Some(default) => format!("{} [default: {default}]", opt.help).into(),
    }
}

fn lower_first(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// What the flags of a section are listed under.
fn heading(section: &str) -> String {
    let mut chars = section.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// The settings among the matches of these options and of `--config-override`, which come first.
pub(super) fn settings<'a>(
    matches: &ArgMatches,
    options: impl Iterator<Item = &'a Opt>,
) -> Result<Vec<Setting>, Problems> {
    let (mut settings, mut problems) = (Vec::new(), Problems::default());
    let overrides = matches.get_many::<String>(OVERRIDE).into_iter().flatten().map(|text| overridden(text));
    let flags = options.filter(|opt| opt.flag.is_some()).flat_map(|opt| given(matches, opt));
    for outcome in overrides.chain(flags) {
        match outcome {
            Ok(setting) => settings.push(setting),
            Err(problem) => problems.0.push(problem),
        }
    }
    problems.unless_any(settings)
}

/// One `section.key=value`.
fn overridden(text: &str) -> Result<Setting, Problem> {
    let origin = format!("--{OVERRIDE}");
    let Some((key, value)) = text.split_once('=') else {
        let message = format!("{} has no '=': write section.key=value", shown(text));
        return Err(Problem::new(message).about(origin));
    };
    let key = key.trim();
    let Some(opt) = find(key) else { return Err(unknown(key).about(origin)) };
    opt.check(value).map_err(|wrong| Problem::new(format!("{key}: {wrong}")).about(origin.clone()))?;
    Ok(Setting { key: key.to_owned(), value: value.to_owned(), origin })
}

/// That there is no option of this name, and which may have been meant.
pub(in crate::config) fn unknown(name: &str) -> Problem {
    let hint = suggest_name(name).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Problem::new(format!("unknown option {}{hint}", shown(name)))
}

/// What one flag was given: a setting for each variable, else at most one.
fn given(matches: &ArgMatches, opt: &Opt) -> Vec<Result<Setting, Problem>> {
    if matches.value_source(&opt.name) != Some(ValueSource::CommandLine) {
        return Vec::new();
    }
    let origin = format!("--{}", opt.flag.as_deref().unwrap_or(&opt.name));
    let texts: Vec<&String> = matches.get_many(&opt.name).into_iter().flatten().collect();
    let setting = |value: Result<String, String>| match value {
        Ok(value) => Ok(Setting { key: opt.name.clone(), value, origin: origin.clone() }),
        Err(wrong) => Err(Problem::new(wrong).about(origin.clone())),
    };
    let checked = |text: &str| opt.check(text).map(|_| text.to_owned());
    match opt.kind.shape {
        // A variable is taken as it is: quotes and commas belong to its value.
        Shape::Map => {
            let variable = |text: &String| EnvMap::variable(text).map(|one| one.to_string());
            texts.into_iter().map(|text| setting(variable(text).map_err(|wrong| wrong.to_string()))).collect()
        }
        Shape::List => {
            let separator = if texts.len() > 1 { "," } else { "" };
            let all: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
            vec![setting(checked(&all.join(separator)))]
        }
        Shape::Boolean if opt.negated => texts.last().map(|text| setting(negated(opt, text))).into_iter().collect(),
        _ => texts.last().map(|text| setting(checked(text))).into_iter().collect(),
    }
}

/// The opposite of a boolean.
fn negated(opt: &Opt, text: &str) -> Result<String, String> {
    opt.check(text).map(|value| (value == Value::Bool(false)).to_string())
}
