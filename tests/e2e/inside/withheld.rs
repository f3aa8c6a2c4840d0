//! What happens where a mechanism is missing: an option that cannot be enforced never ends in a running app without it.
//!
//! System calls are made to fail one by one, as a kernel without them, a container's filter or an LSM would; namespaces
//! are forbidden, control groups and firejail taken away. The command makes a file: if the file is there, it ran.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Caller, Yard, words};
use crate::support::is_root;

/// One thing that is missing.
struct Missing {
    /// The words before the launcher, which take it away; a lone word is a list for `testapp deny-syscalls`.
    without: &'static str,
    /// What is asked for.
    flags: &'static str,
    /// The exit code of the step that needs it.
    code: i32,
    /// What the message names: one of these.
    named: &'static [&'static str],
    /// Whether `--force` does without it.
    forced: bool,
}

const fn missing(without: &'static str, flags: &'static str, code: i32, named: &'static [&'static str]) -> Missing {
    Missing { without, flags, code, named, forced: true }
}

/// The same for what no force does without: who the app is and where, limits of every kernel, and a step halfway.
const fn vital(without: &'static str, flags: &'static str, code: i32, named: &'static [&'static str]) -> Missing {
    Missing { without, flags, code, named, forced: false }
}

/// Makes a mount namespace without control groups, for whoever may.
const NO_GROUPS: &str = "/usr/bin/unshare -m /bin/sh -c mount§-t§tmpfs§none§/sys/fs/cgroup§&&§exec§\"$@\" sh";
/// Root in a user namespace, where no mount or network namespace may be made.
const NO_MOUNTS: &str = "/usr/bin/unshare -Ur /bin/sh -c echo§0§>/proc/sys/user/max_mnt_namespaces§&&§exec§\"$@\" sh";
const NO_NETS: &str = "/usr/bin/unshare -Ur /bin/sh -c echo§0§>/proc/sys/user/max_net_namespaces§&&§exec§\"$@\" sh";
/// Somebody without capabilities, where no user namespace may be made either.
const NO_USERS: &str = "/usr/bin/unshare -Ur /bin/sh -c \
                        echo§0§>/proc/sys/user/max_user_namespaces§&&§exec§setpriv§--bounding-set=-all§--inh-caps=-all§\"$@\" sh";

/// Missing for whoever asks.
const FOR_ALL: &[Missing] = &[
    missing("unshare", "--private-tmp", 116, &["private_tmp", "namespace"]),
    missing("unshare", "--private-dev", 116, &["private_dev", "namespace"]),
    missing("unshare", "--no-network", 116, &["no_network", "namespace"]),
    missing("unshare", "--readonly-paths=/usr", 116, &["readonly_paths", "namespace"]),
    vital("mount,fsopen,fsmount,move_mount", "--private-tmp", 116, &["tmp", "new mounts"]),
    vital("mount,fsopen,fsmount,move_mount", "--private-dev", 116, &["dev", "new mounts"]),
    vital("mount_setattr,open_tree,mount", "--readonly-paths=/usr", 116, &["/usr", "mount"]),
    missing("seccomp,prctl:22", "--seccomp", 122, &["seccomp", "filter"]),
    missing("seccomp=ENOSYS,prctl:22=EINVAL", "--seccomp", 122, &["seccomp", "filter"]),
    missing("prctl:38", "--seccomp", 118, &["privileges", "no_new_privs"]),
    vital("setpriority", "--nice=5", 105, &["nice"]),
    vital("prlimit64,setrlimit", "--file-limit=77", 104, &["nofile", "file"]),
    vital("chdir,fchdir", "--chdir=/usr", 110, &["/usr"]),
    vital("prlimit64,setrlimit", "--core-limit=0", 104, &["core"]),
    vital("prlimit64,setrlimit", "--stack-limit=1M", 104, &["stack"]),
    missing("seccomp,prctl:22", "--seccomp-profile=profile.json", 122, &["seccomp", "filter"]),
    missing(NO_MOUNTS, "--private-tmp", 116, &["namespace"]),
    missing(NO_NETS, "--no-network", 116, &["network", "namespaces"]),
    missing(NO_USERS, "--private-tmp", 116, &["max_user_namespaces", "user namespace"]),
    missing("/usr/bin/env PATH=/nonexistent", "--sandbox=firejail", 116, &["firejail"]),
    missing("/usr/bin/env PATH=/nonexistent", "--sandbox=firejail --sandbox-profile=/etc/hosts", 116, &["firejail"]),
];

/// Missing for root.
const FOR_ROOT: &[Missing] = &[
    missing("landlock_create_ruleset=ENOSYS", "--private-tmp", 121, &["Landlock"]),
    missing("landlock_restrict_self", "--private-tmp", 121, &["Landlock"]),
    missing("prctl:24", "--caps-drop=all", 117, &["cap_"]),
    missing("capset", "--caps-drop=all", 117, &["cap_"]),
    missing("capset", "--caps-keep=chown", 117, &["cap_"]),
    vital("setresgid,setgid", "--group-id=daemon", 109, &["group"]),
    vital("setgroups", "--user=nobody", 109, &["group", "user"]),
    vital("setresgid,setgid", "--user=nobody", 109, &["group", "user"]),
    vital("setresuid,setuid", "--user=nobody", 109, &["user"]),
    missing("mkdir,mkdirat", "--proc-limit=20", 115, &["group"]),
    missing(NO_GROUPS, "--cpu-limit=20", 115, &["cpu_limit", "group"]),
    missing(NO_GROUPS, "--proc-limit=20", 115, &["process_limit", "group"]),
];

