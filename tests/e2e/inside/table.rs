//! Each option alone: everything that the probe reports is compared with a start without options.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Caller, Yard, words};
use crate::support::is_root;

/// A difference: where in the report, and what is there with the option. A path that ends with `*` is any number of
/// places below.
type Changes = Vec<(&'static str, Expected)>;

/// What must be found in a place that changed.
enum Expected {
    Is(Value),
    /// Something else than before; what exactly, the next row says, or nobody can know.
    Other,
}

/// What root keeps without the nine capabilities that would undo walls: numbers from linux/capability.h.
const UNDOING: u64 = 1 << 2 | 1 << 16 | 1 << 17 | 1 << 19 | 1 << 21 | 1 << 22 | 1 << 27 | 1 << 38 | 1 << 39;
const NET_RAW: u64 = 1 << 13;

/// A set of capabilities that a report tells.
fn capabilities(report: &Value, set: &str) -> u64 {
    u64::from_str_radix(report["capabilities"][set].as_str().expect("a set"), 16).expect("a mask")
}

/// Root's capabilities without some, and what a set-user-id program gets of them.
fn without(plain: &Value, some: u64) -> Changes {
    let left = format!("{:016x}", capabilities(plain, "bounding") & !some);
    vec![
        ("capabilities.bounding", is(left.clone())),
        ("capabilities.permitted", is(left.clone())),
        ("capabilities.effective", is(left.clone())),
        ("attempts.setuid", is(format!("uid 0 0 0 0; gid 0 0 0 0; effective {left}"))),
    ]
}

fn is(value: impl Into<Value>) -> Expected {
    Expected::Is(value.into())
}

/// What every option that promises that no exec gains privileges changes: nothing but the promise and what a
/// set-user-id program becomes.
fn no_gain(caller: Caller) -> Changes {
    let mut changes = vec![("no_new_privs", is("1"))];
    if caller == Caller::Nobody {
        changes.push((
            "attempts.setuid",
            is("uid 65534 65534 65534 65534; gid 65534 65534 65534 65534; effective 0000000000000000"),
        ));
    }
    changes
}

/// What every wall brings along: a mount namespace, the runtime directory hidden, a domain, fewer powers for root.
fn walled(caller: Caller, plain: &Value) -> Changes {
    let mut changes = no_gain(caller);
    if caller == Caller::Root {
        // Where root would change the kernel, and its own limits, by its uid alone.
        changes.extend([
            ("mounts./proc/sys*", Expected::Other),
            ("mounts./proc/sys.options", is("ro")),
            ("mounts./sys*", Expected::Other),
            ("mounts./sys.options", is("ro")),
        ]);
    }
    changes.extend([
        ("namespaces.mnt", Expected::Other),
        ("mounts./run/daemonctl", Expected::Other),
        ("attempts.mounts*", is("EPERM")),
        // Where a supervisor would listen: covered by an empty directory that only root could look into.
        ("attempts.network.socket", is(if caller == Caller::Root { "ENOENT" } else { "EACCES" })),
        ("mounts./tmp/daemonctl-e2e*", Expected::Other),
        // A place that is not there is noticed before anything is forbidden.
        ("attempts.calls.open_tree", Expected::Other),
        ("attempts.calls.move_mount", is("EPERM")),
        ("attempts.calls.mount_setattr", Expected::Other),
        ("attempts.calls.pivot_root", is("EPERM")),
        ("attempts.calls.fsopen", is("EPERM")),
        ("attempts.outside.root", is("EACCES")),
        ("attempts.outside.cwd", is("EACCES")),
        ("attempts.outside.memory", is("EACCES")),
        ("attempts.outside.environ", is("EACCES")),
        ("attempts.outside.fd", is("EACCES")),
        ("attempts.outside.namespace", is("EACCES")),
        ("attempts.outside.descriptor", is("EPERM")),
        ("attempts.outside.read", is("EPERM")),
        ("attempts.outside.trace", is("EPERM")),
        ("attempts.outside.signal", is("EPERM")),
        ("attempts.devices.char", is("EPERM")),
        ("attempts.devices.block", is("EPERM")),
        ("attempts.devices.tmp node", is("EPERM")),
        ("attempts.calls.unshare mount", is("EPERM")),
        ("attempts.calls.open_by_handle_at", Expected::Other),
        ("attempts.calls.reboot", is("EPERM")),
        ("attempts.calls.swapon", is("EPERM")),
        ("attempts.calls.sethostname", is("EPERM")),
    ]);
    match caller {
        // Nine of root's capabilities would undo the walls.
        Caller::Root => changes.extend(without(plain, UNDOING)),
        // An ordinary user builds walls in a user namespace, where only it exists, and gives up what it has there.
        Caller::Nobody => changes.extend([
            ("namespaces.user", Expected::Other),
            ("uid_map", is("65534 65534 1")),
            ("groups", Expected::Other),
            ("capabilities.bounding", Expected::Other),
            ("attempts.calls.setuid", is("EINVAL")),
            ("attempts.calls.unshare user", Expected::Other),
        ]),
    }
    changes
}

/// One row: flags, and what they change.
fn rows(yard: &Yard, plain: &Value) -> Vec<(String, Changes)> {
    let caller = yard.caller;
    let root = caller == Caller::Root;
    let with = |mut changes: Changes, more: Changes| {
        changes.extend(more);
        changes
    };
    let readonly = format!("--readonly-paths={}", yard.text("ro"));
    let mut rows: Vec<(String, Changes)> = vec![
        ("--umask=027".into(), vec![("umask", is("0027"))]),
        ("--nice=5".into(), vec![("nice", is(5)), ("autogroup", Expected::Other)]),
        ("--chdir=/usr".into(), vec![("cwd", is("/usr"))]),
        ("--file-limit=77".into(), vec![("limits.nofile*", is(77)), ("rlimits.nofile*", is(77))]),
        ("--core-limit=4096".into(), vec![("limits.core*", is(4096)), ("rlimits.core*", is(4096))]),
        ("--stack-limit=1M".into(), vec![("limits.stack*", is(1 << 20)), ("rlimits.stack*", is(1 << 20))]),
        ("--env=COLOUR=red".into(), vec![("environment.COLOUR", is("red"))]),
        ("--caps-drop=all".into(), with(no_gain(caller), powerless(caller))),
        ("--private-tmp".into(), with(walled(caller, plain), private_tmp())),
        ("--private-dev".into(), with(walled(caller, plain), private_dev())),
        ("--no-network".into(), with(walled(caller, plain), no_network())),
        (readonly, with(walled(caller, plain), vec![("attempts.write.*", is("EROFS")), ("mounts.*", Expected::Other)])),
        ("--seccomp".into(), with(no_gain(caller), filtered())),
    ];
    if root {
        rows.push((
            "--user=nobody".into(),
            vec![
                ("uid", is("65534 65534 65534 65534")),
                ("gid", is("65534 65534 65534 65534")),
                ("groups", is("65534")),
                ("capabilities.permitted", is("0000000000000000")),
                ("capabilities.effective", is("0000000000000000")),
                ("attempts.setuid", Expected::Other),
                ("attempts.*", Expected::Other),
                ("environment.*", Expected::Other),
                ("autogroup", Expected::Other),
            ],
        ));
        rows.push((
            "--caps-drop=net_raw".into(),
            with(
                no_gain(caller),
                with(
                    without(plain, NET_RAW),
                    vec![("attempts.network.raw", is("EPERM")), ("attempts.network.packet", is("EPERM"))],
                ),
            ),
        ));
        rows.push((
            "--proc-limit=20".into(),
            // The probe itself is one of the twenty, the attempt that counts another.
            vec![("cgroups.*", Expected::Other), ("attempts.children", is("18"))],
        ));
        rows.push(("--memory-limit=512M".into(), vec![("cgroups.*", Expected::Other)]));
        rows.push(("--cpu-limit=80".into(), vec![("cgroups.*", Expected::Other)]));
    }
    rows
}

/// Without any capability; root keeps its files.
fn powerless(caller: Caller) -> Changes {
    let mut changes: Changes = Vec::new();
    if caller == Caller::Root {
        let none = || is("0000000000000000");
        changes.extend([
            ("capabilities.bounding", none()),
            ("capabilities.permitted", none()),
            ("capabilities.effective", none()),
            ("attempts.setuid", is("uid 0 0 0 0; gid 0 0 0 0; effective 0000000000000000")),
            ("attempts.*", Expected::Other),
        ]);
    }
    changes
}

fn private_tmp() -> Changes {
    vec![
        ("mounts./tmp*", Expected::Other),
        ("attempts.network.socket", is("ENOENT")),
        ("mounts./tmp.type", is("tmpfs")),
        ("mounts./tmp.options", is("rw,nosuid,nodev")),
        ("mounts./var/tmp*", Expected::Other),
        ("mounts./var/tmp.type", is("tmpfs")),
        ("mounts./var/tmp.options", is("rw,nosuid,nodev")),
        ("tmp*", Expected::Other),
        ("var_tmp*", Expected::Other),
        ("attempts.devices.tmp node", Expected::Other),
    ]
}

fn private_dev() -> Changes {
    vec![
        ("mounts./dev*", Expected::Other),
        ("dev*", Expected::Other),
        ("attempts.devices.create", Expected::Other),
        ("attempts.devices.char", is("EACCES")),
        ("attempts.devices.block", is("EACCES")),
        ("attempts.devices.tmp node", is("EACCES")),
    ]
}

fn no_network() -> Changes {
    vec![
        ("namespaces.net", Expected::Other),
        ("interfaces.*", Expected::Other),
        ("attempts.network.tcp", is("ENETUNREACH")),
        ("attempts.network.udp", is("ENETUNREACH")),
        ("attempts.network.abstract", is("ECONNREFUSED")),
    ]
}

fn filtered() -> Changes {
    let refused = [
        "mount",
        "umount2",
        "pivot_root",
        "fsopen",
        "open_tree",
        "move_mount",
        "mount_setattr",
        "unshare user",
        "unshare mount",
        "clone user",
        "setns",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "io_uring_setup",
        "keyctl",
        "add_key",
        "ptrace",
        "process_vm_writev",
        "open_by_handle_at",
        "init_module",
        "delete_module",
        "kexec_load",
        "reboot",
        "swapon",
        "clock_settime",
        "acct",
        "sethostname",
        "personality odd",
        "TIOCSTI",
        "chroot",
        "setgroups",
    ];
    let mut changes: Changes = vec![
        ("seccomp", is("2")),
        ("seccomp_filters", is("1")),
        ("attempts.calls.clone3", is("ENOSYS")),
        ("attempts.calls.int80*", Expected::Other),
        ("attempts.outside.*", Expected::Other),
    ];
    for name in refused {
        // chroot and setgroups may be a service's own business; the rest is nobody's.
        let expected = if matches!(name, "chroot" | "setgroups") { Expected::Other } else { is("EPERM") };
        changes.push((Box::leak(format!("attempts.calls.{name}").into_boxed_str()), expected));
    }
    changes
}

/// What two starts never have in common, and what other processes of this machine change meanwhile.
const VOLATILE: [&str; 9] =
    ["pid", "ppid", "pgid", "sid", "autogroup", "tmp.", "var_tmp.", "environment.DAEMONCTL_LAUNCH_ID", "dev."];

/// What other stories mount meanwhile is theirs: each has a directory of its own.
fn is_of_another_story(place: &str, yard: &Yard) -> bool {
    let (own, all) = (yard.home.base().to_string_lossy(), std::env::temp_dir().join("daemonctl-e2e-"));
    place.strip_prefix("mounts.").is_some_and(|at| at.starts_with(&*all.to_string_lossy()) && !at.starts_with(&*own))
}

/// Every place in a report, with what is there.
fn leaves(value: &Value) -> BTreeMap<String, Value> {
    fn walk(at: String, value: &Value, found: &mut BTreeMap<String, Value>) {
        let below: Vec<(String, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
            leaf => return drop(found.insert(at, leaf.clone())),
        };
        for (key, value) in below {
            walk(if at.is_empty() { key } else { format!("{at}.{key}") }, value, found);
        }
    }
    let mut found = BTreeMap::new();
    walk(String::new(), value, &mut found);
    found
}

/// Whether a row speaks of a place: it names it, or what it is in; with a `*` at its end, all that begins so.
fn covers(pattern: &str, place: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(front) => place.starts_with(front),
        None => place.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
    }
}

