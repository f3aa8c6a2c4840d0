//! Walls: what an app with `sandbox.type = unshare` finds inside, and that it finds no way out.
//!
//! Every story is told twice: of root, who needs no more than a mount namespace, and of an ordinary user, who takes a
//! user namespace. The probe is a script, as the app, that tries things and writes down how each ended: `ok`, the name
//! of the error, or what it saw.

use std::fs;
use std::net::UdpSocket;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::chown;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{AppDir, Home, Output, SOON, binary, copy_program, is_root, kill, wait_until};

/// The user id of `nobody`, who owns nothing.
const NOBODY: u32 = 65534;

/// Tries things, and writes down how they ended. `HERE` is the app's directory; `EXTRA` are lines of the story's own.
const PROBE: &str = r#"
import errno, json, os, socket, stat, sys, time, ctypes
HERE = os.environ["APPDEPLOY_APP_PATH"]
libc = ctypes.CDLL(None, use_errno=True)
seen = {}
def attempt(name, what):
    try:
        value = what()
        seen[name] = "ok" if value is None else value
    except OSError as error:
        seen[name] = errno.errorcode[error.errno]
def call(name, *arguments):
    def it():
        if getattr(libc, name)(*arguments) != 0:
            raise OSError(ctypes.get_errno(), name)
    return it
def touch(path):
    return lambda: os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
def mount_of(place):
    for line in reversed(open("/proc/self/mountinfo").readlines()):
        fields = line.split()
        if fields[4] == place:
            return [fields[fields.index("-") + 1]] + sorted(fields[5].split(","))
def rename():
    for name in ("a", "b"):
        os.makedirs(f"{HERE}/{name}", exist_ok=True)
    open(f"{HERE}/a/f", "w").close()
    os.rename(f"{HERE}/a/f", f"{HERE}/b/f")
attempt("uid", os.getuid)
attempt("cwd", os.getcwd)
attempt("namespaces", lambda: {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "net", "user")})
attempt("rename", rename)
attempt("umount", call("umount2", b"/tmp", 2))
attempt("remount", call("mount", None, b"/", None, 32 | 4096, None))
attempt("root of init", lambda: os.listdir("/proc/1/root/"))
# The supervisor or its keeper: outside, and of the same user.
outside = os.getppid()
attempt("root of outside", lambda: os.listdir(f"/proc/{outside}/root/"))
attempt("memory of outside", lambda: open(f"/proc/{outside}/mem").close())
attempt("kill outside", lambda: os.kill(outside, 0))
attempt("runtime", lambda: os.listdir(os.environ["RUNTIME"]))
EXTRA
with open(f"{HERE}/probe.new", "w") as file:
    json.dump(seen, file)
os.rename(f"{HERE}/probe.new", f"{HERE}/probe.json")
print("probed", flush=True)
for line in iter(lambda: time.sleep(0.05) or os.path.exists(f"{HERE}/say") and open(f"{HERE}/say").read(), "end"):
    if line:
        print(line, flush=True)
        os.remove(f"{HERE}/say")
"#;

/// Who runs the daemon.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Root,
    User,
}

/// One story's world, and who acts in it.
struct Stage {
    home: Home,
    who: Who,
}

impl Stage {
    fn new(who: Who) -> Self {
        let home = Home::new();
        // The binary may lie where only root can read.
        fs::create_dir(home.base().join("bin")).unwrap();
        for name in ["daemonctl", "daemonrun"] {
            copy_program(&binary(name), &home.base().join("bin").join(name), 0o755);
        }
        Self { home, who }
    }

    /// The uid of who acts.
    fn uid(&self) -> u32 {
        if self.who == Who::Root { 0 } else { NOBODY }
    }

