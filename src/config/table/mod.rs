//! The option table: every option of an app, derived from the sections, and the one way from text to value.
//!
//! clap's derive makes a list of arguments of each section ([`super::sections`]); that list, read once, is the table.
//! Whatever loops over options loops over [`table`]; whatever turns text into a value calls [`Opt::check`], be it the
//! text of a flag, a variable, an override or a file. So an option cannot mean one thing here and another there.
//!
//! - `options`: the values of all options, and the list of the sections.
//! - `opt`: one option, and the check of its values.
//! - `kind`: the types of options.
//! - `flags`: the command line of `start`, `run` and `restart`.
//! - `launch`: the command line of the launcher, both ways.

mod flags;
mod kind;
mod launch;
mod opt;
mod options;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use clap::Args;
use serde_json::Value;

use super::problem::nearest;
use super::sections::Program;
use options::{changed, read_table};

pub(super) use flags::unknown as unknown_option;
pub use flags::{asked, start_args};
pub use kind::{Form, Kind, Shape};
pub use launch::{launch_args, launch_argv, launch_options, parental};
pub use opt::Opt;
pub use options::{Options, SECTIONS};

/// Options whose effect is not built yet; a start that sets one fails. With a value, only that value is refused.
/// Delete a line here once what it names is true.
const NOT_BUILT: &[(&str, Option<&str>)] = &[("daemon.foreground", None), ("daemon.double_fork", None)];

/// Every option of an app, section by section.
pub fn table() -> &'static [Opt] {
    static TABLE: OnceLock<Vec<Opt>> = OnceLock::new();
    TABLE.get_or_init(read_table)
}

/// The settings of daemonctl itself: `[daemonctl]` in the global file.
pub fn program_table() -> &'static [Opt] {
    static TABLE: OnceLock<Vec<Opt>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Vec::new();
        opt::read_section(&mut table, "daemonctl", Program::augment_args);
        table
    })
}

/// The option called `section.key`.
pub fn find(name: &str) -> Option<&'static Opt> {
    static BY_NAME: OnceLock<BTreeMap<&str, &Opt>> = OnceLock::new();
    BY_NAME.get_or_init(|| table().iter().map(|opt| (opt.name.as_str(), opt)).collect()).get(name).copied()
}

/// What a person who wrote `key` in `section` may have meant: a near key there, else in another section the same key,
/// the key whose flag is called so, or a near key, written in full.
pub fn suggest(section: &str, key: &str) -> Option<String> {
    let here = table().iter().filter(|opt| opt.section == section);
    if let Some(key) = nearest(key, here.map(|opt| opt.key.as_str())) {
        return Some(key.to_owned());
    }
    let any = |is: &dyn Fn(&Opt) -> bool| table().iter().find(|opt| is(opt));
    let flag = key.replace('_', "-");
    let meant = any(&|opt| opt.key == key).or_else(|| any(&|opt| opt.flag.as_ref() == Some(&flag))).or_else(|| {
        let near = nearest(key, table().iter().map(|opt| opt.key.as_str()))?;
        any(&|opt| opt.key == near)
    })?;
    Some(if meant.section == section { meant.key.clone() } else { meant.name.clone() })
}

/// What a person who wrote `name` for a `section.key` may have meant.
pub fn suggest_name(name: &str) -> Option<String> {
    if let Some(near) = nearest(name, table().iter().map(|opt| opt.name.as_str())) {
        return Some(near.to_owned());
    }
    let (section, key) = name.split_once('.').unwrap_or(("", name));
    let near = suggest(section, key)?;
    Some(if near.contains('.') { near } else { format!("{section}.{near}") })
}

/// What is not as it is by default, with its value as text.
pub fn explicit(options: &Options) -> BTreeMap<String, String> {
    let set = changed(options, |_| true).into_iter();
    set.filter_map(|(opt, value)| Some((opt.name.clone(), opt.text(&value)?))).collect()
}

/// What is set to something whose effect is not built yet, with its value.
pub fn unsupported(options: &Options) -> Vec<(String, String)> {
    let not_built = |opt: &Opt| NOT_BUILT.iter().find(|(name, _)| *name == opt.name);
    let set = changed(options, |opt| not_built(opt).is_some()).into_iter();
    // `false` asks for nothing, also where nothing is the default.
    let asks = |opt: &Opt, value: &Value| *value != Value::Bool(false) || opt.default.as_deref() == Some("true");
    let asked = set.filter(|(opt, value)| asks(opt, value)).filter_map(|(opt, value)| {
        let text = opt.text(&value)?;
        let refused = not_built(opt)?.1.is_none_or(|only| only == text);
        refused.then(|| (opt.name.clone(), text))
    });
    asked.collect()
}

/// Whether an option does what it says.
pub fn is_built(name: &str) -> bool {
    NOT_BUILT.iter().all(|(other, _)| *other != name)
}

/// The options as if what is not built yet had not been set.
pub fn without_unsupported(options: &Options) -> Options {
    let defaults = serde_json::to_value(Options::default()).unwrap_or_default();
    let mut values = serde_json::to_value(options).unwrap_or_default();
    for (name, _) in unsupported(options) {
        if let Some((section, key)) = name.split_once('.') {
            values[section][key] = defaults[section][key].clone();
        }
    }
    serde_json::from_value(values).unwrap_or_else(|_| options.clone())
}

#[cfg(test)]
mod tests;