/// Outcomes that no row tells, as they hold whatever is asked for.
fn always(place: &str) -> Option<&'static [&'static str]> {
    let (front, last) = place.rsplit_once('.')?;
    match (front, last) {
        (front, "read") if front.starts_with("attempts.write.") => Some(&["ok"]),
        // In a namespace below, what came from above is locked; a chroot lifts nothing.
        (front, "nested") if front.starts_with("attempts.mounts.") => Some(&["EINVAL", "EPERM"]),
        (front, "chroot") if front.starts_with("attempts.mounts.") => Some(&["ok", "EPERM"]),
        _ => None,
    }
}

/// What is wrong with a report, compared with the one of a start without options.
fn wrongs(
    yard: &Yard,
    flags: &str,
    plain: &BTreeMap<String, Value>,
    seen: &BTreeMap<String, Value>,
    changes: &Changes,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let places: std::collections::BTreeSet<&String> = plain.keys().chain(seen.keys()).collect();
    for place in places {
        let volatile = VOLATILE.iter().any(|name| place == name || name.ends_with('.') && place.starts_with(name));
        let volatile = volatile || is_of_another_story(place, yard);
        let changed = plain.get(place) != seen.get(place);
        if changed && !volatile && !changes.iter().any(|(pattern, _)| covers(pattern, place)) {
            wrong.push(format!("{flags} changes {place} from {:?} to {:?}", plain.get(place), seen.get(place)));
        }
        // The most exact row about a place says what must be there.
        let exact =
            changes.iter().filter(|(pattern, _)| covers(pattern, place)).max_by_key(|(pattern, _)| pattern.len());
        let outcome = seen.get(place);
        match (always(place), exact) {
            (Some(fine), _) if outcome.is_some_and(|outcome| !fine.iter().any(|fine| outcome == fine)) => {
                wrong.push(format!("{flags}: {place} is {outcome:?}, and may be {fine:?}"));
            }
            (Some(_), _) => {}
            (None, Some((_, Expected::Is(value)))) if outcome != Some(value) => {
                wrong.push(format!("{flags} should make {place} {value}, it is {outcome:?}"));
            }
            _ => {}
        }
    }
    for (pattern, expected) in changes {
        let there = seen.keys().any(|place| covers(pattern, place));
        if matches!(expected, Expected::Is(_)) && !there {
            wrong.push(format!("{flags}: nothing is reported about {pattern}"));
        }
    }
    wrong
}

fn each_option_alone(caller: Caller) {
    if !is_root("walls and other users") {
        return;
    }
    let yard = Yard::new(caller);
    let report = yard.probe(&[]);
    let plain = leaves(&report);
    assert_eq!(report["fds"], json!([0, 1, 2]), "{report:#}");
    let mut wrong = Vec::new();
    for (flags, changes) in rows(&yard, &report) {
        let seen = leaves(&yard.probe(&words(&flags)));
        wrong.extend(wrongs(&yard, &flags, &plain, &seen, &changes));
    }
    assert!(wrong.is_empty(), "{caller:?}:\n{}", wrong.join("\n"));
}

#[test]
fn an_option_does_what_it_says_and_nothing_else_for_root() {
    each_option_alone(Caller::Root);
}

#[test]
fn an_option_does_what_it_says_and_nothing_else_for_an_ordinary_user() {
    each_option_alone(Caller::Nobody);
}