    fn give(&self, path: &Path) {
        chown(path, Some(self.uid()), Some(self.uid())).unwrap();
        for entry in fs::read_dir(path).into_iter().flatten().filter_map(Result::ok) {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => self.give(&entry.path()),
                _ => chown(entry.path(), Some(self.uid()), Some(self.uid())).unwrap(),
            }
        }
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.home.program(&self.home.base().join("bin").join(program), args);
        if self.who == Who::User {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    #[track_caller]
    fn ctl(&self, args: &[&str]) -> Output {
        self.home.finish(self.command("daemonctl", args))
    }

    /// An app that probes: with these lines more, in this configuration.
    fn probe(&self, extra: &str, sandbox: &str) -> AppDir<'_> {
        let app = self.home.app("web").file("probe.py", PROBE.replace("EXTRA", extra));
        let runtime = self.home.runtime_dir();
        let app = app
            .run_script("exec python3 \"$APPDEPLOY_APP_PATH/probe.py\"")
            .conf(&format!("process.environment = {{ RUNTIME = {runtime:?} }}\n[sandbox]\n{sandbox}\n"));
        self.give(self.home.base());
        app
    }

    /// What the probe saw.
    #[track_caller]
    fn seen(&self, app: &AppDir<'_>) -> Value {
        self.ctl(&["start", "web"]).ok();
        app.wait_for_output("probed");
        serde_json::from_str(&app.read("probe.json")).unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Root could not: the runtime directory is another's.
        let _ = self.command("daemonctl", &["stop-all", "--force"]).output();
    }
}

/// Tells a story of root and of an ordinary user.
fn of_both(what: &str, story: impl Fn(Stage)) {
    if is_root(what) {
        for who in [Who::Root, Who::User] {
            story(Stage::new(who));
        }
    }
}

/// The mounts of this process that a story could have left behind.
fn mounts(home: &Home) -> Vec<String> {
    let base = home.base().to_string_lossy().into_owned();
    let places = ["/tmp", "/var/tmp", "/dev", "/etc", "/usr", "/run/daemonctl"];
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of = |line: &&str| {
        let place = line.split(' ').nth(4).unwrap_or_default();
        place.starts_with(&base) || places.contains(&place) || place.starts_with("/dev/")
    };
    text.lines().filter(of).map(str::to_owned).collect()
}

#[track_caller]
fn expect(seen: &Value, stage: &Stage, expected: &[(&str, Value)]) {
    for (what, value) in expected {
        assert_eq!(seen[*what], *value, "{what} of {:?} in {seen:#}", stage.who);
    }
}

#[test]
fn nothing_inside_finds_a_way_out() {
    of_both("another user", |stage| {
        let before = mounts(&stage.home);
        let app = stage
            .probe("", "private_tmp = true\nprivate_dev = true\nno_network = true\nreadonly_paths = ['/etc', '/usr']");
        let seen = stage.seen(&app);
        expect(
            &seen,
            &stage,
            &[
                ("uid", json!(stage.uid())),
                ("cwd", json!(app.dir())),
                ("rename", json!("ok")),
                ("umount", json!("EPERM")),
                ("remount", json!("EPERM")),
                ("root of init", json!("EACCES")),
                ("root of outside", json!("EACCES")),
                ("memory of outside", json!("EACCES")),
                ("kill outside", json!("EPERM")),
                // It lies in the private /tmp, and is not kept.
                ("runtime", json!("ENOENT")),
            ],
        );
        assert_eq!(mounts(&stage.home), before, "nothing is mounted outside");
        stage.ctl(&["stop", "web"]).ok();
        assert_eq!(mounts(&stage.home), before, "nothing stays mounted outside");
    });
}

