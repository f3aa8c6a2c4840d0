//! `daemonctl init`: an app's directory, ready to start.
//!
//! What is written is a plan first ([`draft`]): a list of files with their contents. It is carried out as a whole or not
//! at all, and never over anything that is there.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use daemonctl_actors::value::AppName;

use super::Verb;
use super::error::CliError;
use super::session::Session;
use super::text;
use crate::app::{App, AppError, Shown};
use crate::config::table;
use crate::launch::quoted;

/// Keys that a new app is most likely to want, with a value to begin from.
const KEYS: [(&str, &str); 8] = [
    ("process.restart", r#""on-failure""#),
    ("process.environment", r#"{ MODE = "production" }"#),
    ("security.user", r#""www-data""#),
    ("logging.max_size", r#""10M""#),
    ("logging.max_count", "5"),
    ("limits.memory_limit", r#""512M""#),
    ("monitoring.enabled", "true"),
    ("monitoring.check_interval", r#""30s""#),
];

#[derive(Args, Debug)]
pub(super) struct Init {
    /// Name of the app: a directory of that name is made below the apps root
    #[arg(value_name = "APP", value_parser = |name: &str| text::without_slash(name).parse::<AppName>())]
    app: AppName,
    /// Command that exits 0 when the app is healthy: becomes its check script, and has it checked
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    check: Option<String>,
    /// The program and its arguments, in the foreground; without one, the script is a placeholder that runs
    #[arg(value_name = "COMMAND", last = true)]
    command: Vec<String>,
}

impl Verb for Init {
    const NAME: &'static str = "init";
    const ABOUT: &'static str = "Make an app's directory, ready to start";
    const MORE: &'static str = "\
Makes APP/run, an executable script, and APP/conf.toml with the options that are used most, each
explained and commented out. Nothing that is there is written over.

Examples:
  daemonctl init web -- python3 -m http.server 8000
  daemonctl init web --check 'curl -fs localhost:8000' -- python3 -m http.server 8000
  daemonctl init worker           a placeholder, to be edited";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let dry_run = session.globals.dry_run;
        let dir = session.root()?.path().join(self.app.as_str());
        if self.app.as_str() == GLOBAL_FILE {
            let message = format!("{GLOBAL_FILE} is the configuration of all apps below the root");
            return Err(CliError::failed("make", &self.app, message, Some("give the app another name".to_owned())));
        }
        let command = located(&self.command, &std::env::current_dir().unwrap_or_default());
        let files = draft(&self.app, &command, self.check.as_deref());
        let there: Vec<&str> = files.iter().map(|file| file.name).filter(|name| dir.join(name).exists()).collect();
        if !there.is_empty() {
            let message = format!("{} has {} already", dir.shown(), and(&there));
            let hint =
                format!("{}; nothing was changed", to_start_it(session.root()?.app(self.app.as_str()), &self.app));
            return Err(CliError::failed("make", &self.app, message, Some(hint)));
        }
        let names = and(&files.iter().map(|file| file.name).collect::<Vec<_>>());
        if dry_run {
            session.screen.result(&format!("Would make {} with {names}", dir.shown()))?;
            return Ok(ExitCode::SUCCESS);
        }
        carry_out(&dir, &files)?;
        session.screen.done(&format!("made {} with {names}", dir.shown()))?;
        let program = command.first().filter(|program| !is_found(program));
        if let Some(program) = program {
            session.screen.note(&format!("warning: {program} is not there yet: {} could not run it", self.app));
        }
        session.screen.note(&format!("next: daemonctl start {}", self.app));
        Ok(ExitCode::SUCCESS)
    }
}

/// What it takes to start what is there already.
fn to_start_it(found: Result<App, AppError>, name: &AppName) -> String {
    match found {
        Ok(_) => format!("daemonctl start {name} starts it"),
        Err(AppError::Empty(dir)) => format!(
            "to be started it needs {}, an executable script, or daemonctl config set {name} process.command=PROGRAM",
            dir.join("run").shown()
        ),
        Err(error) => format!("it cannot be started: {error}"),
    }
}

/// What no app can be called: its directory would stand in the place of that file.
const GLOBAL_FILE: &str = "conf.toml";

/// A file to be made.
#[derive(Debug, PartialEq)]
struct Draft {
    name: &'static str,
    text: String,
    mode: u32,
}

/// The files of a new app.
fn draft(app: &AppName, command: &[String], check: Option<&str>) -> Vec<Draft> {
    let script = |name, text| Draft { name, text, mode: 0o755 };
    let mut files = vec![script("run", run_script(app, command))];
    let conf = conf(app, check.is_some());
    files.push(Draft { name: "conf.toml", text: conf, mode: 0o644 });
    if let Some(command) = check {
        let text = format!(
            "#!/bin/sh\n# Whether {app} is healthy: exit 0 is yes. What is printed tells why not.\n{command}\n"
        );
        files.push(script("check", text));
    }
    files
}

fn run_script(app: &AppName, command: &[String]) -> String {
    if command.is_empty() {
        return format!(
            "#!/bin/sh\n# Runs {app} in the foreground. Replace what follows by its program:\n#   exec /path/to/program --option\n\
             # `exec` makes it the app's main process: signals, pid and exit code are its own.\n\n\
             while :; do\n    echo \"{app} is a placeholder: edit $0\"\n    sleep 10\ndone\n"
        );
    }
    let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    format!(
        "#!/bin/sh\n# Runs {app} in the foreground. `exec` makes the program the app's main process: signals, pid and exit \
         code are its own.\nexec {}\n",
        words.join(" ")
    )
}

/// The configuration, with every key commented out; with a check, it is to be used.
fn conf(app: &AppName, checked: bool) -> String {
    let mut text = format!(
        "# Configuration of {app}. What is commented out is an example and not set: daemonctl config show --resolved {app}\n\
         # tells what holds, daemonctl man daemonctl-conf has every key.\n"
    );
    let mut section = "";
    for (name, value) in KEYS {
        let Some(opt) = table::find(name) else { continue };
        if opt.section != section {
            section = opt.section;
            text += &format!("\n[{section}]\n");
        }
        let mark = if checked && name == "monitoring.enabled" { "" } else { "# " };
        text += &format!("# {}.\n{mark}{} = {value}\n", opt.help().trim_end_matches('.'), opt.key);
    }
    text
}

/// A command as it has to be written into a script that runs elsewhere: a program that is named by a path from here is
/// named by its whole path.
fn located(command: &[String], here: &Path) -> Vec<String> {
    let mut command = command.to_vec();
    if let Some(program) = command.first_mut().filter(|program| program.contains('/') && here.join(program).exists()) {
        *program = std::path::absolute(here.join(&*program))
            .unwrap_or_else(|_| here.join(&*program))
            .to_string_lossy()
            .into_owned();
    }
    command
}

/// Whether a shell would find a program.
fn is_found(program: &str) -> bool {
    let is_executable =
        |path: &Path| path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        return is_executable(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| is_executable(&dir.join(program)))
}

/// Makes all of them, or none.
fn carry_out(dir: &Path, files: &[Draft]) -> Result<(), CliError> {
    let fresh = !dir.exists();
    let mut made: Vec<PathBuf> = Vec::new();
    let done = fs::create_dir_all(dir).map_err(|source| (dir.to_owned(), source)).and_then(|()| {
        files.iter().try_for_each(|file| {
            let path = dir.join(file.name);
            make(&path, file).map(|()| made.push(path.clone())).map_err(|source| (path, source))
        })
    });
    done.map_err(|(path, source)| {
        made.iter().for_each(|path| drop(fs::remove_file(path)));
        if fresh {
            let _ = fs::remove_dir(dir);
        }
        CliError::Io { doing: format!("make {}", path.shown()), source }
    })
}

fn make(path: &Path, file: &Draft) -> io::Result<()> {
    let mut open = OpenOptions::new();
    let mut written = open.write(true).create_new(true).mode(file.mode).open(path)?;
    written.write_all(file.text.as_bytes())?;
    // Whatever the umask says, a run script is of no use without its execute bits for those who may read it.
    let mode = written.metadata()?.permissions().mode();
    let executable = if file.mode & 0o111 == 0 { mode } else { mode | ((mode & 0o444) >> 2) };
    written.set_permissions(Permissions::from_mode(executable))
}

/// `a, b and c`.
fn and(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [name] => (*name).to_owned(),
        [names @ .., last] => format!("{} and {last}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> AppName {
        "web".parse().unwrap()
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn what_a_new_app_consists_of() {
        let files = draft(&app(), &words(&["nginx", "-g", "daemon off;"]), Some("curl -fs localhost"));
        let shown: Vec<_> =
            files.iter().map(|file| format!("==> {} {:o}\n{}", file.name, file.mode, file.text)).collect();
        insta::assert_snapshot!(shown.join("\n"));
        insta::assert_snapshot!(draft(&app(), &[], None)[0].text);
    }

    #[test]
    fn what_it_explains_are_options_with_values_that_they_take() {
        for (name, value) in KEYS {
            let opt = table::find(name).unwrap_or_else(|| panic!("{name}"));
            if !value.starts_with('{') {
                opt.check(value.trim_matches('"')).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
            }
        }
    }

    #[test]
    fn a_program_is_found_from_the_script_as_it_was_from_here() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("server"), "").unwrap();
        let server = home.path().join("server").to_string_lossy().into_owned();
        assert_eq!(located(&words(&["./server", "./x"]), home.path())[1..], words(&["./x"]));
        assert_eq!(Path::new(&located(&words(&["./server"]), home.path())[0]), Path::new(&server));
        assert_eq!(located(&words(&["nginx"]), home.path()), words(&["nginx"]));
    }
}
