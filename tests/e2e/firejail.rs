//! Walls built by firejail: each option as it is seen from inside, for root and for a service's account.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::{Home, Output, SOON, binary, copy_program, is_root, kill, testapp, wait_until};

/// An account of every Debian, whose login shell lets nobody in.
const ACCOUNT: &str = "daemon";

/// Runs a shell script behind firejail, with these flags.
type Inside<'home> = Box<dyn Fn(&[&str], &str) -> Output + 'home>;

/// What is run as whom: as root; as an ordinary user, by root; by an ordinary user.
fn callers(home: &Home) -> Vec<(&'static str, Inside<'_>)> {
    let daemonrun = |flags: &[&str], script: &str| -> Vec<String> {
        let before = ["--sandbox=firejail"];
        let command = ["--", "sh", "-c", script];
        let all = before.iter().chain(flags).chain(&command);
        all.map(|word| (*word).to_owned()).collect()
    };
    let by_root = move |home: &Home, flags: &[&str], script: &str| home.daemonrun(daemonrun(flags, script));
    let by_user = move |home: &Home, flags: &[&str], script: &str| {
        let ids = [format!("--reuid={ACCOUNT}"), format!("--regid={ACCOUNT}"), "--clear-groups".to_owned()];
        let own = binary("daemonrun").to_string_lossy().into_owned();
        let line = ids.into_iter().chain([own]).chain(daemonrun(flags, script));
        let mut command: Command = home.program("/usr/bin/setpriv".as_ref(), line);
        command.env("HOME", "/");
        home.finish(command)
    };
    vec![
        ("root", Box::new(move |flags, script| by_root(home, flags, script))),
        (
            "user by root",
            Box::new(move |flags, script| {
                let user = format!("--user={ACCOUNT}");
                let flags: Vec<&str> = std::iter::once(&*user).chain(flags.iter().copied()).collect();
                by_root(home, &flags, script)
            }),
        ),
        ("user", Box::new(move |flags, script| by_user(home, flags, script))),
    ]
}

fn status(output: &Output, field: &str) -> String {
    let line = output.stdout.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field}: {output}")).trim().to_owned()
}

#[test]
fn each_wall_is_seen_from_inside() {
    if !is_root("another user") {
        return;
    }
    let home = Home::new();
    let hidden = home.base().join("hidden");
    fs::create_dir(&hidden).unwrap();
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(hidden.join("secret"), "secret").unwrap();
    let writable = home.base().join("writable");
    fs::create_dir(&writable).unwrap();
    fs::set_permissions(&writable, fs::Permissions::from_mode(0o777)).unwrap();
    let (keep, hide) = (format!("--keep={}", home.base().display()), format!("--hide={}", hidden.display()));
    let readonly = format!("--readonly-paths=/etc:{}", writable.display());
    let marker = home.base().file_name().unwrap().to_string_lossy().into_owned();
    for (who, inside) in callers(&home) {
        let uid = if who == "root" { "0\n" } else { "1\n" };
        assert_eq!(inside(&[], "id -u; exit 0").ok().stdout, uid, "{who}");

        let new = format!("/tmp/{marker}.new");
        let script = format!("ls -A /tmp /var/tmp; touch {new} /var{new}");
        let tmp = inside(&["--private-tmp", &keep], &script).ok();
        assert_eq!(tmp.stdout, format!("/tmp:\n{marker}\n\n/var/tmp:\n"), "{who}: {tmp}");
        assert!(!PathBuf::from(&new).exists() && !PathBuf::from(format!("/var{new}")).exists());

        let dev = inside(&["--private-dev"], "ls /dev; test -b /dev/vda && echo block; echo x > /dev/null").ok();
        let names: Vec<&str> = dev.stdout.split_whitespace().collect();
        assert!(
            ["null", "zero", "full", "random", "urandom", "tty", "pts", "shm"].iter().all(|name| names.contains(name)),
            "{dev}"
        );
        let others = [
            "fd", "ptmx", "stdin", "stdout", "stderr", "null", "zero", "full", "random", "urandom", "tty", "pts",
            "shm", "log", "core",
        ];
        assert!(names.iter().all(|name| others.contains(name)), "{who}: {dev}");

        let net = inside(&["--no-network"], "cut -d: -f1 /proc/net/dev | tail -n +3; cat /proc/net/route | wc -l").ok();
        assert_eq!(net.stdout.split_whitespace().collect::<Vec<_>>(), ["lo", "1"], "{who}: {net}");

        let script = format!("touch /etc/x {}/x; umount /etc", writable.display());
        let read = inside(&[&readonly], &script);
        assert_eq!(read.stderr.matches("Read-only file system").count(), 2, "{who}: {read}");
        assert!(fs::read_dir(&writable).unwrap().next().is_none(), "{who}");

        let script = format!("cat {}/secret", hidden.display());
        inside(&[], &script).ok().says("secret");
        assert_eq!(inside(&[&hide], &script).stdout, "", "{who}");
    }
}

