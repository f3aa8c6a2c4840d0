//! All options at once, and real programs behind them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::{Caller, Yard, words};
use crate::support::{Home, is_root, testapp};

/// What services are asked to live with.
const ALL: &str = "--seccomp --private-tmp --private-dev --no-network --readonly-paths=/etc:/usr --caps-drop=all";

const NONE: &str = "0000000000000000";

/// What holds behind all walls, whoever built them, and however.
#[track_caller]
fn assert_walled(report: &Value) {
    for set in ["bounding", "permitted", "effective", "inheritable", "ambient"] {
        assert_eq!(report["capabilities"][set], NONE, "{set}: {report:#}");
    }
    assert_eq!((&report["no_new_privs"], &report["seccomp"]), (&json!("1"), &json!("2")), "{report:#}");
    assert_eq!(report["interfaces"], json!({"lo": true}), "{report:#}");
    let device = "char";
    let dev = json!({
        "null": device, "zero": device, "full": device, "random": device, "urandom": device, "tty": device,
        "pts": "directory", "shm": "directory", "ptmx": "-> pts/ptmx", "fd": "-> /proc/self/fd",
        "stdin": "-> /proc/self/fd/0", "stdout": "-> /proc/self/fd/1", "stderr": "-> /proc/self/fd/2",
    });
    assert_eq!(report["dev"], dev, "{report:#}");
    for tmp in ["/tmp", "/var/tmp"] {
        let mount = &report["mounts"][tmp];
        assert_eq!((&mount["type"], &mount["options"]), (&json!("tmpfs"), &json!("rw,nosuid,nodev")), "{tmp}");
    }
    assert_eq!((&report["tmp_mode"], &report["var_tmp_mode"]), (&json!("1777"), &json!("1777")));
    for path in ["/etc", "/usr"] {
        let options = report["mounts"][path]["options"].as_str().unwrap_or_default();
        assert!(options.split(',').any(|option| option == "ro"), "{path}: {options:?}");
    }
    for (kind, inode) in report["namespaces"].as_object().expect("namespaces") {
        let host = fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace").to_string_lossy().into_owned();
        if matches!(kind.as_str(), "mnt" | "net") {
            assert_ne!(*inode, *host, "{kind}");
        }
    }
}

fn all_at_once(caller: Caller) {
    if !is_root("walls and other users") {
        return;
    }
    let yard = Yard::new(caller);
    let flags = ALL.replace("/etc:/usr", &format!("/etc:/usr:{}", yard.text("ro")));
    let more = "--umask=027 --nice=3 --file-limit=99 --core-limit=0 --clear-env --env=COLOUR=red";
    let report = yard.probe(&words(&format!("{flags} {more}")));
    assert_walled(&report);
    assert_eq!((&report["tmp"], &report["var_tmp"]), (&json!({}), &json!({})), "empty at the start");
    assert_eq!((&report["umask"], &report["nice"]), (&json!("0027"), &json!(3)));
    assert_eq!(report["limits"]["nofile"], json!([99, 99]));
    assert_eq!(report["environment"]["COLOUR"], "red");
    let attempts = &report["attempts"];
    for (place, outcomes) in attempts["mounts"].as_object().expect("attempts on mounts") {
        for (attempt, outcome) in outcomes.as_object().expect("outcomes") {
            assert_eq!(outcome, "EPERM", "{attempt} of {place}");
        }
    }
    for (attempt, outcome) in attempts["write"][yard.text("ro")].as_object().expect("attempts to write") {
        assert_eq!(outcome, if attempt == "read" { "ok" } else { "EROFS" }, "{attempt}");
    }
    for attempt in ["root", "root of 1", "cwd", "fd", "memory", "environ", "namespace"] {
        assert_eq!(attempts["outside"][attempt], "EACCES", "{attempt}");
    }
    for attempt in ["signal", "trace", "read", "descriptor"] {
        assert_eq!(attempts["outside"][attempt], "EPERM", "{attempt}");
    }
    assert_eq!(attempts["network"]["abstract"], "ECONNREFUSED");
    assert_eq!(attempts["network"]["socket"], "ENOENT");
    for (attempt, outcome) in [("tcp", "ENETUNREACH"), ("udp", "ENETUNREACH"), ("loopback", "ok"), ("raw", "EPERM")] {
        assert_eq!(attempts["network"][attempt], outcome, "{attempt}");
    }
    for (attempt, outcome) in [("pty", "ok"), ("null", "ok"), ("random", "ok"), ("shm", "ok"), ("tty", "ENXIO")] {
        assert_eq!(attempts["devices"][attempt], outcome, "{attempt}");
    }
    for (attempt, outcome) in [("clone3", "ENOSYS"), ("unknown", "ENOSYS"), ("threads", "ok"), ("exec", "ok")] {
        assert_eq!(attempts["calls"][attempt], outcome, "{attempt}");
    }
    for attempt in ["mount", "unshare user", "clone user", "ptrace", "io_uring_setup", "keyctl", "bpf", "TIOCSTI"] {
        assert_eq!(attempts["calls"][attempt], "EPERM", "{attempt}");
    }
    assert_ne!(attempts["calls"]["int80 mkdir"], "ENOENT", "it reached the file system");
    let setuid = attempts["setuid"].as_str().expect("what a set-user-id program becomes");
    assert!(setuid.ends_with(&format!("effective {NONE}")), "{setuid}");
    assert!(fs::read_dir(yard.path("ro")).expect("still there").count() == 2, "nothing came of it outside");
}

