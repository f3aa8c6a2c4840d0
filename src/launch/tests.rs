//! A launch as a whole: against a recording system, and for real.
//!
//! For real means that this test program starts itself, runs the launcher in the place of a test, and so becomes
//! another program. Tests that change identity run as root only; they pass over themselves otherwise.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::unistd::Uid;
use proptest::prelude::*;

use super::apply::{Manner, carry_out};
use super::environment::Vars;
use super::facts::Facts;
use super::fake::Fake;
use super::options::{self, Request};
use super::plan::{Action, PLAIN, Step, explain, plan};
use super::report::{Report, StepName, Word};
use super::spawn::{GATE, GO, LaunchSpec};

fn request(flags: &[&str], gate: bool) -> Request {
    let words = flags.iter().copied().chain(["--", "/srv/web/run", "--port", "80"]);
    options::parse(words.map(OsString::from).collect(), gate).unwrap_or_else(|refusal| panic!("{flags:?}: {refusal:?}"))
}

fn steps(flags: &[&str], gate: bool) -> Vec<Step> {
    let Request { options, extras, .. } = request(flags, gate);
    plan(&options, &extras, &Facts::default()).unwrap().steps
}

fn vars<const N: usize>(vars: [(&str, &str); N]) -> Vars {
    vars.map(|(key, value)| (key.into(), value.into())).into()
}

/// Carries out what is asked for, with this environment to begin with.
fn carry(sys: &mut Fake, request: &Request, start: Vars) -> Report {
    let plan = plan(&request.options, &request.extras, &Facts::default()).unwrap();
    let manner = Manner { force: false, warn: &mut |warning| panic!("{warning}") };
    carry_out(sys, plan.steps.iter().map(|step| &step.action), &request.command, start, manner)
}

/// The same, of flags under a supervisor.
fn launch(sys: &mut Fake, flags: &[&str], start: Vars) -> Report {
    carry(sys, &request(flags, true), start)
}

/// Every flag that a plan knows.
const FULL: &[&str] = &[
    "--user=web",
    "--group-id=www",
    "--env-file=/no/env",
    "--file-limit=4096",
    "--core-limit=0",
    "--stack-limit=unlimited",
    "--nice=-5",
    "--config-override=process.oom_score_adj=-100",
    "--umask=077",
    "--chdir=/srv",
    "--env-script=/srv/env.sh",
];

#[test]
fn without_options_a_launch_does_little() {
    let actions: Vec<_> = steps(&[], true).into_iter().map(|step| step.action).collect();
    let expected = [
        Action::Inherit { clear: false, strip: false },
        Action::NewSession { or_stay: false },
        Action::Streams,
        Action::Umask(0o22),
        Action::CloseOnExec,
        Action::DefaultSignals,
        Action::Exec,
    ];
    assert_eq!(actions, expected);
}

#[test]
fn the_plan_that_is_written_out_is_the_one_that_would_be_made() {
    let actions: Vec<_> = steps(&[], false).into_iter().map(|step| step.action).collect();
    assert_eq!(actions, PLAIN);
}

#[test]
fn a_launch_asks_the_system_for_what_was_planned_and_for_nothing_else() {
    let mut sys = Fake::default();
    launch(&mut sys, FULL, Vars::new());
    let expected = [
        "setsid",
        "setrlimit OpenFiles 4096 4096",
        "setrlimit Core 0 0",
        "setrlimit Stack 18446744073709551615 18446744073709551615",
        "setpriority -5",
        "write /proc/self/autogroup -5",
        "write /proc/self/oom_score_adj -100",
        "stdin /dev/null",
        "pipe 1 1000",
        "pipe 2 1000",
        "umask 77",
        "setgroups [2000]",
        "setresgid 2000",
        "setresuid 1000",
        "setuid 0",
        "chdir /srv",
        "source /srv/env.sh",
        "close_range",
        "signals",
        "exec /srv/web/run",
    ];
    assert_eq!(sys.calls, expected);
}

#[test]
fn whatever_fails_nothing_happens_after_it() {
    let mut whole = Fake::default();
    launch(&mut whole, FULL, Vars::new());
    for (at, call) in whole.calls.iter().enumerate() {
        // These cannot fail, or are meant to.
        if ["umask 77", "setuid 0"].contains(&call.as_str()) {
            continue;
        }
        let mut sys = Fake { fails: Some((at, Errno::EIO)), ..Fake::default() };
        let report = launch(&mut sys, FULL, Vars::new());
        assert_eq!(sys.calls.len(), at + 1, "after {call}: {:?}", sys.calls);
        let exec = call.starts_with("exec");
        assert!(exec || report.message().ends_with("I/O error"), "{call}: {report}");
        assert_eq!(report.step() == StepName::Exec, exec, "{call}: {report}");
    }
}