#[test]
fn a_private_tmp_is_empty_and_goes_with_the_app() {
    of_both("another user", |stage| {
        let name = format!("walls-{}-{:?}", std::process::id(), stage.who);
        let extra = format!(
            r#"
for place in ("/tmp", "/var/tmp"):
    attempt(place, lambda: sorted(os.listdir(place)))
    attempt(f"mode of {{place}}", lambda: oct(os.stat(place).st_mode & 0o7777))
    attempt(f"mount of {{place}}", lambda: mount_of(place))
    attempt(f"touch in {{place}}", touch(f"{{place}}/{name}"))
attempt("siblings", lambda: sorted(os.listdir(os.path.dirname(HERE))))
"#
        );
        let app = stage.probe(&extra, "private_tmp = true");
        let seen = stage.seen(&app);
        let kept = stage.home.base().file_name().unwrap().to_string_lossy().into_owned();
        expect(
            &seen,
            &stage,
            &[
                ("/tmp", json!([kept])),
                ("/var/tmp", json!([])),
                ("siblings", json!(["web"])),
                ("mode of /tmp", json!("0o1777")),
                ("mode of /var/tmp", json!("0o1777")),
                ("mount of /tmp", json!(["tmpfs", "nodev", "nosuid", "relatime", "rw"])),
                ("mount of /var/tmp", json!(["tmpfs", "nodev", "nosuid", "relatime", "rw"])),
                ("touch in /tmp", json!("ok")),
                ("touch in /var/tmp", json!("ok")),
            ],
        );
        for place in ["/tmp", "/var/tmp"] {
            assert!(!Path::new(place).join(&name).exists(), "it is seen in {place} outside");
        }
        // The next run finds it empty again.
        fs::remove_file(app.path("logs/web.log")).unwrap();
        stage.ctl(&["stop", "web"]).ok();
        assert_eq!(stage.seen(&app)["/var/tmp"], json!([]));
    });
}

#[test]
fn a_private_dev_has_harmless_devices_only() {
    of_both("another user", |stage| {
        let extra = r#"
import pty
attempt("/dev", lambda: sorted(os.listdir("/dev")))
attempt("mount of /dev", lambda: mount_of("/dev"))
attempt("openpty", lambda: [os.ttyname(pty.openpty()[1]), None][1])
attempt("null", lambda: os.close(os.open("/dev/null", os.O_RDWR)))
attempt("full", lambda: os.write(os.open("/dev/full", os.O_RDWR), b"x"))
attempt("random", lambda: len(os.read(os.open("/dev/urandom", os.O_RDONLY), 8)))
attempt("memory", touch("/dev/shm/x"))
attempt("new", touch("/dev/x"))
for at in (HERE, "/dev/shm", "/dev"):
    attempt(f"mknod {at == HERE and 'here' or at}", lambda: os.mknod(f"{at}/disk", stat.S_IFBLK | 0o600, os.makedev(8, 0)))
attempt("open disk", lambda: os.close(os.open(f"{HERE}/disk", os.O_RDONLY)))
attempt("fifo", lambda: os.mkfifo(f"{HERE}/fifo"))
"#;
        let app = stage.probe(extra, "private_dev = true");
        let seen = stage.seen(&app);
        let all = [
            "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero",
        ];
        let refused = |seen: &Value| ["EACCES", "EPERM", "EROFS"].iter().any(|errno| seen == errno);
        expect(
            &seen,
            &stage,
            &[
                ("/dev", json!(all)),
                ("mount of /dev", json!(["tmpfs", "nodev", "noexec", "nosuid", "relatime", "ro"])),
                ("openpty", json!("ok")),
                ("null", json!("ok")),
                ("full", json!("ENOSPC")),
                ("random", json!(8)),
                ("memory", json!("ok")),
                ("new", json!("EROFS")),
                ("open disk", json!("ENOENT")),
                ("fifo", json!("ok")),
            ],
        );
        for place in ["mknod here", "mknod /dev/shm", "mknod /dev"] {
            assert!(refused(&seen[place]), "{place} of {:?} in {seen:#}", stage.who);
        }
        assert!(!Path::new("/dev/shm/x").exists());
    });
}

