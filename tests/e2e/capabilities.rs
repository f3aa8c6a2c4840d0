//! What root may do, taken away in pieces: what is left to an app, and that no program gives it back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{Home, Output, binary, copy_program, is_root};

/// The lines of /proc/PID/status about privileges: the five sets, NoNewPrivs, Uid.
#[derive(Debug, PartialEq)]
struct Privileges(BTreeMap<String, String>);

impl Privileges {
    #[track_caller]
    fn of(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(":\t"));
        let kept = lines.filter(|(key, _)| key.starts_with("Cap") || ["NoNewPrivs", "Uid"].contains(key));
        let found = Self(kept.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect());
        assert_eq!(found.0.len(), 7, "{text}");
        found
    }

    fn set(&self, name: &str) -> u64 {
        u64::from_str_radix(&self.0[&format!("Cap{name}")], 16).expect("a set")
    }

    /// Bounding, permitted, effective, inheritable, ambient.
    fn sets(&self) -> [u64; 5] {
        ["Bnd", "Prm", "Eff", "Inh", "Amb"].map(|name| self.set(name))
    }

    fn no_new_privs(&self) -> bool {
        self.0["NoNewPrivs"] == "1"
    }
}

const STATUS: [&str; 2] = ["/bin/cat", "/proc/self/status"];

/// The launcher with these flags, becoming this command.
fn launch(home: &Home, flags: &[&str], command: &[&str]) -> Output {
    home.finish(home.program(&binary("daemonrun"), [flags, &["--"], command].concat()))
}

/// The same, started by an ordinary user.
fn launch_as_nobody(home: &Home, before: &[&str], flags: &[&str], command: &[&str]) -> Output {
    let daemonrun = binary("daemonrun");
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let words = [&user, before, &[daemonrun.to_str().expect("a path")], flags, &["--"], command].concat();
    home.finish(home.program(Path::new("/usr/bin/setpriv"), words))
}

fn own() -> Privileges {
    Privileges::of(&fs::read_to_string("/proc/self/status").expect("the own status"))
}

const BIND: u64 = 1 << 10;
const RAW: u64 = 1 << 13;

#[test]
fn every_set_is_as_asked_for_every_kind_of_identity() {
    if !is_root("taking capabilities") {
        return;
    }
    let home = Home::new();
    let all = own().set("Bnd");
    assert_eq!(all & (BIND | RAW), BIND | RAW, "this machine lacks what the test takes away");
    let user = "--user=nobody";
    let group = "--group-id=nogroup";
    let (drop_all, drop_raw, keep) = ("--caps-drop=all", "--caps-drop=NET_RAW", "--caps-keep=cap_net_bind_service");
    let less = all & !RAW;
    let expected: [(&[&str], [u64; 5]); 13] = [
        (&[], [all, all, all, 0, 0]),
        (&[user], [all, 0, 0, 0, 0]),
        (&[drop_all], [0; 5]),
        (&[drop_raw], [less, less, less, 0, 0]),
        (&[keep], [BIND, BIND, BIND, 0, 0]),
        (&[keep, drop_all], [BIND, BIND, BIND, 0, 0]),
        (&[user, drop_all], [0; 5]),
        (&[user, drop_raw], [less, 0, 0, 0, 0]),
        (&[user, keep], [BIND; 5]),
        (&[user, group, keep, drop_all], [BIND; 5]),
        (&[user, "--caps-keep=all", drop_raw], [less; 5]),
        (&[group, drop_raw], [less, less, less, 0, 0]),
        (&["--user=root", keep], [BIND, BIND, BIND, 0, 0]),
    ];
    for (flags, sets) in expected {
        let seen = Privileges::of(&launch(&home, flags, &STATUS).ok().stdout);
        assert_eq!(seen.sets(), sets, "{flags:?}: {seen:#?}");
        let asked = flags.iter().any(|flag| flag.contains("caps"));
        assert_eq!(seen.no_new_privs(), asked, "{flags:?}");
        let uid = if flags.contains(&user) { "65534" } else { "0" };
        assert_eq!(seen.0["Uid"], [uid; 4].join("\t"), "{flags:?}");
    }
    // A second exec, by a shell, changes nothing.
    let again = launch(&home, &[user, keep], &["/bin/sh", "-c", "/bin/cat /proc/self/status"]).ok();
    assert_eq!(Privileges::of(&again.stdout).sets(), [BIND; 5]);
}

