//! `daemonrun` without a supervisor.
//!
//! By itself it becomes the command, and nothing stays. With `--foreground` it stays as the command's parent; with
//! `--daemon` it sees the command off into the background, and a parent stays there only if something was asked for that
//! needs one. Either way the command is launched by the same plan as ever, in a child that waits at a gate until its pid
//! has been written down; what the parent does is a plan too, and `--explain` prints both.
//!
//! What the parent believes: the command has ended when everything it has started has. So it is a subreaper, to which
//! the kernel gives whatever leaves its own parent, and it ends when it has no descendants left. The command is asked to
//! end (by a signal to the parent, or by its time limit), then what it leaves behind is, then all are killed; a second
//! request kills at once.
//!
//! - `daemon`: into the background, and what is heard from there.
//! - `parent`: the duties, carried out; `watch` is the last of them.
//! - `pidfile`: one process a file, whatever is found in its place.
//! - `kin`: the descendants of this process.
//! - `terminal`: job control.
//! - `voice`: what is said, by whom and to whom; and the event log.

mod daemon;
mod kin;
pub mod manual;
mod parent;
mod pidfile;
mod terminal;
mod voice;
mod watch;

use std::fmt;
use std::path::PathBuf;

use super::options::{Extras, Request};
use super::plan::{Action, Plan, explain};
use super::report::StepName;
use super::spawn::typed;
use crate::app::Shown;
use crate::config::{Options, table};

pub(super) use daemon::detach;
pub(super) use parent::run;
pub(super) use voice::{Line, Voice};

/// The exit code of a parent whose command was stopped for its time limit.
const TIMED_OUT: u8 = 124;

/// What becomes of the launcher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It becomes the command.
    #[default]
    Become,
    /// It stays as the command's parent.
    Foreground,
    /// It leaves, with the command in the background.
    Daemon,
}

/// Whether a parent stays above the command for as long as that runs.
pub(super) fn stays(options: &Options, extras: &Extras) -> bool {
    match extras.mode {
        Mode::Become => false,
        Mode::Foreground => true,
        Mode::Daemon => table::parental(options).iter().any(|(name, _)| *name != "pidfile.path"),
    }
}

/// What would have no effect: it is refused, so that nobody relies on it.
pub(super) fn refused(options: &Options, extras: &Extras) -> Vec<String> {
    let asked = table::parental(options);
    let mut refused = Vec::new();
    if extras.mode == Mode::Become {
        let needs = |(_, flag): &(_, String)| {
            format!("{flag} needs a parent that carries it out: add --foreground, or --daemon")
        };
        refused.extend(asked.iter().map(needs));
    } else if options.logging.file.is_none() {
        let unlogged = asked.iter().filter(|(name, _)| ["daemon.name", "logging.level"].contains(name));
        refused.extend(unlogged.map(|(_, flag)| format!("{flag} is about the lines of the event log: add --log FILE")));
    }
    refused
}

/// The steps that give the command its standard streams, while the launcher's rights are there.
pub(super) fn streams(plan: &mut Plan, options: &Options, extras: &Extras) {
    let daemon = extras.mode == Mode::Daemon;
    if daemon {
        plan.step(StepName::Streams, Action::NoInput, "the terminal, or whatever was there, is the caller's");
    }
    for (fd, path) in [(1, &options.logging.stdout_file), (2, &options.logging.stderr_file)] {
        let path = path.clone().or_else(|| daemon.then(|| "/dev/null".into()));
        if let Some(path) = path {
            let why = "while the launcher's rights are there: a directory of logs is rarely the command's";
            plan.step(StepName::Streams, Action::Output { fd, path }, why);
        }
    }
}

/// One thing that a parent does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Duty {
    /// fork(2), setsid(2), and /dev/null for the standard streams.
    Detach,
    /// Become the one to whom orphans are given.
    Adopt,
    /// See that the event log can be written.
    Log(PathBuf),
    /// Start the process that becomes the command.
    Fork,
    /// Let the command have the terminal.
    Lend,
    /// Write the command's pid down.
    Pidfile(PathBuf),
    /// Let it go on, and wait for its exec.
    Release,
    /// Forward, enforce, reap; to the end.
    Watch,
    /// Nothing more to do.
    Leave,
}

/// What the parent does, in order, and why.
fn duties(options: &Options, extras: &Extras) -> Vec<(Duty, &'static str)> {
    let stays = stays(options, extras);
    let mut duties = Vec::new();
    if extras.mode == Mode::Daemon {
        duties.push((Duty::Detach, "a session without a terminal, and none of the caller's pipes held open"));
    }
    if stays {
        duties.push((Duty::Adopt, "what leaves its session and its parent is found, and ended, all the same"));
    }
    if let Some(path) = &options.logging.file {
        duties.push((Duty::Log(path.clone()), "before anything runs whose events would be lost"));
    }
    duties.push((Duty::Fork, "it waits, so that nothing runs before its pid is written down"));
    if extras.mode == Mode::Foreground && !options.daemon.setsid {
        duties.push((Duty::Lend, "where there is one: the command is the terminal's job, as the caller was"));
    }
    if let Some(path) = &options.pidfile.path {
        duties.push((Duty::Pidfile(path.clone()), "refused while the process of an earlier one is alive"));
    }
    duties.push((Duty::Release, "that the command runs is known only when it has been exec'ed"));
    duties.push(match stays {
        true => (Duty::Watch, "something was asked for that only a parent can do"),
        false => (Duty::Leave, "nothing is left that would need a parent"),
    });
    duties
}

