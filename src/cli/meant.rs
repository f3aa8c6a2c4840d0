//! What was meant by a word that is no command or option here.
//!
//! A word that another supervisor has for it goes first, then the one name that it is the beginning of, then the nearest
//! that differs by a slip or two. A wrong guess is worse than none.

use clap::Command;

/// Commands of other programs, and ours.
const COMMANDS_ELSEWHERE: &[(&str, &str)] = &[
    ("ps", "status"),
    ("show", "status"),
    ("info", "status"),
    ("top", "status --watch"),
    ("log", "logs"),
    ("tail", "logs"),
    ("journal", "events"),
    ("ls", "list"),
    ("up", "start-all"),
    ("down", "stop-all"),
    ("signal", "kill"),
    ("create", "init"),
    ("new", "init"),
    ("completion", "completions"),
    ("version", "--version"),
    ("config get", "config show"),
    ("config list", "config show"),
    ("config edit", "config set"),
    ("config validate", "config check"),
];

/// Options of other programs, and ours.
const OPTIONS_ELSEWHERE: &[(&str, &str)] = &[("--format", "--json"), ("--output", "--json"), ("--tail", "--lines")];

/// The command that was meant by `name`; `above` is the command that it stands below.
pub(super) fn command(name: &str, above: Option<&str>, known: &[String]) -> Option<String> {
    let whole = above.map_or_else(|| name.to_owned(), |above| format!("{above} {name}"));
    let elsewhere = COMMANDS_ELSEWHERE.iter().find(|(theirs, _)| *theirs == whole).map(|(_, ours)| (*ours).to_owned());
    elsewhere.or_else(|| {
        let near = nearest(name, known.iter().map(String::as_str))?;
        Some(above.map_or_else(|| near.to_owned(), |above| format!("{above} {near}")))
    })
}

/// The option of a command that was meant by `name`, which begins with its dashes.
pub(super) fn option(name: &str, command: &Command) -> Option<String> {
    let long: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    let ours = OPTIONS_ELSEWHERE.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| &ours[2..]);
    let near = ours.filter(|ours| long.contains(ours)).or_else(|| nearest(name.strip_prefix("--")?, long))?;
    Some(format!("--{near}"))
}

/// The name that a word is the beginning of, if there is one such, else the nearest one that is near enough.
fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    let mut longer = known.iter().copied().filter(|name| !word.is_empty() && name.starts_with(word));
    if let (Some(one), None) = (longer.next(), longer.next()) {
        return Some(one);
    }
    let far = 1 + word.chars().count() / 4;
    let near = known.into_iter().map(|name| (strsim::damerau_levenshtein(name, word), name));
    near.filter(|(distance, _)| *distance <= far).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_programs_call_it_goes_before_a_beginning_and_that_before_a_slip() {
        let known = ["start", "start-all", "stop", "status", "logs", "kill"].map(str::to_owned);
        let meant = |name: &str| command(name, None, &known);
        for (name, expected) in [
            ("ps", Some("status")),
            ("show", Some("status")),
            ("version", Some("--version")),
            ("stat", Some("status")),
            ("start-", Some("start-all")),
            ("strat", Some("start")),
            ("st", None),
            ("", None),
            ("frobnicate", None),
        ] {
            assert_eq!(meant(name).as_deref(), expected, "{name}");
        }
        let actions = ["show", "set"].map(str::to_owned);
        assert_eq!(command("get", Some("config"), &actions).as_deref(), Some("config show"));
        assert_eq!(command("shwo", Some("config"), &actions).as_deref(), Some("config show"));
    }

    #[test]
    fn an_option_of_another_program_is_one_only_where_ours_is_there() {
        let has = |names: &[&'static str]| {
            names.iter().fold(Command::new("x"), |command, name| command.arg(clap::Arg::new(*name).long(*name)))
        };
        assert_eq!(option("--format", &has(&["json", "force"])).as_deref(), Some("--json"));
        assert_eq!(option("--format", &has(&["force"])), None);
        assert_eq!(option("--memory", &has(&["memory-limit"])).as_deref(), Some("--memory-limit"));
        assert_eq!(option("-x", &has(&["xy"])), None);
    }

    #[test]
    fn every_command_that_is_meant_exists() {
        for (theirs, ours) in COMMANDS_ELSEWHERE {
            let words: Vec<&str> = ours.split(' ').collect();
            let line = ["daemonctl"].into_iter().chain(words).chain(["--help"]);
            let kind = super::super::top().try_get_matches_from(line).expect_err(theirs).kind();
            use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
            assert!(matches!(kind, DisplayHelp | DisplayVersion), "{theirs}: {ours}");
            assert!(!super::super::COMMANDS.iter().any(|entry| entry.name == *theirs), "{theirs}");
        }
    }
}