/// Flags that need no mechanism that could be missing, or have a chapter of their own about it.
const ELSEWHERE: &[&str] = &[
    // What is said and done about the process, by the launcher itself.
    "--foreground",
    "--daemon",
    "--quiet",
    "--verbose",
    "--explain",
    "--force",
    "--help",
    "--version",
    "--group",
    "--config-override",
    "--log",
    "--log-level",
    "--stdout",
    "--stderr",
    "--pidfile",
    // Signals are sent by the launcher, as is the end of the time.
    "--no-signal-forward",
    "--signal",
    "--preserve-signals",
    "--kill-timeout",
    "--stop-signal",
    "--reload-signal",
    "--timeout",
    // The environment is the launcher's own memory; umask(2) cannot fail; no session is made where none is wanted.
    "--env",
    "--env-file",
    "--env-script",
    "--clear-env",
    "--umask",
    "--no-setsid",
    // An rlimit stands in for groups: see the chapter about limits.
    "--memory-limit",
];

#[test]
fn every_option_of_the_launcher_is_accounted_for() {
    let home = crate::support::Home::new();
    let help = home.daemonrun(["--help"]).ok().stdout;
    let first_words = help.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
    // A line of flags begins with one; a sentence may mention one, but not as its first word.
    let lines = help.lines().filter(|line| line.trim_start().starts_with('-')).count();
    let flags: Vec<&str> = first_words.filter(|word| word[2..].starts_with(|c: char| c.is_ascii_lowercase())).collect();
    assert!(lines > 40 && flags.len() >= lines, "{help}");
    let taken = |flag: &str| {
        let rows = FOR_ALL.iter().chain(FOR_ROOT);
        rows.flat_map(|row| row.flags.split(' ')).any(|given| given.split('=').next() == Some(flag))
    };
    let trimmed = flags.iter().map(|flag| flag.split(['[', '.', ',', ':', ';']).next().unwrap_or_default());
    let forgotten: Vec<&str> = trimmed.filter(|flag| !taken(flag) && !ELSEWHERE.contains(flag)).collect();
    assert!(forgotten.is_empty(), "what happens to {forgotten:?} where it cannot be enforced?");
}

fn nothing_runs_without(caller: Caller, rows: &[&[Missing]]) {
    if !is_root("taking mechanisms away") {
        return;
    }
    let yard = Yard::new(caller);
    let marker = yard.path("scratch/marker");
    let profile =
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]}"#;
    fs::write(yard.path("profile.json"), profile).expect("a profile");
    let mut wrong = Vec::new();
    for row in rows.iter().flat_map(|rows| rows.iter()) {
        let before = match row.without.contains(' ') {
            true => words(row.without).iter().map(|word| word.replace('§', " ")).collect(),
            false => vec![yard.text("testapp"), "deny-syscalls".to_owned(), row.without.to_owned()],
        };
        let command = ["/usr/bin/touch".to_owned(), marker.to_string_lossy().into_owned()];
        let flags = words(row.flags);
        let output = yard.run_under(&before, &flags, &command);
        let ran = marker.exists();
        let named = row.named.iter().any(|name| output.stderr.contains(name));
        if ran || output.code() != row.code || !named {
            wrong.push(format!("{} without {}: ran: {ran}, {output}", row.flags, row.without));
        }
        let _ = fs::remove_file(&marker);
        let forced = yard.run_under(&before, &[&["--force".to_owned()], &flags[..]].concat(), &command);
        let ran = marker.exists();
        let warned = forced.stderr.contains("warning");
        // By force it runs and says what it does without, if that can be done without at all.
        if ran != row.forced || ran != warned {
            wrong.push(format!("{} --force without {}: ran: {ran}, {forced}", row.flags, row.without));
        }
        let _ = fs::remove_file(&marker);
    }
    assert!(wrong.is_empty(), "{caller:?}:\n{}", wrong.join("\n"));
}

#[test]
fn what_cannot_be_enforced_does_not_run_for_root() {
    nothing_runs_without(Caller::Root, &[FOR_ALL, FOR_ROOT]);
}

#[test]
fn what_cannot_be_enforced_does_not_run_for_an_ordinary_user() {
    nothing_runs_without(Caller::Nobody, &[FOR_ALL]);
}

