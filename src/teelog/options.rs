//! The command line of `teelog`, and the variables that hold the defaults of its options.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::config::values::{Size, Span};
use crate::logs::rotate::Rules;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The log of standard input, or of a command's standard output. An absolute path.
    pub out: PathBuf,
    /// The log of a command's standard error. An absolute path.
    pub err: PathBuf,
    /// When the logs are rotated, and which archives are kept.
    pub rules: Rules,
    /// Program and arguments; none in pipe mode.
    pub command: Vec<OsString>,
}

/// A command line that cannot be carried out, or that asks for text only.
#[derive(Debug)]
pub enum Refusal {
    /// `--help` or `--version`.
    Text(Box<clap::Error>),
    /// What is wrong, each without the name of the program.
    Mistakes(Vec<String>),
}

/// An option that a variable stands in for.
struct Rule {
    id: &'static str,
    short: char,
    value: &'static str,
    variable: &'static str,
    help: &'static str,
}

const SIZE: Rule = Rule {
    id: "max-size",
    short: 's',
    value: "SIZE",
    variable: "TEELOG_MAX_SIZE",
    help: "Size that no log grows beyond, such as 10M or 500K: it is rotated before, at the end of a line",
};

const AGE: Rule = Rule {
    id: "max-age",
    short: 'a',
    value: "AGE",
    variable: "TEELOG_MAX_AGE",
    help: "Age at which an archive is removed, such as 7d, 24h or 30m",
};

const COUNT: Rule = Rule {
    id: "max-count",
    short: 'c',
    value: "N",
    variable: "TEELOG_MAX_COUNT",
    help: "Number of archives that are kept of each log; the oldest go first",
};

const AFTER_HELP: &str = "\
Without a COMMAND, standard input is appended to OUT and passed on to standard output. With one, its standard output \
goes to OUT, its standard error to ERR, and the last line on standard output is EOK, or EFAIL and the exit code, which \
is also that of teelog.

Only a log with a maximal size is rotated; age and count say which archives, OUT.YYYY-MM-DD-HHMMSS, are removed. An empty \
variable is none.";

/// The command line as clap knows it.
pub fn command() -> Command {
    let path = |id: &'static str| Arg::new(id).value_name(id).value_parser(value_parser!(PathBuf));
    Command::new("teelog")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Copies a stream, or a command's output, to logs that are rotated at ends of lines")
        .after_help(AFTER_HELP)
        .override_usage("COMMAND | teelog [OPTIONS] OUT\n       teelog [OPTIONS] OUT [ERR] -- COMMAND [ARG]...")
        .args([&SIZE, &AGE, &COUNT].map(|rule| {
            Arg::new(rule.id)
                .short(rule.short)
                .long(rule.id)
                .value_name(rule.value)
                .value_parser(ValueParser::os_string())
                .help(format!("{} [env: {}]", rule.help, rule.variable))
        }))
        .arg(
            path("OUT")
                .required(true)
                .help("Log of standard output; it is made where it is missing, with its directory"),
        )
        .arg(
            path("ERR").help("Log of standard error; OUT if not given. A pipe has none: nothing is written to it then"),
        )
        .arg(
            Arg::new("COMMAND")
                .num_args(1..)
                .last(true)
                .value_parser(ValueParser::os_string())
                .help("Program to run, and its arguments"),
        )
}

/// Reads a command line. `variable` looks into the environment. All wrong values are told together.
pub fn parse(args: Vec<OsString>, variable: impl Fn(&str) -> Option<OsString>) -> Result<Request, Refusal> {
    let mistake = |text: &str| Refusal::Mistakes(vec![text.to_owned()]);
    // clap takes a last `--` for nothing, and standard input would be read in place of what a command says.
    let bare = args.iter().position(|arg| arg == "--").is_some_and(|at| at + 1 == args.len());
    let line = std::iter::once("teelog".into()).chain(args);
    let mut found = command().try_get_matches_from(line).map_err(|mut error| match error.use_stderr() {
        false => Refusal::Text(Box::new(error)),
        true => {
            // What clap would suggest, to pass an unknown option behind `--`, would make a command of it.
            error.insert(ContextKind::Suggested, ContextValue::None);
            let text = error.to_string();
            mistake(text.strip_prefix("error: ").unwrap_or(&text).trim_end())
        }
    })?;
    let command: Vec<OsString> = found.remove_many("COMMAND").into_iter().flatten().collect();
    if bare && command.is_empty() {
        return Err(mistake("there is no command behind --: name one, or leave -- out to read standard input"));
    }
    let mut mistakes = Vec::new();
    let rules = Rules {
        max_size: value(&SIZE, &found, &variable, size, &mut mistakes),
        max_age: value(&AGE, &found, &variable, read::<Span>, &mut mistakes).map(|Span(age)| age),
        max_count: value(&COUNT, &found, &variable, count, &mut mistakes),
        compress: false,
    };
    let mut log = |id| {
        let path = found.remove_one::<PathBuf>(id)?;
        let absolute = std::path::absolute(&path);
        absolute.map_err(|error| mistakes.push(format!("{id}: {path:?} cannot be the name of a log: {error}"))).ok()
    };
    let (out, err) = (log("OUT"), log("ERR"));
    match out {
        Some(out) if mistakes.is_empty() => {
            Ok(Request { err: err.unwrap_or_else(|| out.clone()), out, rules, command })
        }
        _ => Err(Refusal::Mistakes(mistakes)),
    }
}

