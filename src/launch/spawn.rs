//! The supervisor's side of a launch: what is to be launched, and the gate at which the new process waits.
//!
//! Through the gate goes the plan, one line of JSON, made here: a supervisor reads command lines faster than a process
//! that has to begin with reading the code that does it. The flags are in the launcher's command line all the same, for
//! whoever looks at a process list.
//!
//! The process exists, with a pid that can be written down, before anything is done in it. A supervisor that dies before
//! it opens the gate leaves nothing behind: the launcher sees end of file, and leaves.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::diagnose::too_big;
use super::environment::shield;
use super::facts::Facts;
use super::limits::{Held, Join};
use super::options::{self, Request};
use super::plan::{Action, Plan, plan};
use super::report::Report;
use crate::app::is_obeyed;

/// The flag that tells a launcher that its standard input is a gate. It is always the first.
pub(super) const GATE: &str = "--gate";

/// The byte that opens the gate.
pub(super) const GO: u8 = b'g';

/// What a launcher is told: one line through the gate, before the go byte.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// How many of its arguments are not the command's.
    pub(super) skip: usize,
    /// Do without what cannot be enforced.
    pub(super) force: bool,
    /// What to do.
    pub(super) actions: Vec<Action>,
}

/// A process to be launched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// Flags of `daemonrun`.
    pub flags: Vec<String>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// The environment that `daemonrun` is started in, and hands on as its flags say.
    pub environment: BTreeMap<String, String>,
    /// The control groups of the app, which a hook or check enters as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
}

/// What was planned of a launch.
#[derive(Debug, Default)]
pub(super) struct Planned {
    /// The line that tells the launcher what to do.
    pub(super) line: Vec<u8>,
    /// What a person should know about it.
    pub(super) warnings: Vec<String>,
    /// The control groups it enters.
    pub(super) join: Option<Join>,
    /// What holds its limits.
    pub(super) held: Vec<Held>,
}

/// What a launch would come to on this host, as far as that can be known without one.
#[derive(Debug, Default)]
pub struct Rehearsal {
    /// What cannot be done or enforced here: the launch would fail.
    pub refused: Vec<Report>,
    /// What would not be quite as asked for.
    pub warnings: Vec<String>,
}

impl LaunchSpec {
    /// The command line, as it can be seen in a process list.
    pub fn argv(&self) -> Vec<String> {
        let mut argv = vec!["daemonrun".to_owned()];
        argv.extend(self.flags.iter().cloned());
        argv.push("--".to_owned());
        argv.extend(self.command.iter().cloned());
        argv
    }

    /// The same process with another program: a hook or a check of the app.
    #[must_use]
    pub fn with_command(&self, command: Vec<String>) -> Self {
        Self { command, ..self.clone() }
    }

    /// Plans the launch, and does nothing.
    pub fn rehearse(&self) -> Result<Rehearsal, NotSpawned> {
        match self.plan(true) {
            Ok((_, plan)) => {
                let stand_in =
                    |warning: &String| !plan.without.iter().any(|report| warning.starts_with(&report.message()));
                let warnings = plan.warnings.iter().filter(|warning| stand_in(warning)).cloned().collect();
                Ok(Rehearsal { refused: plan.without, warnings })
            }
            Err(NotSpawned::Refused(report)) => Ok(Rehearsal { refused: vec![report], warnings: Vec::new() }),
            Err(error) => Err(error),
        }
    }

    /// What was asked for, and the plan for it.
    fn plan(&self, force: bool) -> Result<(Request, Plan), NotSpawned> {
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        let words = self.argv().into_iter().skip(1).map(OsString::from).collect();
        let mut request = options::parse(words, true).map_err(|refusal| wrong(refusal.to_string()))?;
        request.extras.joined.clone_from(&self.join);
        request.extras.force |= force;
        let facts = Facts::gather(&request.options, &request.extras)?;
        let plan = plan(&request.options, &request.extras, &facts)?;
        Ok((request, plan))
    }

