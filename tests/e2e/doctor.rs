//! What `doctor` says is what a start would do.

use std::path::Path;

use serde_json::Value;

use crate::support::{Home, Output, binary, groups, is_root};

/// The verdicts, by name.
fn verdict(report: &Output, name: &str) -> (String, String) {
    let report: Value = serde_json::from_str(&report.stdout).expect("JSON");
    assert_eq!(report["schema_version"], 1);
    let findings = report["findings"].as_array().expect("findings").clone();
    let finding = findings.iter().find(|finding| finding["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    (text("verdict"), text("detail"))
}

/// Options, and what asks for them on a launcher's command line.
const OPTIONS: [(&str, &[&str]); 12] = [
    ("security.user", &["--user=nobody"]),
    ("limits.memory_limit", &["--memory-limit=256M"]),
    ("limits.cpu_limit", &["--cpu-limit=50"]),
    ("limits.process_limit", &["--proc-limit=1000"]),
    ("limits.file_limit", &["--file-limit=256"]),
    ("process.priority", &["--nice=-1"]),
    ("security.capabilities_drop", &["--caps-drop=all"]),
    ("sandbox.private_tmp", &["--private-tmp"]),
    ("sandbox.private_dev", &["--private-dev"]),
    ("sandbox.no_network", &["--no-network"]),
    ("sandbox.seccomp", &["--seccomp"]),
    ("sandbox.type = firejail", &["--sandbox=firejail"]),
];

#[test]
fn what_it_says_is_what_a_launch_does() {
    let home = Home::new();
    let report = home.ctl(["doctor", "--json"]).ok();
    for (name, flags) in OPTIONS {
        // For who is nobody already there is nothing to find out.
        if name == "security.user" && !is_root("another account") {
            continue;
        }
        let launched = home.finish(home.program(&binary("daemonrun"), flags.iter().chain(&["true"])));
        let (verdict, detail) = verdict(&report, name);
        assert_eq!(verdict != "no", launched.status.success(), "{name}: {verdict}: {detail}");
    }
    home.ctl(["doctor"]).ok().says("sandbox.private_tmp").says("limits.cpu_limit");
    assert!(groups::called(&["daemonctl-doctor".to_owned()]).is_empty());
}

#[test]
fn what_is_taken_away_is_missed_and_the_cause_is_named() {
    if !is_root("a limit of namespaces") {
        return;
    }
    let home = Home::new();
    // In a user namespace of its own, a limit of none hurts nobody else.
    let taken = r#"echo 0 > /proc/sys/user/max_user_namespaces
        mount -t tmpfs none /sys/fs/cgroup
        exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "$@""#;
    let words = ["--user", "--map-root-user", "--mount", "sh", "-ec", taken, "sh"];
    let mut command = home.program(Path::new("unshare"), words);
    command.arg(binary("daemonctl")).args(["doctor", "--json"]);
    let report = home.finish(command).ok();
    for (name, expected, why) in [
        ("sandbox.private_tmp", "no", "user.max_user_namespaces is 0"),
        ("sandbox.no_network", "no", "user.max_user_namespaces is 0"),
        ("limits.cpu_limit", "no", "/sys/fs/cgroup/cpu cannot be written"),
        ("limits.memory_limit", "partly", "RLIMIT_AS"),
        ("security.capabilities_drop", "yes", ""),
    ] {
        let (verdict, detail) = verdict(&report, name);
        assert_eq!(verdict, expected, "{name}: {detail}");
        assert!(detail.contains(why), "{name}: {detail}");
    }
}
