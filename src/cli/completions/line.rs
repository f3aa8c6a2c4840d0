//! What a command line says before the word that is being completed.
//!
//! It is read by the grammar that the command itself would be read by, as far as it goes: half a line is no mistake here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::app::Root;
use crate::cli::top;

/// The id of the option that names the apps root.
const PATH: &str = "global.path";

/// The words before the one that is completed.
pub(super) struct Line {
    matches: Option<ArgMatches>,
    root: Option<PathBuf>,
}

impl Line {
    /// Reads the words, of which the first is the program. A shell hands them on as they were typed, so that a
    /// directory may be written by way of variables; `env` tells their values.
    pub(super) fn read(words: &[OsString], env: &dyn Fn(&str) -> Option<String>) -> Self {
        let matches = top().ignore_errors(true).try_get_matches_from(words).ok();
        let mut line = Self { matches, root: None };
        line.root = line.named_root(env);
        line
    }

    /// The names of the command and of the one below it, as far as they are there.
    pub(super) fn command(&self) -> Vec<&str> {
        self.levels().filter_map(ArgMatches::subcommand_name).collect()
    }

    /// What has been given for an argument of the command.
    pub(super) fn given(&self, id: &str) -> Vec<String> {
        let values = self.levels().last().and_then(|matches| matches.try_get_raw(id).ok().flatten());
        values.into_iter().flatten().map(|value| value.to_string_lossy().into_owned()).collect()
    }

    /// Whether an option has been typed.
    pub(super) fn has(&self, id: &str) -> bool {
        let typed = |matches: &ArgMatches| matches.value_source(id) == Some(ValueSource::CommandLine);
        self.levels().any(|matches| matches.try_contains_id(id).is_ok() && typed(matches))
    }

    /// The apps of the root that is meant. One that does not exist has none.
    pub(super) fn apps(&self) -> Vec<String> {
        let root = self.root.as_ref().and_then(|path| Root::open(path).ok());
        let apps = root.and_then(|root| root.apps().ok()).unwrap_or_default();
        apps.iter().map(|app| app.name().to_string()).collect()
    }

    /// What was read of the command, and of each below it.
    fn levels(&self) -> impl Iterator<Item = &ArgMatches> {
        std::iter::successors(self.matches.as_ref(), |matches| matches.subcommand().map(|(_, below)| below))
    }

    /// The apps root that the line names, else the variable, else the working directory.
    fn named_root(&self, env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let named = self.levels().filter_map(|matches| matches.try_get_one::<PathBuf>(PATH).ok().flatten());
        let named = named.filter(|path| !path.as_os_str().is_empty());
        match named.last() {
            Some(path) => expanded(&path.to_string_lossy(), env).map(PathBuf::from),
            // A shell changes nothing in what a variable contains.
            None => {
                Some(env("DAEMONCTL_PATH").filter(|path| !path.is_empty()).unwrap_or_else(|| ".".to_owned()).into())
            }
        }
    }
}

/// A word as a shell would make it of what was typed: quotes taken off, `~`, `$NAME` and `${NAME}` replaced. Nothing
/// where a variable is not known, or more would be needed.
fn expanded(word: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let home = word.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let (mut made, mut rest) = match home {
        Some(rest) => (env("HOME")?, rest),
        None => (String::new(), word),
    };
    let mut quote = None;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            ('$', None | Some('"')) => {
                let (name, after) = variable(rest)?;
                made += &env(name)?;
                rest = after;
            }
            ('\\', None) => {
                let next = rest.chars().next()?;
                made.push(next);
                rest = &rest[next.len_utf8()..];
            }
            ('`', None | Some('"')) => return None,
            (letter, _) => made.push(letter),
        }
    }
    Some(made)
}

/// The name that stands behind a `$`, and what follows it.
fn variable(text: &str) -> Option<(&str, &str)> {
    let (name, after) = match text.strip_prefix('{') {
        Some(inside) => inside.split_once('}')?,
        None => text.split_at(text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())),
    };
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        [("HOME", "/home/me"), ("APPS", "/srv/my apps")]
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    }

    fn read(line: &[&str]) -> Line {
        let words: Vec<OsString> = line.iter().map(OsString::from).collect();
        Line::read(&words, &env)
    }

    #[test]
    fn the_root_is_the_one_that_the_line_names() {
        let root = |line: &[&str]| read(line).root;
        assert_eq!(root(&["daemonctl", "-p", "/x", "stop"]), Some("/x".into()));
        assert_eq!(root(&["daemonctl", "-p", "/x", "stop", "--path=/y"]), Some("/y".into()), "the last one counts");
        assert_eq!(root(&["daemonctl", "-p", "/x", "kill", "-p", "web"]), Some("/x".into()), "kill has its own -p");
        assert_eq!(root(&["daemonctl", "-p", "~/x", "start", "--no-such", "web"]), Some("/home/me/x".into()));
        assert_eq!(root(&["daemonctl", "-p", "$APPS/of", "start", "web"]), Some("/srv/my apps/of".into()));
        assert_eq!(root(&["daemonctl", "-p", "$UNKNOWN", "start"]), None);
        assert_eq!(root(&["daemonctl", "config", "set"]), Some(".".into()));
        let words = ["daemonctl", "start"].map(OsString::from);
        let set = |name: &str| (name == "DAEMONCTL_PATH").then(|| "/srv/$x".to_owned());
        assert_eq!(Line::read(&words, &set).root, Some("/srv/$x".into()));
    }

    #[test]
    fn a_word_is_read_as_a_shell_reads_it() {
        let is = |word: &str, meant: &str| assert_eq!(expanded(word, &env).as_deref(), Some(meant), "{word}");
        is("~", "/home/me");
        is("~/a b", "/home/me/a b");
        is("a~", "a~");
        is("~other/x", "~other/x");
        is("${APPS}2", "/srv/my apps2");
        is("\"$HOME/it's\"", "/home/me/it's");
        is("'$HOME'\\ \\$x", "$HOME $x");
        for word in ["$UNSET", "$(pwd)", "`pwd`", "${HOME", "${HOME:-x}", "$"] {
            assert_eq!(expanded(word, &env), None, "{word}");
        }
    }

    #[test]
    fn what_is_there_already_is_known() {
        let line = read(&["daemonctl", "start", "web", "--wait", "db"]);
        assert_eq!((line.command(), line.given("apps")), (vec!["start"], vec!["web".to_owned(), "db".to_owned()]));
        assert!(line.has("wait") && !line.has("attach") && !line.has("global.path"));
        assert_eq!(read(&["daemonctl", "config", "set", "web", "a=1"]).command(), ["config", "set"]);
    }
}