#[test]
fn privileges_are_given_up_inside() {
    if !is_root("another user") {
        return;
    }
    let home = Home::new();
    const SHOW: &str = "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status";
    for (who, inside) in callers(&home) {
        let plain = inside(&[], SHOW).ok();
        assert_eq!((status(&plain, "NoNewPrivs").as_str(), status(&plain, "Seccomp").as_str()), ("0", "0"), "{who}");

        let none = inside(&["--caps-drop=all"], SHOW).ok();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status(&none, set), "0000000000000000", "{who} {set}: {none}");
        }
        assert_eq!(status(&none, "NoNewPrivs"), "1", "{who}");

        let kept = inside(&["--caps-keep=chown,CAP_KILL", "--caps-drop=all"], SHOW).ok();
        assert_eq!(status(&kept, "CapBnd"), "0000000000000021", "{who}: {kept}");
        let effective = if who == "root" { "0000000000000021" } else { "0000000000000000" };
        assert_eq!(status(&kept, "CapEff"), effective, "{who}: {kept}");

        let dropped = inside(&["--caps-drop=chown"], SHOW).ok();
        assert!(status(&dropped, "CapBnd").ends_with('e'), "{who}: {dropped}");

        let filtered = inside(&["--seccomp"], &format!("{SHOW}; mount -t tmpfs none /mnt && echo mounted"));
        assert_eq!(
            (status(&filtered, "NoNewPrivs").as_str(), status(&filtered, "Seccomp").as_str()),
            ("1", "2"),
            "{who}"
        );
        filtered.never_says("mounted");

        let promised = inside(&["--config-override=security.no_new_privs=true"], SHOW).ok();
        assert_eq!(status(&promised, "NoNewPrivs"), "1", "{who}");
    }
}

#[test]
fn what_is_ours_stays_ours() {
    if !is_root("another user") {
        return;
    }
    let home = Home::new();
    for (who, inside) in callers(&home) {
        let flags = ["--umask=027", "--file-limit=333", "--nice=5", "--env=COLOUR=red"];
        let output = inside(&flags, "umask; ulimit -n; nice; echo $COLOUR; pwd").ok();
        assert_eq!(output.stdout, format!("0027\n333\n5\nred\n{}\n", home.root().display()), "{who}");
    }
}

#[test]
fn nothing_of_the_command_is_taken_for_an_option() {
    let home = Home::new();
    let words =
        ["--sandbox=firejail", "--", "echo", "--output=/x", "a b", "$HOME", "'", "\"", "", "*", "--", "--private"];
    let output = home.daemonrun(words).ok();
    assert_eq!(output.stdout, "--output=/x a b $HOME ' \"  * -- --private\n");
    // A command whose name begins as an option does.
    let dir = home.root().join("--private");
    fs::create_dir(&dir).unwrap();
    copy_program(Path::new("/bin/echo"), &dir.join("-x"), 0o755);
    assert_eq!(home.daemonrun(["--sandbox=firejail", "--", "--private/-x", "hello"]).ok().stdout, "hello\n");
    home.daemonrun(["--sandbox=firejail", "--", "no-such-program"]).exits(127).explains("no such command in PATH");
    home.daemonrun(["--sandbox=firejail", "--", "/etc/passwd"]).exits(126).explains("cannot run /etc/passwd");
    let paths = ["--sandbox=firejail", "--readonly-paths=/etc,/usr\n--profile=x", "--", "true"];
    home.daemonrun(paths).exits(116).explains("it does not take a name with a control character");
    home.daemonrun(["--sandbox=firejail", "--readonly-paths=/no/such/dir", "--", "true"])
        .exits(116)
        .explains("/no/such/dir");
}