#[test]
fn a_wrong_name_is_found_before_anything_is_changed() {
    for flags in [["--user=nobody-here", "--nice=1"], ["--group-id=nobody-here", "--nice=1"]] {
        let mut sys = Fake::default();
        let report = launch(&mut sys, &flags, Vars::new());
        assert_eq!(report.step(), StepName::Accounts);
        assert_eq!(sys.calls, Vec::<String>::new());
    }
}

proptest! {
    #[test]
    fn every_plan_keeps_the_order(chosen in proptest::sample::subsequence(FULL, 0..=FULL.len()), gate: bool) {
        let plan = steps(&chosen, gate);
        let at = |wanted: fn(&Action) -> bool| plan.iter().position(|step| wanted(&step.action));
        let identity = at(|action| matches!(action, Action::TakeIdentity { .. }));
        let by_root = [StepName::Limits, StepName::Nice, StepName::OomScore, StepName::Streams, StepName::EnvFiles];
        let by_user = [StepName::Directory, StepName::EnvScript];
        for (position, step) in plan.iter().enumerate() {
            if let Some(identity) = identity {
                prop_assert!(!by_root.contains(&step.name) || position < identity);
                prop_assert!(!by_user.contains(&step.name) || position > identity);
            }
            prop_assert_eq!(step.action == Action::Exec, position + 1 == plan.len());
            prop_assert!(!step.why.is_empty());
        }
        // What is taken away is taken away after its last use.
        let close = at(|action| *action == Action::CloseOnExec).unwrap();
        prop_assert_eq!(close + 3, plan.len());
        // A user is looked up exactly when it will be taken.
        prop_assert_eq!(at(|action| matches!(action, Action::LookUp { .. })).is_some(), identity.is_some());
        prop_assert_eq!(explain(&plan, "x").lines().count(), 2 * plan.len());
    }
}

#[test]
fn the_latest_layer_of_the_environment_wins() {
    let start = vars([
        ("INHERITED", "start"),
        ("FROM_SCRIPT", "start"),
        ("FROM_FILE", "start"),
        ("FIXED", "start"),
        ("HOME", "/root"),
        ("PWD", "/root"),
    ]);
    let mut sys = Fake { file: b"FROM_FILE=file\nFIXED=file\nADDED=file".to_vec(), ..Fake::default() };
    let flags = [FULL, &["--env=FIXED", "--env=GIVEN=here", "--env=UNSET"]].concat();
    launch(&mut sys, &flags, start);
    let expected = [
        "ADDED=file",
        "FIXED=start",
        "FROM_FILE=file",
        "FROM_SCRIPT=script",
        "GIVEN=here",
        "HOME=/home/web",
        "INHERITED=start",
        "LOGNAME=web",
        "PWD=/srv",
        "SHELL=/bin/sh",
        "USER=web",
    ];
    assert_eq!(sys.ran.1, expected);
    assert_eq!(sys.ran.0, ["/srv/web/run", "--port", "80"]);
}

#[test]
fn a_clear_environment_keeps_what_is_named() {
    let start =
        vars([("PATH", "/bin"), ("TERM", "xterm"), ("SECRET", "x"), ("APPDEPLOY_APP_NAME", "web"), ("OTHER", "y")]);
    let mut sys = Fake::default();
    launch(&mut sys, &["--clear-env", "--env=SECRET"], start);
    assert_eq!(sys.ran.1, ["APPDEPLOY_APP_NAME=web", "PATH=/bin", "SECRET=x", "TERM=xterm"]);
}

#[test]
fn alone_a_launcher_does_not_hand_on_what_steers_loaders() {
    let start = || vars([("LD_PRELOAD", "/x.so"), ("SSH_TTY", "/dev/pts/1"), ("A", "1")]);
    for (gate, expected) in [(false, vec!["A=1"]), (true, vec!["A=1", "LD_PRELOAD=/x.so", "SSH_TTY=/dev/pts/1"])] {
        let (mut sys, request) = (Fake::default(), request(&[], gate));
        carry(&mut sys, &request, start());
        assert_eq!(sys.ran.1, expected);
    }
}

