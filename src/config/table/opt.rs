//! One option: what it is called, and which values it takes.

use std::ops::RangeInclusive;
use std::sync::OnceLock;

use clap::Command;
use clap::builder::StyledStr;
use serde_json::Value;

use super::{Kind, Shape};

/// One option.
#[derive(Debug)]
pub struct Opt {
    /// `section.key`.
    pub name: String,
    /// The section it belongs to.
    pub section: &'static str,
    /// Its key there.
    pub key: String,
    /// Its flag, without dashes.
    pub flag: Option<String>,
    /// The one letter of its flag.
    pub short: Option<char>,
    /// Whether the flag means false: `--no-setsid`.
    pub negated: bool,
    /// The text of its default, if it has one.
    pub default: Option<String>,
    /// What its value is called in help.
    pub value_name: String,
    /// Its type.
    pub kind: &'static Kind,
    pub(super) help: StyledStr,
    /// Whether its value may begin with a dash.
    pub(super) hyphens: bool,
    /// Adds the arguments of its section to a command.
    declared: fn(Command) -> Command,
    bounds: OnceLock<Option<RangeInclusive<i64>>>,
}

impl Opt {
    /// What it does, in a sentence without the full stop.
    pub fn help(&self) -> String {
        self.help.to_string()
    }

    /// The value that a text stands for, or why it stands for none.
    ///
    /// This is the only way from text to value: flags, variables, overrides and files all go through it.
    pub fn check(&self, text: &str) -> Result<Value, String> {
        let Some(bounds) = self.bounds() else { return (self.kind.parse)(text) };
        let (least, most) = (*bounds.start(), *bounds.end());
        let open = format!("use a whole number from {least} up");
        let closed = format!("use a whole number from {least} to {most}");
        let allowed = if most >= i64::from(i32::MAX) { &open } else { &closed };
        let value = (self.kind.parse)(text).map_err(|wrong| format!("{wrong}: {allowed}"))?;
        match value.as_i64() {
            Some(number) if number > most => Err(format!("{number} is too great: {closed}")),
            Some(number) if number < least => Err(format!("{number} is too small: {allowed}")),
            _ => Ok(value),
        }
    }

    /// The text of a value, as [`Opt::check`] reads it.
    pub fn text(&self, value: &Value) -> Option<String> {
        (self.kind.text)(value)
    }

    /// The whole numbers it takes, where it takes whole numbers.
    pub fn bounds(&self) -> Option<&RangeInclusive<i64>> {
        self.bounds.get_or_init(|| (self.kind.shape == Shape::Integer).then(|| declared_bounds(self))).as_ref()
    }
}

/// Reads the options of a section off the arguments that clap derived for it.
pub(super) fn read_section(table: &mut Vec<Opt>, section: &'static str, declared: fn(Command) -> Command) {
    let command = declared(Command::new(section));
    table.extend(command.get_arguments().map(|arg| {
        let kind = Kind::of(arg.get_value_parser()).expect("every type in sections.rs is in KINDS, as the tests check");
        let key = arg.get_id().to_string();
        let flag = arg.get_long().map(str::to_owned);
        let default = arg.get_default_values().first().map(|text| text.to_string_lossy().into_owned());
        Opt {
            name: format!("{section}.{key}"),
            section,
            short: arg.get_short(),
            negated: default.as_deref() == Some("true") && flag.as_ref().is_some_and(|flag| flag.starts_with("no-")),
            help: arg.get_help().cloned().unwrap_or_default(),
            value_name: match kind.shape {
                Shape::Boolean => "BOOL".to_owned(),
                _ => arg.get_value_names().map(|names| names[0].to_string()).unwrap_or_default(),
            },
            kind,
            key,
            flag,
            default,
            hyphens: arg.is_allow_hyphen_values_set(),
            declared,
            bounds: OnceLock::new(),
        }
    }));
}

/// The range a number was declared with. clap keeps it to itself, except in the error for a number outside of it:
/// `… is not in -20..=19`.
fn declared_bounds(opt: &Opt) -> RangeInclusive<i64> {
    let any = 0..=i64::MAX;
    let section = (opt.declared)(Command::new(opt.section));
    let Some(arg) = section.get_arguments().find(|arg| arg.get_id() == opt.key.as_str()) else { return any };
    let arg = arg.clone().long("number").short(None);
    let outside = format!("--number={}", i64::MIN);
    let Err(error) = Command::new("").no_binary_name(true).arg(arg).try_get_matches_from([outside]) else { return any };
    let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    let range = reason.rsplit(' ').next().and_then(|range| range.split_once("..="));
    match range.map(|(least, most)| (least.parse(), most.parse())) {
        Some((Ok(least), Ok(most))) => least..=most,
        _ => any,
    }
}