#[test]
fn a_profile_is_firejails_own() {
    let home = Home::new();
    let profile = home.base().join("web.profile");
    fs::write(&profile, "read-only /etc\nenv FROM_PROFILE=yes\n").unwrap();
    let flag = format!("--sandbox-profile={}", profile.display());
    let output = home.daemonrun(["--sandbox=firejail", &flag, "--", "sh", "-c", "echo $FROM_PROFILE; touch /etc/x"]);
    let output = output.says("yes\n").explains("Read-only file system");
    assert_ne!(output.code(), 0);
    for sandbox in ["--sandbox=none", "--sandbox=unshare"] {
        home.daemonrun([sandbox, &flag, "--", "true"]).exits(100).explains("it is a profile for firejail");
    }
    home.daemonrun(["--sandbox=firejail", "--sandbox-profile=/no/such.profile", "--", "true"]).exits(116);
    let seccomp = ["--sandbox=firejail", "--seccomp", "--seccomp-profile=/etc/x.json", "--", "true"];
    home.daemonrun(seccomp).exits(122).explains("not a JSON profile");
}

#[test]
fn without_firejail_nothing_runs() {
    let home = Home::new();
    let started = home.root().join("started");
    let line = ["--sandbox=firejail", "--", "/bin/sh", "-c", "echo > started"];
    let missing = |args: &[&str]| {
        let mut command = home.program(&binary("daemonrun"), args);
        command.env("PATH", "/no/such/place");
        home.finish(command)
    };
    for mode in ["-F", "-d", "--quiet"] {
        let output = missing(&[&[mode], &line[..]].concat()).exits(116);
        output.explains("cannot set up firejail: it is not installed").explains("apt install firejail");
    }
    assert!(!started.exists());
    missing(&[&["--force"], &line[..]].concat()).ok().explains("warning: cannot set up firejail");
    assert!(started.exists());

    let app = home.app("web").run_script("exec sleep 1000").conf("sandbox.type = 'firejail'");
    let mut start = home.command(["start", "web"]);
    start.env("PATH", "/no/such/place");
    let output = home.finish(start);
    assert_ne!(output.code(), 0);
    output.explains("firejail: it is not installed");
    assert!(app.processes().is_empty());
}

#[test]
fn an_app_behind_firejail_is_started_and_stopped_with_all_it_has() {
    if !is_root("another user") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").behaves("fork-setsid 2");
    app.conf(&format!("sandbox.type = 'firejail'\nsandbox.private_dev = true\nsecurity.user = '{ACCOUNT}'"));
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("ready");
    let main = app.status().main_pid();
    assert!(crate::support::process(main).is_some_and(|one| one.comm == "firejail"), "the main process is firejail");
    home.ctl(["stop", "web"]).ok();
    app.wait_until_gone();
    home.wait_until_none_runs("fork-setsid");

    // Killed as nobody can see coming: the kernel takes the whole sandbox with it.
    home.ctl(["start", "web"]).ok();
    wait_until("it is ready again", SOON, || match app.log().matches("ready").count() {
        2 => Ok(()),
        seen => Err(seen.to_string()),
    });
    kill(app.status().main_pid(), Signal::SIGKILL);
    app.wait_until_gone();
    home.wait_until_none_runs("fork-setsid");
}

#[test]
fn exit_codes_pass_through_firejail_as_far_as_it_lets_them() {
    let home = Home::new();
    let app = testapp().to_string_lossy().into_owned();
    home.daemonrun(["--sandbox=firejail", "--", &app, "exit", "7"]).exits(7);
    home.daemonrun(["--sandbox=firejail", "--", &app, "signal", "11"]).exits(139);
    home.daemonrun(["-F", "--sandbox=firejail", "--", &app, "exit", "7"]).exits(7);
    // Asked to end, firejail ends with 143, whatever the command has made of it.
    let line = ["-F", "--sandbox=firejail", "--", &*app, "slow-term", "50", "7"];
    let parent = home.begin(home.program(&binary("daemonrun"), line));
    parent.wait_for_output("ready\n");
    parent.signal(Signal::SIGTERM);
    parent.wait().exits(143);
    home.wait_until_none_runs("slow-term");
    let limited = ["-F", "--timeout=300ms", "-k1s", "--sandbox=firejail", "--", &*app, "ignore-term"];
    home.daemonrun(limited).exits(124);
    home.wait_until_none_runs("ignore-term");
}