#[test]
fn a_mistake_in_an_environment_file_is_told_with_its_line() {
    let mut sys = Fake { file: b"A=1\nB\n".to_vec(), ..Fake::default() };
    let report = launch(&mut sys, &["--env-file=/no/env"], Vars::new());
    assert_eq!(report.message(), "cannot read the environment file /no/env:2: it has no '=': each line is KEY=VALUE");
    assert_eq!(sys.calls, Vec::<String>::new());
}

#[test]
fn a_limit_above_the_hard_one_is_told_with_both_numbers() {
    let mut sys = Fake { fails: Some((1, Errno::EPERM)), ..Fake::default() };
    let report = launch(&mut sys, &["--file-limit=1000000"], Vars::new());
    assert_eq!(report.message(), "cannot raise the open file limit to 1000000: the hard limit is 20000");
    let report = launch(&mut Fake::default(), &["--stack-limit=4K"], Vars::new());
    assert_eq!(report.message(), "cannot set the stack limit to 4096: no program can start with less than 131072");
}

#[test]
fn the_supervisors_own_limit_is_undone_unless_another_is_set() {
    for (flags, expected) in [
        (&["--restore-nofile=1024:20000"][..], "setrlimit OpenFiles 1024 20000"),
        (&["--restore-nofile=1024:20000", "--file-limit=64"], "setrlimit OpenFiles 64 64"),
    ] {
        let mut sys = Fake::default();
        launch(&mut sys, flags, Vars::new());
        assert_eq!(sys.calls[1], expected);
    }
}

#[test]
fn a_job_of_a_shell_stays_in_its_session_and_a_supervised_app_does_not() {
    let denied = || Fake { fails: Some((0, Errno::EPERM)), leads: (false, true), ..Fake::default() };
    for (gate, step) in [(false, StepName::Exec), (true, StepName::Session)] {
        let (mut sys, request) = (denied(), request(&[], gate));
        let report = carry(&mut sys, &request, Vars::new());
        assert_eq!(report.step(), step);
    }
    let mut leader = Fake { leads: (true, true), ..denied() };
    assert_eq!(launch(&mut leader, &[], Vars::new()).step(), StepName::Exec);
    let mut group = Fake::default();
    launch(&mut group, &["--no-setsid"], Vars::new());
    assert_eq!(group.calls[0], "setpgid");
}

#[test]
fn a_busy_program_is_tried_again_for_a_while() {
    let mut sys = Fake { exec: vec![Errno::ETXTBSY, Errno::ETXTBSY, Errno::ECANCELED], ..Fake::default() };
    let report = launch(&mut sys, &[], Vars::new());
    assert_eq!(sys.calls.iter().filter(|call| call.starts_with("exec")).count(), 3);
    assert!(!report.retry());
    let mut sys = Fake { exec: vec![Errno::ETXTBSY], ..Fake::default() };
    let report = launch(&mut sys, &[], Vars::new());
    assert_eq!(report.message(), "cannot run /srv/web/run: it is open for writing");
    assert!(report.retry());
}

#[test]
fn a_name_is_looked_up_in_the_path_of_the_app() {
    let parse = |words: &[&str]| options::parse(words.iter().map(OsString::from).collect(), true).unwrap();
    let request = parse(&["--env=PATH=/one::/two", "prog"]);
    let mut sys = Fake { exec: vec![Errno::ENOENT], ..Fake::default() };
    let report = carry(&mut sys, &request, vars([("PATH", "/bin")]));
    assert_eq!(
        sys.calls.iter().filter(|call| call.starts_with("exec")).collect::<Vec<_>>(),
        ["exec /one/prog", "exec prog", "exec /two/prog"]
    );
    assert_eq!(report.message(), "cannot run prog: there is no such command in PATH");
    let mut sys = Fake { exec: vec![Errno::ENOENT], ..Fake::default() };
    assert_eq!(launch(&mut sys, &[], Vars::new()).message(), "cannot run /srv/web/run: /srv/web does not exist");
}

#[test]
fn what_follows_the_command_is_the_commands() {
    let parsed =
        options::parse(["--nice=1", "sleep", "--nice=2", "--", "-u"].map(OsString::from).to_vec(), false).unwrap();
    assert_eq!(parsed.command, ["sleep", "--nice=2", "--", "-u"]);
    assert_eq!(parsed.options.process.priority, 1);
}

