//! `daemonctl completions`: what a shell needs to complete command lines, and the answers that it asks for.
//!
//! The script that is printed calls this program at each completion, so that apps are those of the root that the line
//! names, and options those of this version. What an argument can be follows from what help calls its value: `APP`,
//! `SIGNAL`, `FILE`. Whatever goes wrong, the answer is silence.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, Args, Command, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Bash, CompleteEnv, EnvCompleter, Fish, Shells, Zsh};
use daemonctl_actors::value::Signal;

use super::error::CliError;
use super::session::Session;
use super::{COMMANDS, Verb, top};
use crate::app::Root;
use crate::config::table::{self, Shape};

/// The variable by which a shell asks; its value is the shell's name.
const ASKED: &str = "DAEMONCTL_COMPLETE";

/// The shells that can ask.
const SHELLS: [&dyn EnvCompleter; 3] = [&Bash, &Zsh, &Fish];

#[derive(Args, Debug)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_parser = shells())]
    shell: String,
}

impl Verb for Completions {
    const NAME: &'static str = "completions";
    const ABOUT: &'static str = "Print what a shell needs to complete command lines";
    const MORE: &'static str = "\
Apps, signals, options and their values are completed. To have it in every shell:
  bash   daemonctl completions bash > ~/.local/share/bash-completion/completions/daemonctl
  zsh    daemonctl completions zsh > _daemonctl      in a directory of $fpath
  fish   daemonctl completions fish > ~/.config/fish/completions/daemonctl.fish

Examples:
  source <(daemonctl completions bash)      in this shell only";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let shell = SHELLS.into_iter().find(|shell| shell.is(&self.shell));
        let mut script = Vec::new();
        if let Some(shell) = shell {
            let written = shell.write_registration(ASKED, "daemonctl", "daemonctl", "daemonctl", &mut script);
            written.map_err(|source| CliError::Io { doing: "write the script".into(), source })?;
        }
        session.screen.result(&String::from_utf8_lossy(&script))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn shells() -> PossibleValuesParser {
    PossibleValuesParser::new(SHELLS.map(|shell| PossibleValue::new(shell.name())))
}

/// Answers a shell that asks for completions, if one does.
pub(super) fn answer(args: &[OsString]) -> Option<ExitCode> {
    std::env::var_os(ASKED)?;
    let here = std::env::current_dir().ok();
    let shells = Shells(&SHELLS);
    let env = CompleteEnv::with_factory(grammar).var(ASKED).bin("daemonctl").completer("daemonctl").shells(shells);
    let answered = env.try_complete(args.iter().cloned(), here.as_deref()).unwrap_or(true);
    answered.then_some(ExitCode::SUCCESS)
}

/// The whole grammar, with what each argument can be. Commands that are not supported yet are no suggestion.
fn grammar() -> Command {
    let commands = COMMANDS
        .iter()
        .filter(|entry| entry.run.is_some())
        .map(|entry| annotated((entry.args)(Command::new(entry.name).about(entry.about))));
    let top = top();
    let own = annotated(Command::new("daemonctl").args(top.get_arguments().cloned()));
    own.disable_help_subcommand(true).subcommands(commands)
}

fn annotated(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let value = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
        let id = arg.get_id().to_string();
        match value.as_str() {
            "APP" => listed(arg, apps),
            "SIGNAL" | "SIGNALS" => listed(arg, signals),
            "SECTION.KEY=VALUE" | "KEY=VALUE" if table::find(&id).is_none() => listed(arg, || keys("=")),
            "KEY" | "SECTION.KEY" => listed(arg, || keys("")),
            "FILE" => arg.value_hint(ValueHint::FilePath),
            "DIR" | "PATHS" => arg.value_hint(ValueHint::AnyPath),
            _ if table::find(&id).is_some() => listed(arg, move || values(&id)),
            _ => arg,
        }
    });
    let nested: Vec<String> = command.get_subcommands().map(|nested| nested.get_name().to_owned()).collect();
    nested.into_iter().fold(command, |command, name| command.mut_subcommand(name, annotated))
}

