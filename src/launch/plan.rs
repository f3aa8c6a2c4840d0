//! From options to steps. The plan is data: what `--explain` prints is what [`super::apply`] carries out. A supervisor
//! makes the plan and sends it through the gate, so that a launcher need not read a command line.
//!
//! The order is the point. What can be checked is checked before anything is changed; what needs privilege comes before
//! it is given up; what a later step would need is taken away last.

use std::fmt;
use std::path::PathBuf;

use daemonctl_actors::value::Signal;
use serde::{Deserialize, Serialize};

use super::alone;
use super::capabilities::{self, Sets};
use super::facts::Facts;
use super::filter::{self, Program};
use super::firejail;
use super::limits::{self, Held, Join};
use super::options::{Extras, Variable};
use super::report::{Report, StepName};
use super::spawn::typed;
use super::walls::{self, Domain, Wall};
use crate::app::Shown;
use crate::config::Options;

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it is called when it fails.
    pub name: StepName,
    /// What it does.
    pub action: Action,
    /// Why it is there, and why there.
    pub why: &'static str,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Begin the app's environment with what this process was started with.
    Inherit {
        /// Only what `clear_env` keeps.
        clear: bool,
        /// Only what an app inherits from a caller; a supervisor has seen to that already.
        strip: bool,
    },
    /// Find the accounts the app is to run as.
    LookUp {
        /// The user's name or id.
        user: Option<String>,
        /// The group's name or id.
        group: Option<String>,
    },
    /// Read a file of KEY=VALUE lines.
    ReadEnvFile(PathBuf),
    /// Start a session.
    NewSession {
        /// Go on in the caller's session where a process group leader cannot start one.
        or_stay: bool,
    },
    /// Start a process group.
    NewGroup,
    /// Set soft and hard limit to one value.
    Limit(Resource, u64),
    /// Undo what the supervisor changed for itself.
    RestoreLimit {
        /// Which limit.
        resource: Resource,
        /// Its soft value.
        soft: u64,
        /// Its hard value.
        hard: u64,
    },
    /// Set the nice value of the process.
    Nice(i32),
    /// Set the nice value of the session among sessions.
    NiceSession(i32),
    /// Write /proc/self/oom_score_adj.
    OomScore(i32),
    /// Make control groups, set their limits, and enter them.
    Join(Join),
    /// Make or enter namespaces, or change what is mounted in them.
    Wall(Wall),
    /// Read standard input from /dev/null, and hand the output pipes over to the app.
    Streams,
    /// Set the file mode mask.
    Umask(u32),
    /// Become the user and group found by [`Action::LookUp`], and check that there is no way back.
    TakeIdentity {
        /// Keep the permitted capabilities, for a later step to choose from (prctl(2), PR_SET_KEEPCAPS).
        keep_capabilities: bool,
    },
    /// chdir(2).
    Enter(PathBuf),
    /// Set the five capability sets.
    Capabilities(Sets),
    /// prctl(PR_SET_NO_NEW_PRIVS).
    NoNewPrivs,
    /// Enter a Landlock domain.
    Domain(Domain),
    /// Load a system call filter.
    Filter(Program),
    /// Source a script with /bin/sh and take over its environment.
    Source(PathBuf),
    /// Lay what environment files say over the environment, and these variables over that.
    Assign(Vec<Variable>),
    /// Ask the kernel for a signal when the parent ends.
    EndWithParent(Signal),
    /// Append what is written to a standard descriptor to a file.
    Output {
        /// 1 or 2.
        fd: i32,
        /// The file.
        path: PathBuf,
    },
    /// Read standard input from /dev/null.
    NoInput,
    /// Put a program with its flags before the command.
    Wrap(Vec<String>),
    /// Mark every descriptor beyond the standard ones as close-on-exec.
    CloseOnExec,
    /// Default dispositions, empty mask.
    DefaultSignals,
    /// Become the command.
    Exec,
}

impl Action {
    /// Whether `--force` may go without it. Who the app is, and where, is never left to chance.
    pub(super) fn is_dispensable(&self) -> bool {
        match self {
            Self::Wall(wall) => wall.is_dispensable(),
            Self::Join(_) | Self::Capabilities(_) | Self::NoNewPrivs | Self::Domain(_) | Self::Filter(_) => true,
            _ => false,
        }
    }
}

/// Limits of setrlimit(2) that options set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resource {
    /// RLIMIT_NOFILE.
    OpenFiles,
    /// RLIMIT_CORE.
    Core,
    /// RLIMIT_STACK.
    Stack,
    /// RLIMIT_AS.
    AddressSpace,
    /// RLIMIT_NPROC.
    Processes,
}

/// The value that stands for no limit.
pub const UNLIMITED: u64 = libc::RLIM_INFINITY;

