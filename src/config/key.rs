//! What a person calls an option: `limits.memory_limit`, or `memory_limit` where only one section has it, or
//! `process.environment.LANG` for one variable.

use std::fmt;

use super::problem::Problem;
use super::table::{Opt, Shape, find, program_table, table, unknown_option};
use super::values::{EnvMap, shown};

/// The one option whose parts have names of their own.
const ENVIRONMENT: &str = "process.environment";

/// An option, or one variable of `process.environment`.
#[derive(Clone, Debug)]
pub struct Key {
    /// The option.
    pub opt: &'static Opt,
    /// The variable, if only one is meant.
    pub variable: Option<String>,
}

impl Key {
    /// The option that was named. Settings of daemonctl itself are known only where `global` is the file in question.
    pub fn read(text: &str, global: bool) -> Result<Self, Problem> {
        let text = text.trim();
        let whole = |opt| Ok(Self { opt, variable: None });
        if let Some(opt) = find(text) {
            return whole(opt);
        }
        if let Some(opt) = program_table().iter().find(|opt| opt.name == text) {
            let message = "it is about daemonctl, not an app, and belongs in the global file: leave out the app";
            return if global { whole(opt) } else { Err(Problem::new(message).about(text)) };
        }
        if let Some(name) = text.strip_prefix(ENVIRONMENT).and_then(|rest| rest.strip_prefix('.')) {
            EnvMap::default().insert(name, "").map_err(|wrong| Problem::new(wrong.to_string()).about(ENVIRONMENT))?;
            let opt = find(ENVIRONMENT).ok_or_else(|| unknown_option(text))?;
            return Ok(Self { opt, variable: Some(name.to_owned()) });
        }
        let own = program_table().iter().filter(|_| global);
        let called: Vec<&Opt> = table().iter().chain(own).filter(|opt| opt.key == text).collect();
        match called[..] {
            [opt] => whole(opt),
            [] => Err(unknown(text)),
            _ => {
                let names: Vec<&str> = called.iter().map(|opt| opt.name.as_str()).collect();
                Err(Problem::new(format!("{} is in several sections: write {}", shown(text), names.join(" or "))))
            }
        }
    }

    /// Whether a word names an option in full, so that it cannot be meant for an app.
    pub fn is_full_name(word: &str) -> bool {
        let own = program_table().iter().any(|opt| opt.name == word);
        own || find(word).is_some() || word.strip_prefix(ENVIRONMENT).is_some_and(|rest| rest.starts_with('.'))
    }

    /// Whether its value may be a secret.
    pub fn is_secret(&self) -> bool {
        self.opt.kind.shape == Shape::Map
    }

    /// The keys that lead to it in a file.
    pub fn path(&self) -> Vec<&str> {
        [self.opt.section, self.opt.key.as_str()].into_iter().chain(self.variable.as_deref()).collect()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.opt.name)?;
        self.variable.iter().try_for_each(|name| write!(f, ".{name}"))
    }
}

/// That there is no such option, with the nearest one, or those that its section has.
fn unknown(text: &str) -> Problem {
    let mut problem = unknown_option(text);
    let section = text.split('.').next().unwrap_or_default();
    let keys: Vec<&str> = table().iter().filter(|opt| opt.section == section).map(|opt| opt.key.as_str()).collect();
    if section == text && !keys.is_empty() {
        return Problem::new(format!("{text} is a section: name one of its keys, {}", keys.join(", ")));
    }
    if !problem.message.contains("did you mean") && !keys.is_empty() {
        problem.message += &format!(": the keys of {section} are {}", keys.join(", "));
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, global: bool) -> String {
        Key::read(text, global).map_or_else(|problem| format!("! {problem}"), |key| key.to_string())
    }

    #[test]
    fn an_option_is_called_by_its_full_name_or_by_a_key_that_only_it_has() {
        assert_eq!(read("limits.memory_limit", false), "limits.memory_limit");
        assert_eq!(read("memory_limit", false), "limits.memory_limit");
        assert_eq!(read("process.environment.LANG", false), "process.environment.LANG");
        assert_eq!(read("process.environment.log4j.level", false), "process.environment.log4j.level");
        assert_eq!(read("op_timeout", true), "daemonctl.op_timeout");
        assert_eq!(
            read("enabled", false),
            "! \"enabled\" is in several sections: write daemon.enabled or pidfile.enabled or monitoring.enabled"
        );
        assert_eq!(read("memroy_limit", false), "! unknown option \"memroy_limit\"; did you mean limits.memory_limit?");
        assert_eq!(
            read("limits.cpu", false),
            "! unknown option \"limits.cpu\": the keys of limits are memory_limit, cpu_limit, file_limit, process_limit, \
             core_limit, stack_limit, timeout"
        );
        assert_eq!(read("pidfile", false), "! pidfile is a section: name one of its keys, enabled, path");
        assert_eq!(
            read("daemonctl.op_timeout", false),
            "! daemonctl.op_timeout: it is about daemonctl, not an app, and belongs in the global file: leave out the app"
        );
        assert!(read("process.environment.A B", false).starts_with("! process.environment: \"A B\" is not"));
    }
}