/// An argument that can be one of these, as far as they begin with what has been typed.
fn listed<I: IntoIterator<Item = String>>(arg: Arg, all: impl Fn() -> I + Send + Sync + 'static) -> Arg {
    arg.add(ArgValueCompleter::new(move |typed: &OsStr| {
        let typed = typed.to_string_lossy().to_ascii_lowercase();
        let fits = |word: &String| word.to_ascii_lowercase().starts_with(&typed);
        all().into_iter().filter(fits).map(CompletionCandidate::new).collect::<Vec<_>>()
    }))
}

fn apps() -> Vec<String> {
    let line: Vec<OsString> = std::env::args_os().collect();
    let root = Root::open(&root_of(&line, std::env::var_os("DAEMONCTL_PATH"))).ok();
    let apps = root.and_then(|root| root.apps().ok()).unwrap_or_default();
    apps.iter().map(|app| app.name().to_string()).collect()
}

/// The apps root that a command line names, half typed as it is.
fn root_of(line: &[OsString], variable: Option<OsString>) -> PathBuf {
    let text: Vec<String> = line.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    // A command may have a `-p` of its own, but none with a directory behind it.
    let after = text.windows(2).rfind(|pair| matches!(pair[0].as_str(), "-p" | "--path")).map(|pair| pair[1].clone());
    let within = text.iter().rev().find_map(|word| word.strip_prefix("--path=").map(str::to_owned));
    let named = within.or(after).map(PathBuf::from).filter(|path| path.is_dir());
    named.or(variable.map(PathBuf::from)).unwrap_or_else(|| ".".into())
}

fn signals() -> Vec<String> {
    let all = (1..32).filter_map(|number| number.to_string().parse::<Signal>().ok());
    all.map(|signal| signal.to_string().trim_start_matches("SIG").to_owned()).collect()
}

fn keys(end: &str) -> Vec<String> {
    table::table().iter().map(|opt| format!("{}{end}", opt.name)).collect()
}

/// The words that an option can be, where there are but a few.
fn values(name: &str) -> Vec<String> {
    let Some(opt) = table::find(name) else { return Vec::new() };
    match opt.kind.shape {
        Shape::Boolean => ["true", "false"].map(str::to_owned).into(),
        // `"none", "unshare" or "firejail"`; what begins otherwise is described, not listed.
        Shape::Text | Shape::TextOrBoolean if opt.kind.written.starts_with('"') => {
            opt.kind.written.split('"').skip(1).step_by(2).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(line: &[&str]) -> Vec<String> {
        let args: Vec<OsString> = line.iter().map(OsString::from).collect();
        let at = args.len() - 1;
        let found = clap_complete::engine::complete(&mut grammar(), args, at, None).unwrap_or_default();
        found.into_iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn commands_options_and_values_are_completed() {
        assert_eq!(completed(&["daemonctl", "stat"]), ["status"]);
        assert_eq!(completed(&["daemonctl", "start", "web", "--memory-l"]), ["--memory-limit"]);
        assert_eq!(completed(&["daemonctl", "start", "web", "--sandbox", "f"]), ["firejail"]);
        assert_eq!(completed(&["daemonctl", "kill", "web", "us"]), ["USR1", "USR2"]);
        assert_eq!(completed(&["daemonctl", "restart", "--config-override", "limits.m"]), ["limits.memory_limit="]);
        assert_eq!(completed(&["daemonctl", "completions", ""])[..3], ["bash", "zsh", "fish"]);
        assert!(!completed(&["daemonctl", ""]).contains(&"upgrade".to_owned()), "it is not supported yet");
    }

    #[test]
    fn the_root_is_the_one_that_the_line_names() {
        let root = |line: &[&str], variable: Option<&str>| {
            let line: Vec<OsString> = line.iter().map(OsString::from).collect();
            root_of(&line, variable.map(OsString::from))
        };
        assert_eq!(root(&["daemonctl", "-p", "/", "stop", ""], Some("/tmp")), PathBuf::from("/"));
        assert_eq!(root(&["daemonctl", "stop", "--path=/", ""], None), PathBuf::from("/"));
        assert_eq!(root(&["daemonctl", "status", "-p", ""], Some("/tmp")), PathBuf::from("/tmp"));
        assert_eq!(root(&["daemonctl", "stop", ""], None), PathBuf::from("."));
    }
}