#[test]
fn all_options_hold_together_for_root() {
    all_at_once(Caller::Root);
}

#[test]
fn all_options_hold_together_for_an_ordinary_user() {
    all_at_once(Caller::Nobody);
}

#[test]
fn a_supervised_app_is_behind_the_same_walls() {
    if !is_root("walls and other users") {
        return;
    }
    for user in ["", "security.user = 'nobody'"] {
        let home = Home::new();
        let app = home.app("web").program("probe", fs::read(testapp()).expect("the program")).file("out/keep", "");
        fs::set_permissions(app.path("out"), fs::Permissions::from_mode(0o777)).expect("its mode");
        app.conf(&format!(
            "process.command = {:?}\nprocess.args = ['probe', {:?}]\n{user}\nsecurity.capabilities_drop = ['all']\n\
             [sandbox]\nprivate_tmp = true\nprivate_dev = true\nno_network = true\nseccomp = true\n\
             readonly_paths = ['/etc', '/usr']\n",
            app.path("probe"),
            app.path("out/probe.json")
        ));
        home.ctl(["start", "web"]).ok();
        let report = app.wait_for_text("out/probe.json", "}");
        assert_walled(&serde_json::from_str(&report).expect("JSON"));
        home.ctl(["stop", "web"]).ok();
        app.wait_until_gone();
    }
}

#[test]
fn launchers_at_the_same_time_leave_each_others_groups_alone() {
    if !is_root("control groups") {
        return;
    }
    let yard = Yard::new(Caller::Root);
    // Forty at a time, as the next begins when one has ended.
    let script = r#"seq 600 | xargs -P 40 -I{} "$0" --proc-limit=50 --memory-limit=100M /bin/true"#;
    let launcher = yard.text("daemonrun");
    yard.home.finish(yard.home.program("/bin/sh".as_ref(), ["-c", script, &launcher])).ok();
}

const PYTHON: &str = r"
import sqlite3, socket, subprocess, tempfile, threading
done = []
threads = [threading.Thread(target=done.append, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert sorted(done) == list(range(8))
assert subprocess.run(['echo', 'child'], capture_output=True, text=True).stdout == 'child\n'
with tempfile.NamedTemporaryFile(suffix='.db') as file:
    base = sqlite3.connect(file.name)
    base.execute('create table t (x)'); base.execute('insert into t values (42)'); base.commit()
    assert base.execute('select x from t').fetchone() == (42,)
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname()); server.accept()[0].sendall(b'hi')
assert client.recv(2) == b'hi'
print('python is fine')
";

const NODE: &str = r"
const server = require('http').createServer((_, answer) => answer.end('node is fine'));
server.listen(0, '127.0.0.1', async () => {
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`);
  console.log(await answer.text());
  process.exit(0);
});
";

const REDIS: &str = r#"
redis-server --bind 127.0.0.1 --port 6390 --save '' --dir /tmp --loglevel warning &
until redis-cli -p 6390 ping 2>/dev/null | grep -q PONG; do :; done
redis-cli -p 6390 set key 'redis is fine' && redis-cli -p 6390 get key
redis-cli -p 6390 shutdown nosave
wait
"#;

fn programs_run(caller: Caller) {
    if !is_root("walls and other users") {
        return;
    }
    let yard = Yard::new(caller);
    for (command, says) in [
        (["python3", "-c", PYTHON], "python is fine"),
        (["node", "-e", NODE], "node is fine"),
        (["sh", "-c", REDIS], "redis is fine"),
    ] {
        yard.run(&words(ALL), &command.map(str::to_owned)).ok().says(says);
    }
}

#[test]
fn python_node_and_redis_run_behind_all_walls_for_root() {
    programs_run(Caller::Root);
}

#[test]
fn python_node_and_redis_run_behind_all_walls_for_an_ordinary_user() {
    programs_run(Caller::Nobody);
}