/// Whatever a launcher may call, one each.
const CALLS: &[&str] = &[
    "access",
    "bind",
    "brk",
    "capget",
    "capset",
    "chdir",
    "chmod",
    "chown",
    "clone",
    "clone3",
    "close",
    "close_range",
    "connect",
    "dup",
    "dup2",
    "dup3",
    "epoll_create1",
    "faccessat",
    "faccessat2",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "fcntl",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fstat",
    "ftruncate",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getrandom",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getsid",
    "gettid",
    "getuid",
    "ioctl",
    "kill",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "link",
    "linkat",
    "lseek",
    "lstat",
    "madvise",
    "memfd_create",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "mount",
    "mount_setattr",
    "move_mount",
    "mprotect",
    "mremap",
    "munmap",
    "open",
    "open_tree",
    "openat2",
    "pidfd_open",
    "pipe2",
    "pivot_root",
    "poll",
    "ppoll",
    "prctl",
    "prctl:22",
    "prctl:23",
    "prctl:24",
    "prctl:38",
    "prctl:47",
    "prctl:4",
    "prctl:8",
    "prctl:28",
    "pread64",
    "prlimit64",
    "readlink",
    "readlinkat",
    "recvmsg",
    "rename",
    "renameat2",
    "rmdir",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "sched_getaffinity",
    "seccomp",
    "sendmsg",
    "sendto",
    "set_robust_list",
    "set_tid_address",
    "setgid",
    "setgroups",
    "setns",
    "setpgid",
    "setpriority",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setrlimit",
    "setsid",
    "setuid",
    "sigaltstack",
    "socket",
    "socketpair",
    "stat",
    "statfs",
    "statx",
    "symlink",
    "symlinkat",
    "umask",
    "umount2",
    "uname",
    "unlink",
    "unlinkat",
    "unshare",
    "vfork",
    "wait4",
    "waitid",
];

/// What has to hold wherever the probe ran.
fn facts(report: &Value) -> Value {
    let mount = |at: &str| json!([report["mounts"][at]["type"], report["mounts"][at]["options"]]);
    let interfaces: Option<Vec<_>> = report["interfaces"].as_object().map(|all| all.keys().collect());
    json!({
        "capabilities": report["capabilities"], "no_new_privs": report["no_new_privs"],
        "umask": report["umask"], "nice": report["nice"], "uid": report["uid"], "groups": report["groups"],
        "mounts": [mount("/tmp"), mount("/var/tmp"), mount("/dev"), mount("/usr"), mount("/dev/pts"), mount("/dev/shm")],
        "interfaces": interfaces,
        "cwd": report["cwd"], "sig_ign": report["sig_ign"], "sig_blk": report["sig_blk"], "fds": report["fds"],
    })
}

/// Every call alone fails, in a launch with everything on: what runs nevertheless is as was asked.
fn each_call_fails(caller: Caller) {
    if !is_root("taking system calls away") {
        return;
    }
    let yard = Yard::new(caller);
    let mut flags = "--private-tmp --private-dev --no-network --readonly-paths=/usr --seccomp --umask=027 --nice=3 \
                     --chdir=/usr"
        .to_owned();
    flags += if caller == Caller::Root { " --user=daemon --caps-keep=net_bind_service" } else { " --caps-drop=all" };
    let program = Path::new("/usr/bin/env").to_string_lossy().into_owned();
    let command =
        [program, yard.text("testapp"), "probe".to_owned(), "-".to_owned(), "--ro".to_owned(), yard.text("ro")];
    let probe = |before: &[String]| {
        let output = yard.run_under(before, &words(&flags), &command);
        let report = serde_json::from_str::<Value>(&output.stdout).ok();
        (output, report)
    };
    let (output, plain) = probe(&[]);
    let plain = plain.unwrap_or_else(|| panic!("{output}"));
    let (mut wrong, mut ran) = (Vec::new(), 0);
    for call in CALLS {
        let before = [yard.text("testapp"), "deny-syscalls".to_owned(), (*call).to_owned()];
        let (output, report) = probe(&before);
        let Some(report) = report else {
            if output.code() == 0 {
                wrong.push(format!("without {call}: no report, and {output}"));
            }
            continue;
        };
        ran += 1;
        // The probe's own looking around fails with the call; the filters are two, this one and the launcher's.
        let (mut seen, mut expected) = (facts(&report), facts(&plain));
        let unseen = match *call {
            "ioctl" | "socket" | "bind" | "sendto" | "recvmsg" => "interfaces",
            "getcwd" => "cwd",
            "fcntl" => "fds",
            _ => "",
        };
        if !unseen.is_empty() {
            (seen[unseen], expected[unseen]) = (Value::Null, Value::Null);
        }
        if seen != expected {
            wrong.push(format!("without {call} it ran with {seen}\n  in place of {expected}"));
        }
        if report["seccomp_filters"] != "2" {
            wrong.push(format!("without {call} it ran with {} filters", report["seccomp_filters"]));
        }
    }
    assert!(wrong.is_empty(), "{caller:?}:\n{}", wrong.join("\n"));
    assert!(ran > 10, "only {ran} of these calls can be missed: the probe itself does not run");
}

#[test]
fn with_any_call_failing_an_app_runs_right_or_not_at_all_for_root() {
    each_call_fails(Caller::Root);
}

#[test]
fn with_any_call_failing_an_app_runs_right_or_not_at_all_for_an_ordinary_user() {
    each_call_fails(Caller::Nobody);
}
