//! The app's variables: what it inherits, what files add, and what wins.
//!
//! Later wins: inherited, env.sh, environment files in their order, `--env`. An app inherits what the command that asked
//! for its start had, except for the variables listed here: those that steer loaders and interpreters, which are a way
//! to run code inside whatever is started next, and those that belong to the caller's own session.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Variables as a process has them: any bytes.
pub type Vars = BTreeMap<OsString, OsString>;

/// What steers the dynamic loader, libc, shells and language runtimes. A `*` at the end stands for any rest.
const STEERING: [&str; 17] = [
    "LD_*",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "MALLOC_*",
    "BASH_ENV",
    "BASH_FUNC_*",
    "ENV",
    "IFS",
    "PS4",
    "SHELLOPTS",
    "BASHOPTS",
    "PYTHON*",
    "PERL5*",
    "RUBYOPT",
    "NODE_OPTIONS",
];

/// What belongs to the caller: its supervisor, its login, its terminal, its shell, its daemonctl.
const SESSION: [&str; 16] = [
    "NOTIFY_SOCKET",
    "LISTEN_*",
    "WATCHDOG_*",
    "SUDO_*",
    "SSH_*",
    "XDG_SESSION_*",
    "DBUS_*",
    "TMUX",
    "TMUX_PANE",
    "STY",
    "WINDOW",
    "WINDOWID",
    "DAEMONCTL_*",
    "SHLVL",
    "OLDPWD",
    "_",
];

/// What remains with `clear_env`, besides what is named on the command line: the last two are what the supervisor tells
/// its apps and hooks, which inherit none of them from anybody else.
const KEPT: [&str; 6] = ["PATH", "HOME", "USER", "TERM", "APPDEPLOY_*", "DAEMONCTL_*"];

/// The variables that a shell makes for itself: no news from an env.sh.
const SHELL_OWN: [&str; 4] = ["_", "PWD", "OLDPWD", "SHLVL"];

/// The prefix under which a steering variable travels through the launcher, see [`shield`].
const SHIELD: &str = "DAEMONRUN_KEEP_";

/// Whether one of the names, or of the beginnings that end in `*`, is this key.
fn listed(list: &[&str], key: &[u8]) -> bool {
    list.iter().any(|entry| match entry.strip_suffix('*') {
        Some(beginning) => key.starts_with(beginning.as_bytes()),
        None => key == entry.as_bytes(),
    })
}

/// What of a caller's environment an app inherits.
pub fn inherit(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    environment.iter().filter(|(key, _)| is_inherited(key.as_bytes())).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Whether an app inherits the variable.
pub(super) fn is_inherited(key: &[u8]) -> bool {
    !listed(&STEERING, key) && !listed(&SESSION, key)
}

/// Whether the variable remains with `clear_env`.
pub(super) fn is_kept(key: &OsStr) -> bool {
    listed(&KEPT, key.as_bytes())
}

/// Whether a shell sets the variable for itself.
pub(super) fn is_shells_own(key: &OsStr) -> bool {
    listed(&SHELL_OWN, key.as_bytes())
}

/// The name under which a variable travels to the launcher: an app may be given LD_LIBRARY_PATH or LD_PRELOAD by its
/// configuration, but they must not act on the launcher, which is a program of ours and may still be root.
pub(super) fn shield(key: &str) -> String {
    if listed(&STEERING, key.as_bytes()) { format!("{SHIELD}{key}") } else { key.to_owned() }
}

/// The name under which a variable travels through a teelog, whose options it must not set.
pub(super) fn shield_from_teelog(key: &str) -> String {
    if key.starts_with("TEELOG_") { format!("{SHIELD}{key}") } else { shield(key) }
}

/// The variable's own name again.
pub(super) fn unshield(key: OsString) -> OsString {
    match key.as_bytes().strip_prefix(SHIELD.as_bytes()) {
        Some(own) => OsStr::from_bytes(own).to_owned(),
        None => key,
    }
}

/// Whether a text can be the name of a variable.
pub fn is_key(text: &str) -> bool {
    let mut letters = text.bytes();
    letters.next().is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
        && letters.all(|letter| letter == b'_' || letter.is_ascii_alphanumeric())
}

/// A line of an environment file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct LineError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it. It does not show the value, which may be a secret.
    pub problem: String,
}