/// What to do, in order, and what a person should know about it.
#[derive(Debug, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// What is not as asked for: a stand-in, or, with `--force`, what goes without.
    pub warnings: Vec<String>,
    /// What cannot be enforced here and is done without, with `--force`; each is among the warnings, too.
    pub without: Vec<Report>,
    /// What holds the limits of memory, processor time and processes.
    pub held: Vec<Held>,
    force: bool,
}

impl Plan {
    /// Adds a step.
    pub(super) fn step(&mut self, name: StepName, action: Action, why: &'static str) {
        self.steps.push(Step { name, action, why });
    }

    /// Something that was asked for cannot be enforced on this host: the launch fails, unless `--force` makes do without.
    pub(super) fn cannot(&mut self, report: Report) -> Result<(), Report> {
        if !self.force {
            return Err(report.with_hint_if_none("--force runs it without"));
        }
        self.warnings.push(format!("{}; it runs without", report.message()));
        self.without.push(report);
        Ok(())
    }
}

/// The plan of a command without options, started by a person. It is written out because making it from the option table
/// takes longer than carrying it out; a test compares the two.
pub const PLAIN: [Action; 6] = [
    Action::Inherit { clear: false, strip: true },
    Action::NewSession { or_stay: true },
    Action::Umask(0o22),
    Action::CloseOnExec,
    Action::DefaultSignals,
    Action::Exec,
];

/// Plans a launch. What this host cannot do is an error here, before anything is changed, wherever that can be known.
pub fn plan(options: &Options, extras: &Extras, facts: &Facts) -> Result<Plan, Report> {
    let mut plan = Plan { force: extras.force, ..Plan::default() };
    let Options { daemon, process, security, .. } = options;

    let inherit = Action::Inherit { clear: process.clear_env, strip: !extras.gate };
    plan.step(StepName::Environment, inherit, "what steers loaders, or is the caller's own, is not the app's");

    // Check.
    if security.user.is_some() || security.group.is_some() {
        let action = Action::LookUp { user: security.user.clone(), group: security.group.clone() };
        plan.step(StepName::Accounts, action, "before anything is changed: a wrong name must cost nothing");
    }
    for file in &extras.env_files {
        let action = Action::ReadEnvFile(file.clone());
        plan.step(
            StepName::EnvFiles,
            action,
            "with the launcher's rights: it may hold secrets the app's user cannot read",
        );
    }

    // Stand alone.
    if daemon.setsid {
        let why = "no terminal, no job control of another: what signals the group reaches the app alone";
        plan.step(StepName::Session, Action::NewSession { or_stay: !extras.gate }, why);
    } else {
        plan.step(StepName::Session, Action::NewGroup, "what signals the group reaches the app alone");
    }

    // Limits and priorities, which root may raise and the app's user may not.
    limits::steps(&mut plan, options, extras, facts)?;
    if process.priority != 0 {
        plan.step(StepName::Nice, Action::Nice(process.priority), "while a negative value is still permitted");
        if daemon.setsid && extras.gate {
            let why = "a nice value counts only inside its session where the kernel groups tasks by session";
            plan.step(StepName::Nice, Action::NiceSession(process.priority), why);
        }
    }
    if let Some(score) = process.oom_score_adj {
        plan.step(StepName::OomScore, Action::OomScore(score), "while a lower value is still permitted");
    }
    if extras.gate {
        let why = "while root may give the pipes to the app's user, so that it can re-open /dev/stdout; open for \
                   reading too, so that no write meets SIGPIPE when the reader is replaced";
        plan.step(StepName::Streams, Action::Streams, why);
    }
    if !extras.gate {
        alone::streams(&mut plan, options, extras);
    }
    // firejail is setuid root: it does its work only if the launcher has not done the same before.
    let by_us = !firejail::is_used(options);
    if by_us {
        walls::steps(&mut plan, options, extras, facts)?;
    }
    plan.step(StepName::Umask, Action::Umask(daemon.umask.0), "before the app's code, or its env.sh, makes a file");

    // Give up privilege; from here on, act as the app.
    if security.user.is_some() || security.group.is_some() {
        let why = "groups, then gid, then uid: each needs the privilege that the last one gives up";
        let keep_capabilities = by_us && capabilities::are_changed(options);
        plan.step(StepName::Identity, Action::TakeIdentity { keep_capabilities }, why);
    }
    if let Some(dir) = &daemon.working_directory {
        plan.step(StepName::Directory, Action::Enter(dir.clone()), "as the app's user, who must be able to be there");
    }
    if by_us {
        capabilities::steps(&mut plan, options, extras, facts)?;
        walls::domain(&mut plan, options, extras, facts)?;
    }
    if alone::stays(options, extras) {
        let why =
            "after the change of user, which would undo it; a command whose parent is killed would outlive its limits";
        plan.step(StepName::Signals, Action::EndWithParent(options.signals.stop_signal), why);
    }
    if let Some(script) = &extras.env_script {
        plan.step(StepName::EnvScript, Action::Source(script.clone()), "as the app's user: it is the app's code");
    }

    if !extras.env_files.is_empty() || !extras.env.is_empty() {
        let why = "files win over what is inherited and over env.sh; --env wins over files";
        plan.step(StepName::Environment, Action::Assign(extras.env.clone()), why);
    }

    // Leave nothing of the launcher behind.
    plan.step(StepName::Descriptors, Action::CloseOnExec, "after the last file was opened: none leaks into the app");
    plan.step(StepName::Signals, Action::DefaultSignals, "ignored and blocked signals would survive the exec");
    firejail::steps(&mut plan, options, extras, facts)?;
    if by_us {
        filter::steps(&mut plan, options, extras, facts)?;
    }
    plan.step(StepName::Exec, Action::Exec, "the same process, now the app");
    Ok(plan)
}