/// Something mounted by a story, which goes with it.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: PathBuf) -> Self {
        fs::create_dir_all(&at).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "mode=777", "tmpfs"]).arg(&at).status().unwrap();
        assert!(done.success(), "cannot mount {}", at.display());
        Self(at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn what_is_read_only_is_so_with_every_mount_below_it() {
    of_both("another user", |stage| {
        let tree = stage.home.base().join("tree");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("file"), "content").unwrap();
        let sub = Mounted::new(tree.join("sub"));
        fs::write(sub.0.join("file"), "content").unwrap();
        // By a link: what it leads to is meant.
        std::os::unix::fs::symlink(&tree, stage.home.base().join("link")).unwrap();
        let extra = r#"
TREE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "tree")
for place in (TREE, f"{TREE}/sub"):
    name = "sub" if place.endswith("sub") else "tree"
    attempt(f"touch in {name}", touch(f"{place}/new"))
    attempt(f"write in {name}", lambda: os.close(os.open(f"{place}/file", os.O_RDWR)))
    attempt(f"chmod in {name}", lambda: os.chmod(f"{place}/file", 0o644))
    attempt(f"utimes in {name}", lambda: os.utime(f"{place}/file", (1, 1)))
    attempt(f"rename in {name}", lambda: os.rename(f"{place}/file", f"{place}/other"))
    attempt(f"unlink in {name}", lambda: os.unlink(f"{place}/file"))
    attempt(f"umount of {name}", call("umount2", place.encode(), 2))
    attempt(f"remount of {name}", call("mount", None, place.encode(), None, 32 | 4096, None))
    attempt(f"read in {name}", lambda: open(f"{place}/file").read())
    attempt(f"through init in {name}", touch(f"/proc/{outside}/root{place}/new"))
"#;
        let app = stage.probe(extra, &format!("readonly_paths = [{:?}]", stage.home.base().join("link")));
        let seen = stage.seen(&app);
        for name in ["tree", "sub"] {
            for what in ["touch in", "write in", "chmod in", "utimes in", "rename in", "unlink in"] {
                expect(&seen, &stage, &[(&format!("{what} {name}"), json!("EROFS"))]);
            }
            for what in ["umount of", "remount of"] {
                expect(&seen, &stage, &[(&format!("{what} {name}"), json!("EPERM"))]);
            }
            let through = (&*format!("through init in {name}"), json!("EACCES"));
            expect(&seen, &stage, &[(&format!("read in {name}"), json!("content")), through]);
        }
        fs::write(sub.0.join("new"), "").expect("outside it is as it was");
        stage.ctl(&["stop", "web"]).ok();
    });
}

#[test]
fn a_private_tmp_is_writable_in_a_read_only_world() {
    of_both("another user", |stage| {
        let args = ["--readonly-paths", "/", "--private-tmp", "--chdir", "/", "sh", "-c"];
        let script = "touch /tmp/a /var/tmp/a && echo x > /dev/null && ! touch /home/a 2> /dev/null && echo well";
        stage.home.finish(stage.command("daemonrun", &[&args[..], &[script]].concat())).ok().says("well");
    });
}

#[test]
fn without_a_network_only_the_loopback_is_left() {
    of_both("another user", |stage| {
        let name = format!("daemonctl-walls-{}-{:?}", std::process::id(), stage.who);
        let _host = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        let extra = format!(
            r#"
def tcp():
    server = socket.create_server(("127.0.0.1", 0))
    socket.create_connection(server.getsockname(), 5)
def to(family, kind, address):
    return lambda: socket.socket(family, kind).connect(address)
attempt("interfaces", lambda: [name for _, name in socket.if_nameindex()])
attempt("self", tcp)
attempt("internet", to(socket.AF_INET, socket.SOCK_STREAM, ("1.1.1.1", 80)))
attempt("internet by udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("1.1.1.1", 53)))
attempt("local udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", {port})))
attempt("abstract", to(socket.AF_UNIX, socket.SOCK_STREAM, "\0{name}"))
attempt("routes", lambda: open("/proc/self/net/route").read().count("\n"))
"#
        );
        let app = stage.probe(&extra, "no_network = true");
        let seen = stage.seen(&app);
        expect(
            &seen,
            &stage,
            &[
                ("interfaces", json!(["lo"])),
                ("self", json!("ok")),
                ("internet", json!("ENETUNREACH")),
                ("internet by udp", json!("ENETUNREACH")),
                ("abstract", json!("ECONNREFUSED")),
                ("routes", json!(1)),
                // The runtime directory is covered: root may look, and finds nothing.
                ("runtime", if stage.who == Who::Root { json!([]) } else { json!("EACCES") }),
            ],
        );
        udp.set_nonblocking(true).unwrap();
        assert!(udp.recv(&mut [0; 8]).is_err(), "it has arrived outside");
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        assert_ne!(seen["namespaces"]["net"], json!(own));
    });
}