/// Reads KEY=VALUE lines: the form that sh, systemd and docker compose agree about.
///
/// Blank lines and lines beginning with `#` are skipped, as is `export` before a key. A value is bare (up to the end of
/// the line or a `#` after a space), `'as it is'`, or `"with \n \t \r \" \\ \$ escapes"`; quoted ones may go over several
/// lines. Nothing is expanded: `$` is a dollar sign.
pub fn parse_env_file(bytes: &[u8]) -> Result<Vec<(String, String)>, LineError> {
    let text = std::str::from_utf8(bytes).map_err(|error| LineError {
        line: 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count(),
        problem: "it is not UTF-8".to_owned(),
    })?;
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let mut variables = Vec::new();
    while let Some(variable) = reader.next_variable()? {
        variables.push(variable);
    }
    Ok(variables)
}

/// What is left of an environment file.
struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    fn next_variable(&mut self) -> Result<Option<(String, String)>, LineError> {
        loop {
            self.skip_spaces();
            match self.peek() {
                None => return Ok(None),
                Some('\n') => self.advance(),
                Some('#') => self.skip_line(),
                Some(_) => break,
            }
        }
        let line = self.line;
        let error = |problem: String| LineError { line, problem };
        let end = self.rest.find(['=', '\n']).unwrap_or(self.rest.len());
        let (head, tail) = self.rest.split_at(end);
        let key = match head.split_once([' ', '\t']) {
            Some(("export", key)) => key.trim_start_matches([' ', '\t']),
            _ => head,
        };
        if !tail.starts_with('=') {
            return Err(error("it has no '=': each line is KEY=VALUE".to_owned()));
        }
        if key.ends_with([' ', '\t']) {
            return Err(error("there is a space before '='".to_owned()));
        }
        if !is_key(key) {
            let rule = "letters, digits and '_', not beginning with a digit";
            return Err(error(format!("{key:?} is not the name of a variable ({rule})")));
        }
        let key = key.to_owned();
        self.rest = &tail[1..];
        let value = self.value(&key)?;
        if value.contains('\0') {
            return Err(error(format!("the value of {key} contains a NUL byte")));
        }
        Ok(Some((key, value)))
    }

    /// The value after `=`, up to the end of its line.
    fn value(&mut self, key: &str) -> Result<String, LineError> {
        let line = self.line;
        let value = match self.peek() {
            Some('\'') => self.quoted('\''),
            Some('"') => self.quoted('"'),
            _ => return Ok(self.bare()),
        };
        let value = value.ok_or_else(|| LineError {
            line,
            problem: format!("the quote that begins the value of {key} is not closed"),
        })?;
        self.skip_spaces();
        match self.peek() {
            None | Some('\n') => {}
            Some('#') => self.skip_line(),
            Some(_) => {
                let problem = format!("there is text after the closing quote of {key}");
                return Err(LineError { line: self.line, problem });
            }
        }
        Ok(value)
    }

    fn bare(&mut self) -> String {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let (text, tail) = self.rest.split_at(end);
        self.rest = tail;
        let comment = text.match_indices('#').find(|(at, _)| *at == 0 || text[..*at].ends_with([' ', '\t']));
        comment.map_or(text, |(at, _)| &text[..at]).trim_matches([' ', '\t', '\r']).to_owned()
    }

    /// The text between two quotes; none if the second is missing.
    fn quoted(&mut self, quote: char) -> Option<String> {
        self.advance();
        let mut value = String::new();
        loop {
            let letter = self.peek()?;
            self.advance();
            match letter {
                _ if letter == quote => return Some(value),
                '\\' if quote == '"' => {
                    let escaped = self.peek()?;
                    self.advance();
                    match escaped {
                        'n' => value.push('\n'),
                        't' => value.push('\t'),
                        'r' => value.push('\r'),
                        '"' | '\\' | '$' | '`' => value.push(escaped),
                        '\n' => {}
                        other => value.extend(['\\', other]),
                    }
                }
                _ => value.push(letter),
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn advance(&mut self) {
        let mut letters = self.rest.chars();
        if letters.next() == Some('\n') {
            self.line += 1;
        }
        self.rest = letters.as_str();
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r']);
    }

    fn skip_line(&mut self) {
        self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Result<Vec<(String, String)>, String> {
        parse_env_file(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_forms_of_a_line() {
        for (text, value) in [
            ("A=b", "b"),
            ("export A=b", "b"),
            ("export\t A=b", "b"),
            ("  A=b  ", "b"),
            ("A=b\r\n", "b"),
            ("\u{feff}A=b", "b"),
            ("# first\n\n   # second\nA=b", "b"),
            ("A=", ""),
            ("A=# nothing", ""),
            ("A=b c", "b c"),
            ("A=b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A=http://host/?a=b&c=d", "http://host/?a=b&c=d"),
            ("A='b  # c'", "b  # c"),
            ("A='b\\n'", "b\\n"),
            ("A=\"b # c\" # d", "b # c"),
            ("A=\"b\\n\\t\\\"\\\\\\$\\q\"", "b\n\t\"\\$\\q"),
            ("A=\"-----BEGIN\nxyz\n-----END\"", "-----BEGIN\nxyz\n-----END"),
            ("A=$HOME/`x`", "$HOME/`x`"),
            ("A=it's", "it's"),
            ("A=ä", "ä"),
        ] {
            assert_eq!(one(text), Ok(vec![("A".to_owned(), value.to_owned())]), "{text:?}");
        }
        assert_eq!(one("A=1\nB='2\n3'\nA=4").unwrap().len(), 3);
        assert_eq!(one(""), Ok(vec![]));
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_without_the_value() {
        for (text, message) in [
            ("A=1\nB", "line 2: it has no '=': each line is KEY=VALUE"),
            ("A =1", "line 1: there is a space before '='"),
            (
                "\n\n1A=secret",
                "line 3: \"1A\" is not the name of a variable (letters, digits and '_', not beginning with a digit)",
            ),
            ("=x", "line 1: \"\" is not the name of a variable (letters, digits and '_', not beginning with a digit)"),
            ("A=\"x\ny\nB=2", "line 1: the quote that begins the value of A is not closed"),
            ("A='x'secret", "line 1: there is text after the closing quote of A"),
            ("A=x\0y", "line 1: the value of A contains a NUL byte"),
        ] {
            assert_eq!(one(text), Err(message.to_owned()), "{text:?}");
        }
        assert_eq!(parse_env_file(b"A=1\nB=\xff").unwrap_err().to_string(), "line 2: it is not UTF-8");
    }

    #[test]
    fn what_steers_or_belongs_to_the_caller_is_not_inherited() {
        let caller: BTreeMap<String, String> = [
            "LD_PRELOAD",
            "BASH_FUNC_x%%",
            "PYTHONPATH",
            "SUDO_USER",
            "SSH_AUTH_SOCK",
            "DAEMONCTL_WEB_USER",
            "TMUX",
            "ENV",
            "PATH",
            "HOME",
            "ENVIRONMENT",
            "LANG",
            "APPDEPLOY_APP_NAME",
            "XDG_RUNTIME_DIR",
            "TMUXINATOR",
            "OLD",
        ]
        .map(|key| (key.to_owned(), String::new()))
        .into();
        let kept: Vec<_> = inherit(&caller).into_keys().collect();
        assert_eq!(
            kept,
            ["APPDEPLOY_APP_NAME", "ENVIRONMENT", "HOME", "LANG", "OLD", "PATH", "TMUXINATOR", "XDG_RUNTIME_DIR"]
        );
    }

    #[test]
    fn a_shielded_name_comes_back() {
        for key in ["LD_PRELOAD", "PATH", "MALLOC_ARENA_MAX", "A"] {
            assert_eq!(unshield(shield(key).into()), OsStr::new(key));
        }
        assert!(!shield("LD_PRELOAD").starts_with("LD_"));
    }

    proptest! {
        #[test]
        fn any_value_survives_single_or_double_quotes(value in "[^\0]*") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(one(&format!("A=\"{escaped}\"")), Ok(vec![("A".to_owned(), value.clone())]));
            if !value.contains('\'') {
                prop_assert_eq!(one(&format!("A='{value}'")), Ok(vec![("A".to_owned(), value)]));
            }
        }

        #[test]
        fn no_bytes_make_the_reader_fail_to_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_env_file(&bytes);
        }
    }
}
