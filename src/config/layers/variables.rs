//! Options set by variables: `DAEMONCTL_<APP>_<KEY>`.
//!
//! `<APP>` is the app's name in upper case, with `_` for everything that is neither letter nor digit; `<KEY>` is
//! `SECTION_KEY`, or the key alone where only one section has it. Apps whose names differ only in case or punctuation
//! share their variables.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use daemonctl_actors::value::AppName;

use crate::config::problem::{Problem, nearest};
use crate::config::table::{Opt, table};

/// Variables that mean something else, and would read as an option of an app called `log`, `op`, `main` ….
const OWN: [&str; 11] = [
    "DAEMONCTL_PATH",
    "DAEMONCTL_CONFIG",
    "DAEMONCTL_LOG_LEVEL",
    "DAEMONCTL_OP_TIMEOUT",
    "DAEMONCTL_NO_COLOR",
    "DAEMONCTL_RUNTIME_DIR",
    "DAEMONCTL_EVENT",
    "DAEMONCTL_MAIN_PID",
    "DAEMONCTL_EXIT_CODE",
    "DAEMONCTL_EXIT_SIGNAL",
    "DAEMONCTL_REASON",
];

/// The variables of one app.
pub(super) struct Found<'a> {
    /// Those that name an option, with their texts; of two names for one option, the longer comes last, and so wins.
    pub(super) known: Vec<(&'a str, &'static Opt, &'a str)>,
    /// A warning for each that names none.
    pub(super) unknown: Vec<Problem>,
}

/// The variables of `app` in an environment.
pub(super) fn find<'a>(app: &AppName, environment: &'a BTreeMap<String, String>, root: &Path) -> Found<'a> {
    let prefix = prefix(app.as_str());
    let mut found = Found { known: Vec::new(), unknown: Vec::new() };
    let mut others = None;
    let from_prefix = environment.range(prefix.clone()..);
    for (variable, text) in from_prefix.take_while(|(variable, _)| variable.starts_with(&prefix)) {
        if OWN.contains(&variable.as_str()) {
            continue;
        }
        let key = &variable[prefix.len()..];
        if let Some(opt) = names().get(key) {
            found.known.push((variable, opt, text));
        } else if !others.get_or_insert_with(|| longer_prefixes(&prefix, root)).iter().any(|p| variable.starts_with(p))
        {
            let near = nearest(key, names().keys().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean {prefix}{near}?")).unwrap_or_default();
            found.unknown.push(Problem::new(format!("names no option of {app}{hint}")).about(variable));
        }
    }
    found.known.sort_by_key(|(variable, ..)| variable.len());
    found
}

/// How the variables of an app begin.
fn prefix(app: &str) -> String {
    let upper = app.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    "DAEMONCTL_".chars().chain(upper).chain(['_']).collect()
}

/// The prefixes of apps whose names go on where this one ends: what is unknown to `web` may be meant for `web-api`.
/// Only looked up when something is unknown.
fn longer_prefixes(short: &str, root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
    let prefixes = entries.filter_map(|entry| entry.file_name().to_str().map(prefix));
    prefixes.filter(|long| long.len() > short.len() && long.starts_with(short)).collect()
}

/// Every `<KEY>`, and its option.
pub(super) fn names() -> &'static BTreeMap<String, &'static Opt> {
    static NAMES: OnceLock<BTreeMap<String, &'static Opt>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let long = table().iter().map(|opt| (format!("{}_{}", opt.section, opt.key).to_ascii_uppercase(), opt));
        let alone = |opt: &&Opt| table().iter().filter(|other| other.key == opt.key).count() == 1;
        let short = table().iter().filter(alone).map(|opt| (opt.key.to_ascii_uppercase(), opt));
        short.chain(long).collect()
    })
}