#[test]
fn checks_and_hooks_are_inside_too() {
    of_both("another user", |stage| {
        let app = stage.home.app("web").run_script(
            r#"exec python3 -c 'import socket
server = socket.create_server(("127.0.0.1", 4711))
while True: server.accept()'"#,
        );
        let look = r#"echo "$DAEMONCTL_EVENT $(readlink /proc/self/ns/net) $(ls /var/tmp | wc -l)" >> "$APPDEPLOY_APP_PATH/hooks""#;
        app.script("check", r#"exec python3 -c 'import socket; socket.create_connection(("127.0.0.1", 4711))'"#);
        app.script("on-start", &format!("{look}; kill -0 \"$DAEMONCTL_MAIN_PID\" && echo signalled >> hooks"));
        app.script("on-stop", look);
        app.conf(
            "monitoring.enabled = true\nmonitoring.check_interval = '100ms'\n[sandbox]\nno_network = true\nprivate_tmp = true",
        );
        stage.give(stage.home.base());
        stage.ctl(&["start", "--wait", "web"]).ok();
        let status: Value = serde_json::from_str(&stage.ctl(&["status", "--json", "web"]).ok().stdout).unwrap();
        let pid = status["apps"][0]["pid"].as_i64().expect("a pid");
        let inside = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        let start = format!("start {} 0\nsignalled\n", inside.display());
        assert_eq!(app.wait_for_text("hooks", "signalled\n"), start);
        stage.ctl(&["stop", "web"]).ok();
        let stop = app.wait_for_text("hooks", "stop");
        let last = stop.lines().last().unwrap();
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        assert!(last.ends_with(" 0") && !last.contains(&*own.to_string_lossy()), "{stop}");
    });
}

#[test]
fn whoever_is_inside_commands_nothing() {
    of_both("another user", |stage| {
        let app = stage.probe("", "no_network = true");
        stage.seen(&app);
        let status: Value = serde_json::from_str(&stage.ctl(&["status", "--json", "web"]).ok().stdout).unwrap();
        let pid = status["apps"][0]["pid"].as_i64().expect("a pid").to_string();
        let daemonctl = stage.home.base().join("bin/daemonctl");
        // The network of the app, but not its mounts: there the socket can still be reached.
        let mut inside = stage.home.program(Path::new("nsenter"), ["--net", "--target", &pid]);
        if stage.who == Who::User {
            inside.args(["--user", "--preserve-credentials"]).uid(NOBODY).gid(NOBODY);
        }
        inside.arg("--").arg(&daemonctl).args(["stop", "web"]);
        stage.home.finish(inside).exits(1).explains("runs in a sandbox");
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        stage.ctl(&["stop", "web"]).ok();
    });
}

#[test]
fn root_changes_neither_the_kernel_nor_its_own_limits() {
    if !is_root("files that belong to root") {
        return;
    }
    let home = Home::new();
    let files = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "$group/pids.max", "$group/../cgroup.procs"];
    // Opened for writing, and left as they are.
    let attempts: String = files.map(|file| format!("if : 9>>{file}; then echo \"opened {file}\"; fi\n")).concat();
    let script = format!("group=/sys/fs/cgroup/pids$(sed -n 's/.*:pids://p' /proc/self/cgroup)\n{attempts}echo end");
    let tried = |flags: &[&str]| {
        let words = [flags, &["--proc-limit=50", "--", "bash", "-c", &script]].concat();
        home.finish(home.program(&binary("daemonrun"), words)).ok().stdout
    };
    assert!(tried(&[]).contains("core_pattern"), "without walls root may");
    for flags in [&["--private-tmp"] as &[&str], &["--no-network"], &["--private-tmp", "--caps-drop=all", "--seccomp"]]
    {
        assert_eq!(tried(flags), "end\n", "{flags:?}");
    }
}