#[test]
fn clap_finds_no_fault_with_the_command_line() {
    options::command().debug_assert();
}

// For real.

/// Not a story: the launcher in the place of a test program, which `real` enters with its arguments in a variable.
#[test]
fn the_launcher_itself() {
    let Ok(words) = std::env::var("DAEMONRUN_TEST") else { return };
    let words: Vec<String> = serde_json::from_str(&words).unwrap();
    super::main(words.into_iter().map(OsString::from));
}

/// What a supervisor would launch.
fn spec(flags: &[&str], command: &[&str]) -> LaunchSpec {
    let words = |words: &[&str]| words.iter().copied().map(str::to_owned).collect();
    LaunchSpec { flags: words(flags), command: words(command), environment: BTreeMap::new(), join: None }
}

/// The launcher of that, and the gate it will wait at.
fn launcher(spec: &LaunchSpec) -> (Command, UnixStream) {
    let words: Vec<_> = [GATE.to_owned()].into_iter().chain(spec.argv().into_iter().skip(1)).collect();
    let (gate, theirs) = UnixStream::pair().unwrap();
    let mut launcher = Command::new("/proc/self/exe");
    launcher
        .args(["--exact", "launch::tests::the_launcher_itself", "--nocapture"])
        .env("DAEMONRUN_TEST", serde_json::to_string(&words).unwrap())
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    (launcher, gate)
}

/// How a real launch ended.
enum Ended {
    /// The command ran: what it printed.
    Ran(String),
    /// A step failed.
    Failed(Report),
}

/// Launches a program with these flags behind a real gate.
fn real(flags: &[&str], command: &[&str]) -> Ended {
    let spec = spec(flags, command);
    let (mut launcher, mut gate) = launcher(&spec);
    let (mut output, stdout) = std::io::pipe().unwrap();
    let mut child = launcher.stdout(stdout).spawn().unwrap();
    drop(launcher);
    gate.write_all(&spec.orders().unwrap().line).unwrap();
    gate.write_all(&[GO]).unwrap();
    let (mut bytes, mut text) = (Vec::new(), String::new());
    gate.read_to_end(&mut bytes).unwrap();
    output.read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    match Word::decode(&bytes).unwrap().1 {
        Some(report) => Ended::Failed(report),
        // The test program has announced its test before it became the command.
        None => Ended::Ran(text.split_once("@\n").map(|(_, text)| text.to_owned()).unwrap_or(text)),
    }
}

#[track_caller]
fn shell(flags: &[&str], line: &str) -> String {
    match real(flags, &["/bin/sh", "-c", &format!("echo @; {line}")]) {
        Ended::Ran(text) => text,
        Ended::Failed(report) => panic!("{report}"),
    }
}

#[track_caller]
fn failure(flags: &[&str], command: &[&str]) -> Report {
    match real(flags, command) {
        Ended::Ran(text) => panic!("it ran: {text}"),
        Ended::Failed(report) => report,
    }
}

