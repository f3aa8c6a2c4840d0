//! Every option of an app, once: a field of the section it belongs to, with its sentence, its default and, where it
//! has one, its flag. A field without `long` has no flag of its own.
//!
//! clap's derive turns each section into a list of arguments, and that list *is* the option table ([`super::table`]):
//! keys, flags, environment names, defaults and documentation are loops over it.

use std::path::PathBuf;

use clap::Args;
use daemonctl_actors::value::Signal;
use serde::{Deserialize, Serialize};

use super::values::{
    Codes, Collector, Compress, CoreLimit, EnvMap, Level, Names, Paths, Restart, SandboxType, Signals, Size, Span,
    Umask, Words, path_as_text,
};

/// `[daemon]`: what the app is called, and the process it begins as.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct Daemon {
    /// Name that heads the app's lines and messages where `run` shows several, and the syslog tag; the app's if not set.
    #[arg(long = "group", short = 'g', value_name = "NAME")]
    pub name: Option<String>,
    /// What the app is, for people.
    #[arg(value_name = "TEXT")]
    pub description: Option<String>,
    /// Whether start-all starts it.
    #[arg(default_value = "true")]
    pub enabled: bool,
    /// Stay in the foreground: `start` behaves as `run`.
    #[arg(long = "foreground", short = 'F', default_value = "false")]
    pub foreground: bool,
    /// Detach from the terminal: `run` behaves as `start`.
    #[arg(long = "daemon", short = 'd', default_value = "true")]
    pub double_fork: bool,
    /// Give the app a session and process group of its own; without it, a process group only.
    #[arg(long = "no-setsid", default_value = "true")]
    pub setsid: bool,
    /// Directory the app starts in; the run script's if not set. Entered as the app's user.
    #[arg(long = "chdir", short = 'C', value_name = "DIR")]
    #[serde(serialize_with = "path_as_text")]
    pub working_directory: Option<PathBuf>,
    /// Permission bits that new files do not get, in octal.
    #[arg(long = "umask", value_name = "OCTAL", default_value = "022")]
    pub umask: Umask,
}

/// `[process]`: the program, its environment, and what happens when it ends.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct Process {
    /// Program to run in place of the run script: a path, or a name looked up in PATH.
    #[arg(value_name = "PROGRAM")]
    pub command: Option<String>,
    /// Arguments of the program or the run script.
    #[arg(value_name = "ARG", default_value = "")]
    pub args: Words,
    /// Variables added to the app's environment.
    #[arg(long = "env", value_name = "KEY=VALUE", default_value = "")]
    pub environment: EnvMap,
    /// File with KEY=VALUE lines added to the app's environment.
    #[arg(long = "env-file", value_name = "FILE")]
    #[serde(serialize_with = "path_as_text")]
    pub environment_file: Option<PathBuf>,
    /// Begin with an empty environment, except for PATH, HOME, USER and TERM.
    #[arg(long = "clear-env", default_value = "false")]
    pub clear_env: bool,
    /// Scheduling priority (nice value), from -20, the most favoured, to 19.
    #[arg(long = "nice", value_name = "N", default_value = "0", allow_hyphen_values = true, value_parser = clap::value_parser!(i32).range(-20..=19))]
    pub priority: i32,
    /// Readiness to be killed when memory runs out, from -1000, never, to 1000, first; inherited if not set.
    #[arg(value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    pub oom_score_adj: Option<i32>,
    /// When to start the app again after it has ended by itself: no, on-failure or always.
    #[arg(value_name = "WHEN", default_value = "no")]
    pub restart: Restart,
    /// Wait before the first restart; doubled with every further one in a row.
    #[arg(value_name = "DURATION", default_value = "5s")]
    pub restart_delay: Span,
    /// The longest wait before a restart.
    #[arg(value_name = "DURATION", default_value = "5m")]
    pub restart_delay_max: Span,
    /// Restarts in a row after the first start, before the app is given up; 0 is unlimited.
    #[arg(value_name = "N", default_value = "3")]
    pub restart_max_attempts: u32,
    /// Up this long (and healthy, if monitored), an app begins again with all its restart attempts.
    #[arg(value_name = "DURATION", default_value = "60s")]
    pub restart_reset_after: Span,
    /// Exit codes that are no failure.
    #[arg(value_name = "CODES", default_value = "0")]
    pub success_exit_codes: Codes,
    /// The longest time for the app to be exec'ed, and for `start --wait` to wait until it is ready.
    #[arg(value_name = "DURATION", default_value = "60s")]
    pub start_timeout: Span,
    /// Time between the stop signal and SIGKILL when the app is stopped; signals.kill_timeout if not set.
    #[arg(value_name = "DURATION")]
    pub stop_timeout: Option<Span>,
}