/// The value of an option, or of its variable.
fn value<T>(
    rule: &Rule,
    found: &ArgMatches,
    variable: impl Fn(&str) -> Option<OsString>,
    read: impl Fn(&str) -> Result<T, String>,
    mistakes: &mut Vec<String>,
) -> Option<T> {
    let (name, text) = match found.get_one::<OsString>(rule.id) {
        Some(text) => (format!("--{}", rule.id), text.clone()),
        None => (rule.variable.to_owned(), variable(rule.variable).filter(|text| !text.is_empty())?),
    };
    let value = OsStr::to_str(&text).ok_or_else(|| format!("{text:?} is not UTF-8")).and_then(read);
    value.map_err(|why| mistakes.push(format!("{name}: {why}"))).ok()
}

fn read<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn size(text: &str) -> Result<u64, String> {
    match read(text)? {
        Size(0) => Err(format!("{text:?} is no size for a log: use at least 1, or leave it out for no limit")),
        Size(bytes) => Ok(bytes),
    }
}

fn count(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is not a number of archives: use a whole number, such as 10"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parsed(line: &str, variables: &[(&str, &str)]) -> Result<Request, Vec<String>> {
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        parse(line.split_whitespace().map(OsString::from).collect(), variable).map_err(|refusal| match refusal {
            Refusal::Mistakes(mistakes) => mistakes,
            Refusal::Text(text) => vec![text.to_string()],
        })
    }

    #[test]
    fn options_are_read_in_every_spelling_and_before_and_behind_the_logs() {
        let rules = Rules {
            max_size: Some(10 << 20),
            max_age: Some(Duration::from_secs(7 * 86_400)),
            max_count: Some(3),
            compress: false,
        };
        for line in [
            "-s 10M -a 7d -c 3 /o",
            "-s10Mb -a7d -c3 /o",
            "--max-size 10Mb --max-age=7d --max-count=3 /o",
            "/o --max-size=10240K --max-age 168h -c 3",
        ] {
            let request = parsed(line, &[]).unwrap();
            assert_eq!((request.rules, request.err), (rules, "/o".into()), "{line}");
            assert_eq!(request.command, [] as [&str; 0]);
        }
        let request = parsed("/o -c 3 /e -- cmd -s 5 -- x", &[]).unwrap();
        assert_eq!((request.out, request.err), ("/o".into(), "/e".into()));
        assert_eq!(request.command, ["cmd", "-s", "5", "--", "x"]);
    }

    #[test]
    fn a_variable_is_a_default_and_an_empty_one_is_none() {
        let variables = [("TEELOG_MAX_SIZE", "500K"), ("TEELOG_MAX_AGE", ""), ("TEELOG_MAX_COUNT", "5")];
        let rules = parsed("-c 7 /o", &variables).unwrap().rules;
        assert_eq!(rules, Rules { max_size: Some(500 << 10), max_age: None, max_count: Some(7), compress: false });
        // What the command line says instead is not looked at.
        assert!(parsed("-c 7 /o", &[("TEELOG_MAX_COUNT", "many")]).is_ok());
    }

    #[test]
    fn all_wrong_values_are_told_with_what_is_allowed() {
        let told = parsed("-s 10X -c many /o", &[("TEELOG_MAX_AGE", "1 fortnight")]).unwrap_err();
        assert_eq!(
            told,
            [
                r#"--max-size: "10X" is not a size: use bytes, or K, M, G, T (powers of 1024), such as 512M"#,
                r#"TEELOG_MAX_AGE: "1 fortnight" is not a duration: use whole seconds, or 500ms, 30s, 5m, 1h30m, 7d"#,
                r#"--max-count: "many" is not a number of archives: use a whole number, such as 10"#,
            ]
        );
        assert!(parsed("-s 0 /o", &[]).unwrap_err()[0].contains("at least 1"));
        assert!(parsed("/o --", &[]).unwrap_err()[0].contains("no command behind --"));
        assert!(parsed("/o /e /x", &[]).unwrap_err()[0].contains("unexpected argument '/x'"));
        assert!(parsed("-- cmd", &[]).unwrap_err()[0].contains("OUT"));
    }
}
