//! Options set by variables: `DAEMONCTL_<APP>_<KEY>`.
//!
//! `<APP>` is the app's name in upper case, with `_` for everything that is neither letter nor digit; `<KEY>` is
//! `SECTION_KEY`, or the key alone where only one section has it. Apps whose names differ only in case or punctuation
//! share their variables.
//!
//! Where one app's name is the beginning of another's, a variable can be read in two ways: `DAEMONCTL_WEB_LIMITS_TIMEOUT`
//! is `limits.timeout` of `web`, and `timeout` of `web-limits`. The longer name wins, and the other app is warned: every
//! option has another variable that only it can be.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use daemonctl_actors::value::AppName;

use crate::config::problem::{Problem, nearest};
use crate::config::table::{Opt, table};

/// Variables that mean something else, and would read as an option of an app called `log`, `op`, `main` ….
const OWN: [&str; 12] = [
    "DAEMONCTL_PATH",
    "DAEMONCTL_CONFIG",
    "DAEMONCTL_LOG_LEVEL",
    "DAEMONCTL_OP_TIMEOUT",
    "DAEMONCTL_NO_COLOR",
    "DAEMONCTL_RUNTIME_DIR",
    "DAEMONCTL_LAUNCH_ID",
    "DAEMONCTL_EVENT",
    "DAEMONCTL_MAIN_PID",
    "DAEMONCTL_EXIT_CODE",
    "DAEMONCTL_EXIT_SIGNAL",
    "DAEMONCTL_REASON",
];

/// Those of them that people set.
const SET: &[&str] = OWN.split_at(6).0;

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
        let others = others.get_or_insert_with(|| longer_prefixes(&prefix, root));
        let mut meant = others.iter().filter_map(|(long, name)| Some((variable.strip_prefix(long.as_str())?, name)));
        if let Some(opt) = names().get(key) {
            match meant.find_map(|(rest, name)| Some((names().get(rest)?, name))) {
                None => found.known.push((variable, opt, text)),
                Some((theirs, name)) => {
                    let message = format!(
                        "is taken for {} of {name}, not for {} of {app}; for that, write {prefix}{}",
                        theirs.name,
                        opt.name,
                        another_name(opt, key)
                    );
                    found.unknown.push(Problem::new(message).about(variable));
                }
            }
        } else if meant.next().is_none() {
            let several = several(key, &prefix);
            if !several.is_empty() {
                let message = format!("is in several sections: write {}", several.join(" or "));
                found.unknown.push(Problem::new(message).about(variable));
                continue;
            }
            let near = nearest(key, names().keys().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean {prefix}{near}?")).unwrap_or_default();
            found.unknown.push(Problem::new(format!("names no option of {app}{hint}")).about(variable));
        }
    }
    found.known.sort_by_key(|(variable, ..)| variable.len());
    found
}

/// The variables of the options that are called so in one section or another, if there are several.
fn several(key: &str, prefix: &str) -> Vec<String> {
    let called = table().iter().filter(|opt| opt.key.eq_ignore_ascii_case(key));
    called.map(|opt| format!("{prefix}{}_{}", opt.section, opt.key).to_ascii_uppercase()).collect()
}

/// How the variables of an app begin.
fn prefix(app: &str) -> String {
    let upper = app.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    "DAEMONCTL_".chars().chain(upper).chain(['_']).collect()
}

/// The prefixes of apps whose names go on where this one ends, with the names, longest first: what is said to `web` may be
/// meant for `web-api`. Only looked up when something is said to `web`.
fn longer_prefixes(short: &str, root: &Path) -> Vec<(String, AppName)> {
    let entries = std::fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
    let names =
        entries.filter(|entry| entry.path().is_dir()).filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let prefixes = names.map(|name: AppName| (prefix(name.as_str()), name));
    let mut longer: Vec<_> = prefixes.filter(|(long, _)| long.len() > short.len() && long.starts_with(short)).collect();
    longer.sort_by(|a, b| (b.0.len(), &a.1).cmp(&(a.0.len(), &b.1)));
    longer
}

/// The other `<KEY>` of an option: the long one for the short one, and the other way round.
fn another_name(opt: &Opt, key: &str) -> String {
    let long = format!("{}_{}", opt.section, opt.key).to_ascii_uppercase();
    if key == long { opt.key.to_ascii_uppercase() } else { long }
}

/// A warning for every variable that is nearly one of this program's own. One that ends as an option does is left to the
/// app that it is meant for, and so is one that begins as those of an app below the root do.
pub(super) fn misspelt<'a>(variables: impl Iterator<Item = &'a str>, root: &Path) -> Vec<Problem> {
    let near = |variable: &'a str| Some((variable, own_nearest(variable)?));
    let found: Vec<_> = variables.filter_map(near).collect();
    let of_apps = if found.is_empty() { Vec::new() } else { longer_prefixes("DAEMONCTL_", root) };
    let strange = found.iter().filter(|(variable, _)| !of_apps.iter().any(|(prefix, _)| variable.starts_with(prefix)));
    let told = |(variable, own): &(&str, &str)| Problem::new(format!("{variable} is not known; did you mean {own}?"));
    strange.map(told).collect()
}

/// The variable of this program that a mistyped one was meant to be.
fn own_nearest(variable: &str) -> Option<&'static str> {
    let rest = variable.strip_prefix("DAEMONCTL_").filter(|_| !OWN.contains(&variable))?;
    if names().keys().any(|key| rest.strip_suffix(key.as_str()).is_some_and(|app| app.ends_with('_'))) {
        return None;
    }
    let near = nearest(rest, SET.iter().map(|own| &own["DAEMONCTL_".len()..]))?;
    SET.iter().copied().find(|own| own.ends_with(near))
}

/// A warning for every variable that looks like an option's and is no app's, and for apps that cannot have variables of
/// their own.
pub(super) fn nobodys(apps: &[AppName], environment: &BTreeMap<String, String>) -> Vec<Problem> {
    let prefixes: Vec<(String, &AppName)> = apps.iter().map(|app| (prefix(app.as_str()), app)).collect();
    let stray = |variable: &&String| {
        let own = OWN.contains(&variable.as_str());
        variable.starts_with("DAEMONCTL_") && !own && !prefixes.iter().any(|(prefix, _)| variable.starts_with(prefix))
    };
    let mut found: Vec<Problem> = environment
        .keys()
        .filter(stray)
        .map(|variable| {
            // What would follow the name is known: an app is meant whose name is nearly what stands before it.
            let rest = variable.trim_start_matches("DAEMONCTL_");
            let keys = names().keys().filter(|key| rest.ends_with(&format!("_{key}")));
            let key = keys.max_by_key(|key| key.len());
            let near = key.and_then(|key| {
                let name = rest.strip_suffix(&format!("_{key}"))?;
                let near = nearest(name, apps.iter().map(AppName::as_str))?;
                Some(format!("; did you mean {}{key}?", prefix(near)))
            });
            let near = near.or_else(|| own_nearest(variable).map(|own| format!("; did you mean {own}?")));
            Problem::new(format!("names no app of this root{}", near.unwrap_or_default())).about(variable)
        })
        .collect();
    for (at, (prefix, app)) in prefixes.iter().enumerate() {
        for (_, other) in prefixes.iter().skip(at + 1).filter(|(same, _)| same == prefix) {
            let message = format!("{app} and {other} share their variables, {prefix}…: one of them could be renamed");
            found.push(Problem::new(message));
        }
    }
    found
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