    /// What a launcher is told to do, and what others should know about it.
    pub(super) fn orders(&self) -> Result<Planned, NotSpawned> {
        let (request, plan) = self.plan(false)?;
        let actions: Vec<Action> = plan.steps.into_iter().map(|step| step.action).collect();
        let join = Join::of_all(&actions);
        let orders = Orders { skip: self.flags.len() + 1, force: request.extras.force, actions };
        let mut line = serde_json::to_vec(&orders).map_err(io::Error::from)?;
        line.push(b'\n');
        Ok(Planned { line, warnings: plan.warnings, join, held: plan.held })
    }

    /// What is too big for an exec: already the launcher's, as it hands on arguments and environment as they are.
    fn too_big(&self) -> String {
        let text = |text: String| CString::new(text).unwrap_or_default();
        let argv: Vec<_> = self.command.iter().cloned().map(text).collect();
        let env: Vec<_> = self.environment.iter().map(|(key, value)| text(format!("{key}={value}"))).collect();
        let (why, hint) = too_big(&argv, &env);
        format!("{why}; {hint}")
    }

    /// The command line as it can be pasted into a shell. Variables appear by name only: the shell must have them.
    pub fn shell_line(&self) -> String {
        let mut argv = self.argv();
        let flags = &mut argv[1..=self.flags.len()];
        for at in 0..flags.len() {
            let name_only = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
            if at > 0 && flags[at - 1] == "--env" {
                flags[at] = name_only(&flags[at]);
            } else if let Some(variable) = flags[at].strip_prefix("--env=") {
                flags[at] = format!("--env={}", name_only(variable));
            }
        }
        argv.iter().map(|word| typed(word)).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A word of a command line that is shown: as a shell reads it back, and without characters that a terminal would obey.
/// `$'…'` is read by shells for people, though not by every /bin/sh: what is written to a script is [`quoted`].
pub fn typed(word: &str) -> String {
    if !word.chars().any(is_obeyed) {
        return quoted(word);
    }
    let escape = |c: char| match c {
        '\'' | '\\' => format!("\\{c}"),
        '\n' => r"\n".to_owned(),
        _ if is_obeyed(c) => c.to_string().bytes().map(|byte| format!("\\x{byte:02x}")).collect(),
        _ => c.to_string(),
    };
    format!("$'{}'", word.chars().map(escape).collect::<String>())
}

/// Why there is no launcher.
#[derive(Debug, thiserror::Error)]
pub enum NotSpawned {
    /// The system did not start it, or, as `InvalidInput`, its flags make no sense.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was asked for cannot be planned on this host.
    #[error(transparent)]
    Refused(#[from] Report),
}

/// A launcher that waits for its go byte. Dropping the gate unopened makes it leave without having done anything.
#[derive(Debug)]
pub struct Gate {
    /// The process, which is the app's main process later on.
    pub pid: i32,
    /// What a person should know about the launch.
    pub warnings: Vec<String>,
    /// The control groups it will enter.
    pub join: Option<Join>,
    /// What holds its limits.
    pub held: Vec<Held>,
    socket: UnixStream,
}

/// Starts a launcher. Whoever calls has to reap the process; nothing here does. Flags that make no sense, or ask for what
/// cannot be done, are an error of the kind `InvalidInput`, and start nothing.
pub fn spawn(spec: &LaunchSpec, stdout: OwnedFd, stderr: OwnedFd) -> Result<Gate, NotSpawned> {
    let Planned { line, warnings, join, held } = spec.orders()?;
    let (socket, theirs) = UnixStream::pair()?;
    socket.set_nonblocking(true)?;
    // A plan is far smaller than the buffer of a socket; if it is not, this says so rather than wait.
    (&socket).write_all(&line)?;
    // Nothing that would make the standard library fork in place of posix_spawn: no pre_exec, no uid, no gid.
    let started = Command::new("/proc/self/exe")
        .arg0("daemonrun")
        .arg(GATE)
        .args(&spec.argv()[1..])
        .env_clear()
        .envs(spec.environment.iter().map(|(key, value)| (shield(key), value)))
        .stdin(OwnedFd::from(theirs))
        .stdout(stdout)
        .stderr(stderr)
        .spawn();
    let child = started.map_err(|error| match error.kind() {
        io::ErrorKind::ArgumentListTooLong => io::Error::new(error.kind(), spec.too_big()),
        _ => error,
    })?;
    Ok(Gate { pid: child.id() as i32, warnings, join, held, socket })
}

impl Gate {
    /// The gate that this process waits at, once it has been told what to do.
    pub(super) fn at(pid: i32, socket: UnixStream, planned: Planned) -> io::Result<Self> {
        let Planned { line, warnings, join, held } = planned;
        socket.set_nonblocking(true)?;
        // A plan is far smaller than the buffer of a socket; if it is not, this says so rather than wait.
        (&socket).write_all(&line)?;
        Ok(Self { pid, warnings, join, held, socket })
    }

    /// The process.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Lets the launcher go on. What arrives on the stream, which is nonblocking, is read by [`super::report::Word`]:
    /// end of file without a failure says that the app runs.
    pub fn open(self) -> io::Result<UnixStream> {
        (&self.socket).write_all(&[GO])?;
        Ok(self.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> LaunchSpec {
        LaunchSpec {
            flags: ["--env", "TOKEN", "--env", "A=secret", "--env=B=secret", "--chdir", "/srv/my app"]
                .map(str::to_owned)
                .into(),
            command: ["/srv/my app/run", "it's", "", "a=b", "$x"].map(str::to_owned).into(),
            environment: BTreeMap::from([("TOKEN".to_owned(), "secret".to_owned())]),
            join: None,
        }
    }

    #[test]
    fn a_command_line_that_is_shown_is_one_line_for_any_terminal() {
        assert_eq!(typed("it's"), r"'it'\''s'");
        assert_eq!(typed("a\x1b[1m\nb'\\"), r"$'a\x1b[1m\nb\'\\'");
        assert_eq!(typed("gpj.\u{202e}exe"), r"$'gpj.\xe2\x80\xaeexe'");
    }

    #[test]
    fn a_shell_reads_the_line_back_and_sees_no_value() {
        let line = spec().shell_line();
        assert!(!line.contains("secret"), "{line}");
        let shell = Command::new("sh").args(["-c", &format!(r#"printf '%s\n' {line}"#)]).output().unwrap();
        let words: Vec<_> = String::from_utf8(shell.stdout).unwrap().lines().map(str::to_owned).collect();
        let mut expected = spec().argv();
        expected[4] = "A".to_owned();
        expected[5] = "--env=B".to_owned();
        assert_eq!(words, expected);
    }

    #[test]
    fn orders_are_one_line_with_the_plan_and_no_value_of_the_environment() {
        let mut spec = spec();
        spec.flags.retain(|flag| !flag.contains('='));
        spec.flags.remove(2);
        let line = spec.orders().unwrap().line;
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
        assert!(!String::from_utf8_lossy(&line).contains("secret"));
        let orders: Orders = serde_json::from_slice(&line).unwrap();
        assert_eq!(spec.argv()[1..][orders.skip..], spec.command);
        assert_eq!(orders.actions.last(), Some(&Action::Exec));
    }

    #[test]
    fn flags_that_make_no_sense_start_nothing() {
        let error = LaunchSpec { flags: vec!["--umask=999".to_owned()], ..spec() }.orders().unwrap_err();
        assert!(matches!(&error, NotSpawned::Io(error) if error.kind() == io::ErrorKind::InvalidInput));
        assert!(error.to_string().contains("--umask: \"999\" is not a permission mask"), "{error}");
    }

    #[test]
    fn what_no_exec_takes_is_told_before_there_is_a_process() {
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let spec = LaunchSpec { flags: vec![], command: vec!["true".to_owned(), "x".repeat(200_000)], ..spec() };
        let error = spawn(&spec, null(), null()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "argument 1 is too long, 200000 bytes; one argument or variable may have 131071 bytes"
        );
    }

    #[test]
    fn a_hook_is_launched_as_its_app_is() {
        let hook = spec().with_command(vec!["/srv/web/on-stop".to_owned()]);
        assert_eq!((hook.flags, hook.environment), (spec().flags, spec().environment));
    }
}