/// `[security]`: who the app is, and what it may.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct Security {
    /// User the app runs as: a name, or the decimal id of an existing account. Needs root.
    #[arg(long = "user", short = 'u', value_name = "USER")]
    pub user: Option<String>,
    /// Group the app runs as: a name, or the decimal id of an existing group. Needs root.
    #[arg(long = "group-id", short = 'G', value_name = "GROUP")]
    pub group: Option<String>,
    /// Capabilities taken from the app; `all` takes every one.
    #[arg(long = "caps-drop", value_name = "CAPS", default_value = "")]
    pub capabilities_drop: Names,
    /// Capabilities left to the app, all others being dropped.
    #[arg(long = "caps-keep", value_name = "CAPS", default_value = "")]
    pub capabilities_keep: Names,
    /// No program the app starts may gain privileges (prctl PR_SET_NO_NEW_PRIVS).
    pub no_new_privs: Option<bool>,
}

/// `[logging]`: where output and events go.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct Logging {
    /// File for the app's events: starts, exits, health, hooks; logs/NAME.run if not set.
    #[arg(long = "log", short = 'l', value_name = "FILE")]
    #[serde(serialize_with = "path_as_text")]
    pub file: Option<PathBuf>,
    /// Least severity of the events that are written: debug, info, warn or error.
    #[arg(long = "log-level", value_name = "LEVEL", default_value = "info")]
    pub level: Level,
    /// File the app's standard output is appended to; logs/NAME.log if not set.
    #[arg(long = "stdout", value_name = "FILE")]
    #[serde(serialize_with = "path_as_text")]
    pub stdout_file: Option<PathBuf>,
    /// File the app's standard error is appended to; logs/NAME.err if not set.
    #[arg(long = "stderr", value_name = "FILE")]
    #[serde(serialize_with = "path_as_text")]
    pub stderr_file: Option<PathBuf>,
    /// Send output and events to syslog as well.
    #[arg(long = "syslog", default_value = "false")]
    pub syslog: bool,
    /// Write only warnings and errors to the event log.
    #[arg(default_value = "false")]
    pub quiet: bool,
    /// Write debugging events to the event log.
    #[arg(default_value = "false")]
    pub verbose: bool,
    /// Rotate a log before it grows beyond this size.
    #[arg(value_name = "SIZE")]
    pub max_size: Option<Size>,
    /// Remove rotated logs older than this.
    #[arg(value_name = "DURATION")]
    pub max_age: Option<Span>,
    /// Keep at most this many rotated logs.
    #[arg(value_name = "N")]
    pub max_count: Option<u32>,
    /// How rotated logs of output are stored: none (as they were written) or gzip.
    #[arg(value_name = "HOW", default_value = "none")]
    pub compress: Compress,
    /// Who writes and rotates the logs: auto (a teelog in PATH that is not daemonctl's own, else built in), builtin or teelog.
    #[arg(value_name = "WHO", default_value = "auto")]
    pub collector: Collector,
}

/// `[pidfile]`: the file with the main process's pid.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct Pidfile {
    /// Whether a pid file is written.
    #[arg(default_value = "true")]
    pub enabled: bool,
    /// Where the pid file is written; NAME.pid in the runtime directory if not set.
    #[arg(long = "pidfile", value_name = "FILE")]
    #[serde(serialize_with = "path_as_text")]
    pub path: Option<PathBuf>,
}

/// `[signals]`: which signals mean what.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct SignalOptions {
    /// Forward to the app the signals that `run` receives and does not need itself.
    #[arg(long = "no-signal-forward", default_value = "true")]
    pub forward_all: bool,
    /// Forward only these signals.
    #[arg(long = "signal", short = 'S', value_name = "SIGNAL", default_value = "")]
    pub forward_list: Signals,
    /// Never forward these signals.
    #[arg(long = "preserve-signals", value_name = "SIGNALS", default_value = "")]
    pub preserve_signals: Signals,
    /// Time between the stop signal and SIGKILL.
    #[arg(long = "kill-timeout", short = 'k', value_name = "DURATION", default_value = "30s")]
    pub kill_timeout: Span,
    /// Signal that asks the app to end.
    #[arg(long = "stop-signal", value_name = "SIGNAL", default_value = "SIGTERM")]
    pub stop_signal: Signal,
    /// Signal that asks the app to read its configuration again.
    #[arg(long = "reload-signal", value_name = "SIGNAL", default_value = "SIGHUP")]
    pub reload_signal: Signal,
}