#[test]
fn an_app_finds_a_clean_process() {
    assert_eq!(shell(&[], "ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3 ", "3 is the directory that ls reads");
    assert_eq!(shell(&[], "readlink /proc/self/fd/0"), "/dev/null\n");
    // A session leader: pid, group and session are one.
    assert_eq!(shell(&[], "set -- $(cat /proc/$$/stat); [ $1 = $5 ] && [ $1 = $6 ] && echo leader"), "leader\n");
    // Asked by what the shell turns into: a shell blocks signals of its own while it starts another program.
    let signals = shell(&[], "exec grep -E '^Sig(Blk|Ign)' /proc/self/status");
    assert_eq!(signals.matches("0000000000000000").count(), 2, "{signals}");
    // The output pipe is open for reading too: a write into it never meets SIGPIPE.
    assert_eq!(shell(&[], "grep ^flags: /proc/$$/fdinfo/1").trim_start_matches("flags:\t").trim_end(), "0100002");
}

#[test]
fn options_are_seen_from_inside() {
    assert_eq!(shell(&["--umask=027"], "umask"), "0027\n");
    assert_eq!(shell(&["--file-limit=99", "--core-limit=0"], "ulimit -n; ulimit -Hn; ulimit -Hc"), "99\n99\n0\n");
    assert_eq!(shell(&["--stack-limit=1M"], "ulimit -s; ulimit -Hs"), "1024\n1024\n");
    assert_eq!(shell(&["--chdir=/usr/lib"], "pwd; echo $PWD"), "/usr/lib\n/usr/lib\n");
    assert_eq!(shell(&["--nice=7"], "set -- $(cat /proc/$$/stat); echo ${19}"), "7\n");
    if Path::new("/proc/self/autogroup").exists() {
        assert!(shell(&["--nice=7"], "cat /proc/$$/autogroup").ends_with("nice 7\n"));
    }
    let override_ = "--config-override=process.oom_score_adj=500";
    assert_eq!(shell(&[override_], "cat /proc/$$/oom_score_adj"), "500\n");
}

#[test]
fn failures_arrive_at_the_gate() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("run");
    fs::write(&script, "#!/usr/bin/pyhton3\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap();

    let report = failure(&[], &[script]);
    assert_eq!(report.message(), format!("cannot run {script}: its interpreter /usr/bin/pyhton3 does not exist"));
    assert_eq!(failure(&["--chdir=/nowhere"], &["true"]).message(), "cannot enter /nowhere: no such file or directory");
    assert_eq!(failure(&["--user=0day"], &["true"]).message(), "cannot set user 0day: no such user");
    let big = "x".repeat(45_000);
    let report = failure(&["--stack-limit=128K", &format!("--env=A={big}")], &["/bin/true", &big]);
    assert!(report.message().contains("are too large together"), "{report}");
}

#[test]
fn a_user_is_taken_completely() {
    if !Uid::effective().is_root() {
        return;
    }
    let status = shell(&["--user=nobody"], "grep -E '^(Uid|Gid|Groups|CapEff)' /proc/$$/status");
    let expected = "Uid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534\nGroups:\t65534 \nCapEff:\t0000000000000000\n";
    assert_eq!(status, expected);
    assert_eq!(shell(&["--user=nobody"], "echo $USER $LOGNAME $HOME"), "nobody nobody /nonexistent\n");
    // Only a group: the groups of root are gone, root is not.
    assert_eq!(shell(&["--group-id=nogroup"], "id -u; id -G"), "0\n65534\n");
    // Its output can be opened again by name.
    assert_eq!(shell(&["--user=nobody"], "echo again > /dev/stdout"), "again\n");

    let dir = tempfile::tempdir().unwrap();
    let closed = dir.path().to_str().unwrap();
    fs::set_permissions(closed, fs::Permissions::from_mode(0o700)).unwrap();
    let report = failure(&["--user=nobody", &format!("--chdir={closed}")], &["true"]);
    assert_eq!(report.message(), format!("cannot enter {closed}: permission denied"));
    let program = format!("{closed}/run");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    let report = failure(&["--user=nobody"], &[&program]);
    assert_eq!(report.message(), format!("cannot run {program}: {closed} may not be entered by user nobody"));
    fs::set_permissions(closed, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let report = failure(&["--user=nobody"], &[&program]);
    assert_eq!(report.message(), format!("cannot run {program}: it may not be executed by user nobody"));
}

#[test]
fn an_environment_script_runs_as_the_user() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = dir.path().join("env.sh");
    fs::write(&script, "WHO=$(id -un)\nB=$A.more\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let file = dir.path().join("env");
    fs::write(&file, "C='from file'\n").unwrap();
    let flags = [format!("--env-script={}", script.display()), format!("--env-file={}", file.display())];
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).chain(["--clear-env", "--env=A=a"]).collect();
    let who = if Uid::effective().is_root() {
        flags.push("--user=nobody");
        // Secrets may be root's: the file is read before the user is taken.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        "nobody"
    } else {
        &nix::unistd::User::from_uid(Uid::effective()).unwrap().unwrap().name
    };
    assert_eq!(shell(&flags, "echo $WHO; echo $B; echo $C; echo $A"), format!("{who}\n.more\nfrom file\na\n"));
}

#[test]
fn without_a_go_nothing_happens() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("made");
    let spec = spec(&[], &["/usr/bin/touch", file.to_str().unwrap()]);
    let orders = spec.orders().unwrap().line;
    // The supervisor dies before it has said anything, in the middle of a word, and just before it says go.
    for said in [&[], &orders[..20], &orders[..]] {
        let (mut launcher, mut gate) = launcher(&spec);
        let mut child = launcher.spawn().unwrap();
        drop(launcher);
        gate.write_all(said).unwrap();
        drop(gate);
        child.wait().unwrap();
        assert!(!file.exists());
    }
}