/// A copy of cat that belongs to root and is setuid, in a place where that counts; removed when dropped.
struct SetUid(PathBuf, #[allow(dead_code, reason = "holds the directory")] tempfile::TempDir);

impl SetUid {
    fn new() -> Self {
        let places = [std::env::temp_dir(), binary("daemonctl").parent().expect("a directory").to_owned()];
        let counts = |place: &PathBuf| {
            let flags = nix::sys::statvfs::statvfs(place).expect("a file system").flags();
            !flags.contains(nix::sys::statvfs::FsFlags::ST_NOSUID)
        };
        let place = places.iter().find(|place| counts(place)).expect("a file system without nosuid");
        let dir = tempfile::Builder::new().prefix("daemonctl-e2e-suid-").tempdir_in(place).expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let file = dir.path().join("cat");
        copy_program(Path::new("/bin/cat"), &file, 0o4755);
        Self(file, dir)
    }
}

#[test]
fn a_setuid_program_gives_nothing_back() {
    if !is_root("a setuid program of root") {
        return;
    }
    let (home, cat) = (Home::new(), SetUid::new());
    let command = [cat.0.to_str().expect("a path"), "/proc/self/status"];
    let user = "--user=nobody";
    let gains = Privileges::of(&launch(&home, &[user], &command).ok().stdout);
    assert_eq!(gains.0["Uid"], "65534\t0\t0\t0", "the program does become root where nothing forbids it");
    for flag in ["--caps-drop=all", "--caps-drop=chown", "--config-override=security.no_new_privs=true"] {
        let seen = Privileges::of(&launch(&home, &[user, flag], &command).ok().stdout);
        assert_eq!(seen.0["Uid"], "65534\t65534\t65534\t65534", "{flag}");
        assert_eq!((seen.set("Eff"), seen.set("Prm")), (0, 0), "{flag}");
        assert!(seen.no_new_privs(), "{flag}");
    }
    // Nor does a program of root's own: the bounding set is all it can get.
    let seen = Privileges::of(&launch(&home, &["--caps-drop=all"], &command).ok().stdout);
    assert_eq!(seen.sets(), [0; 5]);
}

#[test]
fn an_ordinary_user_can_give_up_and_cannot_get() {
    if !is_root("becoming an ordinary user") {
        return;
    }
    let home = Home::new();
    let seen = Privileges::of(&launch_as_nobody(&home, &[], &["--caps-drop=all"], &STATUS).ok().stdout);
    assert_eq!(seen.sets()[1..], [0; 4], "{seen:?}");
    assert!(seen.no_new_privs());
    let refused = launch_as_nobody(&home, &[], &["--caps-keep=net_bind_service"], &STATUS);
    refused.exits(117).explains("cannot keep cap_net_bind_service: whoever launches the app has not got it");
    let forced = launch_as_nobody(&home, &[], &["--force", "--caps-keep=net_bind_service"], &STATUS).ok();
    assert_eq!(Privileges::of(&forced.stdout).sets()[1..], [0; 4]);
    forced.explains("it runs without");
    // Whoever has cap_setpcap, as in a user namespace of its own, shrinks the bounding set too.
    let inside = ["unshare", "--user", "--map-current-user", "--keep-caps"];
    let seen = launch_as_nobody(&home, &inside, &["--caps-keep=net_bind_service"], &STATUS).ok();
    assert_eq!(Privileges::of(&seen.stdout).sets(), [BIND; 5]);
    let seen = launch_as_nobody(&home, &inside, &["--caps-drop=net_raw"], &STATUS).ok();
    assert_eq!(Privileges::of(&seen.stdout).set("Bnd") & RAW, 0);
}

#[test]
fn an_app_has_what_its_configuration_leaves_it() {
    if !is_root("leaving a capability to a user") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").run_script("cat /proc/$$/status; echo; echo done; exec sleep 1000");
    app.conf("security.user = 'nobody'\nsecurity.capabilities_keep = ['NET_BIND_SERVICE']");
    home.ctl(["start", "web"]).ok();
    let seen = Privileges::of(&app.wait_for_output("done"));
    assert_eq!(seen.sets(), [BIND; 5]);
    assert!(seen.no_new_privs());
}

#[test]
fn what_cannot_be_meant_does_not_start() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    for (conf, words) in [
        ("capabilities_drop = ['net_rwa']", "\"net_rwa\" is not a capability: did you mean cap_net_raw?"),
        ("capabilities_drop = ['chown']\nsecurity.capabilities_keep = ['CAP_CHOWN']", "cap_chown is to be dropped and"),
        ("no_new_privs = false\nsecurity.capabilities_drop = ['all']", "false would undo security.capabilities_drop"),
    ] {
        app.conf(&format!("security.{conf}\n"));
        let output = home.ctl(["start", "web"]);
        assert_ne!(output.code(), 0, "{output}");
        output.explains(words).explains("conf.toml:1");
    }
    assert!(app.processes().is_empty());
}