/// `[sandbox]`: walls around the app.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct Sandbox {
    /// How the app is isolated: none, unshare or firejail.
    #[arg(id = "type", long = "sandbox", value_name = "TYPE", default_value = "none")]
    #[serde(rename = "type")]
    pub kind: SandboxType,
    /// Profile for firejail.
    #[arg(long = "sandbox-profile", value_name = "FILE")]
    pub profile: Option<String>,
    /// Give the app an empty /tmp and /var/tmp of its own.
    #[arg(long = "private-tmp", default_value = "false")]
    pub private_tmp: bool,
    /// Give the app a /dev with harmless devices only.
    #[arg(long = "private-dev", default_value = "false")]
    pub private_dev: bool,
    /// Give the app no network but a loopback of its own.
    #[arg(long = "no-network", default_value = "false")]
    pub no_network: bool,
    /// Paths the app cannot write to, with everything below them.
    #[arg(long = "readonly-paths", value_name = "PATHS", default_value = "")]
    pub readonly_paths: Paths,
    /// Refuse system calls that no service needs.
    #[arg(long = "seccomp", default_value = "false")]
    pub seccomp: bool,
    /// System call filter to use: an OCI or Docker JSON profile.
    #[arg(long = "seccomp-profile", value_name = "FILE")]
    #[serde(serialize_with = "path_as_text")]
    pub seccomp_profile: Option<PathBuf>,
}

/// `[limits]`: how much the app may use.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of the app and its children together.
    #[arg(long = "memory-limit", value_name = "SIZE")]
    pub memory_limit: Option<Size>,
    /// Processor time, in percent of one CPU, from 1 to 100.
    #[arg(long = "cpu-limit", value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub cpu_limit: Option<u32>,
    /// Open files of each process.
    #[arg(long = "file-limit", value_name = "N")]
    pub file_limit: Option<u64>,
    /// Processes and threads of the app together.
    #[arg(long = "proc-limit", value_name = "N")]
    pub process_limit: Option<u64>,
    /// Size of a core dump, or unlimited.
    #[arg(long = "core-limit", value_name = "SIZE")]
    pub core_limit: Option<CoreLimit>,
    /// Size of the stack, or unlimited.
    #[arg(long = "stack-limit", value_name = "SIZE")]
    pub stack_limit: Option<CoreLimit>,
    /// Time the app may run; then it is stopped, which counts as a failure.
    #[arg(long = "timeout", value_name = "DURATION")]
    pub timeout: Option<Span>,
}

/// `[monitoring]`: health checks.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct Monitoring {
    /// Check the app's health, and restart it when it is unhealthy.
    #[arg(default_value = "false")]
    pub enabled: bool,
    /// Command that exits 0 when the app is healthy, run by /bin/sh; the check script if not set.
    #[arg(value_name = "COMMAND")]
    pub check_command: Option<String>,
    /// Time from one check to the next.
    #[arg(value_name = "DURATION", default_value = "30s")]
    pub check_interval: Span,
    /// Time after which a check is killed and has failed.
    #[arg(value_name = "DURATION", default_value = "10s")]
    pub check_timeout: Span,
    /// Failures in a row that make the app unhealthy.
    #[arg(value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    pub failure_threshold: u32,
    /// Successes in a row that make the app healthy.
    #[arg(value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub success_threshold: u32,
    /// Time the app has for starting: checks run every second and only a success counts.
    #[arg(value_name = "DURATION", default_value = "60s")]
    pub startup_delay: Span,
}

/// `[daemonctl]`, in the global file only: daemonctl itself, where neither a flag nor a variable says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct Program {
    /// Least severity of what daemonctl says about its work: debug, info, warn or error.
    #[arg(value_name = "LEVEL")]
    pub log_level: Option<Level>,
    /// The longest time a command waits for a supervisor.
    #[arg(value_name = "DURATION")]
    pub op_timeout: Option<Span>,
    /// Never use colours.
    pub no_color: Option<bool>,
}