/// Both plans, as `--explain` prints them.
pub(super) fn explained(request: &Request, plan: &Plan) -> String {
    let command: Vec<_> = request.command.iter().map(|word| typed(&word.to_string_lossy())).collect();
    let steps = explain(&plan.steps, &command.join(" "));
    if request.extras.mode == Mode::Become {
        return steps;
    }
    let mut text = "The parent:\n".to_owned();
    for (number, (duty, why)) in duties(&request.options, &request.extras).into_iter().enumerate() {
        text += &format!("{:>2}  {:<11}  {duty}\n{:17}{why}\n", number + 1, duty.step(), "");
    }
    format!("{text}The command, once it is let go:\n{steps}")
}

impl Duty {
    /// What it is called when it fails.
    fn step(&self) -> StepName {
        if let Self::Pidfile(_) = self { StepName::Pidfile } else { StepName::Parent }
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Detach => f.write_str("go to the background, into a session of its own"),
            Self::Adopt => f.write_str("adopt what the command leaves behind"),
            Self::Log(path) => write!(f, "write events to {}", path.shown()),
            Self::Fork => f.write_str("start the process that becomes the command"),
            Self::Lend => f.write_str("let the command have the terminal"),
            Self::Pidfile(path) => write!(f, "write its pid to {}", path.shown()),
            Self::Release => f.write_str("let it go on, and wait until it runs"),
            Self::Watch => f.write_str("forward signals, keep the time limit, and stay until nothing of it is left"),
            Self::Leave => f.write_str("leave"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::Facts;
    use super::super::options;
    use super::*;

    fn request(flags: &[&str]) -> Request {
        let words = flags.iter().chain(&["--", "true"]).map(Into::into).collect();
        options::parse(words, false).unwrap_or_else(|refusal| panic!("{flags:?}: {refusal}"))
    }

    fn planned(flags: &[&str]) -> (bool, Vec<Duty>) {
        let Request { options, extras, .. } = request(flags);
        (stays(&options, &extras), duties(&options, &extras).into_iter().map(|(duty, _)| duty).collect())
    }

    #[test]
    fn a_parent_stays_where_something_needs_one() {
        for (flags, expected) in [
            (&["-F"] as &[&str], true),
            (&["-d"], false),
            (&["-d", "--pidfile=x", "--stdout=x", "-q", "--nice=1"], false),
            (&["-d", "--timeout=1h"], true),
            (&["-d", "--log=x"], true),
            (&["-d", "--kill-timeout=1s"], true),
            (&["-d", "--signal=USR1"], true),
        ] {
            let (stays, duties) = planned(flags);
            assert_eq!(stays, expected, "{flags:?}");
            assert_eq!(duties.contains(&Duty::Adopt), expected, "{flags:?}");
            assert_eq!(duties.last(), Some(if expected { &Duty::Watch } else { &Duty::Leave }), "{flags:?}");
        }
    }

    #[test]
    fn streams_are_opened_with_the_launchers_rights_and_the_end_of_the_parent_is_watched_without() {
        let Request { options, extras, .. } = request(&["-d", "--stdout=/log", "--user=web", "--timeout=1h"]);
        let steps = super::super::plan::plan(&options, &extras, &Facts::default()).unwrap().steps;
        let at = |wanted: &dyn Fn(&Action) -> bool| steps.iter().position(|step| wanted(&step.action)).unwrap();
        let identity = at(&|action| matches!(action, Action::TakeIdentity { .. }));
        for stream in [
            Action::NoInput,
            Action::Output { fd: 1, path: "/log".into() },
            Action::Output { fd: 2, path: "/dev/null".into() },
        ] {
            assert!(at(&|action| *action == stream) < identity, "{stream}");
        }
        assert!(at(&|action| matches!(action, Action::EndWithParent(_))) > identity);
    }

    #[test]
    fn a_pid_is_written_before_the_command_is_let_go() {
        let expected = [
            Duty::Detach,
            Duty::Adopt,
            Duty::Log("/log".into()),
            Duty::Fork,
            Duty::Pidfile("/run/x".into()),
            Duty::Release,
            Duty::Watch,
        ];
        assert_eq!(planned(&["-d", "--pidfile=/run/x", "--log=/log", "--no-setsid"]).1, expected);
    }
}