/// A limit's value as people write it.
pub fn limit_text(value: u64) -> String {
    if value == UNLIMITED { "unlimited".to_owned() } else { value.to_string() }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenFiles => "open file limit",
            Self::Core => "core dump limit",
            Self::Stack => "stack limit",
            Self::AddressSpace => "address space limit",
            Self::Processes => "limit of the user's processes",
        })
    }
}

/// What the step does, in the imperative.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherit { clear: false, .. } => f.write_str("begin with the environment of the caller"),
            Self::Inherit { clear: true, .. } => f.write_str("begin with PATH, HOME, USER, TERM and APPDEPLOY_*"),
            Self::LookUp { user: Some(user), group: None } => write!(f, "look up user {user}"),
            Self::LookUp { user: None, group: Some(group) } => write!(f, "look up group {group}"),
            Self::LookUp { user, group } => {
                let (user, group) = (user.as_deref().unwrap_or_default(), group.as_deref().unwrap_or_default());
                write!(f, "look up user {user} and group {group}")
            }
            Self::ReadEnvFile(path) => write!(f, "read variables from {}", path.shown()),
            Self::NewSession { or_stay: false } => f.write_str("start a session of its own"),
            Self::NewSession { or_stay: true } => {
                f.write_str("start a session of its own, unless a shell has made it the leader of a job")
            }
            Self::NewGroup => f.write_str("start a process group of its own"),
            Self::Limit(resource, value) => write!(f, "set the {resource} to {}", limit_text(*value)),
            Self::RestoreLimit { resource, soft, .. } => {
                write!(f, "set the {resource} back to {}", limit_text(*soft))
            }
            Self::Nice(nice) => write!(f, "set the nice value to {nice}"),
            Self::NiceSession(nice) => write!(f, "set the nice value of the session to {nice}"),
            Self::OomScore(score) => write!(f, "set oom_score_adj to {score}"),
            Self::Streams => f.write_str("read from /dev/null, write to pipes that belong to the app"),
            Self::Umask(umask) => write!(f, "set the umask to {umask:03o}"),
            Self::TakeIdentity { .. } => f.write_str("set groups, gid and uid, and check that there is no way back"),
            Self::Join(join) => join.fmt(f),
            Self::Wall(wall) => wall.fmt(f),
            Self::Capabilities(sets) => sets.fmt(f),
            Self::NoNewPrivs => f.write_str("let no program gain privileges by exec"),
            Self::Domain(domain) => domain.fmt(f),
            Self::Filter(program) => program.fmt(f),
            Self::Enter(dir) => write!(f, "enter {}", dir.shown()),
            Self::Source(script) => write!(f, "source {} with /bin/sh", script.shown()),
            Self::Assign(variables) => {
                // Names only: values may be secrets.
                let names: Vec<_> = variables.iter().map(|variable| variable.key.as_str()).collect();
                write!(
                    f,
                    "set variables: those of the files{}{}",
                    if names.is_empty() { "" } else { ", " },
                    names.join(", ")
                )
            }
            Self::EndWithParent(signal) => write!(f, "get {signal} when the parent ends"),
            Self::Output { fd, path } => {
                let stream = if *fd == 1 { "output" } else { "error" };
                write!(f, "append standard {stream} to {}", path.shown())
            }
            Self::NoInput => f.write_str("read from /dev/null"),
            Self::Wrap(words) => {
                let words: Vec<_> = words.iter().map(|word| typed(word)).collect();
                write!(f, "put {} before the command", words.join(" "))
            }
            Self::CloseOnExec => f.write_str("close every descriptor but 0, 1 and 2 on exec"),
            Self::DefaultSignals => f.write_str("set every signal to its default, block none"),
            Self::Exec => f.write_str("run the command"),
        }
    }
}

/// The plan as `--explain` prints it.
pub fn explain(steps: &[Step], command: &str) -> String {
    let mut text = String::new();
    for (number, Step { name, action, why }) in steps.iter().enumerate() {
        let action = if *action == Action::Exec { format!("run {command}") } else { action.to_string() };
        text += &format!("{:>2}  {name:<12}  {action}\n{:18}{why}\n", number + 1, "");
    }
    text
}