#[test]
fn nor_does_an_orphan_of_an_app_without_powers() {
    let home = Home::new();
    // In a session of its own, and a child of the keeper before it speaks.
    let orphan = format!(
        "until grep -q keeper /proc/$(sed -n 's/^PPid:[^0-9]*//p' /proc/$$/status)/cmdline; do :; done\n\
         DAEMONCTL_RUNTIME_DIR={} {} --path {} stop web > said 2>&1\necho \"code $?\" >> said",
        home.runtime_dir().display(),
        binary("daemonctl").display(),
        home.root().display()
    );
    let app = home.app("web").file("orphan.sh", &orphan).conf("security.capabilities_drop = 'all'");
    let app = app.run_script("(setsid sh orphan.sh &) &\nexec sleep 1000");
    home.ctl(["start", "web"]).ok();
    let said = app.wait_for_text("said", "code");
    assert!(said.contains("runs in a sandbox") && said.ends_with("code 1\n"), "{said}");
    assert_eq!(app.status().state, "running");
    home.ctl(["stop", "web"]).ok();
}

#[test]
fn a_new_supervisor_takes_over_an_app_behind_walls() {
    of_both("another user", |stage| {
        let app = stage.probe("", "private_tmp = true\nprivate_dev = true\nno_network = true");
        stage.seen(&app);
        let status = || -> Value {
            serde_json::from_str::<Value>(&stage.ctl(&["status", "--json", "web"]).stdout).unwrap()["apps"][0].take()
        };
        let before = status();
        let supervisor = before["supervisor"].as_i64().expect("a supervisor") as i32;
        let keeper = crate::support::process(supervisor).expect("a supervisor").ppid;
        for pid in [keeper, supervisor] {
            kill(pid, Signal::SIGKILL);
        }
        // A start takes over what runs, and starts nothing.
        wait_until("somebody looks after it", SOON, || {
            stage.ctl(&["start", "web"]);
            let now = status();
            let new = now["supervisor"].as_i64().is_some_and(|pid| pid != i64::from(supervisor));
            if new && now["pid"] == before["pid"] { Ok(()) } else { Err(format!("{now:#}")) }
        });
        fs::write(app.path("say"), "said to the new one").unwrap();
        app.wait_for_output("said to the new one");
        stage.ctl(&["stop", "web"]).ok();
    });
}

#[test]
fn a_path_that_cannot_be_protected_is_named() {
    of_both("another user", |stage| {
        for (path, why) in [
            ("/no/such/path", "cannot make /no/such/path read-only: no such file or directory"),
            ("etc", "cannot make etc read-only: it is not an absolute path"),
        ] {
            let flags = ["--readonly-paths", path];
            let output = stage.home.finish(stage.command("daemonrun", &[&flags[..], &["echo", "ran"]].concat()));
            output.exits(116).explains(why).never_says("ran");
            let forced = [&flags[..], &["--force", "echo", "ran"]].concat();
            stage.home.finish(stage.command("daemonrun", &forced)).ok().explains(why).says("ran");
        }
    });
}

#[test]
fn where_user_namespaces_are_forbidden_that_is_said() {
    if !is_root("a limit of namespaces") {
        return;
    }
    let stage = Stage::new(Who::Root);
    let daemonrun = stage.home.base().join("bin/daemonrun");
    // In a user namespace of its own, a limit of none hurts nobody else.
    let forbid = r#"echo 0 > /proc/sys/user/max_user_namespaces
        exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "$@""#;
    let launch = |flags: &[&str]| {
        let mut command = stage.home.program(Path::new("unshare"), ["--user", "--map-root-user", "sh", "-c", forbid]);
        command.arg("sh").arg(&daemonrun).args(flags).args(["echo", "ran"]);
        stage.home.finish(command)
    };
    let why = "sysctl user.max_user_namespaces is 0";
    launch(&["--private-tmp"]).exits(116).explains(why).explains("firejail").never_says("ran");
    launch(&["--private-tmp", "--user=nobody"]).exits(116).explains("CAP_SYS_ADMIN").never_says("ran");
    launch(&["--private-tmp", "--force"]).ok().explains(why).says("ran");
}
