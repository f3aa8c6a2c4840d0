//! Rules that concern more than one option, which no value can break alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::values::{Collector, Compress, SandboxType, Size, Span};
use super::{Options, Problem};
use crate::app::Shown;

/// Options that ask for walls, which a sandbox must build.
const WALLS: [&str; 6] = [
    "sandbox.private_tmp",
    "sandbox.private_dev",
    "sandbox.no_network",
    "sandbox.readonly_paths",
    "sandbox.seccomp",
    "sandbox.seccomp_profile",
];

/// A profile is firejail's. An option that asks for a wall implies `unshare` where no sandbox type is set, and contradicts
/// `none`. Returns the option that implied it.
pub(super) fn imply_sandbox(values: &mut BTreeMap<&'static str, Value>) -> Result<Option<&'static str>, Problem> {
    let asks = |value: &Value| match value {
        Value::Bool(on) => *on,
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    if values.contains_key("sandbox.profile") && values.get("sandbox.type").is_none_or(|kind| kind != "firejail") {
        let message = "it is a profile for firejail: set sandbox.type to firejail, or leave it out";
        return Err(Problem::new(message).about("sandbox.profile"));
    }
    let Some(wall) = WALLS.into_iter().find(|name| values.get(name).is_some_and(asks)) else { return Ok(None) };
    match values.get("sandbox.type") {
        None => {
            values.insert("sandbox.type", "unshare".into());
            Ok(Some(wall))
        }
        Some(kind) if kind == "none" => {
            let message =
                "it needs a sandbox, but sandbox.type is none: set that to unshare or firejail, or leave it out";
            Err(Problem::new(message).about(wall))
        }
        Some(_) => Ok(None),
    }
}

/// What is allowed and does not do what it seems to.
pub(super) fn doubtful(options: &Options) -> Vec<Problem> {
    let mut found = Vec::new();
    let (first, most) = (options.process.restart_delay, options.process.restart_delay_max);
    if first > most {
        let message = format!("{first} is longer than process.restart_delay_max, so every restart waits {most}");
        found.push(Problem::new(message).about("process.restart_delay"));
    }
    let logging = &options.logging;
    for (file, key) in [(&logging.stdout_file, "logging.stdout_file"), (&logging.stderr_file, "logging.stderr_file")] {
        if let Some(file) = file.as_ref().filter(|file| is_of_a_process(file)) {
            let message = format!(
                "{} is the supervisor's own: what is written there is seen under run, and lost in the background",
                file.shown()
            );
            found.push(Problem::new(message).about(key));
        }
    }
    let idle = [
        (logging.max_age.is_some(), "logging.max_age"),
        (logging.max_count.is_some(), "logging.max_count"),
        (logging.compress != Compress::None, "logging.compress"),
    ];
    for (_, key) in idle.into_iter().filter(|(is_set, _)| *is_set && logging.max_size.is_none()) {
        let message = "it is about archives, and without logging.max_size there are none: no log is ever rotated";
        found.push(Problem::new(message).about(key));
    }
    let paths = [
        (&logging.stdout_file, "logging.stdout_file"),
        (&logging.stderr_file, "logging.stderr_file"),
        (&logging.file, "logging.file"),
        (&options.pidfile.path, "pidfile.path"),
        (&options.process.environment_file, "process.environment_file"),
        (&options.daemon.working_directory, "daemon.working_directory"),
    ];
    for (path, key) in paths.into_iter().filter_map(|(path, key)| Some((path.as_ref()?, key))) {
        if path.to_string_lossy().starts_with(['~', '$']) {
            let message = format!("{} is a path as it stands: no shell puts something else for ~ and $", path.shown());
            found.push(Problem::new(message).about(key));
        }
    }
    let sandbox = &options.sandbox;
    let has_walls = sandbox.private_tmp
        || sandbox.private_dev
        || sandbox.no_network
        || sandbox.seccomp
        || sandbox.seccomp_profile.is_some()
        || !sandbox.readonly_paths.0.is_empty();
    if sandbox.kind == SandboxType::Unshare && !has_walls {
        let message = "unshare by itself separates nothing: add private_tmp, private_dev, no_network, readonly_paths \
                       or seccomp";
        found.push(Problem::new(message).about("sandbox.type"));
    }
    found
}

/// Whether a path is another file to every process.
pub fn is_of_a_process(path: &Path) -> bool {
    ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd", "/dev/tty", "/proc/self", "/proc/thread-self"]
        .iter()
        .any(|own| path.starts_with(own))
}

/// Limits that nothing could live with; whoever writes 0 mostly means none.
fn hopeless(options: &Options) -> impl Iterator<Item = (Problem, Vec<&'static str>)> {
    let (limits, monitoring) = (&options.limits, &options.monitoring);
    let least = Size(LEAST_MEMORY);
    let zero = |is: bool, key, why| is.then(|| (key, format!("with 0 {why}: leave it out for no limit")));
    let memory = limits.memory_limit.filter(|limit| *limit < least);
    let memory =
        memory.map(|limit| format!("no program fits in {limit}: {least} is the least, leave it out for no limit"));
    let processes = limits.process_limit.filter(|limit| *limit > MOST_PROCESSES);
    let processes =
        processes.map(|_| format!("Linux has at most {MOST_PROCESSES} processes: leave it out for no limit"));
    let hurried = monitoring.check_interval.0 < LEAST_INTERVAL;
    let no_time = monitoring.check_timeout.0.is_zero();
    let found = [
        memory.map(|message| ("limits.memory_limit", message)),
        processes.map(|message| ("limits.process_limit", message)),
        zero(limits.process_limit == Some(0), "limits.process_limit", "not even the app could be started"),
        zero(
            limits.timeout.is_some_and(|limit| limit.0.is_zero()),
            "limits.timeout",
            "the app would be stopped at once",
        ),
        zero(limits.file_limit == Some(0), "limits.file_limit", "no program could be executed"),
        zero(options.logging.max_size == Some(Size(0)), "logging.max_size", "each line would be an archive of its own"),
        hurried.then(|| {
            let least = Span(LEAST_INTERVAL);
            ("monitoring.check_interval", format!("checks would do nothing but begin: {least} is the least"))
        }),
        no_time
            .then(|| ("monitoring.check_timeout", "with 0 every check would fail: a check needs some time".to_owned())),
    ];
    found.into_iter().flatten().map(|(key, message)| (Problem::new(message).about(key), vec![key]))
}

/// The least memory an app can be given: less does not carry a shell as far as its first command.
const LEAST_MEMORY: u64 = 1 << 20;

/// The most processes a kernel can have (PID_MAX_LIMIT), and the most that pids.max takes.
const MOST_PROCESSES: u64 = 4 << 20;

/// Checks that follow each other more quickly would be most of what the machine does.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);

/// Options that cannot be meant together, each with the names of those that contradict each other.
pub(super) fn contradictions(options: &Options) -> Vec<(Problem, Vec<&'static str>)> {
    let (security, sandbox) = (&options.security, &options.sandbox);
    let (drop, keep) = ("security.capabilities_drop", "security.capabilities_keep");
    let mut found: Vec<_> = hopeless(options).collect();
    for name in security.capabilities_keep.0.iter().filter(|name| security.capabilities_drop.0.contains(name)) {
        let message = format!("{name} is to be dropped and to be kept: name it once");
        found.push((Problem::new(message).about(drop), vec![drop, keep]));
    }
    if security.no_new_privs == Some(false) {
        let no_new_privs = "security.no_new_privs";
        let needs = [
            (!security.capabilities_drop.0.is_empty(), drop),
            (!security.capabilities_keep.0.is_empty(), keep),
            (sandbox.seccomp, "sandbox.seccomp"),
            (sandbox.seccomp_profile.is_some(), "sandbox.seccomp_profile"),
            (sandbox.private_tmp, "sandbox.private_tmp"),
            (sandbox.private_dev, "sandbox.private_dev"),
            (sandbox.no_network, "sandbox.no_network"),
            (!sandbox.readonly_paths.0.is_empty(), "sandbox.readonly_paths"),
        ];
        found.extend(needs.into_iter().find(|(asked, _)| *asked).map(|(_, key)| {
            let message = format!("false would undo {key}, which needs it: leave it out");
            (Problem::new(message).about(no_new_privs), vec![no_new_privs, key])
        }));
    }
    let (collector, compress) = ("logging.collector", "logging.compress");
    if options.logging.collector == Collector::Teelog && options.logging.compress != Compress::None {
        let message = format!("teelog does not compress: set {collector} to builtin, or leave this out");
        found.push((Problem::new(message).about(compress), vec![compress, collector]));
    }
    found
}
